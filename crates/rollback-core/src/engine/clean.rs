//! Removing what nobody needs any more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::Engine;
use super::records::{self, RunRecord};
use crate::contents;
use crate::error::{ErrorKind, Result};
use crate::lease::Head;
use crate::ledger::{Deployment, Ledger, NEVER_YOUNGER, Quarantine};
use crate::name::RunId;
use crate::store::{Key, KeyPrefix, Records, StoreVersion};
use crate::time::Lasting;

/// What is removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Cleaned {
    /// Runs.
    pub runs: usize,
    /// Events of their journals.
    pub events: usize,
    /// Deployment records.
    pub deployments: usize,
    /// Kept contents that no deployment record names any more.
    pub contents: usize,
    /// Old runs that stay, by the reason why.
    pub kept: BTreeMap<String, usize>,
}

/// What may go, found before anything is touched.
#[derive(Debug, Default)]
struct Rubbish {
    runs: Vec<RunId>,
    /// Runs of which only documents are left: an earlier clean-up was cut off.
    orphans: Vec<RunId>,
    deployments: Vec<(Key, StoreVersion)>,
    /// The parts of contents that go with them.
    contents: Vec<Vec<Key>>,
    kept: BTreeMap<String, usize>,
}

impl Engine {
    /// Removes runs with their journals, and deployment records, that are older than `older_than`. Stays, however old: a
    /// run without a report, what a head names as held or open, what the newest and the last good deployment and
    /// quarantines were made by, and those deployments themselves. With `dry_run` it only counts.
    ///
    /// A run's journal goes first, from its end, then the run, then its plan and report: cut off at any moment, every run
    /// that is left can be read, and the next call finds the rest. `tell` hears how far it is.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn clean_up(
        &self,
        older_than: Lasting,
        dry_run: bool,
        tell: &(dyn Fn(&Cleaned) + Send + Sync),
    ) -> Result<Cleaned> {
        let records = &self.context.records;
        let now = self.context.clock.now();
        let rubbish = self.rubbish(older_than.before(now), now).await?;
        let mut cleaned = Cleaned { kept: rubbish.kept, ..Cleaned::default() };
        for (key, version) in &rubbish.deployments {
            if dry_run || records.delete(key, version).await? {
                cleaned.deployments += 1;
                tell(&cleaned);
            }
        }
        // After the records that name them.
        for parts in &rubbish.contents {
            for key in parts.iter().filter(|_| !dry_run) {
                records.remove(key).await?;
            }
            cleaned.contents += 1;
            tell(&cleaned);
        }
        for run in rubbish.runs {
            let journal = records.keys(&KeyPrefix::new(&format!("journal/{run}"))?).await?;
            for key in journal.iter().rev() {
                cleaned.events += usize::from(dry_run || records.remove(key).await?);
            }
            if dry_run || records.remove(&records::prefix()?.key(run)?).await? {
                cleaned.runs += 1;
                tell(&cleaned);
            }
            if !dry_run {
                remove_documents(records, run).await?;
            }
        }
        if !dry_run {
            for run in rubbish.orphans {
                remove_documents(records, run).await?;
            }
        }
        Ok(cleaned)
    }

    async fn rubbish(&self, oldest: Timestamp, now: Timestamp) -> Result<Rubbish> {
        // A run that is being created has its plan before it can be seen.
        let settled = NEVER_YOUNGER.before(now);
        let records = &self.context.records;
        let mut rubbish = Rubbish::default();
        let mut needed = open_runs(records).await?;
        needed.extend(quarantining_runs(records).await?);
        let mut recorded = segments(records, "deployments").await?;
        recorded.extend(segments(records, contents::SPACE).await?);
        for segment in recorded {
            let ledger = Ledger::of_segment(records.clone(), &segment)?;
            let (stale, kept) = ledger.stale(oldest).await?;
            rubbish.deployments.extend(stale);
            rubbish.contents.extend(ledger.stale_contents(&kept, now).await?.into_values());
            needed.extend(kept.iter().flat_map(makers));
        }
        // Before the runs: one that begins in between has its documents first.
        let documented = segments(records, "documents").await?;
        let mut known = BTreeSet::new();
        for key in records.keys(&records::prefix()?).await? {
            let Ok(run) = key.last_segment().parse::<RunId>() else { continue };
            known.insert(run);
            if run.made_at().is_none_or(|made| made >= oldest) {
                continue;
            }
            match self.why_kept(run, &needed).await? {
                Some(why) => *rubbish.kept.entry(why.to_owned()).or_default() += 1,
                None => rubbish.runs.push(run),
            }
        }
        let documented = documented.iter().filter_map(|segment| segment.parse::<RunId>().ok());
        let old = |run: &RunId| run.made_at().is_some_and(|made| made < oldest.min(settled));
        rubbish.orphans.extend(documented.filter(|run| !known.contains(run) && old(run)));
        Ok(rubbish)
    }

    /// Why an old run stays.
    async fn why_kept(&self, run: RunId, needed: &BTreeSet<RunId>) -> Result<Option<&'static str>> {
        if needed.contains(&run) {
            return Ok(Some("a lease, a deployment or a quarantine stands on it"));
        }
        match RunRecord::read(&self.context.records, run).await {
            Ok(record) if !record.value.has_ended() => Ok(Some("it has not ended")),
            Ok(_) => Ok(None),
            // Removed by somebody's clean-up since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some("it is gone already")),
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Corrupt) => {
                Ok(Some("this version cannot read it"))
            }
            Err(error) => Err(error),
        }
    }
}

fn makers(deployment: &Deployment) -> impl Iterator<Item = RunId> {
    deployment.made_by.into_iter().chain(deployment.left_by)
}

/// Runs that hold a target, or whose actions may still be on their way.
async fn open_runs(records: &Records) -> Result<BTreeSet<RunId>> {
    let mut runs = BTreeSet::new();
    for head in records.values::<Head>(&KeyPrefix::new("heads")?).await? {
        runs.extend(head.holder.is_some().then_some(head.run));
        runs.extend(head.open.iter().map(|open| open.run));
    }
    Ok(runs)
}

async fn quarantining_runs(records: &Records) -> Result<BTreeSet<RunId>> {
    let entries = records.values::<Quarantine>(&KeyPrefix::new("quarantine")?).await?;
    Ok(entries.into_iter().filter_map(|entry| entry.run).collect())
}

/// The targets that have records in a space.
async fn segments(records: &Records, space: &str) -> Result<BTreeSet<String>> {
    let keys = records.keys(&KeyPrefix::new(space)?).await?;
    let segment = |key: &Key| key.as_str().split('/').nth(1).map(str::to_owned);
    Ok(keys.iter().filter_map(segment).collect())
}

/// Removes the plan and the reports of a run.
async fn remove_documents(records: &Records, run: RunId) -> Result<()> {
    for key in records.keys(&KeyPrefix::new(&format!("documents/{run}"))?).await? {
        records.remove(&key).await?;
    }
    Ok(())
}
