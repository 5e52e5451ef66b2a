use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt as _};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::action::{ActionContext, Landing};
use crate::contents::Contents;
use crate::document::Envelope;
use crate::erased::{Considered, DynTarget};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::name::{IdempotencyKey, Token};
use crate::remembers::Occasion;
use crate::snapshot::SnapshotRecord;
use crate::strategy::View;
use crate::target::{Evidence, Goal, HistoryEntry, HistoryQuery, Inspection, Observation, TargetInfo};
use crate::tidies::{Leftovers, Tidying};
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
    alive: Mutex<BTreeMap<IdempotencyKey, JoinHandle<std::thread::Result<Result<Landing>>>>>,
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
        (handle.await.ok().and_then(Result::ok).and_then(Result::ok), false)
    }
}

/// An action on its way, which is never dropped half-way: whoever stops waiting for it leaves it to the runtime.
///
/// It is not given a task of its own before: waking another thread, and being woken by it, would cost more than
/// everything else that the engine does for an action.
struct Sending(Option<BoxFuture<'static, std::thread::Result<Result<Landing>>>>);

impl Sending {
    fn begin(call: impl Future<Output = Result<Landing>> + Send + 'static) -> Self {
        // A driver that panics must not take other components with it.
        Self(Some(AssertUnwindSafe(call).catch_unwind().boxed()))
    }

    /// Lets it go on by itself, where there is a runtime to carry it.
    fn go_on(&mut self) -> Option<JoinHandle<std::thread::Result<Result<Landing>>>> {
        let call = self.0.take()?;
        Handle::try_current().ok().map(|runtime| runtime.spawn(call))
    }
}

impl Future for Sending {
    type Output = std::thread::Result<Result<Landing>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(call) = &mut self.0 else { return Poll::Pending };
        let polled = call.as_mut().poll(cx);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        drop(self.go_on());
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

    async fn anticipate(&self, query: &HistoryQuery) {
        let reading = async {
            self.inner.anticipate(query).await;
            Ok(())
        };
        // Whoever needs what was not read in time asks for it.
        self.read("read ahead", self.limits.read, reading).await.unwrap_or_default();
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
        let mut sending = Sending::begin(async move { inner.apply(&context, &document).await });
        match within(&*self.clock, cx.timeout.as_duration(), &mut sending).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => {
                Err(Error::new(ErrorKind::Other, format!("send {}", cx.step), "the driver panicked")
                    .with_effect(Effect::Unknown)
                    .next("this is a fault of the driver: report it"))
            }
            None => {
                let mut alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner);
                alive.extend(sending.go_on().map(|handle| (cx.key.clone(), handle)));
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

    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        self.read("read contents", self.limits.prove, self.inner.contents(snapshot)).await
    }

    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        // A state that is recorded may be asked about at length.
        let limit = match occasion {
            Occasion::Recorded => self.limits.prove,
            Occasion::Leaving => self.limits.read,
        };
        self.read("remember a state", limit, self.inner.remember(snapshot, occasion)).await
    }

    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        self.read("look what was left behind", self.limits.prove, self.inner.leftovers(now)).await
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        // It stops when it is told to, and is never dropped half-way.
        self.inner.tidy(tidying).await
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        self.inner.recall(found, recorded)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn an_action_that_nobody_waits_for_goes_on() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, ended) = oneshot::channel();
        let mut sending = Sending::begin(async move {
            let _ = gone.await;
            let _ = done.send(());
            Ok(Landing::applied())
        });
        assert!(poll!(&mut sending).is_pending());
        drop(sending);
        go.send(()).expect("it was dropped half-way");
        ended.await.expect("it was dropped half-way");
    }

    #[tokio::test]
    async fn a_driver_that_panics_is_told_apart() {
        assert!(Sending::begin(async { panic!("on purpose") }).await.is_err());
        assert!(Sending::begin(async { Ok(Landing::applied()) }).await.is_ok());
    }
}
