use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ledger::GoodMark;
use crate::snapshot::SnapshotRecord;
use crate::target::Standing;

/// A state that a component could be put back to: the backend's history and our own records, merged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Candidate {
    /// The state.
    pub snapshot: SnapshotRecord,
    /// What is known of its past.
    pub standing: Standing,
    /// When it last began to run, where known.
    pub ran_at: Option<Timestamp>,
    /// Whether it earned being called good.
    pub good: Option<GoodMark>,
    /// Whether it is quarantined, and why.
    pub quarantined: Option<String>,
    /// Why it cannot be restored, if it cannot.
    pub unrestorable: Option<String>,
}
