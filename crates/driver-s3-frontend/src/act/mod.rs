//! Putting a site back: whatever differs is written, in an order in which no page ever lacks what it refers to.
//!
//! Each strategy says what is to be written; how it is written is the same for all of them.

mod archive;
mod gate;
mod invalidate;
mod parts;
mod point;
mod slots;
mod versions;
mod work;

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use rollback_core::{ActionContext, Effect, Error, ErrorKind, Identity, Landing, Receipt, Result};

use self::gate::{Gate, Stand};
use self::slots::Slots;
pub(crate) use self::slots::{AT_A_TIME as WRITTEN_AT_A_TIME, stopped};
use self::work::{Stages, Work, Written};
use crate::cdn;
use crate::diff::Change;
use crate::headers::Twins;
use crate::mark::Mark;
use crate::names::{Key, Prefix};
use crate::object::Listed;
use crate::site::{Compared, Site};
use crate::snapshot::{SiteSnapshot, Source};
use crate::tally::Tally;

/// Everything that makes a site what it is to be.
struct Job {
    stages: Stages,
    /// What is live.
    tally: Tally,
    /// What the last rollback left.
    mark: Option<Mark>,
    /// What will be live, without what is kept for open tabs; its first source is where it is taken from.
    to: SiteSnapshot,
    /// The assets of other releases that are kept.
    kept: Vec<Listed>,
}

/// How far it is.
struct Progress<'a> {
    cx: &'a ActionContext,
    done: u64,
    total: u64,
}

impl Progress<'_> {
    fn one_more(&mut self) {
        self.done += 1;
        self.cx.progress(self.done, self.total, "objects");
    }
}

impl Site {
    /// Makes what is live what it was compared with. Objects are copied from below `from`.
    async fn make(
        &self,
        cx: &ActionContext,
        from: &Prefix,
        mut compared: Compared,
        source: Source,
    ) -> Result<Landing> {
        let (changes, twins) = (std::mem::take(&mut compared.changes), std::mem::take(&mut compared.twins));
        let (stages, kept) = self.stages(from, changes, twins);
        self.memory.writes();
        let mut to = SiteSnapshot::new(self.client.bucket().clone(), self.live.clone(), &compared.release)?;
        to.sources = vec![source];
        if stages.markers().next().is_some() {
            self.remember(stages.markers()).await?;
        }
        self.carry_out(cx, Job { stages, tally: compared.tally, mark: compared.mark, to, kept }).await
    }

    /// What is to be written, and what stays: tabs that are open still ask for the assets of the release that is left.
    fn stages(&self, from: &Prefix, changes: Vec<Change>, mut twins: Twins) -> (Stages, Vec<Listed>) {
        let (mut stages, mut kept) = (Stages::default(), Vec::new());
        let mut copy = |entry: Listed, over| {
            let headers = twins.recorded.remove(&entry.key);
            let class = twins.classes.remove(&entry.key).unwrap_or_else(|| entry.class.clone()).served();
            Work::Copy { from: from.join(&entry.key), entry, over, headers, class }
        };
        for change in changes {
            let work = match change {
                Change::Missing(entry) => copy(entry, None),
                Change::Differs(entry, listed)
                | Change::Unknown(entry, listed)
                | Change::Headers(entry, listed, _) => copy(entry, Some(listed)),
                Change::Hidden(entry, markers) => Work::Uncover(entry, markers),
                Change::Extra(listed) if self.order.is_entry_point(&listed.key) => Work::Delete(listed),
                Change::Extra(listed) => {
                    kept.push(listed);
                    continue;
                }
                Change::Same => continue,
            };
            stages.add(&self.order, work);
        }
        (stages, kept)
    }

