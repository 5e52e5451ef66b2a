//! How long it takes to see that something is bad, and until it is well again.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, State};
use serde::Serialize;

use crate::incident::Incident;

/// The figures of one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// How many incidents it had.
    pub incidents: u64,
    /// In how many of them it was brought back, so that its gates passed.
    pub restored: u64,
    /// From the first bad sample until it was detected, over the incidents in which both are known: the mean is MTTD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detect: Option<Spread>,
    /// From when it was bad until it was well again, over the incidents in which it was restored: the mean is MTTR.
    ///
    /// It was bad from the first bad sample on, else from when it was detected, else from when the run began. It was well with the first
    /// good sample after the last bad one, else when it was proven, else when the run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<Spread>,
}

/// Some lengths of time in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Spread {
    /// Of how many.
    pub count: u64,
    /// Their mean.
    pub mean: Lasting,
    /// The one in the middle; of an even number, the mean of the two.
    pub median: Lasting,
    /// The longest.
    pub worst: Lasting,
}

impl Spread {
    /// Of these lengths; `None` where there are none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rollback_notify::stats::Spread;
    /// let spread = Spread::of([10, 20, 90].map(Duration::from_secs)).unwrap();
    /// assert_eq!((spread.mean.to_string(), spread.median.to_string()), ("40s".to_owned(), "20s".to_owned()));
    /// ```
    #[must_use]
    pub fn of(lengths: impl IntoIterator<Item = Duration>) -> Option<Self> {
        let mut lengths: Vec<Duration> = lengths.into_iter().collect();
        lengths.sort_unstable();
        let (count, worst) = (lengths.len(), *lengths.last()?);
        let half = count / 2;
        let median = match count % 2 {
            0 => lengths[half - 1].saturating_add(lengths[half]) / 2,
            _ => lengths[half],
        };
        let sum = lengths.iter().fold(Duration::ZERO, |sum, length| sum.saturating_add(*length));
        let mean = sum / u32::try_from(count).unwrap_or(u32::MAX);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Some(Self { count, mean: mean.into(), median: median.into(), worst: worst.into() })
    }
}

/// The figures of each component, over these incidents. A run in which nothing had to be done (already there, refused) is none.
#[must_use]
pub fn by_component<'a>(
    incidents: impl IntoIterator<Item = &'a Incident>,
) -> BTreeMap<ComponentName, Figures> {
    let mut found: BTreeMap<ComponentName, (Figures, Vec<Duration>, Vec<Duration>)> = BTreeMap::new();
    for incident in incidents {
        for component in &incident.components {
            let state = component.state.or(incident.state);
            if matches!(state, Some(State::AlreadyThere | State::Refused)) {
                continue;
            }
            let (figures, detect, restore) = found.entry(component.component.clone()).or_default();
            figures.incidents += 1;
            detect.extend(between(incident.times.first_bad, incident.times.detected));
            if state == Some(State::Restored) {
                figures.restored += 1;
                restore.extend(bad_for(incident));
            }
        }
    }
    let spread = |(name, (figures, detect, restore))| {
        (name, Figures { detect: Spread::of(detect), restore: Spread::of(restore), ..figures })
    };
    found.into_iter().map(spread).collect()
}

fn bad_for(incident: &Incident) -> Option<Duration> {
    let times = &incident.times;
    let from = times.first_bad.or(times.detected).or(times.started);
    between(from, times.restored.or(times.proven).or(times.ended))
}

/// Clocks of different machines may tell that something ended before it began: that is no length.
fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Option<Duration> {
    Duration::try_from(to?.duration_since(from?)).ok()
}

#[cfg(test)]
mod tests {
    use rollback_core::{EnvironmentName, Identity};
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn incident(
        state: &str,
        first_bad: Option<Timestamp>,
        detected: Option<Timestamp>,
        restored: Option<Timestamp>,
    ) -> Incident {
        let mut incident = Incident::new(EnvironmentName::new("prod").unwrap());
        (incident.times.first_bad, incident.times.detected, incident.times.restored) =
            (first_bad, detected, restored);
        (incident.times.started, incident.times.proven) = (at(150), at(200));
        let version = json!({ "label": "1", "identity": Identity::of("x").unwrap() });
        let component = json!({ "component": "web", "state": state, "from": version });
        incident.components = vec![serde_json::from_value(component).unwrap()];
        incident
    }

    #[test]
    fn figures_are_taken_over_what_is_known() {
        let incidents = [
            incident("restored", at(0), at(120), at(300)),
            incident("restored", at(0), at(60), at(200)),
            // Nothing was measured: from the beginning of the run until it was proven.
            incident("restored", None, None, None),
            incident("stuck", at(0), at(30), None),
            incident("refused", at(0), at(1), at(2)),
            // A clock that is behind.
            incident("restored", at(100), at(90), at(80)),
        ];
        let figures = by_component(&incidents);
        let web = &figures[&ComponentName::new("web").unwrap()];
        assert_eq!((web.incidents, web.restored), (5, 4));
        let detect = web.detect.unwrap();
        assert_eq!(
            (detect.count, detect.mean, detect.worst),
            (3, Lasting::from_secs(70), Lasting::from_secs(120))
        );
        let restore = web.restore.unwrap();
        assert_eq!(
            (restore.count, restore.median, restore.worst),
            (3, Lasting::from_secs(200), Lasting::from_secs(300))
        );
        assert!(by_component([]).is_empty());
    }

    #[test]
    fn the_median_of_two_is_between_them() {
        let spread = Spread::of([10, 20].map(Duration::from_secs)).unwrap();
        assert_eq!((spread.median, spread.count), (Lasting::from_secs(15), 2));
        assert_eq!(Spread::of([]), None);
    }
}
