//! One sink with its queue and its task.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use rollback_core::time::{Clock, Lasting, within};
use rollback_core::{Error, ErrorKind, Result};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::{Delivery, Policy, Undelivered};
use crate::notice::Notice;
use crate::sink::{Sink, Subscription};

/// How many notices that were not taken are remembered.
const REMEMBERED: usize = 20;

#[derive(Debug)]
pub(super) struct Line {
    subscription: Subscription,
    shared: Arc<Shared>,
    policy: Policy,
    ended: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Arc<Notice>>,
    sending: Option<Sending>,
    closed: bool,
    delivered: u64,
    dropped: u64,
    failed: u64,
    undelivered: VecDeque<Undelivered>,
}

#[derive(Debug)]
struct Sending {
    notice: Arc<Notice>,
    /// Why the last try failed.
    last: Option<String>,
}

impl State {
    fn fail(&mut self, notice: &Notice, why: String) {
        self.failed += 1;
        if self.undelivered.len() == REMEMBERED {
            self.undelivered.pop_front();
        }
        self.undelivered.push_back(Undelivered { id: notice.id.clone(), title: notice.title(), why });
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next notice; `None` when there will be none any more.
    async fn next(&self) -> Option<Arc<Notice>> {
        loop {
            {
                let mut state = self.lock();
                if let Some(notice) = state.waiting.pop_front() {
                    state.sending = Some(Sending { notice: Arc::clone(&notice), last: None });
                    return Some(notice);
                }
                if state.closed {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }
}

impl Line {
    pub(super) fn start(clock: Arc<dyn Clock>, policy: Policy, subscription: Subscription) -> Self {
        let shared = Arc::new(Shared::default());
        let (says, ended) = watch::channel(false);
        let (sink, work) = (Arc::clone(&subscription.sink), Arc::clone(&shared));
        let task = tokio::spawn(async move {
            while let Some(notice) = work.next().await {
                deliver(&*clock, &policy, &*sink, &notice, &work).await;
            }
            // Nobody waits for it any more: that is as well.
            let _ = says.send(true);
        });
        Self { subscription, shared, policy, ended, task }
    }

    pub(super) fn put(&self, notice: &Arc<Notice>) {
        if !self.subscription.wants(notice) {
            return;
        }
        let mut state = self.shared.lock();
        if state.waiting.len() >= self.policy.queue {
            // Whoever is needed must hear of it, rather than of what happened before.
            let place = state.waiting.iter().position(|waiting| !waiting.needs_person).unwrap_or(0);
            state.waiting.remove(place);
            state.dropped += 1;
            let (sink, dropped) = (self.subscription.sink.name(), state.dropped);
            tracing::warn!(sink, dropped, "too many notices wait for this sink: the oldest was thrown away");
        }
        state.waiting.push_back(Arc::clone(notice));
        drop(state);
        self.shared.wake.notify_one();
    }

    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }

    /// Waits until everything is delivered or given up.
    pub(super) async fn idle(&self) {
        // An error: the task is gone, and with it the hope for more.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Gives up what is left.
    pub(super) fn end(&self) -> Delivery {
        self.task.abort();
        let mut state = self.shared.lock();
        if let Some(Sending { notice, last }) = state.sending.take() {
            let why = last.unwrap_or_else(|| "it did not answer in time".to_owned());
            state.fail(&notice, format!("there was no time to try it again: {why}"));
        }
        for notice in std::mem::take(&mut state.waiting) {
            state.fail(&notice, "there was no time left for it".to_owned());
        }
        Delivery {
            sink: self.subscription.sink.name().to_owned(),
            delivered: state.delivered,
            dropped: state.dropped,
            failed: state.failed,
            undelivered: state.undelivered.iter().cloned().collect(),
        }
    }
}

impl Drop for Line {
    /// Without an end, the task would wait for ever.
    fn drop(&mut self) {
        self.close();
    }
}

async fn deliver(clock: &dyn Clock, policy: &Policy, sink: &dyn Sink, notice: &Notice, shared: &Shared) {
    let mut tries = 1;
    let error = loop {
        match attempt(clock, policy, sink, notice).await {
            Ok(()) => break None,
            Err(error) if !error.is_transient() || tries >= policy.tries => break Some(error),
            Err(error) => {
                tracing::debug!(sink = sink.name(), notice = notice.id, tries, %error, "not delivered yet");
                if let Some(sending) = &mut shared.lock().sending {
                    sending.last = Some(error.to_string());
                }
                clock.sleep(policy.pause_after(tries, &error)).await;
                tries += 1;
            }
        }
    };
    let mut state = shared.lock();
    state.sending = None;
    match error {
        None => state.delivered += 1,
        Some(error) => {
            tracing::warn!(sink = sink.name(), notice = notice.id, tries, %error, "not delivered");
            state.fail(notice, format!("{error} (tried {tries} times)"));
        }
    }
}

async fn attempt(clock: &dyn Clock, policy: &Policy, sink: &dyn Sink, notice: &Notice) -> Result<()> {
    let operation = || format!("tell {}", sink.name());
    // A sink is foreign code: it must not take the others' queue with it.
    let sent = AssertUnwindSafe(sink.send(notice)).catch_unwind();
    match within(clock, policy.limit, sent).await {
        Some(Ok(sent)) => sent,
        Some(Err(_)) => Err(Error::new(ErrorKind::Other, operation(), "the sink panicked")
            .next("this is a fault of the sink: report it")),
        None => {
            let why = format!("no answer within {}", Lasting::new(policy.limit));
            Err(Error::new(ErrorKind::Timeout, operation(), why))
        }
    }
}
