//! What can be done to a site.

use rollback_core::document::decode_exact;
use rollback_core::{Action, Document, Identity, Result};
use serde::{Deserialize, Serialize};

use crate::names::Release;

/// One change of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SiteAction {
    /// Copies whatever differs from a release in the archive: assets first, entry points last, then pages go that the release has not.
    Copy {
        /// Which release; left out, the one in the archive that holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<Release>,
        /// What it must hold: a copy that was changed since it was planned is not gone back to.
        identity: Identity,
    },
}

impl Document for SiteAction {
    const SCHEMA: &'static str = "s3-site-action/1";

    fn decode(schema: &str, body: serde_json::Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for SiteAction {}
