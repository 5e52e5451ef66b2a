//! What passed, and what was done to it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};

use super::faults::Decision;

/// How many exchanges are kept.
const KEPT: usize = 50_000;

/// One request, or one connection where bytes pass.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// Its number, from 0.
    pub number: u64,
    /// The method; `TCP` for a connection.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The operation, where a header tells it: `UpdateService` as with all AWS services that speak JSON, and `CopyObject` of S3.
    pub operation: Option<String>,
    /// How long it was delayed.
    pub delay: Duration,
    /// What was done to it: `answer 503`, `reset before`, `reset after`, `eof after`, `hang`, `hang after`, `cut body`.
    pub fault: Option<String>,
    /// What the server answered, if it was asked and did.
    pub status: Option<u16>,
    /// When that answer came, by the monotonic clock.
    pub answered: Option<Duration>,
    /// What went wrong between the proxy and the server, on nobody's purpose.
    pub trouble: Option<String>,
}

/// The exchanges, and how often what was injected.
#[derive(Debug, Default)]
pub(super) struct Log {
    exchanges: VecDeque<Exchange>,
    counts: BTreeMap<String, u64>,
    next: u64,
}

impl Log {
    /// Notes what was decided; its number.
    pub(super) fn begin(&mut self, method: &str, path: &str, decision: &Decision) -> u64 {
        let number = self.next;
        self.next += 1;
        let fault = decision.fault.as_ref().map(super::Fault::kind);
        self.count("requests");
        if !decision.delay.is_zero() {
            self.count("delay");
        }
        if let Some(kind) = &fault {
            self.count(kind);
        }
        if self.exchanges.len() == KEPT {
            self.exchanges.pop_front();
        }
        let (method, path) = (method.to_owned(), path.to_owned());
        let delay = decision.delay;
        self.exchanges.push_back(Exchange {
            number,
            method,
            path,
            operation: None,
            delay,
            fault,
            status: None,
            answered: None,
            trouble: None,
        });
        number
    }

    fn count(&mut self, kind: &str) {
        *self.counts.entry(kind.to_owned()).or_default() += 1;
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Exchange)) {
        let first = self.exchanges.front().map_or(0, |exchange| exchange.number);
        let place = number.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some(exchange) = place.and_then(|place| self.exchanges.get_mut(place)) {
            change(exchange);
        }
    }

    pub(super) fn operation(&mut self, number: u64, operation: &str) {
        self.change(number, |exchange| exchange.operation = Some(operation.to_owned()));
    }

    pub(super) fn answered(&mut self, number: u64, status: u16) {
        let now = SystemClock.monotonic();
        self.change(number, |exchange| {
            exchange.status = Some(status);
            exchange.answered = Some(now);
        });
    }

    pub(super) fn trouble(&mut self, number: u64, why: String) {
        self.count("trouble");
        self.change(number, |exchange| exchange.trouble = Some(why));
    }

    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }
}
