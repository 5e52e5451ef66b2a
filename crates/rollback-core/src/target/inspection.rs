use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Reading;
use crate::digest::Digest;
use crate::snapshot::Artifact;

/// What restoring would mean, read without changing anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Inspection {
    /// What differs, without secrets. Core bounds it.
    pub diff: Vec<DiffEntry>,
    /// What the planner and the operator should know.
    pub findings: Vec<Finding>,
    /// Whether each artifact of the destination is still there.
    pub artifacts: Vec<ArtifactState>,
    /// What only the driver's own strategies understand. Small, and without secrets.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub facts: Value,
}

impl Inspection {
    /// Adds a difference.
    #[must_use]
    pub fn differs(mut self, path: impl Into<String>, from: Option<Shown>, to: Option<Shown>) -> Self {
        self.diff.push(DiffEntry { path: path.into(), from, to });
        self
    }

    /// Adds a finding.
    #[must_use]
    pub fn finding(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    /// Sets what the driver's own strategies are told.
    #[must_use]
    pub fn facts(mut self, facts: Value) -> Self {
        self.facts = facts;
        self
    }

    /// Adds what is known of an artifact.
    #[must_use]
    pub fn artifact(mut self, artifact: Artifact, presence: Reading<Option<Timestamp>>) -> Self {
        self.artifacts.push(ArtifactState { artifact, presence });
        self
    }
}

/// Whether an artifact is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactState {
    /// Which.
    pub artifact: Artifact,
    /// There (and until when, if it will be removed), gone, or unknown.
    pub presence: Reading<Option<Timestamp>>,
}

/// One difference between origin and destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffEntry {
    /// Where: `image`, `env.LOG_LEVEL`, `files/index.html`.
    pub path: String,
    /// What is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Shown>,
    /// What would be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Shown>,
}

/// A value as a plan may show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// Harmless.
    Plain(String),
    /// May be secret: only a keyed digest, or nothing, is kept.
    Redacted,
    /// Too large: its digest.
    Digest(Digest),
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Think before going on.
    Warning,
    /// The plan must not run like this.
    Blocker,
}

/// Something that an operator should know before acting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// A stable name to match on: `artifact-missing`.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Finding {
    /// A finding of any severity.
    pub fn new(severity: Severity, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), severity, message: message.into(), next: None }
    }

    /// Good to know.
    pub fn info(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message)
    }

    /// Think before going on.
    pub fn warning(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// The plan must not run like this.
    pub fn blocker(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Blocker, code, message)
    }

    /// Says what to do about it.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
