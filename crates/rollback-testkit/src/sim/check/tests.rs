//! The checks on made-up histories: a sound one passes, and each violation is seen.

use std::time::Duration;

use rollback_core::report::{ComponentReport, GateReport};
use rollback_core::{
    ComponentName, Digest, EnvironmentName, Finding, IdempotencyKey, Report, Request as Asked, RunId,
    Snapshot as _, State,
};
use serde_json::json;

use super::super::book::{Learnt, Look, Looked, Sent};
use super::super::facts::{Facts, Fate};
use super::super::forms::ToySnapshot;
use super::super::lab::Ended;
use super::super::settings::Settings;
use super::super::world::{Change, Landed, Moment, Request};
use super::violations;

const FIRST: &str = "01a0c4be-0000-7000-8000-000000000001";
const SECOND: &str = "01a0c4be-0000-7000-8000-000000000002";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn run(id: &str) -> RunId {
    id.parse().unwrap()
}

fn key(id: &str, step: &str) -> IdempotencyKey {
    IdempotencyKey::new(format!("{id}-{step}")).unwrap()
}

fn sent(session: &str, id: &str, step: &str, called: u64) -> Sent {
    Sent {
        session: session.to_owned(),
        run: run(id),
        component: "c0".to_owned(),
        key: key(id, step),
        called: at(called),
        at: at(called),
        journalled: true,
        authorised: true,
        overtakes: Vec::new(),
    }
}

/// What landed under a key; without one, somebody else's change.
fn landed(by: &str, key: Option<IdempotencyKey>, when: u64) -> Landed {
    let change = Change::All { release: 1 };
    let request = Request { change, key, step: None, expected: None, by: by.to_owned(), repeatable: false };
    Landed { request, generation: when, at: at(when), stale: false }
}

fn looked(kind: Look, when: u64) -> Looked {
    Looked { session: "ann".to_owned(), component: "c0".to_owned(), at: at(when), kind }
}

fn learnt(session: &str, taken: bool, when: u64) -> Learnt {
    Learnt { session: session.to_owned(), component: "c0".to_owned(), at: at(when), taken }
}

fn report(id: &str, state: State) -> Report {
    let report = json!({
        "run": run(id),
        "plan": Digest::of_bytes(b"the plan"),
        "request": Asked::new(EnvironmentName::new("simulated").unwrap()),
        "state": state,
        "started_at": "2026-11-21T00:00:00Z",
        "ended_at": "2026-11-21T00:00:00Z",
        "components": {},
    });
    let mut report: Report = serde_json::from_value(report).unwrap();
    let (from, to) = (ToySnapshot::of(2).info(), ToySnapshot::of(1).info());
    let component = ComponentReport::new(state, "it is told", Some(from), to);
    report.components.insert(ComponentName::new("c0").unwrap(), component);
    report
}

fn component(report: &mut Report) -> &mut ComponentReport {
    report.components.values_mut().next().unwrap()
}

/// Release 2 runs; at 10 s ann's run sends, it lands at 11 s, is proven at 13 s, and told restored at 14 s.
fn sound() -> Facts {
    let moment = |when, release| Moment { at: at(when), everywhere: Some(release) };
    let fate = Fate {
        name: "c0".to_owned(),
        settings: Settings::default(),
        landed: vec![landed("pipeline", None, 1), landed("ann", Some(key(FIRST, "switch")), 11)],
        swept: Vec::new(),
        moments: vec![moment(0, 1), moment(1, 2), moment(11, 1)],
        everywhere: Some(1),
    };
    let restored = report(FIRST, State::Restored);
    Facts {
        fates: vec![fate],
        sent: vec![sent("ann", FIRST, "switch", 10)],
        looked: vec![looked(Look::Observe, 12), looked(Look::Prove, 13)],
        learnt: vec![learnt("ann", true, 8)],
        ended: vec![Ended { process: "ann".to_owned(), report: restored.clone(), at: at(14) }],
        stored: vec![restored],
        ..Facts::default()
    }
}

/// What the checks say once a sound history was changed.
fn found(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = sound();
    change(&mut facts);
    violations(&facts)
}

fn sees(text: &str, change: impl FnOnce(&mut Facts)) {
    let found = found(change);
    assert!(found.iter().any(|one| one.contains(text)), "{text:?} is not seen, but {found:?}");
}

