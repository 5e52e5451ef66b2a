//! A listing from its first key to its last, several pages at a time.

mod guess;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream};
use rollback_core::{Error, ErrorKind, Result};
use tokio_util::task::AbortOnDropHandle;

use self::guess::Guess;
use super::Client;
use super::list::{BEHIND, Page};
use crate::names::Prefix;
use crate::object::Listed;

/// How many pages are on their way at the most, of one listing. As many as came to something double it from one on, so that a short
/// listing costs no more than twice its pages.
const AT_A_TIME: usize = 16;
/// How many pages one part is followed for before it counts as a guess that was far off.
const FOLLOWED: usize = 4;

/// What a walk over a part of the bucket leaves out: releases in the archive, and what is ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reserved(Vec<Prefix>);

impl Reserved {
    /// Of these, those that are inside `walked`.
    pub(crate) fn inside(walked: &Prefix, prefixes: impl IntoIterator<Item = Prefix>) -> Self {
        Self(
            prefixes
                .into_iter()
                .filter(|prefix| walked.holds(prefix) && !prefix.as_str().is_empty())
                .collect(),
        )
    }

    pub(super) fn of(&self, full: &str) -> Option<&Prefix> {
        self.0.iter().find(|prefix| full.starts_with(prefix.as_str()))
    }
}

/// Asks for the page after a full key.
type Ask = Arc<dyn Fn(Option<String>) -> BoxFuture<'static, Result<Page>> + Send + Sync>;

/// What there is in a part of the list.
struct Found {
    objects: VecDeque<Listed>,
    /// After which full key the part goes on, where it was not read to its end.
    rest: Option<String>,
    /// Whether the whole list ends there.
    last: bool,
}

/// The keys after one, up to another. The last part has no end.
struct Part {
    after: Option<String>,
    until: Option<String>,
    state: State,
}

enum State {
    Waiting,
    Asked(AbortOnDropHandle<Result<Found>>),
    Ready(VecDeque<Listed>),
}

/// What does not change while a list is walked.
#[derive(Clone)]
struct Way {
    ask: Ask,
    prefix: Prefix,
    reserved: Reserved,
}

struct Walk {
    way: Way,
    /// In the order of their keys. Only the last one is waiting for more than a moment.
    parts: VecDeque<Part>,
    guess: Option<Guess>,
    at_a_time: usize,
}

impl Way {
    /// Reads a part to its end; of the last one, a page.
    async fn read(self, mut after: Option<String>, until: Option<String>) -> Result<Found> {
        let mut found = Found { objects: VecDeque::new(), rest: None, last: false };
        for _ in 0..FOLLOWED {
            // Whatever may be in there, it is not walked.
            if let Some(reserved) = after.as_ref().and_then(|after| self.reserved.of(after)) {
                after = Some(format!("{reserved}{BEHIND}"));
            }
            if until.as_ref().is_some_and(|until| after.as_ref() >= Some(until)) {
                return Ok(found);
            }
            let page = (self.ask)(after).await?;
            let mut goes_beyond = false;
            for listed in page.objects {
                let full = self.prefix.join(&listed.key);
                if until.as_ref().is_some_and(|until| full > *until) {
                    goes_beyond = true;
                    break;
                }
                if self.reserved.of(&full).is_none() {
                    found.objects.push_back(listed);
                }
            }
            after = page.next;
            found.last = after.is_none() && !goes_beyond;
            // Of what is beyond, the parts that follow tell.
            if after.is_none() || goes_beyond {
                return Ok(found);
            }
            if until.is_none() {
                break;
            }
        }
        found.rest = after;
        Ok(found)
    }
}

impl Walk {
    fn new(way: Way) -> Self {
        let all = Part { after: None, until: None, state: State::Waiting };
        Self { way, parts: VecDeque::from([all]), guess: None, at_a_time: 1 }
    }

