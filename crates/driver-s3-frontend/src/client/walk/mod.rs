//! A listing from its first key to its last, many pages at a time.
//!
//! What is left of a list is cut into parts that are listed side by side: at the keys of a list of the same site that was walked before, where the digits of
//! names tell how far a page goes, and else behind folders and words, of which nobody knows how much they hold. Those that come first are asked for
//! first. What has come is held, packed, until everything before it has been read; where too much would be held, only what is waited
//! for is asked for.

mod ahead;
mod cuts;
mod guess;
#[cfg(test)]
mod merge;
#[cfg(test)]
mod pace;
mod read;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream};
use rollback_core::{Error, ErrorKind, Result};
use tokio::task::{JoinError, JoinSet};

pub(crate) use self::ahead::Shared;
use self::ahead::{Milestones, Room};
use self::cuts::{Alphabet, ends};
use self::guess::Guess;
pub(crate) use self::read::Reserved;
use self::read::{Found, Way};
use super::Client;
use super::list::{BEHIND, Page};
use crate::names::{Key, Prefix};
use crate::object::Listed;
use crate::packed::Unpacked;

/// How many pages are on their way at the most, of one listing.
const AT_A_TIME: usize = 32;
/// How much of a page is between two milestones, in hundredths: a page that is overfull needs a second request.
const FULL: usize = 92;
/// How many times as many pages may be asked for as were full, where nobody knows what is where: so a short listing costs no more
/// than twice its pages.
const WORTH: usize = 2;
/// Until so many pages have come, one more than these may be asked for: the whole list takes a moment, and each request more would be felt.
const SHORT: usize = 6;
/// From how many pages on they may be one more, so that there is always something on its way.
const LONG: usize = 16;
/// How far guesses are trusted, and distrusted.
const TRUST: i32 = 6;
/// When nothing is to be had any more from another list.
const DISTRUST: i32 = -4;

/// Asks for the page after a full key.
type Ask = Arc<dyn Fn(Option<String>) -> BoxFuture<'static, Result<Page>> + Send + Sync>;

/// Why a part ends where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Something else begins there, or nothing.
    Chance,
    /// A milestone is there.
    Milestone,
    /// A guess said that a page goes as far.
    Guess,
    /// It is what was left of one that was foreseen.
    Rest,
}

/// The keys after one, up to another. The last part has no end.
struct Part {
    after: Option<String>,
    until: Option<String>,
    by: By,
    state: State,
}

enum State {
    Waiting(Outlook),
    Asked(u64, Room, Option<Foreseen>),
    Ready(Unpacked, #[expect(dead_code, reason = "it is given back with this")] Room),
}

/// What was guessed of a page that is asked for, and not relied on.
struct Foreseen {
    /// The full key at which it was to end.
    end: String,
    guess: Guess,
}

/// What the page before a part tells of it.
#[derive(Default)]
struct Outlook {
    guess: Option<Guess>,
    /// Where it may be cut, in order.
    cuts: VecDeque<String>,
}

struct Walk {
    way: Way,
    shared: Shared,
    known: Option<Milestones>,
    /// In the order of their keys.
    parts: VecDeque<Part>,
    asked: JoinSet<(u64, Result<Found>)>,
    /// How often something was asked for.
    asks: u64,
    /// How many objects came, and how many a page has.
    came: usize,
    page: usize,
    alphabet: Alphabet,
    trust: i32,
    passed: Passed,
}

/// The milestones of this list.
#[derive(Default)]
struct Passed {
    keys: Vec<Key>,
    since: usize,
}

impl Walk {
    fn new(way: Way, shared: Shared) -> Self {
        let state = State::Waiting(Outlook::default());
        let all = Part { after: None, until: None, by: By::Chance, state };
        Self {
            way,
            known: shared.milestones(),
            shared,
            parts: VecDeque::from([all]),
            asked: JoinSet::new(),
            asks: 0,
            came: 0,
            page: 0,
            alphabet: Alphabet::default(),
            trust: 1,
            passed: Passed::default(),
        }
    }

    async fn next(&mut self) -> Result<Option<Listed>> {
        loop {
            let Some(front) = self.parts.front_mut() else {
                self.shared.walked(std::mem::take(&mut self.passed.keys));
                return Ok(None);
            };
            match &mut front.state {
                State::Waiting(_) => self.fill(),
                State::Ready(objects, _) => {
                    if let Some(listed) = objects.next() {
                        self.passed.by(&listed.key, self.page * FULL / 100);
                        return Ok(Some(listed));
                    }
                    self.parts.pop_front();
                    self.all_that_came()?;
                    self.fill();
                }
                State::Asked(..) => {
                    let joined = self.asked.join_next().await.ok_or_else(broken_off)?;
                    self.joined(joined)?;
                    self.all_that_came()?;
                    self.fill();
                }
            }
        }
    }