/// Lets ann's run, and the store, say something else.
fn says(facts: &mut Facts, state: State) {
    let told = report(FIRST, state);
    facts.stored = vec![told.clone()];
    facts.ended[0].report = told;
}

#[test]
fn a_sound_history_passes() {
    assert_eq!(found(|_| {}), [""; 0]);
}

#[test]
fn an_effect_that_lands_twice_is_seen() {
    let twice = |facts: &mut Facts| {
        let again = landed("ann", Some(key(FIRST, "switch")), 12);
        facts.fates[0].landed.push(again);
    };
    sees("landed 2 times", twice);
    let in_parts = |facts: &mut Facts| {
        twice(facts);
        facts.fates[0].landed.iter_mut().for_each(|one| one.request.repeatable = true);
    };
    assert_eq!(found(in_parts), [""; 0], "bulk work may be repeated");
}

#[test]
fn only_the_one_request_of_a_frozen_process_is_excused() {
    let resent = |facts: &mut Facts| {
        facts.froze.insert("ann".to_owned());
        let (mine, other) = (sent("ann", FIRST, "switch", 10), sent("bob", FIRST, "switch", 40));
        facts.sent = vec![mine, other];
        facts.fates[0].landed = vec![
            landed("bob", Some(key(FIRST, "switch")), 41),
            landed("ann", Some(key(FIRST, "switch")), 90),
        ];
        facts.ended.clear();
    };
    assert_eq!(found(resent), [""; 0]);
    sees("landed 2 times", |facts| {
        resent(facts);
        facts.fates[0].settings = Settings::default().keeps_keys(true);
    });
    sees("landed 3 times", |facts| {
        resent(facts);
        facts.fates[0].landed.push(landed("ann", Some(key(FIRST, "switch")), 91));
    });
}

#[test]
fn an_effect_without_a_journal_is_seen() {
    sees("no journal had its intent", |facts| facts.sent[0].journalled = false);
    sees("no journal had its intent", |facts| facts.sent[0].at = at(12));
}

#[test]
fn an_error_after_an_effect_is_seen() {
    sees("got an error instead of a report, and acted", |facts| facts.refused.push("ann".to_owned()));
}

#[test]
fn a_caller_without_the_lease_is_seen() {
    sees("did not hold the target", |facts| facts.sent[0].authorised = false);
}

#[test]
fn sessions_that_interleave_are_seen() {
    sees("ann sent again after bob had sent", |facts| {
        facts.sent.push(sent("bob", SECOND, "switch", 30));
        facts.sent.push(sent("ann", FIRST, "more", 40));
    });
}

#[test]
fn more_than_one_late_effect_is_seen() {
    let late = |facts: &mut Facts, steps: &[&str]| {
        facts.froze.insert("ann".to_owned());
        facts.sent.push(sent("bob", SECOND, "switch", 30));
        facts.fates[0].landed.push(landed("bob", Some(key(SECOND, "switch")), 31));
        for step in steps {
            facts.sent.push(sent("ann", FIRST, step, 20));
            facts.fates[0].landed.push(landed("ann", Some(key(FIRST, step)), 40));
        }
        facts.sent.sort_by_key(|sent| sent.called);
    };
    assert_eq!(found(|facts| late(facts, &["more"])), [""; 0], "one request was authorised before");
    sees("after another process acted", |facts| late(facts, &["more", "most"]));
    sees("after another process acted", |facts| {
        late(facts, &["more"]);
        facts.fates[0].settings = Settings::default().refuses_stale_writers(true);
    });
    let part = |facts: &mut Facts, steps: &[&str]| {
        late(facts, steps);
        facts.fates[0].settings = Settings::default().refuses_stale_writers(true);
        facts.fates[0].landed.iter_mut().for_each(|one| one.request.repeatable = true);
    };
    assert_eq!(found(|facts| part(facts, &["more"])), [""; 0], "a convergence compares with what it sees");
    sees("after another process acted", |facts| part(facts, &["more", "most"]));
}

