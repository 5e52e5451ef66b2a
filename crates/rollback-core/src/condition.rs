//! Conditions over samples: a pure state machine in whatever time its caller keeps.

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

impl Rule {
    /// Passes on the first good sample, fails after `within`.
    #[must_use]
    pub fn once_ok(within: Lasting) -> Self {
        Self { all: Vec::new(), lasting: zero(), within: Some(within), every: Self::default_pause() }
    }

    fn default_pause() -> Lasting {
        Lasting::from_secs(5)
    }

    /// What speaks against the rule in one sample.
    fn fault(&self, sample: &Sample) -> Option<String> {
        if self.all.is_empty() && !sample.ok {
            return Some(sample.detail.clone());
        }
        self.all.iter().find_map(|check| check.fault(sample))
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
}

impl Check {
    fn fault(&self, sample: &Sample) -> Option<String> {
        let (metric, limit, below) = match self {
            Self::Ok => return (!sample.ok).then(|| sample.detail.clone()),
            Self::NotOk => return sample.ok.then(|| format!("still ok: {}", sample.detail)),
            Self::Below { metric, limit } => (metric, *limit, true),
            Self::Above { metric, limit } => (metric, *limit, false),
        };
        // A number that is not there holds nothing: no data is never good news, and never a reason to act.
        let Some(value) = sample.metrics.get(metric).copied() else {
            return Some(format!("no {metric} in the sample ({})", sample.detail));
        };
        let holds = if below { value < limit } else { value > limit };
        let wanted = if below { "below" } else { "above" };
        (!holds).then(|| format!("{metric} is {value}, wanted {wanted} {limit}"))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("ok"),
            Self::NotOk => f.write_str("not ok"),
            Self::Below { metric, limit } => write!(f, "{metric} < {limit}"),
            Self::Above { metric, limit } => write!(f, "{metric} > {limit}"),
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
    holding_since: Option<Duration>,
}

impl Condition {
    /// A rule that has seen nothing.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, started: None, holding_since: None }
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
            self.holding_since = None;
        } else {
            let since = *self.holding_since.get_or_insert(at);
            if at.saturating_sub(since) >= self.rule.lasting.as_duration() {
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
