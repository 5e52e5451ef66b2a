//! Ways in which a driver can be broken. The conformance kit must catch each of them.

use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::document::Document as _;
use rollback_core::erased::Considered;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection};
use rollback_core::{
    ActionContext, DynTarget, Envelope, Evidence, Goal, Landing, Observation, Result, SnapshotRecord,
    TargetInfo, Token, View,
};

use super::forms::{ToyAction, ToySnapshot};

/// One way in which the toy driver can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// Every release has the same identity.
    OneIdentity,
    /// The identity includes a name that changes with each deploy.
    VolatileIdentity,
    /// The token changes with each look.
    NoisyToken,
    /// The token never changes.
    FrozenToken,
    /// `probe` looks at whether the postcondition happens to hold.
    ProbesPostcondition,
    /// `probe` says "not applied" of what landed.
    ForgetfulProbe,
    /// `apply` sends again under the same key.
    SendsTwice,
    /// It claims to refuse stale writers, and overwrites what others did.
    Clobbers,
    /// It says "applied" and sends nothing.
    ClaimsSuccess,
    /// `prove` looks at the first part only.
    ProvesOnePart,
    /// `prove` takes zero replicas for well.
    CountsNothing,
    /// `inspect` changes something.
    MeddlingInspect,
    /// History is oldest first.
    OldestFirst,
    /// A lost answer is reported as "nothing happened".
    HidesUnknown,
    /// The strategy proposes something else each time.
    ImpureStrategy,
    /// A step waits for itself.
    CircularSteps,
    /// A convergence stops after its first part and says "applied".
    StopsAfterOne,
    /// A convergence does not stop when asked to.
    NeverStops,
    /// `inspect` does not see that an artifact is gone.
    SeesNoGaps,
    /// Two handles onto the same thing have different ids.
    ShiftingId,
    /// What is on its way counts as settled.
    SettlesEarly,
    /// `inspect` shows secrets as they are.
    TellsSecrets,
    /// It claims no history and returns one.
    MakesUpHistory,
    /// Envelopes are not checked.
    AcceptsAnything,
}

/// A layer that makes every envelope fit before the driver sees it: altered ones and those of other schemas pass.
#[derive(Debug)]
pub(super) struct Lax {
    inner: Arc<dyn DynTarget>,
}

impl Lax {
    pub(super) fn new(inner: Arc<dyn DynTarget>) -> Self {
        Self { inner }
    }
}

fn lax_snapshot(record: &SnapshotRecord) -> Result<SnapshotRecord> {
    let body = record.document.body.clone();
    let snapshot = <ToySnapshot as rollback_core::Document>::decode("toy-release/1", body)
        .unwrap_or_else(|_| ToySnapshot::of(1));
    SnapshotRecord::seal(&snapshot)
}

fn lax_action(action: &Envelope) -> Envelope {
    Envelope { schema: ToyAction::SCHEMA.to_owned(), body: action.body.clone() }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for Lax {
    fn driver(&self) -> &str {
        self.inner.driver()
    }

    async fn info(&self) -> Result<TargetInfo> {
        self.inner.info().await
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.inner.observe(after).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.inner.history(query).await
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        let from = from.map(lax_snapshot).transpose()?;
        self.inner.inspect(from.as_ref(), &lax_snapshot(to)?).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        let mut view = view.clone();
        view.goal = lax_snapshot(&view.goal)?;
        self.inner.propose(&view)
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.inner.apply(cx, &lax_action(action)).await
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.inner.probe(cx, &lax_action(action)).await
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        let mut goal = goal.clone();
        goal.snapshot = lax_snapshot(&goal.snapshot)?;
        self.inner.prove(&goal).await
    }
}
