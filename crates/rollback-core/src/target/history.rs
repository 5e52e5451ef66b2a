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
}

impl HistoryQuery {
    /// The newest `limit` snapshots.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self { limit, revision: None, version: None }
    }

    /// The snapshot with this revision.
    #[must_use]
    pub const fn revision(revision: Revision) -> Self {
        Self { limit: 20, revision: Some(revision), version: None }
    }

    /// The snapshots with this version.
    #[must_use]
    pub const fn version(version: Version) -> Self {
        Self { limit: 20, revision: None, version: Some(version) }
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
    /// Why it cannot be restored, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrestorable: Option<String>,
}

impl<S> HistoryEntry<S> {
    /// An entry that can be restored.
    pub fn new(snapshot: S, standing: Standing) -> Self {
        Self { snapshot, standing, ran_at: None, unrestorable: None }
    }

    /// Adds when it last began to run.
    #[must_use]
    pub fn with_ran_at(mut self, ran_at: Timestamp) -> Self {
        self.ran_at = Some(ran_at);
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
