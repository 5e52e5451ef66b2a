//! The toy driver's documents.

use rollback_core::document::decode_exact;
use rollback_core::{
    Action, Artifact, Digest, Document, Identity, PartId, Result, Revision, Snapshot, SnapshotInfo, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::world::Picture;

/// One release of a simulated world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToySnapshot {
    /// Its number.
    pub release: u32,
    /// What it consists of.
    pub content: String,
    /// What is forgotten when it is stored, for a flaw.
    #[serde(skip)]
    pub(super) unstored: Option<u32>,
}

impl ToySnapshot {
    /// The release with this number.
    #[must_use]
    pub fn of(release: u32) -> Self {
        Self { release, content: format!("content of r{release}"), unstored: None }
    }

    /// The digest of what it consists of.
    ///
    /// # Errors
    ///
    /// Never: a text can be written as JSON.
    pub fn identity(&self) -> Result<Identity> {
        match self.unstored {
            None => Identity::of(&self.content),
            Some(unstored) => Identity::of(&(&self.content, unstored)),
        }
    }
}

/// What snapshots were before they said what they consist of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Oldest {
    release: u32,
}

impl Document for Oldest {
    const SCHEMA: &'static str = "toy-release/0";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Document for ToySnapshot {
    const SCHEMA: &'static str = "toy-release/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        match schema {
            Oldest::SCHEMA => Oldest::decode(schema, body).map(|oldest| Self::of(oldest.release)),
            _ => decode_exact(schema, body),
        }
    }
}

impl Snapshot for ToySnapshot {
    fn info(&self) -> SnapshotInfo {
        let name = format!("r{}", self.release);
        let revision = Revision::new(name.clone()).expect("a revision");
        let version = Version::new(format!("1.{}.0", self.release)).expect("a version");
        let identity = Identity(Digest::of_bytes(self.content.as_bytes()));
        let identity = self.identity().unwrap_or(identity);
        SnapshotInfo::new(revision, identity)
            .with_version(version)
            .with_artifact(Artifact::new("release", name))
    }
}

/// All that a release consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToyContents {
    /// Its number.
    pub release: u32,
    /// Its secret setting, if it has one.
    pub secret: Option<String>,
}

impl Document for ToyContents {
    const SCHEMA: &'static str = "toy-contents/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

/// What the toy driver can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToyAction {
    /// Roll a release out over all parts: one request.
    Switch {
        /// Which.
        release: u32,
    },
    /// Put a release on one part: one request.
    SwitchPart {
        /// Which part.
        part: PartId,
        /// Which release.
        release: u32,
    },
    /// Put a release on each part, one after the other.
    Sync {
        /// Which.
        release: u32,
    },
    /// Take a release that was left off the list of those that can be had.
    Sweep {
        /// Which.
        release: u32,
    },
}

impl ToyAction {
    /// Whether the world looks as if it had been done.
    #[must_use]
    pub fn holds(&self, picture: &Picture) -> bool {
        match self {
            Self::Switch { release } => picture.heading.unwrap_or(picture.settled) == *release,
            Self::SwitchPart { part, release } => {
                picture.parts.iter().any(|found| found.id == *part && found.release == *release)
            }
            Self::Sync { release } => picture.parts.iter().all(|part| part.release == *release),
            // Nothing shows it.
            Self::Sweep { .. } => false,
        }
    }
}

impl Document for ToyAction {
    const SCHEMA: &'static str = "toy-action/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for ToyAction {}
