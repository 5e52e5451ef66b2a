//! Taking away what was kept for open tabs, once it was kept for long enough and nothing that is served needs it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use futures_util::stream::{self, StreamExt as _};
use jiff::Timestamp;
use rollback_core::{Error, ErrorKind, Leftovers, Result, Tidying};

use crate::act::{WRITTEN_AT_A_TIME, stopped};
use crate::client::was_overtaken;
use crate::diff::Change;
use crate::mark::Mark;
use crate::memory::{Good, Recalled};
use crate::names::Key;
use crate::object::Listed;
use crate::retained::Retained;
use crate::site::Site;
use crate::tally::Tally;

/// How many releases are held against what is live, newest first.
const COMPARED: usize = 20;

const NEEDED: &str = "it stays, as what is served now has it";
const UNKNOWN: &str =
    "it stays, as something was deployed since, and no release in the archive tells whether that needs it";
const CHANGED: &str = "it stays, as somebody wrote over it";

/// What was kept, and what may go of it.
#[derive(Default)]
struct Found {
    retained: Retained,
    told: Leftovers,
    /// What may go.
    due: Vec<Listed>,
    /// What everything that is live makes.
    live: Tally,
    /// What it made with everything that was kept.
    before: Tally,
}

/// What is live, as far as it matters here.
#[derive(Default)]
struct Live {
    all: Tally,
    /// Without what is listed as kept.
    rest: Tally,
    /// What is listed as kept and still there.
    kept: Vec<Listed>,
}

impl Site {
    /// What may go now.
    pub(crate) async fn leftovers(&self, now: Timestamp) -> Result<Leftovers> {
        Ok(self.look_at_kept(now).await?.told)
    }

    async fn look_at_kept(&self, now: Timestamp) -> Result<Found> {
        let mut found = Found::default();
        if self.front.pointer().is_some() {
            return Ok(found);
        }
        let Some((retained, _)) = self.retained().await? else { return Ok(found) };
        let live = self.live_beside(&retained).await?;
        let unneeded = self.unneeded(&retained, &live).await?;
        found.before = live.rest;
        for (key, kept) in &retained.objects {
            found.before.add(&self.full(key), kept.size, &kept.etag);
        }
        let mut there = BTreeMap::new();
        for listed in live.kept {
            let Some(kept) = retained.objects.get(&listed.key).cloned() else { continue };
            let since = kept.since;
            there.insert(listed.key.clone(), kept);
            match &unneeded {
                None => found.told.keep(UNKNOWN),
                Some(unneeded) if !unneeded(&listed.key) => found.told.keep(NEEDED),
                Some(_) if since.is_none_or(|since| self.grace.after(since) > now) => found.told.waiting += 1,
                Some(_) => {
                    found.told.add(listed.key.shown(), listed.content.size);
                    found.due.push(listed);
                }
            }
        }
        drop(unneeded);
        found.retained = retained;
        found.retained.objects = there;
        found.live = live.all;
        Ok(found)
    }

    async fn live_beside(&self, retained: &Retained) -> Result<Live> {
        let (mut live, mut served) = (Live::default(), self.served());
        while let Some(listed) = served.try_next().await? {
            self.count(&mut live.all, &listed);
            if retained.holds(&listed) {
                live.kept.push(listed);
            } else {
                self.count(&mut live.rest, &listed);
            }
        }
        Ok(live)
    }

    /// Which keys nothing that is served needs; `None` where nobody can tell. As long as nothing else was written since the rollback, that
    /// is what the rollback kept. After that it is what the release in the archive has not that is served by now.
    async fn unneeded(
        &self,
        retained: &Retained,
        live: &Live,
    ) -> Result<Option<Box<dyn Fn(&Key) -> bool + Send>>> {
        if live.kept.is_empty() || live.rest.to_string() == retained.rest {
            return Ok(Some(Box::new(|_| true)));
        }
        let mut releases = self.releases(Good::Nothing).await?;
        releases.sort_by_key(|release| Reverse(release.made_at));
        let mut extra: Option<BTreeMap<Key, usize>> = None;
        let mut served = 0;
        for release in releases.iter().filter_map(|release| release.release()).take(COMPARED) {
            let recalled = Recalled { live: None, releases: Good::Nothing };
            let compared = self.compare(release, &recalled, None).await?;
            if !compared.changes.iter().all(|change| change.kept(&self.order).is_some()) {
                continue;
            }
            served += 1;
            let extra = extra.get_or_insert_default();
            for change in compared.changes {
                if let Change::Extra(listed) = change {
                    *extra.entry(listed.key).or_default() += 1;
                }
            }
        }
        // Where what is live is all of several releases, only what none of them has may go.
        Ok(extra.map(|extra| {
            let unneeded = move |key: &Key| extra.get(key) == Some(&served);
            Box::new(unneeded) as Box<dyn Fn(&Key) -> bool + Send>
        }))
    }

    /// Takes away what may go. Each object goes only if it is still what was kept.
    pub(crate) async fn tidy(&self, tidying: &Tidying) -> Result<Leftovers> {
        let Found { retained, told, due, live, before } = self.look_at_kept(tidying.now).await?;
        if due.is_empty() {
            return Ok(told);
        }
        let marked = |mark: &Mark| mark.was(&before) || mark.was(&live);
        let mark = self.mark().await?.filter(marked);
        self.memory.writes();
        let deleting = stream::iter(due).map(|listed| self.take_away(listed, tidying));
        let mut deleting = deleting.buffer_unordered(WRITTEN_AT_A_TIME);
        let mut gone = Gone { retained, told, live, failed: None };
        (gone.told.due, gone.told.bytes) = (0, 0);
        gone.told.shown.clear();
        while let Some((listed, deleted)) = deleting.next().await {
            gone.note(self, &listed, deleted);
        }
        self.wrote_down(gone, mark).await
    }

    async fn take_away(&self, listed: Listed, tidying: &Tidying) -> (Listed, Result<()>) {
        let deleted = match &listed.content.etag {
            _ if tidying.stop.is_cancelled() => {
                Err(stopped("tidy up", "run it again: it goes on with what is left"))
            }
            Some(etag) => self.client.delete(&self.full(&listed.key), etag).await,
            None => Ok(()),
        };
        (listed, deleted)
    }

    /// Keeps what is known of the site in step with what went.
    async fn wrote_down(&self, gone: Gone, mark: Option<Mark>) -> Result<Leftovers> {
        let Gone { retained, told, live, failed } = gone;
        let left = retained.objects.len() as u64;
        if let Some(mark) = mark {
            self.leave(&mark.moved(&live, left)).await?;
        }
        self.put_retained(&retained).await?;
        self.memory.wrote();
        failed.map_or(Ok(told), Err)
    }
}

/// What went so far.
struct Gone {
    retained: Retained,
    told: Leftovers,
    live: Tally,
    /// Why not all of it did.
    failed: Option<Error>,
}

impl Gone {
    fn note(&mut self, site: &Site, listed: &Listed, deleted: Result<()>) {
        match deleted {
            Ok(()) => {
                if let Some(etag) = &listed.content.etag {
                    self.live.remove(&site.full(&listed.key), listed.content.size, etag);
                }
                self.told.add(listed.key.shown(), listed.content.size);
                self.retained.objects.remove(&listed.key);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                drop(self.retained.objects.remove(&listed.key));
            }
            Err(error) if was_overtaken(&error) => self.told.keep(CHANGED),
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
    }
}
