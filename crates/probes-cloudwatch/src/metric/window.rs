//! From when until when datapoints are asked for.

use std::time::Duration;

use jiff::Timestamp;
use rollback_core::Result;
use rollback_core::time::Lasting;

use crate::settings::invalid;

/// The newest periods that are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// In seconds.
    period: i32,
    /// How long ago a period may have ended, in seconds.
    max_age: i64,
}

/// How long ago the newest datapoint may be, at least, unless it is said: many metrics come some minutes late.
const DEFAULT_AGE: i64 = 300;
/// The longest that is looked back: a datapoint of last week tells nothing of a release.
const MAX_AGE: i64 = 86_400;

impl Window {
    pub(super) fn new(kind: &str, period: Lasting, max_age: Option<Lasting>) -> Result<Self> {
        let seconds = |given: Lasting| {
            let given = given.as_duration();
            i64::try_from(given.as_secs()).ok().filter(|_| given.subsec_nanos() == 0)
        };
        // As documented: 1, 5, 10, 20 or 30 for metrics of high resolution, or any number of minutes.
        let is_period =
            |period: &i64| matches!(period, 1 | 5 | 10 | 20 | 30) || (*period > 0 && period % 60 == 0);
        let Some(period) = seconds(period).filter(|period| is_period(period) && *period <= MAX_AGE) else {
            return Err(invalid(kind, format!("CloudWatch has no period of {period}"))
                .next("write minutes, like period = \"5m\", or 1s, 5s, 10s, 20s or 30s"));
        };
        let max_age = match max_age {
            None => DEFAULT_AGE.max(3 * period),
            Some(given) => seconds(given).filter(|age| (1..=MAX_AGE).contains(age)).ok_or_else(|| {
                invalid(kind, format!("a max_age of {given} is nothing, or longer than a day"))
                    .next("write it like max_age = \"10m\"")
            })?,
        };
        let period = i32::try_from(period)
            .map_err(|error| invalid(kind, error.to_string()).next("write a shorter period"))?;
        Ok(Self { period, max_age })
    }

    /// In seconds.
    pub(super) fn period(self) -> i32 {
        self.period
    }

    /// The beginning of the oldest period and the end of the newest, in seconds since 1970. Aligned, as CloudWatch aligns them.
    pub(super) fn at(self, now: Timestamp) -> (i64, i64) {
        let period = i64::from(self.period);
        let end = now.as_second().div_euclid(period) * period;
        // The first that ended no longer ago than that.
        let oldest_end = (now.as_second() - self.max_age + period - 1).div_euclid(period) * period;
        (oldest_end.min(end) - period, end)
    }

    /// How far back the oldest period may reach.
    pub(super) fn reaches_back(self) -> Lasting {
        Lasting::new(Duration::from_secs(self.max_age.unsigned_abs() + u64::from(self.period.unsigned_abs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(period: &str, max_age: Option<&str>) -> Result<Window> {
        Window::new("cloudwatch-metric", period.parse().unwrap(), max_age.map(|age| age.parse().unwrap()))
    }

    fn asked(period: &str, max_age: Option<&str>) -> (String, String) {
        let now: Timestamp = "2026-03-01T12:03:20Z".parse().unwrap();
        let (start, end) = window(period, max_age).unwrap().at(now);
        let text = |second| Timestamp::from_second(second).unwrap().strftime("%H:%M:%S").to_string();
        (text(start), text(end))
    }

    #[test]
    fn only_periods_that_are_over_are_asked_for() {
        for (period, max_age, start, end) in [
            // The period that ended at 11:59:00 did so 260 seconds ago; the one before it, 320.
            ("1m", None, "11:58:00", "12:03:00"),
            ("5m", None, "11:45:00", "12:00:00"),
            ("10s", None, "11:58:10", "12:03:20"),
            ("1m", Some("1m"), "12:02:00", "12:03:00"),
            // Shorter than a period: the newest that is over, nothing older.
            ("5m", Some("10s"), "11:55:00", "12:00:00"),
            ("1h", None, "09:00:00", "12:00:00"),
        ] {
            assert_eq!(asked(period, max_age), (start.to_owned(), end.to_owned()), "{period} {max_age:?}");
        }
    }

    #[test]
    fn periods_that_cloudwatch_does_not_have_are_refused() {
        for period in ["0s", "15s", "90s", "1500ms", "25h"] {
            assert!(window(period, None).is_err(), "{period}");
        }
        for max_age in ["0s", "25h", "500ms"] {
            assert!(window("1m", Some(max_age)).is_err(), "{max_age}");
        }
    }
}