    /// Writes what is to be written, stage by stage, and leaves a mark of what is live then.
    async fn carry_out(&self, cx: &ActionContext, mut job: Job) -> Result<Landing> {
        let mut progress = Progress { cx, done: 0, total: job.stages.total() };
        let touched = self.touches(cx, &job.stages).await?;
        let stages = std::mem::take(&mut job.stages);
        let mut vague = BTreeMap::new();
        let written = match self.write_all(&mut progress, stages).await {
            Ok(written) => written,
            Err(error) => return broken_off(&progress, error),
        };
        for written in written {
            self.follow(&mut job.tally, &written);
            vague.extend(written.vague());
        }
        // What was known of copies that nobody touched since is still known.
        let before = job.mark.iter().flat_map(|mark| mark.known().clone());
        let mark =
            Mark::new(&job.tally, &job.to, job.kept.len() as u64).copied(before.chain(vague).collect());
        // Everything is written: only what is said of it is not. Where nothing was to be written either, that is all there is to know.
        let unsaid = |error: Error| match progress.total {
            0 => error,
            _ => error.with_effect(Effect::Unknown),
        };
        let retained = self.retain(cx.run, &job.tally, &job.kept);
        let ((), left) = futures_util::join!(retained, self.leave(&mark));
        left.map_err(unsaid)?;
        self.memory.wrote();
        let receipt = Receipt::default().with_token(job.tally.token());
        Ok(Landing::Applied(match self.front.cloudfront {
            Some(_) => receipt.with_output(invalidate::changed(touched)),
            None => receipt,
        }))
    }

    /// Which keys caches will hold that are not to be held; `None` where that may be more than what is written now: an earlier sending
    /// was cut off, or nothing is left to write and somebody asked all the same.
    async fn touches(&self, cx: &ActionContext, stages: &Stages) -> Result<Option<Vec<Key>>> {
        if stages.total() == 0 {
            return Ok(None);
        }
        let owed = self.owe().await?;
        Ok((!owed && cx.attempt == 1).then(|| stages.keys().take(cdn::NAMED + 1).cloned().collect()))
    }

    /// Writes many objects at a time, stage by stage. What is copied is looked at ahead, also for the next stage. Those that are on their
    /// way end before this does, whatever became of others.
    async fn write_all(&self, progress: &mut Progress<'_>, stages: Stages) -> Result<Vec<Written>> {
        let (slots, gate) = (&Slots::new(progress.cx), &Gate::default());
        let in_order = stages.in_order();
        let mut stand = Stand::new(gate, in_order.each_ref().map(Vec::len));
        let all = in_order
            .into_iter()
            .enumerate()
            .flat_map(|(stage, all)| all.into_iter().map(move |one| (stage, one)));
        let mut writing = stream::iter(all)
            .map(|(stage, work)| async move { (stage, self.write(work, slots, gate.of(stage)).await) })
            .buffer_unordered(Slots::ALL);
        let (mut written, mut failed) = (Vec::new(), None);
        while let Some((stage, one)) = writing.next().await {
            match one {
                Ok(Some(one)) => {
                    progress.one_more();
                    written.push(one);
                }
                // Whatever refers to what is missing stays as it is.
                Ok(None) => {}
                Err(error) => failed = Some(worse(failed, error)),
            }
            stand.done(stage, failed.is_none());
        }
        failed.map_or(Ok(written), Err)
    }
}

/// Where something was written since the target was seen, nothing is.
fn superseded(cx: &ActionContext, tally: &Tally) -> Option<Landing> {
    let moved = cx.expected.as_ref().is_some_and(|expected| *expected != tally.token());
    moved.then(|| Landing::Superseded { by: "something that was written to the bucket since".to_owned() })
}

/// Not everything could be written. Where somebody else wrote, some of it was and nothing of ours is still under way, it is not sent
/// again: that would take their work for what was there, and write over it.
fn broken_off(progress: &Progress<'_>, error: Error) -> Result<Landing> {
    if progress.done == 0 {
        return Err(error);
    }
    if progress.cx.attempt == 1 && error.kind() == ErrorKind::Stale {
        return Ok(Landing::Superseded { by: error.message().to_owned() });
    }
    Err(error.with_effect(Effect::Unknown))
}

/// What an archive says that has it no more.
fn gone(identity: Identity) -> Error {
    let found = format!("no release in the archive holds {}", identity.short());
    Error::new(ErrorKind::NotFound, "read the archive", found).next("choose another one: rollback history")
}

/// Of two errors, the one that says more: what cannot be helped by trying again.
fn worse(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if !first.is_transient() || second.is_transient() => first,
        _ => second,
    }
}