    fn all_that_came(&mut self) -> Result<()> {
        while let Some(joined) = self.asked.try_join_next() {
            self.joined(joined)?;
        }
        Ok(())
    }

    fn joined(&mut self, joined: std::result::Result<(u64, Result<Found>), JoinError>) -> Result<()> {
        let (id, found) = joined.map_err(|_| broken_off())?;
        self.arrived(id, found?);
        Ok(())
    }

    /// A part has come, or its first page.
    fn arrived(&mut self, id: u64, mut found: Found) {
        let is_it = |part: &Part| matches!(&part.state, State::Asked(asked, ..) if *asked == id);
        let Some(at) = self.parts.iter().position(is_it) else { return };
        let Some(part) = self.parts.remove(at) else { return };
        let State::Asked(_, mut room, foreseen) = part.state else { return };
        if let Some(Foreseen { guess: before, .. }) = &foreseen {
            found.guess = found.guess.map(|guess| guess.after(before));
        }
        let count = found.packed.len();
        self.came += count;
        self.page = self.page.max(found.length);
        self.alphabet.join(&found.alphabet);
        self.judge(part.by, at, &found, foreseen.map(|foreseen| foreseen.end).as_deref());
        if found.last {
            self.parts.truncate(at);
        }
        if let Some(rest) = found.rest {
            let by = if matches!(part.by, By::Milestone | By::Guess) { By::Rest } else { By::Chance };
            let outlook = self.outlook(by, &rest, part.until.as_deref(), found.guess, found.common);
            let state = State::Waiting(outlook);
            self.parts.insert(at, Part { after: Some(rest), until: part.until.clone(), by, state });
        }
        if count > 0 {
            room.came(found.packed.size());
            let state = State::Ready(Arc::new(found.packed).into(), room);
            self.parts.insert(at, Part { after: None, until: None, by: part.by, state });
        }
    }

    /// Whether what was foreseen came about. What comes next was foreseen in the same way.
    fn judge(&mut self, by: By, at: usize, found: &Found, foreseen: Option<&str>) {
        let count = found.packed.len();
        let met = match by {
            By::Guess | By::Milestone => found.rest.is_none() && count * 4 >= self.page,
            // It was not relied on: how far would it have been?
            By::Chance => match foreseen {
                Some(key) => found.is_about(key),
                None => return,
            },
            By::Rest => return,
        };
        self.trust = if met { (self.trust + 1).min(TRUST) } else { (self.trust - 2).max(-TRUST) };
        let next = self.parts.iter_mut().skip(at).find_map(|part| match &mut part.state {
            State::Waiting(outlook) => Some(outlook),
            _ => None,
        });
        if by == By::Milestone && self.trust <= DISTRUST {
            self.known = None;
        }
        if by != By::Guess {
            return;
        }
        if let Some(outlook) = next {
            // Far too much, or nothing at all: the keys are others by now, and the next page shows which.
            if found.rest.is_some() || count == 0 {
                outlook.guess = None;
            }
            outlook.guess.iter_mut().for_each(|guess| guess.correct(count));
        }
    }

    /// What is to be expected of the rest of a part, after its first page.
    fn outlook(
        &self,
        by: By,
        rest: &str,
        until: Option<&str>,
        guess: Option<Guess>,
        common: usize,
    ) -> Outlook {
        // A little is left of what was foreseen.
        if by == By::Rest {
            return Outlook { guess, cuts: VecDeque::new() };
        }
        let root = self.way.prefix.as_str().len();
        let mut outlook = Outlook { guess, cuts: ends(rest, root, common).collect() };
        outlook.cuts.retain(|cut| until.is_none_or(|until| cut.as_str() < until));
        if let Some(guess) = outlook.guess.as_ref().filter(|guess| (*guess).clone().next().is_none()) {
            let stem = format!("{}{}", self.way.prefix, guess.stem());
            outlook.gone_through(&stem);
        }
        let end = format!("{}{BEHIND}", self.way.prefix);
        let first = outlook.cuts.front().map(String::as_str).or(until).unwrap_or(&end);
        if let Some(middle) = self.alphabet.middle(rest, first) {
            outlook.cuts.push_front(middle);
        }
        outlook
    }

    /// Asks for the parts that come first, as many as may be on their way.
    fn fill(&mut self) {
        while let Some(at) = self.parts.iter().position(|part| matches!(part.state, State::Waiting(_))) {
            let can_wait = at > 0;
            if can_wait && !self.may_ask(0) {
                return;
            }
            let Some(room) = self.shared.coming(can_wait) else { return };
            if self.may_ask(1) {
                self.cut(at);
            }
            let Some(part) = self.parts.get_mut(at) else { return };
            self.asks += 1;
            let read = self.way.clone().read(part.after.clone(), part.until.clone());
            let guess = match &mut part.state {
                State::Waiting(outlook) if part.by == By::Chance => outlook.guess.take(),
                _ => None,
            };
            let foreseen = guess.and_then(|mut guess| {
                let end = format!("{}{}", self.way.prefix, guess.next()?);
                Some(Foreseen { end, guess })
            });
            part.state = State::Asked(self.asks, room, foreseen);
            let id = self.asks;
            self.asked.spawn(async move { (id, read.await) });
        }
    }

