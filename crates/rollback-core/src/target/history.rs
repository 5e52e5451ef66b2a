use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{Revision, Version};

/// Which snapshots are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// At most so many.
    pub limit: usize,
    /// Only the one with this revision.
    pub revision: Option<Revision>,
    /// Only those with this version.
    pub version: Option<Version>,
    /// Only the newest one, of those that do not run now, that is known to have run, with when: a target that can tell without reading its
    /// whole past gives only that one. Others give what they have.
    pub previous: bool,
    /// Of what is asked for, only those with this version will be looked at: a target that can tell without reading its whole past gives only
    /// these. Others give what they have.
    pub sought: Option<Version>,
    /// The caller looked at the target just now, by [`observe`](super::Target::observe) without a token: what that look read need not
    /// be read again.
    pub observed: bool,
}

impl HistoryQuery {
    /// The newest `limit` snapshots.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self { limit, revision: None, version: None, previous: false, sought: None, observed: false }
    }

    /// The snapshot with this revision.
    #[must_use]
    pub fn revision(revision: Revision) -> Self {
        Self { revision: Some(revision), ..Self::newest(20) }
    }

    /// The snapshots with this version.
    #[must_use]
    pub fn version(version: Version) -> Self {
        Self { version: Some(version), ..Self::newest(20) }
    }

    /// As little as finding the one that ran before takes.
    #[must_use]
    pub const fn previous() -> Self {
        Self { limit: 20, revision: None, version: None, previous: true, sought: None, observed: false }
    }

    /// Says that only those with this version will be looked at.
    #[must_use]
    pub fn seeking(mut self, version: Version) -> Self {
        self.sought = Some(version);
        self
    }

    /// Says that the target was looked at just now.
    #[must_use]
    pub fn after_observing(mut self) -> Self {
        self.observed = true;
        self
    }

    /// Whether a snapshot is one of those asked for.
    #[must_use]
    pub fn wants(&self, info: &crate::snapshot::SnapshotInfo) -> bool {
        self.revision.as_ref().is_none_or(|revision| *revision == info.revision)
            && self.version.as_ref().is_none_or(|version| Some(version) == info.version.as_ref())
    }
}

/// One snapshot of a backend's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry<S> {
    /// The state.
    pub snapshot: S,
    /// What became of it.
    pub standing: Standing,
    /// When it last began to run, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_at: Option<Timestamp>,
    /// When it began to run before that, where a target knows: what ran at a time is found by these too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ran_before: Vec<Timestamp>,
    /// Why it cannot be restored, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrestorable: Option<String>,
}

impl<S> HistoryEntry<S> {
    /// An entry that can be restored.
    pub fn new(snapshot: S, standing: Standing) -> Self {
        Self { snapshot, standing, ran_at: None, ran_before: Vec::new(), unrestorable: None }
    }

    /// Adds when it last began to run.
    #[must_use]
    pub fn with_ran_at(mut self, ran_at: Timestamp) -> Self {
        self.ran_at = Some(ran_at);
        self
    }

    /// Adds that it began to run at this time too; the newest of these is when it last did.
    #[must_use]
    pub fn with_another_run(mut self, at: Timestamp) -> Self {
        let (newest, older) = match self.ran_at {
            Some(known) if known == at => return self,
            Some(known) => (known.max(at), Some(known.min(at))),
            None => (at, None),
        };
        self.ran_at = Some(newest);
        self.ran_before.extend(older);
        self
    }

    /// Says why it cannot be restored.
    #[must_use]
    pub fn unrestorable(mut self, why: impl Into<String>) -> Self {
        self.unrestorable = Some(why.into());
        self
    }

    pub(crate) fn try_map<U, E>(self, map: impl FnOnce(S) -> Result<U, E>) -> Result<HistoryEntry<U>, E> {
        Ok(HistoryEntry {
            snapshot: map(self.snapshot)?,
            standing: self.standing,
            ran_at: self.ran_at,
            ran_before: self.ran_before,
            unrestorable: self.unrestorable,
        })
    }
}

/// What the backend knows of a snapshot's past. Registered is not deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Standing {
    /// It runs now.
    Current,
    /// It ran.
    Ran,
    /// It was tried and failed.
    Failed,
    /// It was registered and never deployed.
    NeverRan,
    /// Only that it exists is known.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_run_is_the_last_one_in_whichever_order_they_are_told() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for times in [[10, 30, 20], [30, 20, 10], [10, 20, 30]] {
            let entry = HistoryEntry::new((), Standing::Ran);
            let entry = times.into_iter().fold(entry, |entry, second| entry.with_another_run(at(second)));
            let mut before = entry.ran_before.clone();
            before.sort_unstable();
            assert_eq!((entry.ran_at, before), (Some(at(30)), vec![at(10), at(20)]));
        }
        let twice = HistoryEntry::new((), Standing::Ran).with_another_run(at(10)).with_another_run(at(10));
        assert!(twice.ran_before.is_empty());
    }
}
