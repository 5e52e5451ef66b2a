//! What is left for afterwards happens once, and only after the destination ran everywhere.

use std::collections::BTreeSet;

use crate::sim::facts::{Facts, Fate};

pub(super) fn check(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    let mut keys = BTreeSet::new();
    for swept in &fate.swept {
        let what = format!("{}: the sweep of r{}", fate.name, swept.release);
        if !keys.insert(&swept.key) {
            found.push(format!("{what} landed twice"));
        }
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
