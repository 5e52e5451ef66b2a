//! What reports say, against what is true.

use std::time::Duration;

use rollback_core::report::ComponentReport;
use rollback_core::{Report, State};

use super::super::book::{Look, Looked};
use super::super::facts::{Facts, Fate};
use super::super::lab::Ended;
use super::super::world::{Landed, Moment};

pub(super) fn check(fate: &Fate, facts: &Facts, ended: &Ended, found: &mut Vec<String>) {
    reports_are_true(fate, facts, ended, found);
    gates_count(fate, ended, found);
}

/// What concerns the reports as a whole.
pub(super) fn check_whole(facts: &Facts, found: &mut Vec<String>) {
    for ended in &facts.ended {
        let states = ended.report.components.values().map(|one| one.state);
        let (run, said, expected) = (ended.report.run, ended.report.state, State::of_run(states));
        if said != expected {
            found.push(format!("run {run} says {said} and its parts make {expected}"));
        }
        if ended.report.break_glass.is_some() != facts.glass.contains(&ended.process) {
            found.push(format!("run {run} does not say how {} worked", ended.process));
        }
    }
    one_end(facts, found);
    superseded_by_somebody(facts, found);
}

fn component_of<'a>(report: &'a Report, fate: &Fate) -> Option<&'a ComponentReport> {
    report.components.iter().find(|(name, _)| name.as_str() == fate.name).map(|(_, component)| component)
}

/// A gate that failed makes it unhealthy, and nothing else does as long as gates were asked.
fn gates_count(fate: &Fate, ended: &Ended, found: &mut Vec<String>) {
    let Some(component) = component_of(&ended.report, fate) else { return };
    let failed = component.gates.iter().any(|gate| !gate.passed);
    let told = match component.state {
        State::Restored => failed,
        State::RestoredUnhealthy => !failed && !component.gates.is_empty(),
        _ => false,
    };
    if told {
        found.push(format!(
            "{}: run {} says {}, and its gates say otherwise",
            fate.name, ended.report.run, component.state
        ));
    }
}

/// A process that lost its run to another one says so, and tells no other end than the run has.
fn one_end(facts: &Facts, found: &mut Vec<String>) {
    for ended in &facts.ended {
        let run = ended.report.run;
        let Some(stored) = facts.stored.iter().find(|stored| stored.run == run) else {
            found.push(format!("run {run} gave {} a report, and the store has none", ended.process));
            continue;
        };
        for (name, told) in &ended.report.components {
            let state = stored.components.get(name).map(|component| component.state);
            let stopped = matches!(told.state, State::Superseded | State::Stuck);
            // What was proven was true, and whoever takes the run up later may find something else.
            let unwritten = told.findings.iter().any(|finding| finding.code == "end-not-journalled");
            if state != Some(told.state) && !stopped && !unwritten {
                found.push(format!(
                    "{name}: run {run} ended {state:?}, and {} was told {}",
                    ended.process, told.state
                ));
            }
        }
    }
}

/// A run that was alone, on a world that nobody else changed, was not superseded.
fn superseded_by_somebody(facts: &Facts, found: &mut Vec<String>) {
    let [report] = facts.stored.as_slice() else { return };
    for fate in &facts.fates {
        let foreign = fate.landed.iter().filter(|one| one.request.key.is_none()).count();
        let state = component_of(report, fate).map(|component| component.state);
        // A request of a process that was frozen may land late, and is somebody else to the process that took over.
        if fate.landed.iter().any(|one| one.stale) {
            continue;
        }
        // One foreign change is the deploy that the story begins with.
        if state == Some(State::Superseded) && foreign <= 1 {
            found.push(format!(
                "{}: run {} says superseded, and nobody else was there",
                fate.name, report.run
            ));
        }
    }
}

