//! What can be done: replace the symlink, run the restart command.

use rollback_core::document::decode_exact;
use rollback_core::{Action, Document, Identity, Result};
use serde::{Deserialize, Serialize};

use crate::snapshot::ReleaseName;

/// One change of a releases folder's `current`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LocalAction {
    /// Points `current` at a release, in one rename.
    Switch {
        /// Which release.
        to: ReleaseName,
        /// What it must hold: a release that was changed since it was planned is not switched to.
        identity: Identity,
    },
    /// Runs the restart command.
    Restart {
        /// The release that `current` must point to, so that nobody else's release is started by us.
        on: ReleaseName,
    },
}

impl Document for LocalAction {
    const SCHEMA: &'static str = "local-action/1";

    fn decode(schema: &str, body: serde_json::Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for LocalAction {}
