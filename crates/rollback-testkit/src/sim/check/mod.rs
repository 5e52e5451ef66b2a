//! The invariants, checked over everything that happened.

mod effects;
mod leases;
mod reports;
mod sweeps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::facts::Facts;
use super::lab::Lab;
use super::process::Process;

/// Every invariant that was broken, in words.
pub(super) fn violations(facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    for fate in &facts.fates {
        effects::check(fate, facts, &mut found);
        leases::check(fate, facts, &mut found);
        sweeps::check(fate, facts, &mut found);
        for ended in &facts.ended {
            reports::check(fate, facts, ended, &mut found);
        }
    }
    reports::check_whole(facts, &mut found);
    found
}

/// How often each thing happened.
pub(super) fn counts(lab: &Lab) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut count = |what: String, times: usize| *counts.entry(what).or_default() += times as u64;
    for report in lab.stored() {
        count("beside the store".to_owned(), usize::from(report.break_glass.is_some()));
        for component in report.components.values() {
            count(format!("{}", component.state), 1);
        }
    }
    let processes = lab.processes();
    count("died".to_owned(), processes.iter().filter(|process| process.is_dead()).count());
    count("froze".to_owned(), processes.iter().filter(|process| Process::froze(process)).count());
    count("operations".to_owned(), processes.iter().map(|p| p.operations() as usize).sum());
    count("not begun".to_owned(), lab.refused().len());
    for deployed in &lab.deployed {
        count("swept".to_owned(), deployed.world.swept().len());
        let landed = deployed.world.landed();
        count("landed".to_owned(), landed.iter().filter(|one| one.request.key.is_some()).count());
        count(
            "landed stale".to_owned(),
            landed.iter().filter(|one| one.stale && one.request.key.is_some()).count(),
        );
    }
    counts
}