#[test]
fn going_on_without_the_lease_is_seen() {
    let looks = |facts: &mut Facts, count: u64| {
        facts.learnt.push(learnt("ann", false, 20));
        facts.looked.extend((0..count).map(|number| looked(Look::Observe, 21 + number)));
    };
    assert_eq!(found(|facts| looks(facts, 3)), [""; 0]);
    sees("looked 4 times after it lost the lease", |facts| looks(facts, 4));
    let again = |facts: &mut Facts| {
        looks(facts, 4);
        facts.learnt.push(learnt("ann", true, 21));
    };
    assert_eq!(found(again), [""; 0], "it took the lease anew");
}

#[test]
fn overtaking_a_request_is_seen() {
    let overtakes = |facts: &mut Facts, when| facts.sent[0].overtakes.push((at(when), key(SECOND, "switch")));
    sees("of an earlier run was on its way", |facts| overtakes(facts, 5));
    assert_eq!(found(|facts| overtakes(facts, 9)), [""; 0], "it came after the lease was taken");
}

#[test]
fn claims_that_are_not_true_are_seen() {
    sees("and the run acted", |facts| says(facts, State::Refused));
    sees("and the run acted", |facts| says(facts, State::AlreadyThere));
    sees("nobody proved that after its last effect", |facts| facts.looked.clear());
    sees("nobody proved that after its last effect", |facts| facts.fates[0].landed[1].at = at(14));
    sees("nobody proved that after its last effect", |facts| says(facts, State::FailedRestored));
    sees("nobody proved that after its last effect", |facts| facts.fates[0].moments[2].everywhere = None);
    sees("it does not run", |facts| facts.fates[0].everywhere = Some(2));
}

#[test]
fn a_refusal_is_true_where_only_a_frozen_process_acted_since() {
    let refused = |facts: &mut Facts, taken| {
        says(facts, State::Refused);
        facts.froze.insert("ann".to_owned());
        facts.ended[0].process = "bob".to_owned();
        facts.learnt.push(learnt("bob#1", true, taken));
    };
    assert_eq!(found(|facts| refused(facts, 10)), [""; 0]);
    sees("and the run acted", |facts| refused(facts, 12));
}

#[test]
fn what_others_did_since_is_no_lie() {
    let since = |facts: &mut Facts| {
        facts.fates[0].landed.push(landed("pipeline", None, 15));
        facts.fates[0].everywhere = Some(3);
    };
    assert_eq!(found(since), [""; 0]);
    let proven_by = |facts: &mut Facts, session: &str| {
        since(facts);
        facts.looked.push(Looked { session: session.to_owned(), ..looked(Look::Prove, 16) });
        facts.ended[0].at = at(17);
    };
    assert_eq!(found(|facts| proven_by(facts, "bob#0")), [""; 0], "the proof was another run's");
    sees("it does not run", |facts| proven_by(facts, "ann#0"));
}

#[test]
fn gates_that_are_passed_over_are_seen() {
    let gate = |facts: &mut Facts, state, passed| {
        says(facts, state);
        for report in [&mut facts.stored[0], &mut facts.ended[0].report] {
            component(report).gates.push(GateReport::new("it is well", passed, "seen"));
        }
    };
    sees("its gates say otherwise", |facts| gate(facts, State::Restored, false));
    sees("its gates say otherwise", |facts| gate(facts, State::RestoredUnhealthy, true));
    assert_eq!(found(|facts| gate(facts, State::RestoredUnhealthy, false)), [""; 0]);
}

#[test]
fn reports_that_do_not_agree_are_seen() {
    sees("its parts make", |facts| facts.ended[0].report.state = State::Partial);
    sees("was told restored", |facts| facts.stored = vec![report(FIRST, State::Partial)]);
    let unwritten = |facts: &mut Facts| {
        facts.stored = vec![report(FIRST, State::Partial)];
        let finding = Finding::warning("end-not-journalled", "the store is gone");
        component(&mut facts.ended[0].report).findings.push(finding);
    };
    assert_eq!(found(unwritten), [""; 0], "its end was not the last word");
    sees("the store has none", |facts| facts.stored.clear());
    sees("nobody else was there", |facts| facts.stored = vec![report(FIRST, State::Superseded)]);
}

#[test]
fn broken_glass_that_is_not_told_is_seen() {
    sees("does not say how ann worked", |facts| facts.glass.extend(["ann".to_owned()]));
    sees("does not say how ann worked", |facts| {
        facts.ended[0].report.break_glass = Some("the store is gone".to_owned());
    });
}
