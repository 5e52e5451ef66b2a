use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::action::{ActionContext, Landing};
use crate::contents::Contents;
use crate::document::Envelope;
use crate::erased::{Considered, DynTarget};
use crate::error::Result;
use crate::name::Token;
use crate::remembers::Occasion;
use crate::snapshot::SnapshotRecord;
use crate::strategy::View;
use crate::target::{Evidence, Goal, HistoryEntry, HistoryQuery, Inspection, Observation, TargetInfo};
use crate::tidies::{Leftovers, Tidying};

/// What a layer does around the sending of actions: pacing, auditing, faults in tests.
#[async_trait]
pub trait AroundApply: fmt::Debug + Send + Sync + 'static {
    /// Sends the action through `inner`, or does not. What it answers is taken for the target's answer: when it
    /// sent nothing, its error has no effect.
    async fn apply(
        &self,
        inner: &Arc<dyn DynTarget>,
        cx: &ActionContext,
        action: &Envelope,
    ) -> Result<Landing>;
}

/// A layer around the sending of actions. Everything else goes straight through.
#[derive(Debug)]
pub struct Around<A> {
    inner: Arc<dyn DynTarget>,
    around: A,
}

impl<A: AroundApply> Around<A> {
    /// Wraps a target.
    #[must_use]
    pub fn wrap(inner: Arc<dyn DynTarget>, around: A) -> Arc<dyn DynTarget> {
        Arc::new(Self { inner, around })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: AroundApply> DynTarget for Around<A> {
    fn driver(&self) -> &str {
        self.inner.driver()
    }

    async fn info(&self) -> Result<TargetInfo> {
        self.inner.info().await
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.inner.observe(after).await
    }

    async fn anticipate(&self, query: &HistoryQuery) {
        self.inner.anticipate(query).await;
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.inner.history(query).await
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        self.inner.inspect(from, to).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        self.inner.propose(view)
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.around.apply(&self.inner, cx, action).await
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.inner.probe(cx, action).await
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.inner.prove(goal).await
    }

    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        self.inner.contents(snapshot).await
    }

    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        self.inner.remember(snapshot, occasion).await
    }

    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        self.inner.leftovers(now).await
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        self.inner.tidy(tidying).await
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        self.inner.recall(found, recorded)
    }
}
