//! What can be done to a site.

use jiff::Timestamp;
use rollback_core::document::decode_exact;
use rollback_core::{Action, Digest, Document, Identity, Result};
use serde::{Deserialize, Serialize};

use crate::names::{DistributionId, Release};

/// One change of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SiteAction {
    /// Copies whatever differs from a release in the archive: assets first, entry points last, then pages go that the release has not.
    Copy {
        /// Which release; left out, the one in the archive that holds it, and where none does, the versions of the objects.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<Release>,
        /// When its newest object was written, where nobody knows whence it is to be had.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seen: Option<Timestamp>,
        /// What it must hold: a copy that was changed since it was planned is not gone back to.
        identity: Identity,
    },
    /// Puts back what was served at a time, from the versions of the objects: in the same order, and what only delete markers hide
    /// comes back without them.
    Restore {
        /// When it is thought to have been served. Where it was not, or this is left out, it is looked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
        /// Which manifest names its versions, where it is known by one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        manifest: Option<Digest>,
        /// What must have been served then.
        identity: Identity,
    },
    /// Lets a distribution serve a release straight from the archive.
    Point {
        /// Which distribution.
        distribution: DistributionId,
        /// Which release; left out, the one in the archive that holds it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        release: Option<Release>,
        /// What it must hold.
        identity: Identity,
    },
    /// Has a distribution forget what the steps before changed, and waits until it has.
    Invalidate {
        /// Which one.
        distribution: DistributionId,
    },
}

impl Document for SiteAction {
    const SCHEMA: &'static str = "s3-site-action/1";

    fn decode(schema: &str, body: serde_json::Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for SiteAction {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn actions_that_were_altered_are_refused() {
        let identity = Identity(Digest::of_bytes(b"v1"));
        let written = json!({ "action": "restore", "at": "2026-11-22T03:00:00Z", "identity": identity });
        let read = SiteAction::decode(SiteAction::SCHEMA, written.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), written);
        for (key, value) in [("at", json!("yesterday")), ("release", json!("v1")), ("action", json!("erase"))]
        {
            let mut wrong = written.clone();
            wrong[key] = value;
            assert!(SiteAction::decode(SiteAction::SCHEMA, wrong).is_err(), "{key}");
        }
    }
}
