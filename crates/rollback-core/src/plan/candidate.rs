//! What a component could be put back to, and which of it a destination names.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::commits::Commits;
use crate::contents::Kept;
use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Deployment, GoodMark, Ledger, Quarantine, Trial, last_good};
use crate::request::Destination;
use crate::snapshot::{Identity, SnapshotInfo, SnapshotRecord};
use crate::target::{HistoryEntry, HistoryQuery, Standing};

/// How many states a backend is asked for.
const HISTORY: usize = 20;

/// A state that a component could be put back to: the backend's history and our own records, merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Candidate {
    /// The state.
    pub snapshot: SnapshotRecord,
    /// What is known of its past.
    pub standing: Standing,
    /// When it last began to run, where known.
    pub ran_at: Option<Timestamp>,
    /// When it began to run before that, where the backend knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ran_before: Vec<Timestamp>,
    /// Whether it earned being called good.
    pub good: Option<GoodMark>,
    /// Whether it is still on trial, or was seen to be bad, when it ran last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// Why it must not run, if it is under quarantine.
    pub quarantined: Option<String>,
    /// Why it cannot be restored, if it cannot.
    pub unrestorable: Option<String>,
    /// Its contents, where they are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

/// Everything that is known about the past of one target.
pub(crate) struct Past {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) quarantined: Vec<Quarantine>,
}

/// A destination that was found, and why it is this one.
pub(crate) struct Chosen {
    pub(crate) candidate: Candidate,
    pub(crate) because: String,
    /// Whether it is known that it ran.
    pub(crate) ran: bool,
    pub(crate) commits: Commits,
}

/// What a destination came to.
pub(crate) enum Resolved {
    Chosen(Box<Chosen>),
    Undecided(String),
}

impl Past {
    /// Reads the backend's history and our records.
    pub(crate) async fn read(target: &dyn DynTarget, ledger: &Ledger, limit: usize) -> Result<Self> {
        Self::asked(target, ledger, &HistoryQuery::newest(limit.max(1))).await
    }

    /// Reads our records, and of the backend's history what the query asks for.
    async fn asked(target: &dyn DynTarget, ledger: &Ledger, query: &HistoryQuery) -> Result<Self> {
        let history = target.history(query).await;
        let deployments = ledger.deployments().await?;
        let history = match history {
            Err(error) if may_be_recorded(&error, &deployments) => Vec::new(),
            history => history?,
        };
        let quarantined = ledger.quarantined().await?;
        let mut past = Self { candidates: Vec::new(), deployments, quarantined };
        for entry in history {
            past.add(entry);
        }
        past.add_recorded(query.limit);
        Ok(past)
    }

    /// What [`find`](Self::find) will ask a backend first.
    pub(crate) fn first_query(destination: Option<&Destination>) -> HistoryQuery {
        little(destination).unwrap_or(HistoryQuery::newest(HISTORY)).after_observing()
    }

    /// Finds a destination by as little of the past as it takes, right after the target was observed. With what was read.
    pub(crate) async fn find(
        target: &dyn DynTarget,
        ledger: &Ledger,
        destination: Option<&Destination>,
        current: Option<&SnapshotInfo>,
        now: Timestamp,
    ) -> Result<(Self, Resolved)> {
        if let Some(query) = little(destination) {
            let past = Self::asked(target, ledger, &query.after_observing()).await?;
            let found = past.resolve(target, destination, current, now).await;
            if let Ok(Resolved::Chosen(chosen)) = found
                && chosen.ran
            {
                return Ok((past, Resolved::Chosen(chosen)));
            }
        }
        let past = Self::asked(target, ledger, &HistoryQuery::newest(HISTORY).after_observing()).await?;
        let resolved = past.resolve(target, destination, current, now).await?;
        Ok((past, resolved))
    }

    fn add(&mut self, entry: HistoryEntry<SnapshotRecord>) {
        let identity = entry.snapshot.info.identity;
        let newest = self.records_of(identity).map(|record| record.since).max();
        // The backend may only know that it exists; our records may know that it ran.
        let standing = match (entry.standing, newest) {
            (Standing::Unknown | Standing::NeverRan, Some(_)) => Standing::Ran,
            (standing, _) => standing,
        };
        let candidate = Candidate {
            standing,
            ran_at: entry.ran_at.max(newest),
            // Where our records know a newer time, the backend's is one of those before.
            ran_before: entry
                .ran_at
                .filter(|at| Some(*at) < newest)
                .into_iter()
                .chain(entry.ran_before)
                .collect(),
            good: self.good(identity),
            trial: self.records_of(identity).next().and_then(|newest| newest.trial.clone()),
            quarantined: self.quarantine_of(identity),
            unrestorable: entry.unrestorable,
            kept: self.record_of(identity).and_then(|record| record.kept.clone()),
            snapshot: entry.snapshot,
        };
        self.candidates.push(candidate);
    }

