//! The invariants, checked over everything that happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rollback_core::report::ComponentReport;
use rollback_core::{IdempotencyKey, RunId, State};

use super::fault_target::{Looked, Sent};
use super::lab::{Deployed, Ended, Lab};
use super::process::Process;
use super::world::{Landed, Moment};

/// Every invariant that was broken, in words.
pub(super) fn violations(lab: &Lab) -> Vec<String> {
    let mut found = Vec::new();
    let history = History::of(lab);
    for deployed in &lab.deployed {
        let landed = deployed.world.landed();
        lands_once(deployed, &landed, &history, &mut found);
        journalled_before(deployed, &landed, &history, &mut found);
        one_at_a_time(deployed, &history, &mut found);
        nothing_after_losing_the_head(deployed, &landed, &mut found);
        refused_did_nothing(deployed, &landed, &history, &mut found);
        for ended in &history.ended {
            reports_are_true(deployed, &landed, &history, ended, &mut found);
        }
    }
    for ended in &history.ended {
        let states = ended.report.components.values().map(|one| one.state);
        let expected = State::of_run(states);
        if ended.report.state != expected {
            found.push(format!(
                "run {} says {} and its parts make {expected}",
                ended.report.run, ended.report.state
            ));
        }
    }
    one_end(lab, &mut found);
    superseded_by_somebody(lab, &mut found);
    found
}

/// How often each thing happened.
pub(super) fn counts(lab: &Lab) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let mut count = |what: String, times: usize| *counts.entry(what).or_default() += times as u64;
    for report in lab.stored() {
        for component in report.components.values() {
            count(format!("{}", component.state), 1);
        }
    }
    let processes = lab.processes();
    count("died".to_owned(), processes.iter().filter(|process| process.is_dead()).count());
    count("froze".to_owned(), processes.iter().filter(|process| process.froze()).count());
    count("operations".to_owned(), processes.iter().map(|p| p.operations() as usize).sum());
    count("not begun".to_owned(), lab.refused().len());
    for deployed in &lab.deployed {
        let landed = deployed.world.landed();
        count("landed".to_owned(), landed.iter().filter(|one| one.request.key.is_some()).count());
        count(
            "landed stale".to_owned(),
            landed.iter().filter(|one| one.stale && one.request.key.is_some()).count(),
        );
    }
    counts
}

/// What the checks look things up in.
struct History {
    sent: Vec<Sent>,
    looked: Vec<Looked>,
    ended: Vec<Ended>,
    refused: Vec<String>,
    froze: BTreeSet<String>,
}

impl History {
    fn of(lab: &Lab) -> Self {
        let book = &lab.book;
        let froze = lab.processes().into_iter().filter(Process::froze);
        Self {
            sent: book.sent(),
            looked: book.looked(),
            ended: lab.ended(),
            refused: lab.refused(),
            froze: froze.map(|process| process.name().to_owned()).collect(),
        }
    }

    fn run_of(&self, key: &IdempotencyKey) -> Option<RunId> {
        self.sent.iter().find(|sent| sent.key == *key).map(|sent| sent.run)
    }

    fn is_of(&self, landed: &Landed, run: RunId) -> bool {
        landed.request.key.as_ref().and_then(|key| self.run_of(key)) == Some(run)
    }
}

/// A process that lost its run to another one says so, and tells no other end than the run has.
fn one_end(lab: &Lab, found: &mut Vec<String>) {
    let stored = lab.stored();
    for ended in lab.ended() {
        let run = ended.report.run;
        let Some(stored) = stored.iter().find(|stored| stored.run == run) else {
            found.push(format!("run {run} gave {} a report, and the store has none", ended.process));
            continue;
        };
        for (name, told) in &ended.report.components {
            let state = stored.components.get(name).map(|component| component.state);
            let stopped = matches!(told.state, State::Superseded | State::Stuck);
            if state != Some(told.state) && !stopped {
                found.push(format!(
                    "{name}: run {run} ended {state:?}, and {} was told {}",
                    ended.process, told.state
                ));
            }
        }
    }
}

/// A run that was alone, on a world that nobody else changed, was not superseded.
fn superseded_by_somebody(lab: &Lab, found: &mut Vec<String>) {
    let stored = lab.stored();
    let [report] = stored.as_slice() else { return };
    for deployed in &lab.deployed {
        let landed = deployed.world.landed();
        let foreign = landed.iter().filter(|one| one.request.key.is_none()).count();
        let state = report.components.get(&deployed.name).map(|component| component.state);
        // One foreign change is the deploy that the story begins with.
        if state == Some(State::Superseded) && foreign <= 1 {
            found.push(format!(
                "{}: run {} says superseded, and nobody else was there",
                deployed.name, report.run
            ));
        }
    }
}

/// (a) No single effect lands twice, except for the one request of a frozen process that nothing could call back.
fn lands_once(deployed: &Deployed, landed: &[Landed], history: &History, found: &mut Vec<String>) {
    let mut by_key: BTreeMap<&IdempotencyKey, Vec<&Landed>> = BTreeMap::new();
    for one in landed.iter().filter(|one| !one.request.repeatable) {
        if let Some(key) = &one.request.key {
            by_key.entry(key).or_default().push(one);
        }
    }
    let settings = deployed.world.settings();
    for (key, landings) in by_key.into_iter().filter(|(_, landings)| landings.len() > 1) {
        let processes: BTreeSet<_> = landings.iter().map(|one| &one.request.by).collect();
        let frozen = processes.iter().filter(|process| history.froze.contains(**process)).count();
        let excused = !settings.refuses_stale_writers
            && !settings.keeps_keys
            && processes.len() == landings.len()
            && landings.len() <= 1 + frozen;
        if !excused {
            found.push(format!("{}: {key} landed {} times, by {processes:?}", deployed.name, landings.len()));
        }
    }
}

