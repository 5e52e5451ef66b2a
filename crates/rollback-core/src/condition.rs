//! Conditions over samples: a pure state machine in whatever time its caller keeps.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::probe::Sample;
use crate::time::Lasting;

/// What must hold, for how long, and until when it may take.
///
/// As a **gate**, `lasting` without a break makes it pass and `within` makes it fail. As a **trigger** of automatic
/// rollback it describes what is bad, has no `within`, and fires when it held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// All of these must hold in a sample. Empty: the sample must be [ok](Sample::ok).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Check>,
    /// For how long they must hold without a break. Zero: once.
    #[serde(default = "zero")]
    pub lasting: Lasting,
    /// In how many samples they must hold without a break, at least.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
    /// After how long without that the rule has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Lasting>,
    /// The pause between two samples.
    #[serde(default = "Rule::default_pause")]
    pub every: Lasting,
}

fn zero() -> Lasting {
    Lasting::from_secs(0)
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde wants")]
fn is_once(times: &u32) -> bool {
    *times == 1
}

impl Rule {
    /// Passes on the first good sample, fails after `within`.
    #[must_use]
    pub fn once_ok(within: Lasting) -> Self {
        Self {
            all: Vec::new(),
            lasting: zero(),
            times: once(),
            within: Some(within),
            every: Self::default_pause(),
        }
    }

    fn default_pause() -> Lasting {
        Lasting::from_secs(5)
    }

    /// What a sample in which it holds says, with the numbers that it is about.
    ///
    /// ```
    /// use rollback_core::condition::{Baseline, Check, Rule};
    /// use rollback_core::probe::Sample;
    ///
    /// let all = vec![Check::Above { metric: "latency_ms".to_owned(), limit: 500.0 }];
    /// let slow = Rule { all, ..Rule::once_ok("1m".parse()?) };
    /// let sample = Sample::ok("HTTP 200").with("latency_ms", 612.25);
    /// assert_eq!(slow.told(&sample, &Baseline::default()), "latency_ms is 612.25, above 500 (HTTP 200)");
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    #[must_use]
    pub fn told(&self, sample: &Sample, baseline: &Baseline) -> String {
        let told: Vec<_> = self.all.iter().filter_map(|check| check.told(sample, baseline)).collect();
        match (told.is_empty(), sample.detail.is_empty()) {
            (true, _) => sample.detail.clone(),
            (false, true) => told.join(", "),
            (false, false) => format!("{} ({})", told.join(", "), sample.detail),
        }
    }

    /// Whether all of it holds in one sample. What is known not to hold outweighs what nobody knows.
    ///
    /// ```
    /// use rollback_core::condition::{Baseline, Check, Holds, Rule};
    /// use rollback_core::probe::Sample;
    ///
    /// let slow = Check::AboveBaseline { metric: "latency_ms".to_owned(), factor: 3.0 };
    /// let rule = Rule { all: vec![slow], ..Rule::once_ok("10m".parse()?) };
    /// let sample = Sample::ok("200").with("latency_ms", 95.0);
    /// assert!(matches!(rule.holds(&sample, &Baseline::default()), Holds::Unknown(_)));
    /// assert_eq!(rule.holds(&sample, &Baseline::default().with("latency_ms", 30.0)), Holds::Yes);
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    #[must_use]
    pub fn holds(&self, sample: &Sample, baseline: &Baseline) -> Holds {
        if self.all.is_empty() {
            return Check::Ok.holds(sample, baseline);
        }
        let mut unknown = None;
        for check in &self.all {
            match check.holds(sample, baseline) {
                Holds::Yes => {}
                Holds::No(why) => return Holds::No(why),
                Holds::Unknown(why) => {
                    unknown.get_or_insert(why);
                }
            }
        }
        unknown.map_or(Holds::Yes, Holds::Unknown)
    }

    /// What speaks against the rule in one sample, where nothing was before it to compare with.
    fn fault(&self, sample: &Sample) -> Option<String> {
        match self.holds(sample, &Baseline::default()) {
            Holds::Yes => None,
            Holds::No(why) | Holds::Unknown(why) => Some(why),
        }
    }
}

/// One comparison over a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Check {
    /// The sample is ok.
    Ok,
    /// The sample is not ok.
    NotOk,
    /// A number of the sample is below a limit.
    Below {
        /// Which number: `latency_ms`, `error_rate`.
        metric: String,
        /// It must be less than this.
        limit: f64,
    },
    /// A number of the sample is above a limit.
    Above {
        /// Which number.
        metric: String,
        /// It must be more than this.
        limit: f64,
    },
    /// A number of the sample is a multiple of what it was before the deploy.
    AboveBaseline {
        /// Which number.
        metric: String,
        /// It must be more than so many times its [baseline](Baseline).
        factor: f64,
    },
}

