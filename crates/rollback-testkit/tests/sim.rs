//! Thousands of simulated schedules, each from one seed.
//!
//! `ROLLBACK_SIM_SEED=7 cargo test --test sim` replays one with everything that happened;
//! `ROLLBACK_SIM_RUNS=100000` runs more than the usual ten thousand, `ROLLBACK_SIM_FIRST` begins at another seed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rollback_testkit::sim::{Outcome, scenario, traced_scenario};

const RUNS: u64 = 10_000;
fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text:?} is not a number")))
}

#[derive(Default)]
struct Sum {
    counts: BTreeMap<String, u64>,
    broken: BTreeMap<u64, Vec<String>>,
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: Result<Outcome, Box<dyn std::any::Any + Send>>) {
        match outcome {
            Ok(outcome) => {
                for (what, times) in outcome.counts {
                    *self.counts.entry(what).or_default() += times;
                }
                if !outcome.violations.is_empty() {
                    self.broken.insert(seed, outcome.violations);
                }
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                self.broken.insert(seed, vec![format!("panicked: {}", text.unwrap_or_default())]);
            }
        }
    }
}

/// The broken invariants by their kind: how often, and the first seeds to look at.
fn kinds(broken: &BTreeMap<u64, Vec<String>>) -> Vec<String> {
    let mut kinds: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (seed, violations) in broken {
        for violation in violations {
            // Run ids and names differ from seed to seed.
            let words = violation.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
            let seeds = kinds.entry(words.collect::<Vec<_>>().join(" ")).or_default();
            if seeds.last() != Some(seed) {
                seeds.push(*seed);
            }
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, seeds)| std::cmp::Reverse(seeds.len()));
    let shown = |(kind, seeds): (String, Vec<u64>)| {
        let first: Vec<_> = seeds.iter().take(6).collect();
        format!("{} times: {kind}: seeds {first:?}", seeds.len())
    };
    kinds.into_iter().map(shown).collect()
}

fn many(first: u64, runs: u64) -> Sum {
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + runs {
                        return;
                    }
                    let outcome = catch_unwind(AssertUnwindSafe(|| scenario(seed)));
                    sum.lock().unwrap_or_else(PoisonError::into_inner).add(seed, outcome);
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn every_schedule_keeps_the_invariants() {
    if let Some(seed) = number("ROLLBACK_SIM_SEED") {
        let outcome = traced_scenario(seed);
        println!("{}\n{:#?}", outcome.trace.join("\n"), outcome.counts);
        assert!(outcome.violations.is_empty(), "seed {seed}: {:#?}", outcome.violations);
        return;
    }
    let runs = number("ROLLBACK_SIM_RUNS").unwrap_or(RUNS);
    let sum = many(number("ROLLBACK_SIM_FIRST").unwrap_or(0), runs);
    println!("{:#?}", sum.counts);
    assert!(
        sum.broken.is_empty(),
        "{} of {runs} schedules broke an invariant: {:#?}\nROLLBACK_SIM_SEED=… shows what happened",
        sum.broken.len(),
        kinds(&sum.broken)
    );
    if runs >= RUNS {
        // A simulation in which nothing happens shows nothing.
        let things = [
            "restored",
            "restored, unhealthy",
            "already there",
            "refused",
            "failed, origin proven",
            "partial",
            "stuck",
            "superseded",
            "cancelled",
            "died",
            "froze",
            "landed",
            "landed stale",
            "swept",
            "beside the store",
        ];
        for what in things {
            assert!(
                sum.counts.get(what).is_some_and(|times| *times > 50),
                "too few: {what}: {:#?}",
                sum.counts
            );
        }
    }
}

#[test]
fn a_seed_is_replayed_exactly() {
    for seed in 0..20 {
        let (first, again) = (traced_scenario(seed), traced_scenario(seed));
        for (first, again) in first.trace.iter().zip(&again.trace) {
            assert_eq!(first, again, "seed {seed}");
        }
        assert_eq!(first.trace.len(), again.trace.len(), "seed {seed}");
        assert_eq!(first.counts, scenario(seed).counts, "seed {seed}: the trace changes what happens");
    }
}
