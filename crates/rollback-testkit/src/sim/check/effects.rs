//! What landed in a world.

use std::collections::{BTreeMap, BTreeSet};

use rollback_core::IdempotencyKey;

use super::super::facts::{Facts, Fate};
use super::super::world::Landed;

pub(super) fn check(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    lands_once(fate, facts, found);
    journalled_before(fate, facts, found);
    refused_did_nothing(fate, facts, found);
}

/// (a) No single effect lands twice, except for the one request of a frozen process that nothing could call back.
fn lands_once(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    let mut by_key: BTreeMap<&IdempotencyKey, Vec<&Landed>> = BTreeMap::new();
    for one in fate.landed.iter().filter(|one| !one.request.repeatable) {
        if let Some(key) = &one.request.key {
            by_key.entry(key).or_default().push(one);
        }
    }
    let settings = fate.settings;
    for (key, landings) in by_key.into_iter().filter(|(_, landings)| landings.len() > 1) {
        let processes: BTreeSet<_> = landings.iter().map(|one| &one.request.by).collect();
        let frozen = processes.iter().filter(|process| facts.froze.contains(**process)).count();
        let excused = !settings.refuses_stale_writers
            && !settings.keeps_keys
            && processes.len() == landings.len()
            && landings.len() <= 1 + frozen;
        if !excused {
            found.push(format!("{}: {key} landed {} times, by {processes:?}", fate.name, landings.len()));
        }
    }
}

/// (b) Nothing lands whose intent was not journalled before it was sent.
fn journalled_before(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    for one in &fate.landed {
        let Some(key) = &one.request.key else { continue };
        let sent = facts.sent.iter().any(|sent| sent.key == *key && sent.journalled && sent.at <= one.at);
        if !sent {
            found.push(format!("{}: {key} landed and no journal had its intent", fate.name));
        }
    }
}

/// An operator who got an error instead of a report did nothing.
fn refused_did_nothing(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    for process in &facts.refused {
        if fate.landed.iter().any(|one| one.request.by == *process) {
            found.push(format!("{}: {process} got an error instead of a report, and acted", fate.name));
        }
    }
}