/// Whether a [`Check`] holds in a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not; the text says what is there instead.
    No(String),
    /// The sample does not tell; the text says what is missing.
    Unknown(String),
}

/// What numbers were before a deploy, by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Baseline(BTreeMap<String, f64>);

impl Baseline {
    /// Adds a number.
    #[must_use]
    pub fn with(mut self, metric: impl Into<String>, value: f64) -> Self {
        self.0.insert(metric.into(), value);
        self
    }

    /// What a number was.
    #[must_use]
    pub fn get(&self, metric: &str) -> Option<f64> {
        self.0.get(metric).copied()
    }
}

impl Check {
    /// What a sample says about the number that this compares, for people: nothing where it compares none.
    fn told(&self, sample: &Sample, baseline: &Baseline) -> Option<String> {
        let is = |metric: &str| Some(format!("{metric} is {}", round(*sample.metrics.get(metric)?)));
        match self {
            Self::Ok | Self::NotOk => None,
            Self::Below { metric, limit } => Some(format!("{}, below {}", is(metric)?, round(*limit))),
            Self::Above { metric, limit } => Some(format!("{}, above {}", is(metric)?, round(*limit))),
            Self::AboveBaseline { metric, factor } => {
                let was = round(baseline.get(metric)?);
                Some(format!(
                    "{}, above {} times {was}, which was usual before the deploy",
                    is(metric)?,
                    round(*factor)
                ))
            }
        }
    }

    /// Whether it holds in a sample. A number that is not there, or is none, holds nothing: no data is never good news, and never a
    /// reason to act.
    #[must_use]
    pub fn holds(&self, sample: &Sample, baseline: &Baseline) -> Holds {
        if !sample.known {
            return Holds::Unknown(sample.detail.clone());
        }
        let number = |metric: &str| sample.metrics.get(metric).copied().filter(|value| !value.is_nan());
        let missing = |metric: &str| Holds::Unknown(format!("no {metric} in the sample ({})", sample.detail));
        let compared = |metric: &str, limit: f64, below: bool| {
            let Some(value) = number(metric) else { return missing(metric) };
            let wanted = if below { "below" } else { "above" };
            match if below { value < limit } else { value > limit } {
                true => Holds::Yes,
                false => Holds::No(format!("{metric} is {value}, wanted {wanted} {limit}")),
            }
        };
        match self {
            Self::Ok if sample.ok => Holds::Yes,
            Self::Ok => Holds::No(sample.detail.clone()),
            Self::NotOk if sample.ok => Holds::No(format!("still ok: {}", sample.detail)),
            Self::NotOk => Holds::Yes,
            Self::Below { metric, limit } => compared(metric, *limit, true),
            Self::Above { metric, limit } => compared(metric, *limit, false),
            Self::AboveBaseline { metric, factor } => match baseline.get(metric).filter(|was| *was > 0.0) {
                Some(was) => compared(metric, factor * was, false),
                None => Holds::Unknown(format!("nobody knows what {metric} was before the deploy")),
            },
        }
    }
}

/// A number as people write it: three digits after the point are more than anybody reads.
fn round(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::NotOk => f.write_str("not ok"),
            Self::Below { metric, limit } => write!(f, "{metric} < {limit}"),
            Self::Above { metric, limit } => write!(f, "{metric} > {limit}"),
            Self::AboveBaseline { metric, factor } => {
                write!(f, "{metric} > {factor} times what it was before the deploy")
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all.is_empty() {
            f.write_str("ok")?;
        }
        for (index, check) in self.all.iter().enumerate() {
            write!(f, "{}{check}", if index > 0 { " and " } else { "" })?;
        }
        if self.lasting > zero() {
            write!(f, " for {}", self.lasting)?;
        }
        if self.times > 1 {
            write!(f, " in {} samples", self.times)?;
        }
        match self.within {
            Some(within) => write!(f, " within {within}"),
            None => Ok(()),
        }
    }
}

/// What a rule says after the samples so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided; the text says what is being waited for.
    Pending(String),
    /// It held for as long as was wanted.
    Held,
    /// It did not hold in time; the text is the last thing that spoke against it.
    Failed(String),
}

