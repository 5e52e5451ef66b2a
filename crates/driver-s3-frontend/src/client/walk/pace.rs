//! How many pages of a list come in the time of one.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt as _;

use super::*;
use crate::object::{Content, ETag};

/// How many keys a page has.
const PAGE: usize = 100;

/// A list that answers all that was asked for at once, then all that was asked for since.
struct Rounds {
    keys: Arc<Vec<String>>,
    asked: Arc<AtomicUsize>,
    round: Arc<AtomicUsize>,
}

impl Rounds {
    fn new(keys: impl IntoIterator<Item = String>) -> Self {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort();
        keys.dedup();
        Self { keys: Arc::new(keys), asked: Arc::default(), round: Arc::default() }
    }

    fn pages(&self) -> usize {
        self.keys.len().div_ceil(PAGE)
    }

    fn ask(&self) -> Ask {
        let (keys, asked, round) = (Arc::clone(&self.keys), Arc::clone(&self.asked), Arc::clone(&self.round));
        Arc::new(move |after| {
            asked.fetch_add(1, Ordering::SeqCst);
            let from = after.map_or(0, |after| keys.partition_point(|key| *key <= after));
            let some: Vec<_> = keys.iter().skip(from).take(PAGE).cloned().collect();
            let next = some.last().filter(|_| keys.len() > from + PAGE).cloned();
            let objects = some.into_iter().map(|key| {
                let content = Content::listed(1, ETag::new("t").unwrap());
                Listed::new(Key::new(key).unwrap(), content, jiff::Timestamp::UNIX_EPOCH)
            });
            let page = Page { objects: objects.collect(), next };
            let (round, now) = (Arc::clone(&round), round.load(Ordering::SeqCst));
            Box::pin(async move {
                while round.load(Ordering::SeqCst) == now {
                    tokio::task::yield_now().await;
                }
                Ok(page)
            })
        })
    }

    /// How often something had to be waited for, and how much was asked for, until all of it had come.
    fn walked(&self, shared: &Shared) -> (usize, usize) {
        let way = Way { ask: self.ask(), prefix: Prefix::whole(), reserved: Reserved::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let began = self.round.load(Ordering::SeqCst);
        let walked = walk_beside(way, shared.clone());
        let all: Vec<Listed> = runtime.block_on(async {
            let walked = tokio::spawn(walked.try_collect());
            while !walked.is_finished() {
                // Long enough for everything that need not wait.
                for _ in 0..200 {
                    tokio::task::yield_now().await;
                }
                self.round.fetch_add(1, Ordering::SeqCst);
            }
            walked.await.unwrap().unwrap()
        });
        assert!(
            all.iter().map(|listed| listed.key.as_str()).eq(self.keys.iter().map(String::as_str)),
            "another list came"
        );
        (self.round.load(Ordering::SeqCst) - began, self.asked.swap(0, Ordering::SeqCst))
    }
}

fn digits(number: usize) -> u64 {
    let digest = rollback_core::Digest::of_bytes(number.to_string().as_bytes()).to_string();
    u64::from_str_radix(&digest.replace("sha256:", "")[..16], 16).unwrap()
}

const WORDS: [&str; 20] = [
    "about", "account", "badge", "banner", "basket", "button", "calendar", "card", "checkout", "dialog",
    "filter", "footer", "gallery", "header", "invoice", "map", "order", "price", "search", "video",
];

/// Components with two words and a hash.
fn assets(many: usize) -> impl Iterator<Item = String> {
    let word = |at: usize| WORDS[at % WORDS.len()];
    (0..many).map(move |n| format!("assets/{}-{}.{:08x}.js", word(n), word(n / 20), digits(n) as u32))
}

/// A folder for each day.
fn photos(many: usize, each: usize) -> impl Iterator<Item = String> {
    (0..many).map(move |n| {
        let day = n / each;
        let (year, month, day) = (2010 + day / 336, day / 28 % 12 + 1, day % 28 + 1);
        format!("photos/{year}/{month:02}/{day:02}/IMG_{:04}.jpg", n % each * 3 + 1)
    })
}

fn pages(many: usize) -> impl Iterator<Item = String> {
    (0..many).map(|n| format!("products/{:07}/index.html", n * 7))
}

fn chunks(many: usize) -> impl Iterator<Item = String> {
    (0..many).map(|n| format!("_next/static/chunks/{:016x}.js", digits(n)))
}

#[test]
fn lists_of_all_kinds_come_eight_pages_in_the_time_of_one() {
    let sites: [(&str, Vec<String>); 5] = [
        ("assets", assets(45_000).collect()),
        ("photos", photos(25_000, 6).collect()),
        ("pages", pages(20_000).collect()),
        ("chunks", chunks(20_000).collect()),
        ("all", assets(45_000).chain(photos(25_000, 6)).chain(pages(10_000)).chain(chunks(20_000)).collect()),
    ];
    for (name, keys) in sites {
        let list = Rounds::new(keys);
        let shared = Shared::default();
        let (rounds, asked) = list.walked(&shared);
        let (again, asked_again) = list.walked(&shared);
        let pages = list.pages();
        assert!(rounds * 8 <= pages, "{name}: {pages} pages took as long as {rounds}");
        assert!(asked <= 2 * pages, "{name}: {asked} requests for {pages} pages");
        assert!(again * 16 <= pages, "{name}: {pages} pages took as long as {again} when they were known");
        assert!(
            asked_again * 5 <= pages * 6,
            "{name}: {asked_again} requests for {pages} pages that were known"
        );
    }
}

#[test]
fn what_is_known_of_another_site_is_given_up() {
    let (assets, photos) = (Rounds::new(assets(20_000)), Rounds::new(photos(20_000, 60)));
    let shared = Shared::default();
    assets.walked(&shared);
    let (_, asked) = photos.walked(&shared);
    assert!(asked <= 2 * photos.pages() + AT_A_TIME, "{asked} requests for {} pages", photos.pages());
}

#[test]
fn what_is_far_ahead_waits() {
    let list = Rounds::new(chunks(20_000));
    let shared = Shared::default();
    // All room is taken: pages are asked for one after the other.
    let rooms: Vec<_> = std::iter::from_fn(|| shared.coming(true)).collect();
    let (rounds, asked) = list.walked(&shared);
    assert!(rounds >= asked && asked * 3 <= list.pages() * 4, "{asked} requests in {rounds}");
    drop(rooms);
    assert!(list.walked(&shared).0 * 16 <= list.pages());
}