/// (b) Nothing lands whose intent was not journalled before it was sent.
fn journalled_before(deployed: &Deployed, landed: &[Landed], history: &History, found: &mut Vec<String>) {
    for one in landed {
        let Some(key) = &one.request.key else { continue };
        let sent = history.sent.iter().any(|sent| sent.key == *key && sent.journalled && sent.at <= one.at);
        if !sent {
            found.push(format!("{}: {key} landed and no journal had its intent", deployed.name));
        }
    }
}

/// (c) Nobody is authorised any more once somebody else was: calls of two sessions do not interleave.
fn one_at_a_time(deployed: &Deployed, history: &History, found: &mut Vec<String>) {
    let here = history.sent.iter().filter(|sent| sent.component == deployed.name.as_str());
    let mut calls: Vec<_> = here.collect();
    calls.sort_by_key(|sent| sent.called);
    let mut over = BTreeSet::new();
    for pair in calls.windows(2).filter(|pair| pair[0].session != pair[1].session) {
        over.insert(&pair[0].session);
        if over.contains(&pair[1].session) {
            let (again, other) = (&pair[1].session, &pair[0].session);
            found.push(format!("{}: {again} sent again after {other} had sent", deployed.name));
        }
    }
}

/// (c) Once another process acted, the earlier one does at most the request that was already authorised, and nothing where
/// the world refuses stale writers.
fn nothing_after_losing_the_head(deployed: &Deployed, landed: &[Landed], found: &mut Vec<String>) {
    let keyed: Vec<_> = landed.iter().filter(|one| one.request.key.is_some()).collect();
    let processes: BTreeSet<_> = keyed.iter().map(|one| &one.request.by).collect();
    let allowed = usize::from(!deployed.world.settings().refuses_stale_writers);
    for process in processes {
        let mine = |one: &&Landed| one.request.by == *process;
        let Some(first) = keyed.iter().position(&mine) else { continue };
        let Some(other) = keyed[first..].iter().position(|one| !mine(one)) else { continue };
        let after = keyed[first + other..].iter().filter(|one| mine(one));
        let after: BTreeSet<_> = after.filter_map(|one| one.request.key.as_ref()).collect();
        if after.len() > allowed {
            found.push(format!("{}: {process} landed {after:?} after another process acted", deployed.name));
        }
    }
}

/// An operator who got an error instead of a report did nothing.
fn refused_did_nothing(deployed: &Deployed, landed: &[Landed], history: &History, found: &mut Vec<String>) {
    for process in &history.refused {
        if landed.iter().any(|one| one.request.by == *process) {
            found.push(format!("{}: {process} got an error instead of a report, and acted", deployed.name));
        }
    }
}

/// (d), (f) What a report says is true of the world.
fn reports_are_true(
    deployed: &Deployed,
    landed: &[Landed],
    history: &History,
    ended: &Ended,
    found: &mut Vec<String>,
) {
    let Some(component) = ended.report.components.get(&deployed.name) else { return };
    let run = ended.report.run;
    let mut wrong = |what: &str| {
        let claim = format!("{}: run {run} says {} to {}", deployed.name, component.state, ended.process);
        found.push(format!("{claim}, {what}"));
    };
    let acted = landed.iter().any(|one| history.is_of(one, run));
    if matches!(component.state, State::Refused | State::AlreadyThere) && acted {
        wrong("and the run acted");
    }
    let Some(release) = claimed(component) else { return };
    let Some((seen, proven)) = proof_of(release, deployed, landed, history, ended) else {
        wrong("and nobody proved that after its last effect");
        return;
    };
    let late = |one: &Landed| one.at > ended.at && history.froze.contains(&one.request.by);
    let others = landed.iter().any(|one| one.at >= seen && (!history.is_of(one, run) || late(one)));
    if !others && deployed.world.look().everywhere() != Some(release) {
        wrong(&format!("nothing else happened since it was proven at {proven:?}, and it does not run"));
    }
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
fn proof_of(
    release: u32,
    deployed: &Deployed,
    landed: &[Landed],
    history: &History,
    ended: &Ended,
) -> Option<(Duration, Duration)> {
    // Requests of frozen processes that nothing could call back are no part of what was proven, and parts of a
    // convergence that land late change nothing if what was proven is to stay.
    let late = |one: &Landed| one.at > ended.at && history.froze.contains(&one.request.by);
    let counted =
        |one: &&Landed| history.is_of(one, ended.report.run) && !one.request.repeatable && !late(one);
    let last = landed.iter().filter(counted).map(|one| one.at).max().unwrap_or(Duration::ZERO);
    let moments = deployed.world.moments();
    let holds = |look: &&Looked| {
        look.component == deployed.name.as_str()
            && look.proof
            && last <= look.at
            && look.at <= ended.at
            && everywhere_at(&moments, look.at) == Some(release)
    };
    let proof = history.looked.iter().filter(holds).max_by_key(|look| look.at)?;
    // Somebody else's rollout may begin between a look and the proof that follows it, before it reaches a part.
    let before = |look: &&Looked| {
        !look.proof
            && look.session == proof.session
            && look.component == proof.component
            && look.at <= proof.at
    };
    let seen = history.looked.iter().filter(before).map(|look| look.at).max();
    Some((seen.unwrap_or(proof.at), proof.at))
}

/// The release that every part ran at that time, if they all ran the same.
fn everywhere_at(moments: &[Moment], at: Duration) -> Option<u32> {
    moments.iter().take_while(|moment| moment.at <= at).last().and_then(|moment| moment.everywhere)
}
