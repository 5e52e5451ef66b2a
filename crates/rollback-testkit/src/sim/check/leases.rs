//! Who may act, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::book::Look;
use super::super::facts::{Facts, Fate};
use super::super::world::Landed;

/// How many looks may follow upon seeing that the lease is lost: one that was about to be made, one for another way
/// after that, and one at an action that is on its way.
const LAST_LOOKS: usize = 3;

pub(super) fn check(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    authorised_callers(fate, facts, found);
    one_at_a_time(fate, facts, found);
    nothing_after_losing_the_head(fate, found);
    stops_when_lost(fate, facts, found);
    overtakes_nobody(fate, facts, found);
}

/// Whoever calls the driver holds the target, and the head names the action.
fn authorised_callers(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    for sent in facts.sent.iter().filter(|sent| sent.component == fate.name && !sent.authorised) {
        found.push(format!("{}: {} called the driver and did not hold the target", fate.name, sent.session));
    }
}

/// Whoever saw that somebody else holds the target stops.
fn stops_when_lost(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    let here = || facts.learnt.iter().filter(|learnt| learnt.component == fate.name);
    for lost in here().filter(|learnt| !learnt.taken) {
        let again = here().filter(|one| one.taken && one.session == lost.session && one.at > lost.at);
        let until = again.map(|one| one.at).min().unwrap_or(Duration::MAX);
        let after = facts.looked.iter().filter(|look| {
            look.component == fate.name
                && look.session == lost.session
                && look.kind != Look::Prove
                && lost.at < look.at
                && look.at < until
        });
        let looks = after.count();
        if looks > LAST_LOOKS {
            found.push(format!(
                "{}: {} looked {looks} times after it lost the lease",
                fate.name, lost.session
            ));
        }
    }
}

/// Nobody sends while an earlier run's request is on its way that was there to be waited for.
fn overtakes_nobody(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    for sent in facts.sent.iter().filter(|sent| sent.component == fate.name) {
        let mine = |one: &&super::super::book::Learnt| {
            one.taken && one.component == fate.name && one.session == sent.session && one.at <= sent.called
        };
        let Some(taken) = facts.learnt.iter().filter(mine).map(|one| one.at).max() else { continue };
        if let Some((_, key)) = sent.overtakes.iter().find(|(at, _)| *at < taken) {
            found.push(format!(
                "{}: {} sent while {key} of an earlier run was on its way",
                fate.name, sent.session
            ));
        }
    }
}

/// (c) Nobody is authorised any more once somebody else was: calls of two sessions do not interleave.
fn one_at_a_time(fate: &Fate, facts: &Facts, found: &mut Vec<String>) {
    let here = facts.sent.iter().filter(|sent| sent.component == fate.name);
    let mut calls: Vec<_> = here.collect();
    calls.sort_by_key(|sent| sent.called);
    let mut over = BTreeSet::new();
    for pair in calls.windows(2).filter(|pair| pair[0].session != pair[1].session) {
        over.insert(&pair[0].session);
        if over.contains(&pair[1].session) {
            let (again, other) = (&pair[1].session, &pair[0].session);
            found.push(format!("{}: {again} sent again after {other} had sent", fate.name));
        }
    }
}

/// (c) Once another process acted, the earlier one does at most the request that was already authorised, and nothing where
/// the world refuses stale writers. Parts of a convergence compare with what the driver saw right before, as one that
/// was cut off has no token any more: those of a process that was frozen may land wherever it is.
fn nothing_after_losing_the_head(fate: &Fate, found: &mut Vec<String>) {
    let keyed: Vec<_> = fate.landed.iter().filter(|one| one.request.key.is_some()).collect();
    let processes: BTreeSet<_> = keyed.iter().map(|one| &one.request.by).collect();
    for process in processes {
        let mine = |one: &&Landed| one.request.by == *process;
        let Some(first) = keyed.iter().position(&mine) else { continue };
        let Some(other) = keyed[first..].iter().position(|one| !mine(one)) else { continue };
        let after: Vec<_> = keyed[first + other..].iter().filter(|one| mine(one)).collect();
        let refused = fate.settings.refuses_stale_writers && !after.iter().all(|one| one.request.repeatable);
        let allowed = usize::from(!refused);
        let after: BTreeSet<_> = after.iter().filter_map(|one| one.request.key.as_ref()).collect();
        if after.len() > allowed {
            found.push(format!("{}: {process} landed {after:?} after another process acted", fate.name));
        }
    }
}
