//! The one module that owns time.
//!
//! Everything else asks a [`Clock`], so that the engine runs in virtual time in tests. `clippy.toml` forbids
//! the clocks and sleeps of std, tokio and jiff everywhere else.

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// Where time comes from.
///
/// # Contract
///
/// `now` is for people and records only; every wait, lease and timeout is measured with `monotonic`, which
/// never goes back. `sleep` may return late, never early.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Wall clock, for records and reports.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary start; never goes back.
    fn monotonic(&self) -> Duration;
    /// Waits at least `duration`.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
#[expect(clippy::disallowed_methods, reason = "this module owns time")]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A clock that follows tokio's: virtual when the runtime was started paused
/// (`#[tokio::test(start_paused = true)]`), so that hours of settling take microseconds.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    epoch: Timestamp,
    start: tokio::time::Instant,
}

impl TokioClock {
    /// A clock whose wall time is `epoch` now. Call it inside a runtime.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this module owns time")]
    pub fn starting_at(epoch: Timestamp) -> Self {
        Self { epoch, start: tokio::time::Instant::now() }
    }
}

#[async_trait]
#[expect(clippy::disallowed_methods, reason = "this module owns time")]
impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.monotonic()).unwrap_or(SignedDuration::MAX);
        self.epoch.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The result of `work`, or `None` when `limit` passes first. The work is dropped then: never use it around
/// an effect (the engine's timeout layer spawns those).
pub async fn within<T>(clock: &dyn Clock, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = work => Some(value),
        () = clock.sleep(limit) => None,
    }
}

/// The longest [`Lasting`] that is read: as many days as there are between the first and the last timestamp.
const LONGEST: Duration = Duration::from_secs(7_304_484 * 86_400);

/// A length of time as people write it in configuration: `90s`, `15m`, `1h30m`, `30 days`, `PT5M`.
///
/// Days are 24 hours. Never negative.
///
/// ```
/// use rollback_core::time::Lasting;
/// let soak: Lasting = "15m".parse()?;
/// assert_eq!(soak.as_duration().as_secs(), 900);
/// assert_eq!(soak.to_string(), "15m");
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lasting(Duration);

impl Lasting {
    /// Exactly `duration`.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// That many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The length as std's duration.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// The instant this long before `at`, or the earliest representable one.
    #[must_use]
    pub fn before(self, at: Timestamp) -> Timestamp {
        SignedDuration::try_from(self.0)
            .ok()
            .and_then(|signed| at.checked_sub(signed).ok())
            .unwrap_or(Timestamp::MIN)
    }

    /// The instant this long after `at`, or the latest representable one.
    #[must_use]
    pub fn after(self, at: Timestamp) -> Timestamp {
        SignedDuration::try_from(self.0)
            .ok()
            .and_then(|signed| at.checked_add(signed).ok())
            .unwrap_or(Timestamp::MAX)
    }
}

impl From<Duration> for Lasting {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for Lasting {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(ErrorKind::Invalid, "read a duration", format!("{text:?} is not a length of time"))
                .next("write it like 90s, 15m, 1h30m or 30d")
        };
        let span: Span = text.trim().parse().map_err(|_| wrong())?;
        let relative = jiff::SpanRelativeTo::days_are_24_hours();
        let signed = span.to_duration(relative).map_err(|_| wrong())?;
        // What is longer could be written in weeks, and could not be read back in days.
        Duration::try_from(signed).ok().filter(|length| *length <= LONGEST).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Lasting {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Lasting> for String {
    fn from(lasting: Lasting) -> Self {
        lasting.to_string()
    }
}

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [
            (seconds / 86_400, "d"),
            (seconds / 3_600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ];
        let nanos = self.0.subsec_nanos();
        let below = [(nanos / 1_000_000, "ms"), (nanos / 1_000 % 1_000, "us"), (nanos % 1_000, "ns")]
            .map(|(count, unit)| (u64::from(count), unit));
        let mut empty = true;
        for (count, unit) in parts.into_iter().chain(below) {
            if count > 0 {
                write!(f, "{count}{unit}")?;
                empty = false;
            }
        }
        if empty { f.write_str("0s") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("1h30m", 5_400), ("30d", 2_592_000), ("PT5M", 300)]
        {
            let lasting: Lasting = text.parse().unwrap();
            assert_eq!(lasting.as_duration().as_secs(), seconds, "{text}");
            assert_eq!(lasting.to_string().parse::<Lasting>().unwrap(), lasting);
        }
        for text in ["", "soon", "-5m", "15", "1 parsec", "199w7304484d"] {
            assert!(text.parse::<Lasting>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn a_duration_keeps_its_fractions() {
        for (nanos, text) in [(61_250_000_000, "1m1s250ms"), (1_500_000, "1ms500us"), (1, "1ns"), (0, "0s")] {
            let lasting = Lasting::new(Duration::from_nanos(nanos));
            assert_eq!(lasting.to_string(), text);
            assert_eq!(text.parse::<Lasting>().unwrap(), lasting);
        }
    }
}
