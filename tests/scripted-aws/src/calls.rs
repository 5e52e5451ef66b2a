//! What was asked, as it is recorded.

use jiff::Timestamp;
use serde_json::Value;

/// A call that came in.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// The service by its name in the signature: `ecs`, `codedeploy`, `elasticloadbalancing`, …
    pub service: String,
    /// The operation: `UpdateService`.
    pub operation: String,
    /// When, by the logical clock.
    pub at: Timestamp,
    /// What it said.
    pub input: Value,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was done and answered.
    Answered,
    /// It was refused with this error code.
    Refused(String),
    /// The request was lost: nothing was done.
    RequestLost,
    /// It was done, and the answer was lost.
    AnswerLost,
    /// It is kept waiting.
    Held,
}
