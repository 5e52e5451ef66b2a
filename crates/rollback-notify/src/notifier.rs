//! Sending notices without anybody waiting for it.

mod line;

use std::sync::Arc;
use std::time::Duration;

use rollback_core::Error;
use rollback_core::time::{Clock, Lasting, within};

use self::line::Line;
use crate::notice::Notice;
use crate::sink::Subscription;

/// For how long a sink may want to be left alone.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// How hard a notifier tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// How often a notice is sent to a sink at most, if it fails in a way that may pass: 5.
    pub tries: u32,
    /// How long one try may take: 10 s.
    pub limit: Duration,
    /// The pause before the second try, doubled before each further one: 1 s.
    pub pause: Duration,
    /// The longest pause: 30 s.
    pub longest_pause: Duration,
    /// How many notices may wait for one sink: 64.
    pub queue: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tries: 5,
            limit: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            queue: 64,
        }
    }
}

impl Policy {
    /// Sets how often a notice is sent at most; at least once.
    #[must_use]
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// Sets how long one try may take.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the pause before the second try, and the longest one.
    #[must_use]
    pub fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        (self.pause, self.longest_pause) = (first, longest);
        self
    }

    /// Sets how many notices may wait for one sink; at least one.
    #[must_use]
    pub fn queue(mut self, notices: usize) -> Self {
        self.queue = notices.max(1);
        self
    }

    /// A sink that says when it wants to be asked again is not asked before; what it says is not trusted for more than five minutes.
    fn pause_after(&self, tries: u32, error: &Error) -> Duration {
        let doubled =
            self.pause.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
        let asked = error.retry_after().map_or(Duration::ZERO, Lasting::as_duration).min(LONGEST_ASKED);
        doubled.min(self.longest_pause).max(asked)
    }
}

/// What became of the notices for one sink.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The sink's name.
    pub sink: String,
    /// How many it took.
    pub delivered: u64,
    /// How many were thrown away because too many waited.
    pub dropped: u64,
    /// How many it did not take, or not in time.
    pub failed: u64,
    /// Those that it did not take, oldest first; of many the last twenty.
    pub undelivered: Vec<Undelivered>,
}

impl Delivery {
    /// Whether it took all of them.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.dropped == 0 && self.failed == 0
    }
}

/// A notice that a sink did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undelivered {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Why.
    pub why: String,
}

/// Hands notices to sinks, each with a queue and a task of its own: a sink that hangs delays neither the others nor whoever tells.
///
/// What a sink does not take is tried again, as the [`Policy`] says, while newer notices wait in order. When too many wait, the oldest is
/// thrown away (if there is one, the oldest that needs nobody), which is counted. [`close`](Self::close) waits for what is left, not
/// longer than it is told, and says what was not delivered. Without it, a notifier that is dropped goes on in the background.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use rollback_core::EnvironmentName;
/// use rollback_core::time::{Clock, SystemClock};
/// use rollback_notify::{Kind, Notice, Notifier, Policy, Setup, SinkSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let notifier = Notifier::start(Arc::new(SystemClock), Policy::default(), Vec::new());
/// let prod = EnvironmentName::new("prod")?;
/// notifier.notify(Notice::new(Kind::Recorded, "alarm-7", prod, SystemClock.now()));
/// let deliveries = notifier.close(Duration::from_secs(10)).await;
/// assert!(deliveries.iter().all(rollback_notify::Delivery::is_complete));
/// # Ok(()) }) }
/// ```
#[derive(Debug)]
pub struct Notifier {
    clock: Arc<dyn Clock>,
    lines: Vec<Line>,
}

impl Notifier {
    /// Starts a task for each sink. Call it inside a runtime.
    #[must_use]
    pub fn start(clock: Arc<dyn Clock>, policy: Policy, subscriptions: Vec<Subscription>) -> Self {
        let begin = |subscription| Line::start(Arc::clone(&clock), policy, subscription);
        let lines = subscriptions.into_iter().map(begin).collect();
        Self { clock, lines }
    }

    /// Whether nobody listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Puts a notice into the queues of all sinks that want it, and returns at once.
    pub fn notify(&self, notice: Notice) {
        let notice = Arc::new(notice);
        for line in &self.lines {
            line.put(&notice);
        }
    }

    /// Takes no more notices, and waits until everything is delivered or given up, at most for `limit`.
    pub async fn close(self, limit: Duration) -> Vec<Delivery> {
        for line in &self.lines {
            line.close();
        }
        let all = async {
            for line in &self.lines {
                line.idle().await;
            }
        };
        let _ = within(&*self.clock, limit, all).await;
        self.lines.iter().map(Line::end).collect()
    }
}
