use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::action::{ActionContext, Landing};
use crate::document::Envelope;
use crate::erased::{Considered, DynTarget};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::name::{IdempotencyKey, Token};
use crate::snapshot::SnapshotRecord;
use crate::strategy::View;
use crate::target::{Evidence, Goal, HistoryEntry, HistoryQuery, Inspection, Observation, TargetInfo};
use crate::time::{Clock, Lasting, within};

/// How long calls may take. An action has its own limit in [`ActionContext::timeout`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Looks, histories, inspections and probes: 30 seconds.
    pub read: Lasting,
    /// A full proof: ten minutes, since it may read everything.
    pub prove: Lasting,
}

impl Default for Limits {
    fn default() -> Self {
        Self { read: Lasting::from_secs(30), prove: Lasting::from_secs(600) }
    }
}

/// Ends the waiting for calls that take too long.
///
/// A read is dropped. An action never is: it goes on by itself, its effect counts as unknown, and as long as it goes on
/// a probe does not believe that it was not applied.
#[derive(Debug)]
pub struct Timeout {
    inner: Arc<dyn DynTarget>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    alive: Mutex<BTreeMap<IdempotencyKey, JoinHandle<Result<Landing>>>>,
}

impl Timeout {
    /// Wraps a target.
    #[must_use]
    pub fn wrap(inner: Arc<dyn DynTarget>, clock: Arc<dyn Clock>, limits: Limits) -> Arc<dyn DynTarget> {
        Arc::new(Self { inner, clock, limits, alive: Mutex::default() })
    }

    async fn read<T>(
        &self,
        what: &str,
        limit: Lasting,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        within(&*self.clock, limit.as_duration(), call).await.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Timeout, what, format!("no answer within {limit}"))
                .with_effect(Effect::None))
        })
    }

    /// The answer of an action that outlived its limit, if it has come; whether one is still on its way.
    async fn late_answer(&self, key: &IdempotencyKey) -> (Option<Landing>, bool) {
        let finished = {
            let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
            match alive.get(key).map(JoinHandle::is_finished) {
                None => return (None, false),
                Some(false) => return (None, true),
                Some(true) => alive.remove(key),
            }
        };
        let Some(handle) = finished else { return (None, false) };
        // An error leaves the question to the backend.
        (handle.await.ok().and_then(Result::ok), false)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for Timeout {
    fn driver(&self) -> &str {
        self.inner.driver()
    }

    async fn info(&self) -> Result<TargetInfo> {
        self.read("ask who the target is", self.limits.read, self.inner.info()).await
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.read("look at the target", self.limits.read, self.inner.observe(after)).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.read("read the history", self.limits.read, self.inner.history(query)).await
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        self.read("inspect the destination", self.limits.prove, self.inner.inspect(from, to)).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        self.inner.propose(view)
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let (inner, context, document) = (Arc::clone(&self.inner), cx.clone(), action.clone());
        let mut handle = tokio::spawn(async move { inner.apply(&context, &document).await });
        match within(&*self.clock, cx.timeout.as_duration(), &mut handle).await {
            Some(Ok(answer)) => answer,
            Some(Err(gone)) => {
                Err(Error::new(ErrorKind::Other, format!("send {}", cx.step), "the driver panicked")
                    .with_effect(Effect::Unknown)
                    .with_source(gone))
            }
            None => {
                let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
                alive.insert(cx.key.clone(), handle);
                Err(Error::new(
                    ErrorKind::Timeout,
                    format!("send {}", cx.step),
                    format!("no answer within {}", cx.timeout),
                ))
            }
        }
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let (answer, alive) = self.late_answer(&cx.key).await;
        if let Some(landing) = answer {
            return Ok(landing);
        }
        let probed =
            self.read("find out what became of it", self.limits.read, self.inner.probe(cx, action)).await?;
        // As long as our own request may still land, neither its absence nor somebody else's equal change is believed.
        let doubtful = match &probed {
            Landing::NotApplied { .. } => true,
            Landing::Applied(receipt) => receipt.presumed,
            _ => false,
        };
        Ok(if alive && doubtful {
            Landing::Running { what: "our own request has not been answered yet".to_owned() }
        } else {
            probed
        })
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.read("prove what runs", self.limits.prove, self.inner.prove(goal)).await
    }
}
