//! Taking times: several rounds in which everything that is compared takes its turn, then medians and quartiles.

use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};

use crate::Result;

/// The times of one thing, in seconds, one for each round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn add(&mut self, seconds: f64) {
        self.0.push(seconds);
    }

    /// The same rounds, each turned into something else.
    pub(crate) fn map(&self, turn: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().map(|one| turn(*one)).collect())
    }

    /// Round by round with another series: a slow moment of the machine falls on both.
    pub(crate) fn with(&self, other: &Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| join(*one, *two)).collect())
    }

    /// How often this took as long as `other`, round by round.
    pub(crate) fn over(&self, other: &Self) -> Self {
        self.with(other, |one, two| one / two)
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The value below which `share` of the rounds are.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let place = share * last as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        sorted[low] + (sorted[high] - sorted[low]) * place.fract()
    }

    /// The median with the quartiles around it: `41.2 (40.1 to 44.0)`.
    pub(crate) fn show(&self, scale: f64) -> String {
        let number = |share| number(self.at(share) * scale);
        format!("{} ({} to {})", number(0.5), number(0.25), number(0.75))
    }
}

/// A number with as many digits as mean something.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

pub(crate) const MILLIS: f64 = 1e3;
pub(crate) const MICROS: f64 = 1e6;

/// How long `work` took, with what it gave.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let began = SystemClock.monotonic();
    let value = work()?;
    Ok((SystemClock.monotonic().saturating_sub(began), value))
}

/// One of the things that take turns: gives the time that counts.
pub(crate) type Contender<'a> = Box<dyn FnMut() -> Result<Duration> + 'a>;

/// Lets each contender run once in every round. The first round warms up and does not count; the one that begins moves
/// on by one from round to round.
pub(crate) fn interleaved(rounds: usize, mut contenders: Vec<Contender<'_>>) -> Result<Vec<Samples>> {
    let mut samples = vec![Samples::default(); contenders.len()];
    for round in 0..=rounds {
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            let took = contenders[index]()?;
            if round > 0 {
                samples[index].add(took.as_secs_f64());
            }
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_rounds() {
        let samples = Samples(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((samples.at(0.0), samples.median(), samples.at(1.0)), (1.0, 2.5, 4.0));
        assert_eq!(samples.show(1.0), "2.50 (1.75 to 3.25)");
        assert_eq!(samples.over(&samples).median(), 1.0);
    }
}
