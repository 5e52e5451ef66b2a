//! How much is on its way to S3 at a time.

use rollback_core::{ActionContext, Error, ErrorKind, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many objects are written at a time, and how many are looked at beside that: no write waits for a look at another object. S3
/// takes 3,500 writes and 5,500 reads a second below one prefix.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html>
pub(crate) const AT_A_TIME: usize = 32;

/// Whoever has one may go on, unless it was asked to stop in between.
pub(super) struct Slots<'a> {
    cx: &'a ActionContext,
    looks: Semaphore,
    writes: Semaphore,
}

impl<'a> Slots<'a> {
    /// How many objects are begun at a time: those that are looked at, those that are written, and as many in between, so that no
    /// write waits for a look that takes longer than others.
    pub(super) const ALL: usize = 3 * AT_A_TIME;

    pub(super) fn new(cx: &'a ActionContext) -> Self {
        let slots = || Semaphore::new(AT_A_TIME);
        Self { cx, looks: slots(), writes: slots() }
    }

    /// For one look at what is copied.
    pub(super) async fn look(&self) -> Result<SemaphorePermit<'_>> {
        self.one_of(&self.looks).await
    }

    /// For one write.
    pub(super) async fn write(&self) -> Result<SemaphorePermit<'_>> {
        self.one_of(&self.writes).await
    }

    async fn one_of<'s>(&self, slots: &'s Semaphore) -> Result<SemaphorePermit<'s>> {
        let stopped = || stopped("go on", "run it again: it goes on with what still differs");
        let slot = slots.acquire().await.map_err(|_| stopped())?;
        if self.cx.cancel.is_cancelled() { Err(stopped()) } else { Ok(slot) }
    }
}

/// What whoever was asked to stop says, and how to go on.
pub(crate) fn stopped(doing: &'static str, next: &'static str) -> Error {
    Error::new(ErrorKind::Cancelled, doing, "it was asked to stop").next(next)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use rollback_core::{ComponentName, IdempotencyKey, RunId, StepId};

    use super::*;

    #[test]
    fn looks_take_no_place_of_writes_and_who_waited_still_stops() {
        let run: RunId = "019a0000-0000-7000-8000-000000000000".parse().unwrap();
        let (component, step) = (ComponentName::new("web").unwrap(), StepId::new("copy").unwrap());
        let cx = ActionContext::new(run, component, step, IdempotencyKey::new("1").unwrap());
        let slots = Slots::new(&cx);
        let mut looks: Vec<_> =
            (0..AT_A_TIME).map(|_| slots.look().now_or_never().unwrap().unwrap()).collect();
        let mut next = Box::pin(slots.look());
        assert!(next.as_mut().now_or_never().is_none(), "all are taken");
        let writes: Vec<_> = (0..AT_A_TIME).map(|_| slots.write().now_or_never().unwrap().unwrap()).collect();
        assert!(slots.write().now_or_never().is_none());
        assert_eq!(looks.len() + writes.len() + AT_A_TIME, Slots::ALL, "as many wait in between");
        cx.cancel.cancel();
        looks.pop();
        let error = next.now_or_never().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(error.next_step().is_some_and(|next| next.contains("run it again")), "{error:?}");
    }
}