    /// Adds what only our records know.
    fn add_recorded(&mut self, limit: usize) {
        for index in 0..self.deployments.len() {
            let record = &self.deployments[index];
            let identity = record.snapshot.info.identity;
            let known = self.candidates.iter().any(|candidate| candidate.snapshot.info.identity == identity);
            if known || self.candidates.len() >= limit.saturating_mul(2) {
                continue;
            }
            self.add(HistoryEntry::new(record.snapshot.clone(), Standing::Ran));
        }
    }

    fn good(&self, identity: Identity) -> Option<GoodMark> {
        self.records_of(identity).find(|record| record.is_good()).and_then(|record| record.good.clone())
    }

    /// The records of a state, the newest first.
    fn records_of(&self, identity: Identity) -> impl Iterator<Item = &Deployment> + Clone {
        self.deployments.iter().filter(move |record| record.snapshot.info.identity == identity)
    }

    fn quarantine_of(&self, identity: Identity) -> Option<String> {
        let entry = self.quarantined.iter().find(|entry| entry.identity == identity)?;
        Some(entry.describe())
    }

    /// The record that tells most of a state: the newest good one, else the newest.
    fn record_of(&self, identity: Identity) -> Option<&Deployment> {
        let mut records = self.records_of(identity);
        let newest = records.clone().next();
        records.find(|record| record.is_good()).or(newest)
    }

    /// A candidate with what its record knows more. Of one state there may be several records, with other coupled state.
    fn recall(
        target: &dyn DynTarget,
        mut candidate: Candidate,
        record: Option<&Deployment>,
    ) -> Result<Candidate> {
        if let Some(record) = record {
            candidate.snapshot = target.recall(&candidate.snapshot, &record.snapshot)?;
            candidate.kept.clone_from(&record.kept);
        }
        Ok(candidate)
    }

    fn by_identity(&self, identity: Identity) -> Option<Candidate> {
        self.candidates.iter().find(|candidate| candidate.snapshot.info.identity == identity).cloned()
    }

    /// Finds what a destination names. `current` is what is to be left.
    pub(crate) async fn resolve(
        &self,
        target: &dyn DynTarget,
        destination: Option<&Destination>,
        current: Option<&SnapshotInfo>,
        now: Timestamp,
    ) -> Result<Resolved> {
        let mut chosen = match self.choose(target, destination, current, now).await? {
            Resolved::Chosen(chosen) => chosen,
            undecided @ Resolved::Undecided(_) => return Ok(undecided),
        };
        let identity = chosen.candidate.snapshot.info.identity;
        let record = match destination {
            None | Some(Destination::LastGood) => last_good(&self.deployments, &self.quarantined),
            Some(Destination::AsOf(moment)) => {
                let moment = moment.resolve(now);
                let mut until = self.deployments.iter().filter(|record| record.since <= moment);
                until.find(|record| record.snapshot.info.identity == identity)
            }
            Some(Destination::Previous | Destination::Revision(_) | Destination::Version(_)) => {
                self.record_of(identity)
            }
        };
        chosen.candidate = Self::recall(target, chosen.candidate, record)?;
        chosen.commits = Commits::of(&self.deployments, current, identity);
        Ok(Resolved::Chosen(chosen))
    }

    async fn choose(
        &self,
        target: &dyn DynTarget,
        destination: Option<&Destination>,
        current: Option<&SnapshotInfo>,
        now: Timestamp,
    ) -> Result<Resolved> {
        match destination {
            None => Ok(self.last_good().unwrap_or_else(|| {
                Resolved::Undecided("no version has earned being called good yet: say where to go".to_owned())
            })),
            Some(Destination::LastGood) => Ok(self.last_good().unwrap_or_else(|| {
                Resolved::Undecided("no version has earned being called good yet".to_owned())
            })),
            Some(Destination::Previous) => Ok(self.previous(current)),
            Some(Destination::Revision(revision)) => {
                let query = HistoryQuery::revision(revision.clone());
                self.named(target, &query, &format!("revision {revision}")).await
            }
            Some(Destination::Version(version)) => {
                let query = HistoryQuery::version(version.clone());
                self.named(target, &query, &format!("version {version}")).await
            }
            Some(Destination::AsOf(moment)) => self.as_of(moment.resolve(now)),
        }
    }

    fn last_good(&self) -> Option<Resolved> {
        let good = last_good(&self.deployments, &self.quarantined)?;
        let candidate = self.by_identity(good.snapshot.info.identity)?;
        let mark = good.good.as_ref().map(GoodMark::describe).unwrap_or_default();
        Some(chosen(candidate, format!("last good: {mark}"), true))
    }

