use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

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
use crate::time::Clock;

const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Repeats reads whose errors are transient: five tries, pauses from 200 ms doubling. Never repeats an action: only the
/// engine decides to send again.
#[derive(Debug)]
pub struct Retry {
    inner: Arc<dyn DynTarget>,
    clock: Arc<dyn Clock>,
}

impl Retry {
    /// Wraps a target.
    #[must_use]
    pub fn wrap(inner: Arc<dyn DynTarget>, clock: Arc<dyn Clock>) -> Arc<dyn DynTarget> {
        Arc::new(Self { inner, clock })
    }

    async fn read<T, F: Future<Output = Result<T>> + Send>(
        &self,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match call().await {
                Err(error) if error.is_transient() => tracing::debug!(%error, "reading again"),
                done => return done,
            }
            self.clock.sleep(pause).await;
            pause *= 2;
        }
        call().await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for Retry {
    fn driver(&self) -> &str {
        self.inner.driver()
    }

    async fn info(&self) -> Result<TargetInfo> {
        self.read(|| self.inner.info()).await
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.read(|| self.inner.observe(after)).await
    }

    async fn anticipate(&self, query: &HistoryQuery) {
        self.inner.anticipate(query).await;
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.read(|| self.inner.history(query)).await
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        self.read(|| self.inner.inspect(from, to)).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        self.inner.propose(view)
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.inner.apply(cx, action).await
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.read(|| self.inner.probe(cx, action)).await
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.read(|| self.inner.prove(goal)).await
    }

    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        self.read(|| self.inner.contents(snapshot)).await
    }

    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        // It is written where nothing was: once more changes nothing.
        self.read(|| self.inner.remember(snapshot, occasion)).await
    }

    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        self.read(|| self.inner.leftovers(now)).await
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        // Whoever asked calls again.
        self.inner.tidy(tidying).await
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        self.inner.recall(found, recorded)
    }
}
