//! However a list is cut into parts, what comes out is what a list that is read page by page is.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt as _;
use proptest::prelude::*;
use rollback_core::Digest;

use super::*;
use crate::names::Key;
use crate::object::{Content, ETag};

/// A bucket's list in pages of this many keys.
struct Listing {
    keys: Arc<Vec<String>>,
    page: usize,
    asked: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Listing {
    fn new(keys: impl IntoIterator<Item = String>, page: usize) -> Self {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort();
        keys.dedup();
        Self { keys: Arc::new(keys), page, asked: Arc::default(), most: Arc::default() }
    }

    fn ask(&self) -> Ask {
        let (keys, page) = (Arc::clone(&self.keys), self.page);
        let (asked, most, now) =
            (Arc::clone(&self.asked), Arc::clone(&self.most), Arc::new(AtomicUsize::new(0)));
        Arc::new(move |after| {
            asked.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let from = after.map_or(0, |after| keys.partition_point(|key| *key <= after));
            let answer = page_of(&keys[from..], page);
            let now = Arc::clone(&now);
            Box::pin(async move {
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(answer)
            })
        })
    }

    /// Walks it, and says which keys came.
    fn walked(&self, reserved: &[&str]) -> Vec<String> {
        let reserved = reserved.iter().map(|prefix| Prefix::new(*prefix).unwrap());
        let way = Way {
            ask: self.ask(),
            prefix: Prefix::whole(),
            reserved: Reserved::inside(&Prefix::whole(), reserved),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let all: Vec<_> = runtime.block_on(walk(way).try_collect()).unwrap();
        all.into_iter().map(|listed: Listed| listed.key.as_str().to_owned()).collect()
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }

    fn pages(&self) -> usize {
        self.keys.len() / self.page + 1
    }
}

fn page_of(keys: &[String], page: usize) -> Page {
    let some = &keys[..keys.len().min(page)];
    let listed = |key: &String| {
        let content = Content::listed(1, ETag::new("t").unwrap());
        Listed::new(Key::new(key.clone()).unwrap(), content, jiff::Timestamp::UNIX_EPOCH)
    };
    let next = some.last().filter(|_| keys.len() > page).cloned();
    Page { objects: some.iter().map(listed).collect(), next }
}

fn hashed(n: usize) -> String {
    Digest::of_bytes(n.to_string().as_bytes()).to_string().replace("sha256:", "assets/")
}

#[test]
fn a_long_list_of_assets_comes_many_pages_at_a_time() {
    for keys in [
        (0..30_000).map(hashed).collect::<Vec<_>>(),
        (0..30_000).map(|n| format!("img/{n:08}.png")).collect(),
    ] {
        let list = Listing::new(keys, 100);
        assert!(list.walked(&[]) == *list.keys, "another list came");
        let (asked, pages) = (list.asked(), list.pages());
        assert_eq!(list.most.load(Ordering::SeqCst), AT_A_TIME);
        assert!(asked <= pages * 4 / 3, "{asked} requests for {pages} pages");
    }
}

#[test]
fn a_short_list_costs_no_more_than_twice_its_pages() {
    for length in [0, 1, 99, 100, 101, 250, 500, 777] {
        let list = Listing::new((0..length).map(hashed), 100);
        assert!(list.walked(&[]) == *list.keys, "another list came");
        let asked = list.asked();
        assert!(asked <= 2 * list.pages(), "{asked} requests for {length} keys");
    }
}

#[test]
fn what_is_reserved_is_not_walked() {
    let keys = (0..3_000)
        .map(hashed)
        .chain((0..9_000).map(|n| format!("versions/{}", hashed(n))))
        .chain((0..2_000).map(|n| format!("w{n}")));
    let list = Listing::new(keys, 100);
    let live: Vec<_> = list.keys.iter().filter(|key| !key.starts_with("versions/")).cloned().collect();
    assert!(list.walked(&["versions/"]) == live, "another list came");
    let asked = list.asked();
    assert!(asked <= 100, "{asked} requests for 50 pages");
}

#[test]
fn a_short_list_is_asked_for_its_pages_and_hardly_more() {
    for length in [1, 99, 100, 101, 250, 400, 500, 501, SHORT * 100] {
        let folders = ["assets", "data", "pages"];
        let keys = (0..length).map(|n| format!("{}/{n:06}.html", folders[n * 3 / length]));
        let list = Listing::new(keys, 100);
        assert!(list.walked(&[]) == *list.keys, "another list came");
        let pages = length.div_ceil(100);
        assert!((pages..=pages + 1).contains(&list.asked()), "{} requests for {length} keys", list.asked());
    }
}

#[test]
fn many_folders_of_other_names_are_all_walked() {
    let folders = ["a", "assets", "css/deep/er", "img-2024", "img-2025", "js", "ü", "z/z/z"];
    let keys = folders.iter().flat_map(|folder| {
        (0..700).map(move |n| format!("{folder}/{}{n}", hashed(n * 7).replace("assets/", "")))
    });
    let list = Listing::new(keys, 100);
    assert!(list.walked(&[]) == *list.keys, "another list came");
    let asked = list.asked();
    assert!(asked <= 2 * list.pages(), "{asked} requests for {} pages", list.pages());
}

#[test]
fn numbers_with_many_zeros_end_where_others_begin() {
    let numbers = || (0..1_050).map(|n| format!("a/{n:020}.html"));
    let others = || (0..900).map(|n| format!("b/{}", hashed(n))).chain((0..900).map(|n| format!("w{n}")));
    let list = Listing::new(numbers().chain(others()), 100);
    assert!(list.walked(&[]) == *list.keys, "another list came");
    let (asked, pages) = (list.asked(), list.pages());
    assert!(asked <= 2 * pages, "{asked} requests for {pages} pages");
    // The last page of them ends among what is passed over.
    let first: Vec<_> = (0..50).map(|n| format!("a/{n:020}.html")).collect();
    let archive = (0..500).map(|n| format!("versions/{n}"));
    let list =
        Listing::new(first.iter().cloned().chain(archive).chain((0..50).map(|n| format!("w{n}"))), 100);
    assert_eq!(list.walked(&["versions/"]).len(), 100);
    let asked = list.asked();
    assert!(asked <= 4, "{asked} requests");
}

#[test]
fn a_list_that_breaks_off_says_what_to_do() {
    let ask: Ask = Arc::new(|_| Box::pin(async { unreachable!("as a fault of ours would") }));
    let way = Way { ask, prefix: Prefix::whole(), reserved: Reserved::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(walk(way).try_collect::<Vec<Listed>>()).unwrap_err();
    assert!(error.next_step().is_some_and(|next| next.contains("run it again")), "{error:?}");
}

proptest! {
    #[test]
    fn nothing_is_lost_or_told_twice(
        keys in prop::collection::vec("[0-9a-c/_.ü-]{1,6}", 0..400),
        page in 1_usize..40,
    ) {
        let list = Listing::new(keys.into_iter().filter(|key| Key::new(key.clone()).is_ok()), page);
        prop_assert_eq!(list.walked(&[]), (*list.keys).clone());
        let rest: Vec<_> = list.keys.iter().filter(|key| !key.starts_with("a/")).cloned().collect();
        prop_assert_eq!(list.walked(&["a/"]), rest);
    }
}
