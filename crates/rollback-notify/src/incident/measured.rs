//! A rule with what was measured for it.

use jiff::Timestamp;
use rollback_core::condition::{Baseline, Check, Holds, Rule};
use rollback_core::probe::Sample;
use serde::{Deserialize, Serialize};

/// A rule, and the samples it was asked about.
///
/// ```
/// use rollback_core::condition::Baseline;
/// use rollback_core::probe::Sample;
/// use rollback_notify::incident::Measured;
/// use rollback_watch::named;
///
/// let at = |second| jiff::Timestamp::from_second(second).unwrap();
/// let trigger = named::error_rate();
/// let mut measured = Measured::new(trigger.name(), trigger.rule(), Baseline::default());
/// measured.sample(at(0), &Sample::ok("").with("error_rate_percent", 0.1));
/// measured.sample(at(10), &Sample::ok("").with("error_rate_percent", 7.0));
/// measured.fired = Some(at(310));
/// assert_eq!((measured.metric.as_deref(), measured.limit), (Some("error_rate_percent"), Some(5.0)));
/// assert_eq!(measured.first_bad(), Some(at(10)));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Measured {
    /// The rule's name.
    pub name: String,
    /// What it says, for people.
    pub rule: String,
    /// Whether it says what is well, as gates do, and not what is bad, as triggers do.
    pub verifies: bool,
    /// The number that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// What that number is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The samples, oldest first.
    pub points: Vec<Point>,
    /// When it said that it is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired: Option<Timestamp>,
    /// What holds, as the rule sees it.
    #[serde(skip)]
    asked: Option<(Rule, Baseline)>,
}

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Point {
    /// When.
    pub at: Timestamp,
    /// The number, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Whether it was bad; `None` where the sample does not tell.
    pub bad: Option<bool>,
}

impl Point {
    /// A sample.
    #[must_use]
    pub fn new(at: Timestamp, value: Option<f64>, bad: Option<bool>) -> Self {
        Self { at, value, bad }
    }
}

impl Measured {
    /// A trigger's rule: what holds is bad.
    #[must_use]
    pub fn new(name: impl Into<String>, rule: &Rule, baseline: Baseline) -> Self {
        let number = rule.all.iter().find_map(|check| match check {
            Check::Above { metric, limit } | Check::Below { metric, limit } => Some((metric, Some(*limit))),
            Check::AboveBaseline { metric, factor } => {
                Some((metric, baseline.get(metric).map(|was| was * factor)))
            }
            _ => None,
        });
        Self {
            name: name.into(),
            rule: rule.to_string(),
            verifies: false,
            metric: number.map(|(metric, _)| metric.clone()),
            limit: number.and_then(|(_, limit)| limit),
            points: Vec::new(),
            fired: None,
            asked: Some((rule.clone(), baseline)),
        }
    }

    /// A gate's rule: what does not hold is bad.
    #[must_use]
    pub fn verification(name: impl Into<String>, rule: &Rule) -> Self {
        Self { verifies: true, ..Self::new(name, rule, Baseline::default()) }
    }

    /// Adds a sample, which must not be older than the one before. In what was read again from JSON, it only counts as bad if it is not ok.
    pub fn sample(&mut self, at: Timestamp, sample: &Sample) {
        let value = self.metric.as_ref().and_then(|metric| sample.metrics.get(metric)).copied();
        let bad = match &self.asked {
            Some((rule, baseline)) => match rule.holds(sample, baseline) {
                Holds::Yes => Some(!self.verifies),
                Holds::No(_) => Some(self.verifies),
                Holds::Unknown(_) => None,
            },
            None => sample.known.then_some(!sample.ok),
        };
        self.points.push(Point { at, value: value.filter(|value| value.is_finite()), bad });
    }

    #[cfg(test)]
    pub(super) fn forgetting(mut self) -> Self {
        self.asked = None;
        self
    }

    /// When the first bad sample of the last trouble was taken: good samples before it do not count, and neither do faults that passed
    /// before the rule fired.
    #[must_use]
    pub fn first_bad(&self) -> Option<Timestamp> {
        let until = self.fired.unwrap_or(Timestamp::MAX);
        let mut begin = None;
        for point in self.points.iter().filter(|point| point.at <= until) {
            match point.bad {
                Some(true) => _ = begin.get_or_insert(point.at),
                Some(false) => begin = None,
                None => {}
            }
        }
        begin.or_else(|| self.points.iter().find(|point| point.bad == Some(true)).map(|point| point.at))
    }

    /// When the first good sample after the last bad one was taken.
    #[must_use]
    pub fn well_again(&self) -> Option<Timestamp> {
        let last = self.points.iter().rposition(|point| point.bad == Some(true))?;
        self.points[last..].iter().find(|point| point.bad == Some(false)).map(|point| point.at)
    }
}
