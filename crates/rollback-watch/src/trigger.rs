//! A rule over the samples of one probe.

use std::time::Duration;

use rollback_core::condition::{Baseline, Holds, Rule};
use rollback_core::probe::Sample;
use rollback_core::time::Lasting;

use crate::severity::Severity;

/// After how many pauses without a sample that tells anything nothing is known any more.
const PAUSES: u32 = 3;

/// What is bad, for how long it must be seen, and how bad that is.
///
/// Its [`Rule`] describes the trouble. It fires once samples that [hold](Rule::holds) span [`lasting`](Rule::lasting) and are
/// [`times`](Rule::times) many, without one in between that is known not to. A sample that does not tell counts for neither: it is no
/// proof of failure, and nothing got better by it. Where two samples that hold are further apart than the [gap](Self::gap), what
/// was in between is unknown, and the count begins with the second.
#[derive(Debug, Clone)]
pub struct Trigger {
    name: String,
    rule: Rule,
    severity: Severity,
    gap: Duration,
    latest: Duration,
    /// When a sample last told anything.
    told: Option<Duration>,
    trouble: Option<Trouble>,
    detail: String,
}

/// A trouble that is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// When it was seen first, in the time that samples are fed with.
    pub since: Duration,
    /// When it was seen last.
    pub last: Duration,
    /// In how many samples.
    pub samples: u32,
    /// What the last of them said.
    pub detail: String,
}

/// What a trigger says of the samples so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The last sample that told anything shows no trouble.
    Quiet,
    /// For longer than the gap no sample told anything, or none ever did; the text is what the last one said.
    Unknown(String),
    /// There is trouble, and not for long enough.
    Pending(Trouble),
    /// There is trouble, and there was for as long as the rule wants.
    Fired(Trouble),
}

impl Trigger {
    /// A trigger that has seen nothing. Its gap is three of the rule's pauses between samples.
    #[must_use]
    pub fn new(name: impl Into<String>, rule: Rule, severity: Severity) -> Self {
        let gap = rule.every.as_duration().saturating_mul(PAUSES);
        let (latest, name) = (Duration::ZERO, name.into());
        Self {
            name,
            rule,
            severity,
            gap,
            latest,
            told: None,
            trouble: None,
            detail: "no sample yet".to_owned(),
        }
    }

    /// Sets for how long samples may tell nothing before what they told is forgotten.
    #[must_use]
    pub fn gap(mut self, gap: Lasting) -> Self {
        self.gap = gap.as_duration();
        self
    }

    /// Its name, for records.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is bad.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// How bad that is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Forgets what it has seen: what comes is about something else.
    pub fn forget(&mut self) {
        self.told = None;
        self.trouble = None;
        "no sample yet".clone_into(&mut self.detail);
    }

    /// Takes one sample at `at`, in monotonic time. A time before that of the sample before it is taken for that one's.
    pub fn feed(&mut self, at: Duration, sample: &Sample, baseline: &Baseline) -> Reading {
        self.latest = at.max(self.latest);
        match self.rule.holds(sample, baseline) {
            Holds::Yes => self.seen(self.rule.told(sample, baseline)),
            Holds::No(_) => {
                self.told = Some(self.latest);
                self.trouble = None;
            }
            Holds::Unknown(why) => self.detail = why,
        }
        self.reading()
    }

    fn seen(&mut self, detail: String) {
        let (at, gap) = (self.latest, self.gap);
        self.told = Some(at);
        let before = self.trouble.take().filter(|trouble| at.saturating_sub(trouble.last) <= gap);
        let (since, samples) = before.map_or((at, 0), |trouble| (trouble.since, trouble.samples));
        let samples = samples.saturating_add(1);
        self.trouble = Some(Trouble { since, last: at, samples, detail });
    }

    fn reading(&self) -> Reading {
        if self.told.is_none_or(|told| self.latest.saturating_sub(told) > self.gap) {
            return Reading::Unknown(self.detail.clone());
        }
        let Some(trouble) = self.trouble.clone() else { return Reading::Quiet };
        let lasted = trouble.last.saturating_sub(trouble.since);
        match lasted >= self.rule.lasting.as_duration() && trouble.samples >= self.rule.times {
            true => Reading::Fired(trouble),
            false => Reading::Pending(trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use rollback_core::condition::Check;

    use super::*;

    fn trigger(lasting: u64, times: u32) -> Trigger {
        let rule = Rule {
            all: vec![Check::NotOk],
            lasting: Lasting::from_secs(lasting),
            times,
            within: None,
            every: Lasting::from_secs(10),
        };
        Trigger::new("down", rule, Severity::P0)
    }

    fn fed(trigger: &mut Trigger, samples: &[(u64, Sample)]) -> Reading {
        let mut reading = Reading::Quiet;
        for (second, sample) in samples {
            reading = trigger.feed(Duration::from_secs(*second), sample, &Baseline::default());
        }
        reading
    }

    fn bad(second: u64) -> (u64, Sample) {
        (second, Sample::bad("503"))
    }

    #[test]
    fn a_good_sample_begins_the_count_again() {
        let flapping = [bad(0), bad(10), (20, Sample::ok("200")), bad(30), bad(40)];
        assert!(
            matches!(fed(&mut trigger(30, 1), &flapping), Reading::Pending(trouble) if trouble.samples == 2)
        );
    }

    #[test]
    fn what_nobody_knows_is_no_proof_and_no_comfort() {
        let dark = (20, Sample::unknown("no such name"));
        let reading = fed(&mut trigger(30, 1), &[bad(0), bad(10), dark.clone(), bad(30)]);
        assert!(matches!(reading, Reading::Fired(trouble) if trouble.samples == 3));
        // It alone never fires, however long it lasts.
        let unknown: Vec<_> = (0..100).map(|number| (number * 10, dark.1.clone())).collect();
        assert_eq!(fed(&mut trigger(30, 1), &unknown), Reading::Unknown("no such name".to_owned()));
    }

    #[test]
    fn what_was_before_a_gap_does_not_count() {
        assert!(
            matches!(fed(&mut trigger(30, 1), &[bad(0), bad(31)]), Reading::Pending(trouble) if trouble.samples == 1)
        );
        assert!(matches!(fed(&mut trigger(30, 1), &[bad(0), bad(30)]), Reading::Fired(_)));
    }

    #[test]
    fn so_many_samples_are_wanted() {
        assert!(matches!(fed(&mut trigger(0, 3), &[bad(0), bad(10)]), Reading::Pending(_)));
        assert!(matches!(fed(&mut trigger(0, 3), &[bad(0), bad(10), bad(20)]), Reading::Fired(_)));
    }

    #[test]
    fn a_clock_that_goes_back_lets_nothing_last() {
        assert!(
            matches!(fed(&mut trigger(5, 1), &[bad(100), bad(3)]), Reading::Pending(trouble) if trouble.last.as_secs() == 100)
        );
    }
}
