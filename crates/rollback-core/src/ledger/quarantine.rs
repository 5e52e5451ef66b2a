//! Versions that must not be deployed, and whose word ended that.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::{Revision, RunId, Version};
use crate::snapshot::{Identity, SnapshotInfo};

/// A version that must not be deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Quarantine {
    /// What is under quarantine.
    pub identity: Identity,
    /// How people call it.
    pub label: String,
    /// Why.
    pub reason: String,
    /// Who put it there.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The run that left it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The revision that it had when it was put there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Its version, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

impl Quarantine {
    /// Puts something under quarantine of which no more than this is known.
    pub fn new(
        identity: Identity,
        label: impl Into<String>,
        reason: impl Into<String>,
        by: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        let (label, reason, by) = (label.into(), reason.into(), by.into());
        Self { identity, label, reason, by, at, run: None, revision: None, version: None }
    }

    /// Puts a state under quarantine, with the names that people know it by.
    pub fn of(info: &SnapshotInfo, reason: impl Into<String>, by: impl Into<String>, at: Timestamp) -> Self {
        let mut entry = Self::new(info.identity, info.label(), reason, by, at);
        entry.revision = Some(info.revision.clone());
        entry.version.clone_from(&info.version);
        entry
    }

    /// Whether a person who types `name` means this: its revision, its version, its label, or its identity, of which at
    /// least eight digits must be given.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        self.label == name
            || self.revision.as_ref().is_some_and(|revision| revision.as_str() == name)
            || self.version.as_ref().is_some_and(|version| version.as_str() == name)
            || self.identity.begins_with(name)
    }

    /// In words: `500s on login (by ana at 2026-11-21T…)`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} (by {} at {:.0})", self.reason, self.by, self.at)
    }
}

/// A quarantine that was lifted: what it was, and whose word ended it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Lifted {
    /// The quarantine.
    pub quarantine: Quarantine,
    /// Who lifted it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}