/// (d), (f) What a report says is true of the world.
fn reports_are_true(fate: &Fate, facts: &Facts, ended: &Ended, found: &mut Vec<String>) {
    let Some(component) = component_of(&ended.report, fate) else { return };
    let run = ended.report.run;
    let mut wrong = |what: &str| {
        let claim = format!("{}: run {run} says {} to {}", fate.name, component.state, ended.process);
        found.push(format!("{claim}, {what}"));
    };
    let taken = last_taken(fate, facts, ended);
    let frozen = |one: &Landed| {
        one.request.by != ended.process
            && facts.froze.contains(&one.request.by)
            && taken.is_some_and(|taken| one.at > taken)
    };
    let acted = fate.landed.iter().any(|one| facts.is_of(one, run) && !frozen(one));
    if matches!(component.state, State::Refused | State::AlreadyThere) && acted {
        wrong("and the run acted");
    }
    let Some(release) = claimed(component) else { return };
    let Some((seen, proven)) = proof_of(release, fate, facts, ended) else {
        wrong("and nobody proved that after its last effect");
        return;
    };
    let late = |one: &Landed| one.at > ended.at && facts.froze.contains(&one.request.by);
    let others = fate.landed.iter().any(|one| one.at >= seen && (!facts.is_of(one, run) || late(one)));
    if !others && fate.everywhere != Some(release) {
        wrong(&format!("nothing else happened since it was proven at {proven:?}, and it does not run"));
    }
}

/// When the process that tells an end took the lease. What the run's frozen processes landed after that, nothing could
/// call back.
fn last_taken(fate: &Fate, facts: &Facts, ended: &Ended) -> Option<Duration> {
    let taken =
        facts.learnt.iter().filter(|one| one.taken && one.component == fate.name && one.at <= ended.at);
    taken.filter(|one| process_of(&one.session) == ended.process).map(|one| one.at).max()
}

/// The process that a session belongs to.
fn process_of(session: &str) -> &str {
    session.split_once('#').map_or(session, |(process, _)| process)
}

/// The release that a component's report says every part runs.
fn claimed(component: &ComponentReport) -> Option<u32> {
    let claim = match component.state {
        State::Restored | State::RestoredUnhealthy | State::AlreadyThere => Some(&component.to),
        State::FailedRestored => component.from.as_ref(),
        _ => None,
    };
    claim?.revision.as_str().trim_start_matches('r').parse().ok()
}

/// The last time before the report at which the release was proven after the run's last effect, and the look before that.
fn proof_of(release: u32, fate: &Fate, facts: &Facts, ended: &Ended) -> Option<(Duration, Duration)> {
    // Requests of frozen processes that nothing could call back are no part of what was proven, and parts of a
    // convergence that land late change nothing if what was proven is to stay.
    let late = |one: &Landed| one.at > ended.at && facts.froze.contains(&one.request.by);
    let counted = |one: &&Landed| facts.is_of(one, ended.report.run) && !one.request.repeatable && !late(one);
    let last = fate.landed.iter().filter(counted).map(|one| one.at).max().unwrap_or(Duration::ZERO);
    let holds = |look: &&Looked| {
        look.component == fate.name
            && look.kind == Look::Prove
            && last <= look.at
            && look.at <= ended.at
            && everywhere_at(&fate.moments, look.at) == Some(release)
    };
    // What it proved itself comes first: another run may have looked later, at the same release by chance.
    let own = |look: &&Looked| process_of(&look.session) == ended.process;
    let proofs = || facts.looked.iter().filter(holds);
    let latest = proofs().filter(own).max_by_key(|look| look.at);
    let proof = latest.or_else(|| proofs().max_by_key(|look| look.at))?;
    // Somebody else's rollout may begin between a look and the proof that follows it, before it reaches a part.
    let before = |look: &&Looked| {
        look.kind == Look::Observe
            && look.session == proof.session
            && look.component == proof.component
            && look.at <= proof.at
    };
    let seen = facts.looked.iter().filter(before).map(|look| look.at).max();
    // Where looks show the past, what happened since is not seen yet.
    let seen = seen.map(|at| at.saturating_sub(fate.settings.shows_past));
    Some((seen.unwrap_or(proof.at), proof.at))
}

/// The release that every part ran at that time, if they all ran the same.
fn everywhere_at(moments: &[Moment], at: Duration) -> Option<u32> {
    moments.iter().take_while(|moment| moment.at <= at).last().and_then(|moment| moment.everywhere)
}
