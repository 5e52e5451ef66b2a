//! One part of a list, as it is read.

use rollback_core::Result;

use super::Ask;
use super::cuts::{Alphabet, common};
use super::guess::Guess;
use crate::client::list::BEHIND;
use crate::names::Prefix;
use crate::object::Listed;
use crate::packed::Packed;

/// Of how many keys of a page one is looked at for the characters in it.
const LOOKED_AT: usize = 16;

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

    pub(in crate::client) fn of(&self, full: &str) -> Option<&Prefix> {
        self.0.iter().find(|prefix| full.starts_with(prefix.as_str()))
    }
}

/// What does not change while a list is walked.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) ask: Ask,
    pub(super) prefix: Prefix,
    pub(super) reserved: Reserved,
}

/// What there is in a part of the list, or in its first page.
#[derive(Default)]
pub(super) struct Found {
    pub(super) packed: Packed,
    /// After which full key the part goes on, where it was not read to its end.
    pub(super) rest: Option<String>,
    /// Whether the whole list ends there.
    pub(super) last: bool,
    pub(super) guess: Option<Guess>,
    /// How much the full keys of half of the page have in common with the last one.
    pub(super) common: usize,
    pub(super) alphabet: Alphabet,
    /// How many keys the page had, with those that are not of the part.
    pub(super) length: usize,
    /// The full keys in the middle and at the end.
    middle: String,
    end: String,
}

impl Found {
    /// Whether the page ends soon after a full key.
    pub(super) fn is_about(&self, key: &str) -> bool {
        self.middle.as_str() <= key && key < self.end.as_str()
    }
}

impl Way {
    /// Reads the first page of a part in which there is anything.
    pub(super) async fn read(self, mut after: Option<String>, until: Option<String>) -> Result<Found> {
        loop {
            // Whatever may be in there, it is not walked.
            if let Some(reserved) = after.as_ref().and_then(|after| self.reserved.of(after)) {
                after = Some(format!("{reserved}{BEHIND}"));
            }
            if until.as_ref().is_some_and(|until| after.as_ref() >= Some(until)) {
                return Ok(Found::default());
            }
            let mut page = (self.ask)(after).await?;
            let length = page.objects.len();
            // Parts begin and end with keys below the prefix.
            let until = until.as_deref().and_then(|until| until.strip_prefix(self.prefix.as_str()));
            let is_inside = |listed: &&Listed| until.is_none_or(|until| listed.key.as_str() <= until);
            let inside = page.objects.iter().take_while(is_inside).count();
            page.objects.truncate(inside);
            if !self.reserved.0.is_empty() {
                page.objects.retain(|listed| self.reserved.of(&self.prefix.join(&listed.key)).is_none());
            }
            // Of what is beyond, the parts that follow tell.
            let rest = page.next.take().filter(|_| inside == length);
            if page.objects.is_empty() && rest.is_some() {
                after = rest;
                continue;
            }
            let last = inside == length && rest.is_none();
            return Ok(Found { rest, last, length, ..self.found(&page.objects) });
        }
    }

    /// What a page tells, and what is in it.
    fn found(&self, objects: &[Listed]) -> Found {
        let full =
            |at: usize| objects.get(at).map(|listed| self.prefix.join(&listed.key)).unwrap_or_default();
        let (middle, end) = (full(objects.len() / 2), full(objects.len().saturating_sub(1)));
        let mut found = Found { common: common(&middle, &end), middle, end, ..Found::default() };
        let keys: Vec<_> = objects.iter().map(|listed| listed.key.as_str()).collect();
        keys.iter().step_by(LOOKED_AT).for_each(|key| found.alphabet.add(key));
        found.guess = Guess::learn(&keys);
        objects.iter().for_each(|listed| found.packed.push(listed));
        found.packed.finish();
        found
    }
}
