//! Faults on the line between the engine and any driver, for fixtures whose backend cannot arrange them itself.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use rollback_core::layer::{Around, AroundApply};
use rollback_core::{ActionContext, DynTarget, Effect, Envelope, Error, ErrorKind, Landing, Result};

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
        Around::wrap(inner, self.clone())
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

impl FaultLine {
    /// Hands an action on, and counts it if it changed anything.
    async fn hand_on(
        &self,
        inner: &Arc<dyn DynTarget>,
        cx: &ActionContext,
        action: &Envelope,
    ) -> Result<Landing> {
        let before = inner.observe(None).await?.token;
        let answer = inner.apply(cx, action).await;
        let changed = inner.observe(None).await.is_ok_and(|after| after.token != before);
        self.lock().landed += u64::from(changed);
        answer
    }
}

fn no_answer() -> Error {
    Error::new(ErrorKind::Timeout, "send the action", "no answer came").with_effect(Effect::Unknown)
}

#[async_trait]
impl AroundApply for FaultLine {
    async fn apply(
        &self,
        inner: &Arc<dyn DynTarget>,
        cx: &ActionContext,
        action: &Envelope,
    ) -> Result<Landing> {
        let fault = self.lock().next.take();
        match fault {
            Some(Fault::Refuse) => {
                Err(Error::new(ErrorKind::Throttled, "send the action", "too many requests").next("wait"))
            }
            Some(Fault::LoseRequest) => Err(no_answer()),
            Some(Fault::LoseAnswer) => self.hand_on(inner, cx, action).await.and(Err(no_answer())),
            Some(Fault::Delay) => {
                self.lock().late.push((Arc::clone(inner), cx.clone(), action.clone()));
                Err(no_answer())
            }
            _ => self.hand_on(inner, cx, action).await,
        }
    }
}
