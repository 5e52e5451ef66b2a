//! What the targets can be put back to, and what can be done to them.

use rollback_core::document::decode_exact;
use rollback_core::{Action, Digest, Document, Identity, Result, Revision, Snapshot, SnapshotInfo};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many releases there are, from 0.
pub(super) const RELEASES: u32 = 5;

/// A release that a target runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    pub(super) release: u32,
}

impl Release {
    pub(super) fn identity(self) -> Identity {
        Identity(Digest::of_bytes(format!("release {}", self.release).as_bytes()))
    }

    /// The release with this identity.
    pub(super) fn of(identity: Identity) -> Option<u32> {
        (0..RELEASES).find(|release| Self { release: *release }.identity() == identity)
    }
}

impl Document for Release {
    const SCHEMA: &'static str = "operators-release/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Snapshot for Release {
    #[expect(clippy::expect_used, reason = "r and a number are a revision")]
    fn info(&self) -> SnapshotInfo {
        let revision = Revision::new(format!("r{}", self.release)).expect("a revision");
        SnapshotInfo::new(revision, self.identity())
    }
}

/// A request to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Act {
    /// Brings the release there. What runs stays as it is.
    Stage { release: u32 },
    /// Runs it.
    Switch { release: u32 },
}

impl Act {
    pub(super) fn release(self) -> u32 {
        let (Self::Stage { release } | Self::Switch { release }) = self;
        release
    }
}

impl Document for Act {
    const SCHEMA: &'static str = "operators-act/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for Act {}
