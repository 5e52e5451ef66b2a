//! What is left for afterwards happens once, and only after the destination ran everywhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::sim::facts::{Facts, Fate};

pub(super) fn check(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    lands_once(fate, facts, found);
    for swept in &fate.swept {
        let what = format!("{}: the sweep of r{}", fate.name, swept.release);
        let run = facts.run_of(&swept.key);
        let stored = facts.stored.iter().find(|report| Some(report.run) == run);
        // A run that nobody could bring to its end is a violation elsewhere.
        let Some(report) = stored else { continue };
        let goal = report.components.iter().find(|(name, _)| name.as_str() == fate.name);
        let goal = goal.and_then(|(_, one)| one.to.revision.as_str().strip_prefix('r')?.parse::<u32>().ok());
        if goal == Some(swept.release) {
            found.push(format!("{what} took the destination itself"));
        }
        let ran = |moment: &crate::sim::Moment| moment.at <= swept.at && moment.everywhere == goal;
        if goal.is_none() || !fate.moments.iter().any(ran) {
            found.push(format!("{what} came before the destination ran everywhere"));
        }
    }
}

/// No sweep lands twice, except for the one request of a process that was frozen, or of which one hung on its way:
/// nothing could call it back.
fn lands_once(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    let mut by_key: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for swept in &fate.swept {
        by_key.entry(&swept.key).or_default().push(&swept.by);
    }
    for (key, landings) in by_key {
        let processes: BTreeSet<_> = landings.iter().collect();
        let late = |process: &&&&str| facts.froze.contains(***process) || facts.hung.contains(***process);
        let late = processes.iter().filter(late).count();
        if processes.len() < landings.len() || landings.len() > 1 + late {
            found.push(format!(
                "{}: the sweep {key} landed {} times, by {processes:?}",
                fate.name,
                landings.len()
            ));
        }
    }
}