/// A [`Rule`] with the samples it has seen.
///
/// ```
/// use std::time::Duration;
/// use rollback_core::condition::{Condition, Rule, Verdict};
/// use rollback_core::probe::Sample;
///
/// let rule = Rule { lasting: "10s".parse()?, ..Rule::once_ok("1m".parse()?) };
/// let mut condition = Condition::new(rule);
/// let at = Duration::from_secs;
/// assert!(matches!(condition.feed(at(0), &Sample::ok("200")), Verdict::Pending(_)));
/// assert!(matches!(condition.feed(at(5), &Sample::bad("503")), Verdict::Pending(_)));
/// assert!(matches!(condition.feed(at(8), &Sample::ok("200")), Verdict::Pending(_)));
/// assert_eq!(condition.feed(at(18), &Sample::ok("200")), Verdict::Held);
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Condition {
    rule: Rule,
    started: Option<Duration>,
    holding: Option<(Duration, u32)>,
}

impl Condition {
    /// A rule that has seen nothing.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, started: None, holding: None }
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Takes one sample at `at`, which must not go back. The time limit begins with the first sample.
    pub fn feed(&mut self, at: Duration, sample: &Sample) -> Verdict {
        let started = *self.started.get_or_insert(at);
        let fault = self.rule.fault(sample);
        if fault.is_some() {
            self.holding = None;
        } else {
            let (since, times) = self.holding.get_or_insert((at, 0));
            *times = times.saturating_add(1);
            if at.saturating_sub(*since) >= self.rule.lasting.as_duration() && *times >= self.rule.times {
                return Verdict::Held;
            }
        }
        let waited = at.saturating_sub(started);
        match (self.rule.within, fault) {
            (Some(within), Some(fault)) if waited >= within.as_duration() => {
                Verdict::Failed(format!("{fault} (after {})", Lasting::new(waited)))
            }
            // Holding when time runs out: it may still hold for long enough, but not if it never could again.
            (Some(within), None) if waited >= within.as_duration() + self.rule.lasting.as_duration() => {
                Verdict::Failed(format!("it never held for {}", self.rule.lasting))
            }
            (_, Some(fault)) => Verdict::Pending(fault),
            (_, None) => Verdict::Pending(format!("holds, must last {}", self.rule.lasting)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn rule(lasting: u64, within: Option<u64>) -> Rule {
        Rule {
            lasting: Lasting::from_secs(lasting),
            within: within.map(Lasting::from_secs),
            ..Rule::once_ok(zero())
        }
    }

    #[test]
    fn a_break_starts_the_count_again() {
        let mut condition = Condition::new(rule(10, None));
        for (second, ok) in [(0, true), (9, true), (10, false), (11, true), (20, true)] {
            let sample = if ok { Sample::ok("") } else { Sample::bad("down") };
            assert!(matches!(condition.feed(at(second), &sample), Verdict::Pending(_)), "{second}");
        }
        assert_eq!(condition.feed(at(21), &Sample::ok("")), Verdict::Held);
    }

    #[test]
    fn a_gate_fails_in_time_and_says_why() {
        let mut condition = Condition::new(rule(0, Some(30)));
        assert!(matches!(condition.feed(at(100), &Sample::bad("503")), Verdict::Pending(_)));
        let Verdict::Failed(why) = condition.feed(at(130), &Sample::bad("503")) else { panic!() };
        assert!(why.contains("503"), "{why}");
    }

    #[test]
    fn a_flapping_gate_ends_although_its_last_sample_is_good() {
        let mut condition = Condition::new(rule(60, Some(120)));
        let mut verdict = Verdict::Pending(String::new());
        for second in (0..=240).step_by(10) {
            let sample = if second % 50 == 0 { Sample::bad("down") } else { Sample::ok("") };
            verdict = condition.feed(at(second), &sample);
            if !matches!(verdict, Verdict::Pending(_)) {
                break;
            }
        }
        assert!(matches!(verdict, Verdict::Failed(_)));
    }

    #[test]
    fn missing_numbers_hold_nothing() {
        let above =
            Rule { all: vec![Check::Above { metric: "error_rate".into(), limit: 5.0 }], ..rule(0, None) };
        let mut trigger = Condition::new(above.clone());
        assert!(matches!(trigger.feed(at(0), &Sample::ok("no data")), Verdict::Pending(_)));
        assert_eq!(trigger.feed(at(1), &Sample::ok("").with("error_rate", 5.5)), Verdict::Held);
        assert_eq!(above.to_string(), "error_rate > 5");
    }
}
