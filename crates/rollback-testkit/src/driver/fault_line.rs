//! Faults on the line between the engine and any driver, for fixtures whose backend cannot arrange them itself.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection};
use rollback_core::{
    ActionContext, Considered, DynTarget, Effect, Envelope, Error, ErrorKind, Evidence, Goal, Landing,
    Observation, Result, SnapshotRecord, TargetInfo, Token, View,
};

use super::fixture::Fault;

/// Arranges faults of the next action, whatever the driver: refused, lost before or after it landed, delayed.
///
/// ```
/// # use std::sync::Arc;
/// # use rollback_core::DynTarget;
/// # use rollback_testkit::driver::{Fault, FaultLine};
/// # async fn demo(target: Arc<dyn DynTarget>) -> rollback_core::Result<()> {
/// let line = FaultLine::default();
/// let target = line.wrap(target);
/// assert!(line.inject(Fault::LoseAnswer).await?);
/// // The next `target.apply` lands, and its caller does not learn of it.
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct FaultLine {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next: Option<Fault>,
    landed: u64,
    late: Vec<(Arc<dyn DynTarget>, ActionContext, Envelope)>,
}

impl FaultLine {
    /// A handle whose actions run into the faults of this line.
    #[must_use]
    pub fn wrap(&self, inner: Arc<dyn DynTarget>) -> Arc<dyn DynTarget> {
        Arc::new(OnTheLine { inner, line: self.clone() })
    }

    /// Arranges a fault, if it is one of the line: see [`Fixture::inject`](super::Fixture::inject).
    ///
    /// # Errors
    ///
    /// Never: what was delayed lands or does not, and nobody waits for its answer.
    pub async fn inject(&self, fault: Fault) -> Result<bool> {
        match fault {
            Fault::Refuse | Fault::LoseRequest | Fault::LoseAnswer | Fault::Delay => {
                self.lock().next = Some(fault);
                Ok(true)
            }
            Fault::Deliver => {
                let late = std::mem::take(&mut self.lock().late);
                for (target, cx, action) in late {
                    // Out of date by now, perhaps: then the driver refuses it, as it should.
                    let _ = target.apply(&cx, &action).await;
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// How many actions on this line changed the target's token.
    #[must_use]
    pub fn landed(&self) -> u64 {
        self.lock().landed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for FaultLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultLine").field("next", &self.lock().next).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct OnTheLine {
    inner: Arc<dyn DynTarget>,
    line: FaultLine,
}

impl OnTheLine {
    /// Hands an action on, and counts it if it changed anything.
    async fn hand_on(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let before = self.inner.observe(None).await?.token;
        let answer = self.inner.apply(cx, action).await;
        let changed = self.inner.observe(None).await.is_ok_and(|after| after.token != before);
        self.line.lock().landed += u64::from(changed);
        answer
    }
}

fn no_answer() -> Error {
    Error::new(ErrorKind::Timeout, "send the action", "no answer came").with_effect(Effect::Unknown)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for OnTheLine {
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
        self.inner.inspect(from, to).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        self.inner.propose(view)
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let fault = self.line.lock().next.take();
        match fault {
            Some(Fault::Refuse) => {
                Err(Error::new(ErrorKind::Throttled, "send the action", "too many requests").next("wait"))
            }
            Some(Fault::LoseRequest) => Err(no_answer()),
            Some(Fault::LoseAnswer) => self.hand_on(cx, action).await.and(Err(no_answer())),
            Some(Fault::Delay) => {
                self.line.lock().late.push((Arc::clone(&self.inner), cx.clone(), action.clone()));
                Err(no_answer())
            }
            _ => self.hand_on(cx, action).await,
        }
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.inner.probe(cx, action).await
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.inner.prove(goal).await
    }
}
