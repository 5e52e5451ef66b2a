//! A trigger, sample by sample, beside one that looks at all samples again each time.

use std::time::Duration;

use rollback_core::condition::{Baseline, Check, Rule};
use rollback_core::probe::Sample;
use rollback_core::time::Lasting;
use rollback_watch::{Reading, Severity, Trigger};

/// What one sample says of the trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Bad,
    Good,
    Nothing,
}

#[derive(Debug, Clone)]
struct Case {
    lasting: u64,
    times: u32,
    gap: u64,
    /// Time since the sample before it, and what it says.
    stream: Vec<(i64, Told)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Quiet,
    Unknown,
    Pending(u64, u64, usize),
    Fired(u64, u64, usize),
}

/// From all samples so far, as the documentation says it.
fn anew(case: &Case, samples: &[(u64, Told)]) -> Said {
    let now = samples.last().expect("a sample").0;
    let known: Vec<_> = samples.iter().filter(|(_, told)| *told != Told::Nothing).collect();
    let Some((last, told)) = known.last() else { return Said::Unknown };
    if now - last > case.gap {
        return Said::Unknown;
    }
    if *told == Told::Good {
        return Said::Quiet;
    }
    let after_good = known.iter().rposition(|(_, told)| *told == Told::Good).map_or(0, |at| at + 1);
    let bad = &known[after_good..];
    let torn = bad.windows(2).rposition(|pair| pair[1].0 - pair[0].0 > case.gap).map_or(0, |at| at + 1);
    let bad = &bad[torn..];
    let (since, count) = (bad[0].0, bad.len());
    match last - since >= case.lasting && count >= case.times as usize {
        true => Said::Fired(since, *last, count),
        false => Said::Pending(since, *last, count),
    }
}

fn said(reading: &Reading) -> Said {
    let of = |trouble: &rollback_watch::Trouble| {
        (trouble.since.as_secs(), trouble.last.as_secs(), trouble.samples as usize)
    };
    match reading {
        Reading::Quiet => Said::Quiet,
        Reading::Unknown(_) => Said::Unknown,
        Reading::Pending(trouble) => {
            let (since, last, count) = of(trouble);
            Said::Pending(since, last, count)
        }
        Reading::Fired(trouble) => {
            let (since, last, count) = of(trouble);
            Said::Fired(since, last, count)
        }
    }
}

/// A number, an answer without it, or none: each way in which a sample can say nothing.
fn sample(told: Told, number: usize) -> Sample {
    match (told, number % 3) {
        (Told::Bad, _) => Sample::bad("").with("errors", 9.0),
        (Told::Good, _) => Sample::ok("").with("errors", 1.0),
        (Told::Nothing, 0) => Sample::unknown("no answer"),
        (Told::Nothing, 1) => Sample::ok("garbage"),
        (Told::Nothing, _) => Sample::ok("garbage").with("errors", f64::NAN),
    }
}

/// Numbers that are the same each time: <https://prng.di.unimi.it/splitmix64.c>.
struct Numbers(u64);

impl Numbers {
    /// One below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Now and then a clock goes back, and now and then nobody looks for long.
    fn step(&mut self) -> i64 {
        match self.below(14) {
            0 => -(self.below(40) as i64),
            1 => self.below(90) as i64,
            _ => self.below(12) as i64,
        }
    }

    fn told(&mut self) -> Told {
        match self.below(8) {
            0 => Told::Good,
            1 | 2 => Told::Nothing,
            _ => Told::Bad,
        }
    }

    fn case(&mut self) -> Case {
        let samples = 1 + self.below(60);
        Case {
            lasting: self.below(60),
            times: 1 + self.below(4) as u32,
            gap: 1 + self.below(40),
            stream: (0..samples).map(|_| (self.step(), self.told())).collect(),
        }
    }
}

/// Which readings were come to at all: a generator that never lets a trigger fire would show nothing.
#[derive(Debug, Default)]
struct Seen {
    quiet: u32,
    unknown: u32,
    pending: u32,
    fired: u32,
}

fn check(case: &Case, seen: &mut Seen) {
    let rule = Rule {
        all: vec![Check::Above { metric: "errors".to_owned(), limit: 5.0 }],
        lasting: Lasting::from_secs(case.lasting),
        times: case.times,
        within: None,
        every: Lasting::from_secs(1),
    };
    let mut trigger = Trigger::new("errors", rule, Severity::P0).gap(Lasting::from_secs(case.gap));
    let (mut clock, mut latest, mut samples) = (1_000_i64, 0, Vec::new());
    for (number, (step, told)) in case.stream.iter().enumerate() {
        clock += step;
        let at = u64::try_from(clock).unwrap_or(0);
        latest = latest.max(at);
        samples.push((latest, *told));
        let reading = trigger.feed(Duration::from_secs(at), &sample(*told, number), &Baseline::default());
        let said = said(&reading);
        assert_eq!(said, anew(case, &samples), "after {} samples of {case:?}", samples.len());
        match said {
            Said::Quiet => seen.quiet += 1,
            Said::Unknown => seen.unknown += 1,
            Said::Pending(..) => seen.pending += 1,
            Said::Fired(..) => seen.fired += 1,
        }
    }
}

/// 100,000 streams of up to sixty samples, in no time but their own.
#[test]
fn a_trigger_says_what_looking_at_everything_again_says() {
    let (mut numbers, mut seen) = (Numbers(7), Seen::default());
    for _ in 0..100_000 {
        check(&numbers.case(), &mut seen);
    }
    let least = [seen.quiet, seen.unknown, seen.pending, seen.fired].into_iter().min();
    assert!(least > Some(50_000), "{seen:?}");
}
