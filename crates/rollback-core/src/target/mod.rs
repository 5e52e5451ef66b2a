//! Targets: the I/O for one deployed thing.

mod changes;
mod evidence;
mod history;
mod info;
mod inspection;
mod observation;

use async_trait::async_trait;

pub use self::changes::Changes;
pub use self::evidence::{Evidence, Goal, Proof};
pub use self::history::{HistoryEntry, HistoryQuery, Standing};
pub use self::info::{Capabilities, TargetInfo};
pub use self::inspection::{ArtifactState, DiffEntry, Finding, Inspection, Severity, Shown};
pub use self::observation::{Certainty, Health, Observation, PartState, Phase, Reading, Replicas};
use crate::action::{Action, ActionContext, Landing};
use crate::error::Result;
use crate::name::Token;
use crate::snapshot::Snapshot;

/// The I/O for one deployed thing.
///
/// A driver only knows how to look, propose and act on one target. **It never locks, journals, retries, prompts,
/// prints, sleeps or reads the clock: core does.** That makes a driver small, and makes every guarantee hold for
/// drivers that other teams write.
///
/// # Contract
///
/// - Nothing but `apply` changes what is deployed. What a target [writes down](crate::Remembers) beside it is no part of that.
/// - Every mutating call has the SDK's own retries switched off: only the engine decides to send again.
/// - An error says what became of the effect ([`Effect`](crate::Effect)); when that is not known for sure, it is
///   [`Effect::Unknown`](crate::Effect::Unknown).
/// - `probe` answers "did **my** request land?", not "does the postcondition happen to hold?": by key or mark where
///   the backend keeps one; else by comparing with the token that the intent expected: unmoved = not applied, moved to
///   the goal = applied (and [presumed](crate::Receipt::presumed)), moved elsewhere = superseded.
/// - `prove` reads everything it can and reports what it found; core judges it against the goal.
///
/// # Wrappers
///
/// No method has a default, so that a wrapper cannot lose one. The trait grows by fields of its argument types,
/// which are non-exhaustive, never by a new required method.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// What it can be put back to.
    type Snapshot: Snapshot;
    /// What can be done to it.
    type Action: Action;

    /// Canonical id, account and capabilities. May ask the backend who the caller is.
    async fn info(&self) -> Result<TargetInfo>;

    /// A cheap look at what is. `after` proves that something was accepted: a platform that does not show it yet
    /// is [lagging](Observation::lagging).
    async fn observe(&self, after: Option<&Token>) -> Result<Observation<Self::Snapshot>>;

    /// Snapshots that could be restored, each once, where it ran last: newest first, at most `query.limit`, with what runs
    /// now as [`Standing::Current`]. Core adds its own records, so a driver without history returns none. Of a thing that does
    /// not exist any more, the answer is [`ErrorKind::NotFound`](crate::ErrorKind::NotFound): our records may still know it.
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<Self::Snapshot>>>;

    /// Reads what restoring `to` would mean: a diff without secrets, and findings. Core asks it after an observation without a
    /// token, so what that read need not be read again.
    async fn inspect(&self, from: Option<&Self::Snapshot>, to: &Self::Snapshot) -> Result<Inspection>;

    /// Sends one action.
    async fn apply(&self, cx: &ActionContext, action: &Self::Action) -> Result<Landing>;

    /// Finds out what became of an action that was sent under the same context.
    async fn probe(&self, cx: &ActionContext, action: &Self::Action) -> Result<Landing>;

    /// Full evidence of what runs on every part.
    async fn prove(&self, goal: &Goal<Self::Snapshot>) -> Result<Evidence>;
}
