//! The snapshot, the action, and the way back.

use rollback_core::document::decode_exact;
use rollback_core::time::Lasting;
use rollback_core::{
    Action, Artifact, Decision, Digest, Document, Identity, Proposal, Result, Revision, Snapshot,
    SnapshotInfo, Step, StepId, Strategy, View,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a flag can be put back to: a value that it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    // A parsed name: what comes from the service, or from an old plan, cannot be a text that hides something.
    pub(crate) value: Revision,
}

impl Document for Flag {
    const SCHEMA: &'static str = "flag/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Snapshot for Flag {
    fn info(&self) -> SnapshotInfo {
        // The value and nothing else: not the number of the write, which is another one each time.
        let identity = Identity(Digest::of_bytes(self.value.as_str().as_bytes()));
        SnapshotInfo::new(self.value.clone(), identity).with_artifact(self.variant())
    }
}

impl Flag {
    /// What must exist for it to be restorable.
    pub(crate) fn variant(&self) -> Artifact {
        Artifact::new("variant", self.value.as_str())
    }
}

/// The one thing that can be done to a flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetFlag {
    /// The value that it gets: a concrete one, never "the one before".
    pub value: Revision,
}

impl Document for SetFlag {
    const SCHEMA: &'static str = "flag-set/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for SetFlag {}

/// The way back: one request.
#[derive(Debug, Clone, Copy)]
pub struct SetValue;

impl Strategy<Flag, SetFlag> for SetValue {
    fn name(&self) -> &'static str {
        "set-value"
    }

    fn summary(&self) -> &'static str {
        "write the earlier value"
    }

    fn propose(&self, view: &View<Flag>) -> Decision<SetFlag> {
        if view.observed.settled.known() == Some(&view.goal) {
            return Decision::NotApplicable(format!("the flag is {} already", view.goal.value));
        }
        let value = view.goal.value.clone();
        let step =
            Step::single(StepId::from_static("set"), format!("set the flag to {value}"), SetFlag { value });
        Decision::Propose(Proposal::new(vec![step]).expected(Lasting::from_secs(1)))
    }
}