    /// The newest earlier state that really ran, was not rolled back from, and is not under quarantine. Only when no run
    /// is known of: the newest that is older than the current one.
    fn previous(&self, current: Option<&SnapshotInfo>) -> Resolved {
        let Some(current) = current else {
            return Resolved::Undecided(
                "what runs now is not known, so \"previous\" means nothing".to_owned(),
            );
        };
        let usable = |candidate: &Candidate| {
            candidate.snapshot.info.identity != current.identity
                && candidate.quarantined.is_none()
                && candidate.unrestorable.is_none()
        };
        let left = |identity: Identity| {
            let mut records =
                self.deployments.iter().filter(|record| record.snapshot.info.identity == identity);
            records.next().is_some_and(|newest| newest.left_by.is_some())
        };
        let ran = self
            .candidates
            .iter()
            .filter(|candidate| usable(candidate) && !left(candidate.snapshot.info.identity))
            .filter(|candidate| match candidate.standing {
                Standing::Ran => candidate.ran_at.is_some(),
                // It still runs, while what is to be left is on its way.
                Standing::Current => true,
                _ => false,
            })
            .max_by_key(|candidate| (candidate.standing == Standing::Current, candidate.ran_at));
        if let Some(candidate) = ran {
            let since = candidate.ran_at.map(|at| format!(" (ran from {at:.0})")).unwrap_or_default();
            return chosen(candidate.clone(), format!("the newest earlier version that ran{since}"), true);
        }
        // Without a date the order of the history is all there is: entries after the current one are older.
        let position = self.candidates.iter().position(|c| c.snapshot.info.identity == current.identity);
        let older = self.candidates.iter().skip(position.map_or(0, |position| position + 1));
        let older = older
            .filter(|candidate| usable(candidate) && !left(candidate.snapshot.info.identity))
            .find(|candidate| !matches!(candidate.standing, Standing::Failed | Standing::NeverRan));
        match older {
            Some(candidate) => {
                chosen(candidate.clone(), "the newest version made before the current one".to_owned(), false)
            }
            None => Resolved::Undecided("there is no earlier version that could be restored".to_owned()),
        }
    }

    async fn named(&self, target: &dyn DynTarget, query: &HistoryQuery, what: &str) -> Result<Resolved> {
        let because = format!("{what}, as asked");
        if let Some(found) = self.candidates.iter().find(|candidate| query.wants(&candidate.snapshot.info)) {
            return Ok(chosen(found.clone(), because, true));
        }
        // Older than the part of the history that was read: ask for exactly this one.
        let mut more = Self {
            candidates: Vec::new(),
            deployments: self.deployments.clone(),
            quarantined: self.quarantined.clone(),
        };
        // Who says what there is instead knows more than our records do: a registry with all its tags.
        let (entries, told) = match target.history(query).await {
            Err(error) if may_be_recorded(&error, &self.deployments) => {
                (Vec::new(), Some(error).filter(|error| error.next_step().is_some()))
            }
            history => (history?, None),
        };
        for entry in entries {
            more.add(entry);
        }
        let found = more.candidates.into_iter().find(|candidate| query.wants(&candidate.snapshot.info));
        found.map(|candidate| chosen(candidate, because, true)).ok_or_else(|| {
            told.unwrap_or_else(|| {
                Error::new(ErrorKind::NotFound, "find the destination", format!("there is no {what}"))
                    .next(format!("there are, newest first: {}", self.labels()))
            })
        })
    }

    fn as_of(&self, moment: Timestamp) -> Result<Resolved> {
        let recorded = self.deployments.iter().map(|record| (record.since, record.snapshot.info.identity));
        let times = |candidate: &Candidate| {
            let identity = candidate.snapshot.info.identity;
            let all: Vec<_> = candidate.ran_at.iter().chain(&candidate.ran_before).copied().collect();
            all.into_iter().map(move |at| (at, identity))
        };
        let known = self.candidates.iter().flat_map(times);
        let newest =
            recorded.chain(known).filter(|(since, _)| *since <= moment).max_by_key(|(since, _)| *since);
        let found = newest.and_then(|(_, identity)| self.by_identity(identity));
        found.map(|candidate| chosen(candidate, format!("what ran at {moment:.0}"), true)).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "find the destination",
                format!("nothing is known to have run at {moment:.0}"),
            )
            .next(format!("choose one of these, newest first: {}", self.labels()))
        })
    }

    fn labels(&self) -> String {
        let labels: Vec<_> = self.candidates.iter().take(10).map(|c| c.snapshot.info.label()).collect();
        if labels.is_empty() { "none".to_owned() } else { labels.join(", ") }
    }
}

/// As little of the past as it takes to find this, where that may be enough.
fn little(destination: Option<&Destination>) -> Option<HistoryQuery> {
    match destination? {
        Destination::Previous => Some(HistoryQuery::previous()),
        Destination::Revision(revision) => Some(HistoryQuery::revision(revision.clone())),
        Destination::Version(version) => Some(HistoryQuery::newest(HISTORY).seeking(version.clone())),
        Destination::LastGood | Destination::AsOf(_) => None,
    }
}

/// What a backend does not know any more, because the thing itself is gone, our records may.
fn may_be_recorded(error: &Error, deployments: &[Deployment]) -> bool {
    error.kind() == ErrorKind::NotFound && !deployments.is_empty()
}

fn chosen(candidate: Candidate, because: String, ran: bool) -> Resolved {
    Resolved::Chosen(Box::new(Chosen { candidate, because, ran, commits: Commits::default() }))
}