    async fn next(&mut self) -> Result<Option<Listed>> {
        loop {
            let Some(front) = self.parts.front_mut() else { return Ok(None) };
            match &mut front.state {
                State::Waiting => self.fill(),
                State::Ready(objects) => match objects.pop_front() {
                    Some(listed) => return Ok(Some(listed)),
                    None => drop(self.parts.pop_front()),
                },
                State::Asked(coming) => {
                    let found = coming.await.map_err(|_| broken_off())??;
                    self.arrived(found);
                    self.fill();
                }
            }
        }
    }

    /// The first part has come.
    fn arrived(&mut self, found: Found) {
        let Some(part) = self.parts.pop_front() else { return };
        let is_tail = part.until.is_none();
        let count = found.objects.len();
        match found {
            _ if is_tail => self.guess = self.learn(&found.objects),
            // Far too much, or nothing at all: the keys are others by now, and the next page of the last part shows which.
            Found { rest: Some(_), .. } => self.guess = None,
            _ if count == 0 => self.guess = None,
            _ => self.guess.iter_mut().for_each(|guess| guess.correct(count)),
        }
        let met = count > 0 && (is_tail || found.rest.is_none());
        self.at_a_time = if met { (self.at_a_time * 2).min(AT_A_TIME) } else { (self.at_a_time / 2).max(1) };
        if found.last {
            self.parts.clear();
        }
        if let Some(rest) = found.rest {
            self.parts.push_front(Part { after: Some(rest), until: part.until, state: State::Waiting });
        }
        self.parts.push_front(Part { after: None, until: None, state: State::Ready(found.objects) });
    }

    fn learn(&self, objects: &VecDeque<Listed>) -> Option<Guess> {
        let keys: Vec<_> = objects.iter().map(|listed| listed.key.as_str()).collect();
        Guess::learn(&keys)
    }

    /// Asks for the parts that come first, as many as may be on their way.
    fn fill(&mut self) {
        let mut asked = self.parts.iter().filter(|part| matches!(part.state, State::Asked(_))).count();
        let stands = |part: Option<&Part>| part.is_some_and(|part| matches!(part.state, State::Waiting));
        while asked < self.at_a_time || stands(self.parts.front()) {
            let Some(at) = self.parts.iter().position(|part| matches!(part.state, State::Waiting)) else {
                return;
            };
            if let Some(before) = self.split(at) {
                self.parts.insert(at, before);
            }
            let Some(part) = self.parts.get_mut(at) else { return };
            let read = self.way.clone().read(part.after.clone(), part.until.clone());
            part.state = State::Asked(AbortOnDropHandle::new(tokio::spawn(read)));
            asked += 1;
        }
    }

    /// What probably is a page of the last part, taken from its beginning.
    fn split(&mut self, at: usize) -> Option<Part> {
        let tail = self.parts.get_mut(at).filter(|part| part.until.is_none())?;
        let until = self
            .guess
            .as_mut()?
            .next()
            .map(|key| format!("{}{key}", self.way.prefix))
            .filter(|until| tail.after.as_ref() < Some(until));
        // What is reserved is passed over at once, wherever it ends.
        let until = until.filter(|until| self.way.reserved.of(until).is_none());
        if until.is_none() {
            self.guess = None;
        }
        let after = tail.after.replace(until.clone()?);
        Some(Part { after, until, state: State::Waiting })
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
        walk(Way { ask, prefix: prefix.clone(), reserved })
    }
}

fn walk(way: Way) -> impl Stream<Item = Result<Listed>> + Send + Unpin + use<> {
    Box::pin(stream::unfold(Some(Walk::new(way)), |walk| async {
        let mut walk = walk?;
        match walk.next().await {
            Ok(listed) => listed.map(|listed| (Ok(listed), Some(walk))),
            // A list that broke off is not a short one: nothing comes after the error.
            Err(error) => Some((Err(error), None)),
        }
    }))
}
