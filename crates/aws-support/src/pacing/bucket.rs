//! One bucket of tokens.
//!
//! Our own because the rate changes while people wait, waiting is first come first served, and time is a [`Clock`]'s:
//! the crate `governor` has a fixed rate and wakes its waiters in no order.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollback_core::time::Clock;

use super::Quota;

/// What a throttle answer leaves of the rate.
const LESS: f64 = 0.5;
/// The least that is left of the documented rate, and what comes back of it each second.
const STEP: f64 = 0.05;
/// Waits are rounded up to what timers can do; sums of fractions are never exact.
const SHORTEST: Duration = Duration::from_millis(1);
const ALMOST: f64 = 1.0 - 1e-6;

pub(super) struct Bucket {
    quota: Quota,
    // Held by the first in the line. tokio's is fair, so it is the line.
    line: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

struct State {
    tokens: f64,
    rate: f64,
    at: Duration,
    lowered: Option<Duration>,
}

impl Bucket {
    pub(super) fn full(quota: Quota, now: Duration) -> Self {
        let state =
            State { tokens: f64::from(quota.burst()), rate: quota.per_second(), at: now, lowered: None };
        Self { quota, line: tokio::sync::Mutex::default(), state: Mutex::new(state) }
    }

    /// Waits for a token and takes it; when that was. Dropped before, it takes none, and the next in the line is first.
    pub(super) async fn turn(&self, clock: &dyn Clock) -> Duration {
        let _first = self.line.lock().await;
        loop {
            let wait = match self.take(clock.monotonic()) {
                Ok(now) => return now,
                Err(wait) => wait,
            };
            // The rate may have fallen when this ends: it looks again.
            clock.sleep(wait).await;
        }
    }

    fn take(&self, now: Duration) -> Result<Duration, Duration> {
        let mut state = self.at(now);
        if state.tokens >= ALMOST {
            state.tokens -= 1.0;
            return Ok(now);
        }
        Err(self.until(1.0 - state.tokens, state.rate).max(SHORTEST))
    }

    /// One of our calls was too much. Calls that were under way together are answered together, so only a call that
    /// was sent after the last lowering lowers again.
    pub(super) fn throttled(&self, sent: Duration, now: Duration) {
        let mut state = self.at(now);
        if state.lowered.is_some_and(|lowered| sent < lowered) {
            return;
        }
        state.rate = (state.rate * LESS).max(self.quota.per_second() * STEP);
        // AWS's bucket is empty, whatever ours held.
        state.tokens = 0.0;
        state.lowered = Some(now);
        tracing::debug!(calls = self.quota.name(), per_second = state.rate, "throttled: slowing down");
    }

    pub(super) fn rate(&self, now: Duration) -> f64 {
        self.at(now).rate
    }

    /// The state as it is now: what came in since the last look is added.
    fn at(&self, now: Duration) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_sub(state.at).as_secs_f64();
        let (full, growing) = (self.quota.per_second(), self.growing(state.rate).min(passed));
        let rate = (state.rate + full * STEP * growing).min(full);
        let came = growing * f64::midpoint(state.rate, rate) + (passed - growing) * full;
        state.tokens = (state.tokens + came).min(f64::from(self.quota.burst()));
        state.rate = rate;
        state.at = state.at.max(now);
        state
    }

    /// For how many seconds the rate grows, until it is the documented one.
    fn growing(&self, rate: f64) -> f64 {
        let full = self.quota.per_second();
        (full - rate) / (full * STEP)
    }

    /// How long it takes until `tokens` have come in, at a rate that grows meanwhile.
    fn until(&self, tokens: f64, rate: f64) -> Duration {
        let (full, growing) = (self.quota.per_second(), self.growing(rate));
        let while_growing = growing * f64::midpoint(rate, full);
        let seconds = if tokens > while_growing {
            growing + (tokens - while_growing) / full
        } else {
            let growth = full * STEP;
            ((rate * rate + 2.0 * growth * tokens).sqrt() - rate) / growth
        };
        // Rounding may make very little of it less than nothing.
        Duration::from_secs_f64(seconds.max(0.0))
    }
}
