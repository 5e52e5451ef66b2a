//! What numbers were before a deploy.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rollback_core::condition::Baseline;
use rollback_core::probe::Sample;
use rollback_core::time::Lasting;

/// How many samples are kept at most.
const MOST: usize = 128;
/// How many samples a number must have had before it says what is usual.
const FEWEST: usize = 5;

/// Samples of the time before a deploy.
///
/// The baseline of a number is its median over the samples that were well: one slow answer, and a failure before the deploy, make nothing
/// usual.
#[derive(Debug, Clone)]
pub struct Learning {
    window: Duration,
    kept: VecDeque<(Duration, BTreeMap<String, f64>)>,
}

impl Learning {
    /// Looks back for so long, and over 128 samples at most.
    #[must_use]
    pub fn over(window: Lasting) -> Self {
        Self { window: window.as_duration(), kept: VecDeque::new() }
    }

    /// Takes one sample at `at`.
    pub fn feed(&mut self, at: Duration, sample: &Sample) {
        if !sample.ok || sample.metrics.is_empty() {
            return;
        }
        self.kept.push_back((at, sample.metrics.clone()));
        while self.kept.len() > MOST
            || self.kept.front().is_some_and(|(first, _)| at.saturating_sub(*first) > self.window)
        {
            self.kept.pop_front();
        }
    }

    /// Forgets everything: what comes is of another version.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    /// What was usual before `deploy`. A number that was seen in fewer than five samples is not in it.
    #[must_use]
    pub fn before(&self, deploy: Duration) -> Baseline {
        let mut numbers: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let within = |at: Duration| at < deploy && deploy.saturating_sub(at) <= self.window;
        for (_, metrics) in self.kept.iter().filter(|(at, _)| within(*at)) {
            for (name, value) in metrics.iter().filter(|(_, value)| value.is_finite()) {
                numbers.entry(name).or_default().push(*value);
            }
        }
        let usual = numbers.into_iter().filter(|(_, values)| values.len() >= FEWEST);
        usual.fold(Baseline::default(), |baseline, (name, values)| baseline.with(name, median(values)))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len().is_multiple_of(2) {
        true => f64::midpoint(values[middle - 1], values[middle]),
        false => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    #[test]
    fn the_median_before_the_deploy_is_usual() {
        let mut learning = Learning::over(Lasting::from_secs(600));
        for (second, latency) in (0..7).zip([30.0, 31.0, 29.0, 500.0, 30.0, 32.0, 28.0]) {
            learning.feed(at(second * 10), &Sample::ok("").with("latency_ms", latency));
        }
        learning.feed(at(70), &Sample::bad("503").with("latency_ms", 1.0));
        for second in (80..200).step_by(10) {
            learning.feed(at(second), &Sample::ok("").with("latency_ms", 900.0));
        }
        assert_eq!(learning.before(at(75)), Baseline::default().with("latency_ms", 30.0));
        assert_eq!(learning.before(at(30)), Baseline::default(), "three samples say nothing");
    }

    #[test]
    fn it_forgets_what_is_long_ago_and_what_is_too_much() {
        let mut learning = Learning::over(Lasting::from_secs(100));
        for second in 0..1_000 {
            learning.feed(at(second), &Sample::ok("").with("latency_ms", 1.0));
        }
        assert!(learning.kept.len() <= MOST);
        assert_eq!(learning.before(at(5_000)), Baseline::default());
    }
}
