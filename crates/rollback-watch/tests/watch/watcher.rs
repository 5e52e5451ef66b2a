//! The watcher over a simulated world, in virtual time.

use std::time::Duration;

use rollback_core::engine::Claim;
use rollback_core::environment::Automatic;
use rollback_core::ledger::{GoodMark, Trial};
use rollback_core::time::Lasting;
use rollback_core::{ErrorKind, State};
use rollback_watch::{Event, Onset, Settings, Verdict};

use crate::town::{MINUTE, Town, verdicts};

#[tokio::test(start_paused = true)]
async fn a_bad_deploy_is_seen_rolled_back_and_proven_with_nobody_touching_anything() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    let deployed = town.clock.monotonic();
    town.deploy_bad(3);
    let (incident, report) = watch.rolled_back().await;
    assert_eq!(report.state, State::Restored);
    assert_eq!(town.world.look().everywhere(), Some(2));
    // Two minutes is what the rule wants; one interval to see the first bad sample, and the rollback itself.
    let took = town.clock.monotonic() - deployed;
    assert!((120..=140).contains(&took.as_secs()), "{took:?}");
    let detected = incident.fired_at.duration_since(incident.since).as_secs();
    assert!((120..=130).contains(&detected), "within one interval of the rule's two minutes: {detected}");
    assert_eq!((incident.onset, incident.runs), (Onset::After, 1));
    assert_eq!(incident.bad.revision.as_str(), "r3");
    assert_eq!(incident.good.as_ref().unwrap().revision.as_str(), "r2");
    assert!(report.request.automatic);
    let answers = &incident.decisions.last().unwrap().decision.answers;
    assert!(answers.len() >= 12, "every question is in the record: {answers:?}");
    assert!(incident.samples[0].points.iter().filter(|point| point.bad == Some(true)).count() >= 12);
    let kept = town.incidents().await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].run, Some(report.run));
    // It is over, and what was put back has to earn it again.
    town.rest(MINUTE).await;
    assert!(town.incidents().await[0].over_at.is_some());
    assert!(
        town.engine("x").quarantine(&crate::town::web(), "r3", "x", None).await.unwrap()[0].run.is_some()
    );
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_stays_well_earns_it_and_what_is_not_known_does_not() {
    let town = Town::new().await;
    let watch = town.watch("one");
    town.world.deploy(3, "pipeline").unwrap();
    town.engine("ci").record(&crate::town::web(), &Claim::pending().by("ci")).await.unwrap();
    town.dark(true);
    town.rest(60 * MINUTE).await;
    assert_eq!(town.newest().await.trial, Some(Trial::Pending), "nobody knows how it is");
    town.dark(false);
    town.rest(14 * MINUTE).await;
    assert_eq!(town.newest().await.trial, Some(Trial::Pending), "not yet");
    town.rest(3 * MINUTE).await;
    let newest = town.newest().await;
    assert_eq!(newest.trial, None);
    assert!(matches!(newest.good, Some(GoodMark::Soaked { .. })), "{newest:?}");
    assert!(town.incidents().await.is_empty());
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ten_bad_deploys_are_rolled_back_twice_an_hour_and_then_somebody_is_called() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    let mut said = Vec::new();
    for release in 3..13 {
        town.deploy_bad(release);
        town.rest(5 * MINUTE).await;
        said.extend(verdicts(&watch.so_far()));
        // Whoever was called puts it right.
        if town.world.look().everywhere() == Some(release) {
            town.world.deploy(2, "ana").unwrap();
            town.rest(MINUTE).await;
        }
    }
    let acted = said.iter().filter(|verdict| **verdict == Verdict::Act).count();
    let called = said.iter().filter(|verdict| **verdict == Verdict::CallSomebody).count();
    assert_eq!((acted, called), (2, 8), "{said:?}");
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_is_never_rolled_back() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    // The world outside broke, and the good version fails as well.
    town.break_all();
    town.world.deploy(3, "pipeline").unwrap();
    // It was so before, as far as anybody can tell: let it look like the deploy's.
    town.heal();
    town.rest(MINUTE).await;
    town.break_all();
    let (_, report) = watch.rolled_back().await;
    assert_eq!(report.state, State::Restored);
    town.rest(30 * MINUTE).await;
    let verdicts = verdicts(&watch.so_far());
    assert_eq!(verdicts.last(), Some(&Verdict::CallSomebody), "{verdicts:?}");
    assert!(!verdicts.contains(&Verdict::Act), "{verdicts:?}");
    let newest = town.incidents().await.remove(0);
    let why = newest.decisions.last().unwrap().decision.because().unwrap().question.clone();
    assert!(why.contains("result of a rollback"), "{why}");
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_deploy_ever_needs_a_person() {
    let town = Town::empty().await;
    let mut watch = town.watch("one");
    town.deploy_bad(3);
    town.rest(10 * MINUTE).await;
    assert_eq!(verdicts(&watch.so_far()), [Verdict::CallSomebody]);
    let incident = town.incidents().await.remove(0);
    let because = incident.decisions[0].decision.because().unwrap();
    assert!(because.question.contains("which other version"), "{because:?}");
    assert_eq!(town.effects(), 0);
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_watchers_one_acts() {
    let town = Town::new().await;
    let (mut one, mut two) = (town.watch("one"), town.watch("two"));
    town.rest(5 * MINUTE).await;
    town.deploy_bad(3);
    town.rest(20 * MINUTE).await;
    let ended =
        |events: &[Event]| events.iter().filter(|event| matches!(event, Event::RolledBack { .. })).count();
    assert_eq!(ended(&one.so_far()) + ended(&two.so_far()), 1);
    assert_eq!(town.effects(), 1, "one request went out");
    let incidents = town.incidents().await;
    assert_eq!((incidents.len(), incidents[0].runs), (1, 1));
    assert_eq!(incidents[0].state, Some(State::Restored));
    one.stop().await;
    two.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_is_killed_is_followed_by_the_next() {
    // At every second of the two minutes and of the rollback after them.
    for seconds in (100..180).step_by(7) {
        let town = Town::slow().await;
        let watch = town.watch("one");
        town.rest(5 * MINUTE).await;
        town.deploy_bad(3);
        town.rest(Duration::from_secs(seconds)).await;
        watch.kill().await;
        let next = town.watch("two");
        town.rest(15 * MINUTE).await;
        assert_eq!(town.world.look().everywhere(), Some(2), "killed after {seconds} s");
        let acted: Vec<_> = town.incidents().await.into_iter().filter(|one| one.acted_at.is_some()).collect();
        assert_eq!(acted.len(), 1, "killed after {seconds} s");
        assert_eq!(acted[0].state, Some(State::Restored), "killed after {seconds} s: {acted:?}");
        assert_eq!(town.effects(), 1, "killed after {seconds} s");
        next.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_evidence_nothing_is_done() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    town.world.deploy(3, "pipeline").unwrap();
    // A flapping probe.
    for _ in 0..60 {
        town.break_all();
        town.rest(Duration::from_secs(10)).await;
        town.heal();
        town.rest(Duration::from_secs(10)).await;
    }
    // A source that says nothing.
    town.dark(true);
    town.rest(60 * MINUTE).await;
    town.dark(false);
    // A source that does not even answer.
    town.hang(true);
    town.rest(60 * MINUTE).await;
    assert!(verdicts(&watch.so_far()).is_empty(), "{:?}", watch.so_far());
    assert_eq!(town.effects(), 0);
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_fires_nothing() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    town.deploy_bad(3);
    town.rest(MINUTE).await;
    town.jump(Lasting::from_secs(7 * 86_400));
    town.rest(Duration::from_secs(30)).await;
    assert!(verdicts(&watch.so_far()).is_empty(), "ninety seconds are no two minutes");
    town.rest(MINUTE).await;
    assert_eq!(verdicts(&watch.so_far()), [Verdict::Act]);
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_bad_before_the_deploy_is_not_its_fault() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    town.break_all();
    town.rest(MINUTE).await;
    town.world.deploy(3, "pipeline").unwrap();
    town.rest(10 * MINUTE).await;
    assert_eq!(town.effects(), 0);
    let incident = town.incidents().await.remove(0);
    assert_eq!(incident.onset, Onset::Before);
    assert_eq!(verdicts(&watch.so_far()).last(), Some(&Verdict::CallSomebody));
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn neighbours_that_nobody_changed_speak_against_it() {
    let town = Town::new().await;
    let mut watch = town.watch_with_neighbour("one");
    town.rest(5 * MINUTE).await;
    town.break_neighbour();
    town.rest(Duration::from_secs(20)).await;
    town.deploy_bad(3);
    town.rest(4 * MINUTE).await;
    assert_eq!(town.effects(), 0);
    let web = town.incidents().await.into_iter().find(|one| one.component == crate::town::web()).unwrap();
    let because = web.decisions[0].decision.because().unwrap().clone();
    assert!(because.question.contains("unchanged") && because.answer.contains("api"), "{because:?}");
    assert!(!watch.so_far().is_empty());
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_is_only_written_down_and_switched_on_it_is_done() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    let switches = town.switches();
    let now = town.clock.now();
    let until = Lasting::from_secs(1_800).after(now);
    switches.off(Some(crate::town::web()), Some(until), "a migration", "ana", now).await.unwrap();
    let wrong = switches.off(None, Some(now), "x", "ana", now).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Invalid);
    assert_eq!(switches.all(now).await.unwrap().len(), 1);
    town.deploy_bad(3);
    town.rest(20 * MINUTE).await;
    assert_eq!(verdicts(&watch.so_far()), [Verdict::Record]);
    let (_, report) = watch.rolled_back().await;
    assert_eq!(report.state, State::Restored, "once the time is over");
    assert!(report.started_at >= until);
    assert!(switches.on(Some(&crate::town::web())).await.unwrap());
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_wants_to_be_asked_is() {
    let town = Town::new().await.automatic(Automatic::Propose);
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    town.deploy_bad(3);
    town.rest(20 * MINUTE).await;
    let events = watch.so_far();
    assert_eq!(verdicts(&events), [Verdict::Propose]);
    assert!(events.iter().any(|event| matches!(event, Event::Overdue { .. })), "five minutes are over");
    assert_eq!(town.effects(), 0);
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_gave_up_before_anything_changed_is_only_written_down() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(20 * MINUTE).await;
    town.give_up(true);
    town.rest(10 * MINUTE).await;
    assert_eq!(verdicts(&watch.so_far()), [Verdict::Record]);
    assert_eq!(town.effects(), 0);
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn it_can_be_tuned() {
    let town = Town::new().await;
    let mut settings = Settings::default();
    settings.budget = 0;
    let mut watch = town.watch_as("one", settings);
    town.rest(5 * MINUTE).await;
    town.deploy_bad(3);
    town.rest(5 * MINUTE).await;
    assert_eq!(verdicts(&watch.so_far()), [Verdict::CallSomebody]);

    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_good_for_long_is_not_put_back_when_the_world_breaks() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.world.deploy(3, "pipeline").unwrap();
    town.rest(20 * MINUTE).await;
    assert!(town.newest().await.is_good(), "r3 has earned it");
    town.break_all();
    town.rest(10 * MINUTE).await;
    assert_eq!(verdicts(&watch.so_far()), [Verdict::CallSomebody]);
    let because = town.incidents().await[0].decisions[0].decision.because().unwrap().clone();
    assert!(because.question.contains("has what runs earned"), "{because:?}");
    assert_eq!(town.effects(), 0);
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_begins_while_it_is_deployed_is_the_deploys() {
    let town = Town::new().await;
    let mut watch = town.watch("one");
    town.rest(5 * MINUTE).await;
    // The old process is stopped, and only then the new version shows.
    town.break_all();
    town.rest(Duration::from_secs(15)).await;
    town.world.deploy(3, "pipeline").unwrap();
    town.rest(90 * Duration::from_secs(1)).await;
    assert_eq!(town.effects(), 0, "two minutes are not over");
    town.rest(Duration::from_secs(30)).await;
    assert_eq!(verdicts(&watch.so_far())[..1], [Verdict::Act]);
    watch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_put_back_is_not_blamed_for_what_was_there_before() {
    for town in [Town::new().await, Town::slow().await] {
        let (mut one, mut two) = (town.watch_closely("one"), town.watch_closely("two"));
        town.rest(5 * MINUTE).await;
        town.deploy_bad(3);
        town.rest(20 * MINUTE).await;
        let mut said = verdicts(&one.so_far());
        said.extend(verdicts(&two.so_far()));
        assert_eq!(said, [Verdict::Act], "nobody is called for what was put right");
        let incidents = town.incidents().await;
        assert_eq!(incidents.len(), 1, "{incidents:#?}");
        one.stop().await;
        two.stop().await;
    }
}

/// The version before is what it is measured with, also by a process that never saw that.
#[tokio::test(start_paused = true)]
async fn what_was_usual_outlives_the_watcher() {
    let town = Town::new().await;
    let mut watch = town.watch_latency("one");
    town.rest(20 * MINUTE).await;
    town.deploy_slow(3);
    let (incident, _) = watch.rolled_back().await;
    assert_eq!(
        incident.detail,
        "latency_ms is 90, above 3 times 12, which was usual before the deploy (HTTP 200)"
    );
    watch.stop().await;

    let town = Town::new().await;
    let watch = town.watch_latency("one");
    town.rest(20 * MINUTE).await;
    watch.kill().await;
    town.deploy_slow(3);
    town.rest(5 * MINUTE).await;
    let mut watch = town.watch_latency("two");
    let (incident, report) = watch.rolled_back().await;
    assert_eq!((incident.onset, report.state), (Onset::Unknown, State::Restored));
    // What was put back is measured with the same, and not with what was bad.
    town.rest(5 * MINUTE).await;
    town.deploy_slow(4);
    let (incident, _) = watch.rolled_back().await;
    assert_eq!(incident.bad.revision.as_str(), "r4");
    watch.stop().await;
}