    /// Whether so many more than one may be asked for that are not waited for.
    fn may_ask(&self, more: usize) -> bool {
        let pages = self.came.checked_div(self.page).unwrap_or_default();
        let worth = match pages {
            ..SHORT => pages + 1,
            SHORT..LONG => pages * WORTH,
            _ => pages * (WORTH + 1),
        };
        let all = usize::try_from(self.asks).unwrap_or(usize::MAX) + more;
        self.asked.len() + more < AT_A_TIME && (self.known.is_some() || all <= worth)
    }

    /// Cuts a part that is waiting in two, the first of which is asked for.
    fn cut(&mut self, at: usize) {
        let Some((key, by)) = self.place_to_cut(at) else { return };
        let Some(part) = self.parts.get_mut(at) else { return };
        let after = part.after.replace(key.clone());
        let state = State::Waiting(Outlook::default());
        self.parts.insert(at, Part { after, until: Some(key), by, state });
    }

    /// After which full key a part is best cut, and why there.
    fn place_to_cut(&mut self, at: usize) -> Option<(String, By)> {
        let Self { parts, way, known, trust, .. } = self;
        let part = parts.get_mut(at).filter(|part| part.by != By::Rest)?;
        let State::Waiting(outlook) = &mut part.state else { return None };
        let (after, until) = (part.after.as_deref(), part.until.as_deref());
        let is_inside = |key: &str| after < Some(key) && until.is_none_or(|until| key < until);
        // What is reserved is passed over at once, wherever it ends.
        let is_good = |key: &String| is_inside(key) && way.reserved.of(key).is_none();
        let full = |key: &str| format!("{}{key}", way.prefix);
        if let Some(known) = known {
            let next = known.partition_point(|key| Some(full(key.as_str()).as_str()) <= after);
            if let Some(key) = known.get(next).map(|key| full(key.as_str())).filter(is_good) {
                return Some((key, By::Milestone));
            }
        }
        if let Some(guess) = outlook.guess.as_mut().filter(|_| *trust > 0) {
            if let Some(key) = guess.next().map(|key| full(&key)).filter(is_good) {
                return Some((key, By::Guess));
            }
            let stem = full(guess.stem());
            outlook.gone_through(&stem);
        }
        std::iter::from_fn(|| outlook.cuts.pop_front()).find(is_good).map(|key| (key, By::Chance))
    }
}

impl Outlook {
    /// The digits behind this come to their end: before that there is less than a page.
    fn gone_through(&mut self, stem: &str) {
        self.cuts.retain(|cut| !cut.starts_with(stem));
        self.guess = None;
    }
}

impl Passed {
    fn by(&mut self, key: &Key, step: usize) {
        self.since += 1;
        if step > 0 && self.since >= step {
            self.since = 0;
            self.keys.push(key.clone());
        }
    }
}

/// Nobody listens to a part of the list any more, or it has panicked.
fn broken_off() -> Error {
    Error::new(ErrorKind::Other, "list the bucket", "the listing was broken off")
        .next("nothing was written because of it: run it again, and report it if that happens again")
}

impl Client {
    /// Every object below `prefix`, in the order of the bytes of their keys.
    pub(crate) fn walk(
        &self,
        prefix: &Prefix,
        reserved: Reserved,
    ) -> impl Stream<Item = Result<Listed>> + Send + Unpin + use<> {
        let (client, below) = (self.clone(), prefix.clone());
        let ask: Ask = Arc::new(move |after| {
            let (client, below) = (client.clone(), below.clone());
            Box::pin(async move { client.page(&below, after.as_deref()).await })
        });
        walk_beside(Way { ask, prefix: prefix.clone(), reserved }, self.walks.clone())
    }
}

#[cfg(test)]
fn walk(way: Way) -> impl Stream<Item = Result<Listed>> + Send + Unpin + use<> {
    walk_beside(way, Shared::default())
}

fn walk_beside(way: Way, shared: Shared) -> impl Stream<Item = Result<Listed>> + Send + Unpin + use<> {
    // It is handed on for each object: not itself, but where it is.
    Box::pin(stream::unfold(Some(Box::new(Walk::new(way, shared))), |walk| async {
        let mut walk = walk?;
        match walk.next().await {
            Ok(listed) => listed.map(|listed| (Ok(listed), Some(walk))),
            // A list that broke off is not a short one: nothing comes after the error.
            Err(error) => Some((Err(error), None)),
        }
    }))
}
