use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tracing::{Instrument as _, debug, debug_span};

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

/// A span around each call, and its error if it has one. Actions and snapshots are not written out.
#[derive(Debug)]
pub struct Trace {
    inner: Arc<dyn DynTarget>,
}

impl Trace {
    /// Wraps a target.
    #[must_use]
    pub fn wrap(inner: Arc<dyn DynTarget>) -> Arc<dyn DynTarget> {
        Arc::new(Self { inner })
    }
}

fn note<T>(answer: Result<T>) -> Result<T> {
    answer.inspect_err(|error| debug!(%error, kind = %error.kind(), effect = ?error.effect(), "failed"))
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for Trace {
    fn driver(&self) -> &str {
        self.inner.driver()
    }

    async fn info(&self) -> Result<TargetInfo> {
        note(self.inner.info().instrument(debug_span!("info", driver = self.driver())).await)
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        note(self.inner.observe(after).instrument(debug_span!("observe", driver = self.driver())).await)
    }

    async fn anticipate(&self, query: &HistoryQuery) {
        self.inner.anticipate(query).instrument(debug_span!("anticipate", driver = self.driver())).await;
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        note(self.inner.history(query).instrument(debug_span!("history", driver = self.driver())).await)
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        let span = debug_span!("inspect", driver = self.driver(), to = %to.info.revision);
        note(self.inner.inspect(from, to).instrument(span).await)
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        debug_span!("propose", driver = self.driver()).in_scope(|| note(self.inner.propose(view)))
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let span = debug_span!("apply", driver = self.driver(), step = %cx.step, attempt = cx.attempt);
        note(self.inner.apply(cx, action).instrument(span).await)
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let span = debug_span!("probe", driver = self.driver(), step = %cx.step);
        note(self.inner.probe(cx, action).instrument(span).await)
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        note(self.inner.prove(goal).instrument(debug_span!("prove", driver = self.driver())).await)
    }

    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        let span = debug_span!("contents", driver = self.driver());
        note(self.inner.contents(snapshot).instrument(span).await)
    }

    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        let span = debug_span!("remember", driver = self.driver());
        note(self.inner.remember(snapshot, occasion).instrument(span).await)
    }

    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        let span = debug_span!("leftovers", driver = self.driver());
        note(self.inner.leftovers(now).instrument(span).await)
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        let span = debug_span!("tidy", driver = self.driver());
        note(self.inner.tidy(tidying).instrument(span).await)
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        note(self.inner.recall(found, recorded))
    }
}
