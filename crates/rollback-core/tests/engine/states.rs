//! Every terminal state, each from a fault that makes it true.

use std::time::Duration;

use rollback_core::engine::Claim;
use rollback_core::{ErrorKind, OnFailure, State};
use rollback_testkit::sim::{Settings, Trouble, Way};
use tokio_util::sync::CancellationToken;

use crate::setup::{Setup, ended, gate, name, plan, run};

#[tokio::test(start_paused = true)]
async fn restored_to_the_last_good_release() {
    let setup = Setup::new(Settings::default().parts(3).rollout(Duration::from_secs(5))).await;
    let engine = setup.engine("ana");
    let report = run(&engine, &setup.request(None)).await;
    ended(&report, State::Restored);
    assert_eq!(setup.world.look().everywhere(), Some(2));
    assert_eq!(setup.effects(), 1);

    let ledger = engine.ledger(&name("web")).await.unwrap();
    let newest = &ledger.deployments().await.unwrap()[0];
    assert_eq!(newest.made_by, Some(report.run));
    assert!(!newest.is_good(), "a rollback must earn being good again");
    assert_eq!(ledger.quarantined().await.unwrap()[0].label, "r3 (1.3.0)");
    let left = &ledger.deployments().await.unwrap()[1];
    assert_eq!((left.snapshot.info.label().as_str(), left.left_by), ("r3 (1.3.0)", Some(report.run)));
    let details = engine.run(report.run).await.unwrap();
    assert_eq!(details.report.as_ref(), Some(&report));
    assert!(details.journal[&name("web")].iter().any(|(_, line)| line.contains("proven on 3 parts")));
}

#[tokio::test(start_paused = true)]
async fn already_there_does_nothing() {
    let setup = Setup::new(Settings::default()).await;
    setup.deploy(2).await;
    let report = run(&setup.engine("ana"), &setup.request(Some("last-good"))).await;
    ended(&report, State::AlreadyThere);
    assert_eq!(setup.effects(), 0);
}

#[tokio::test(start_paused = true)]
async fn refused_when_the_world_moved_since_the_plan() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    let plan = plan(&engine, &setup.request(None)).await;
    setup.deploy(4).await;
    let report = engine.apply(&plan, &rollback_core::Approval::yes()).await.unwrap();
    ended(&report, State::Refused);
    assert_eq!((setup.effects(), setup.world.look().everywhere()), (0, Some(4)));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_request_is_sent_again() {
    let setup = Setup::new(Settings::default()).await;
    setup.world.trouble([Trouble::Refuse, Trouble::Refuse]);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    ended(&report, State::Restored);
    assert_eq!(setup.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out_and_not_sent_again() {
    for keeps_keys in [false, true] {
        for trouble in
            [Trouble::LoseAnswer, Trouble::LoseRequest, Trouble::Delay(Some(Duration::from_secs(3)))]
        {
            let lag = Duration::from_secs(10);
            let setup = Setup::new(Settings::default().keeps_keys(keeps_keys).lag(lag)).await;
            setup.world.trouble([trouble]);
            let report = run(&setup.engine("ana"), &setup.request(None)).await;
            ended(&report, State::Restored);
            assert_eq!(setup.effects(), 1, "{trouble:?}, keeps keys: {keeps_keys}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_lands_leaves_the_origin_proven() {
    let setup = Setup::new(Settings::default()).await;
    setup.world.trouble([Trouble::Refuse; 40]);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    ended(&report, State::FailedRestored);
    assert_eq!((setup.effects(), setup.world.look().everywhere()), (0, Some(3)));
    assert!(!report.components[&name("web")].errors.is_empty(), "the report says why");
}

#[tokio::test(start_paused = true)]
async fn an_alternative_is_used_when_the_chosen_way_is_refused() {
    let setup = Setup::new(Settings::default().parts(2).way(Way::SwitchOrParts)).await;
    setup.world.trouble([Trouble::Refuse; 4]);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    ended(&report, State::Restored);
    assert_eq!(setup.effects(), 2, "one for each part");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_fails_is_held_by_default() {
    let setup = Setup::new(Settings::default().parts(2).rollout(Duration::from_secs(5))).await;
    setup.world.sicken(2);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    assert!(matches!(report.state, State::Partial | State::Stuck), "{}", report.state);
    assert!(!report.components[&name("web")].next.is_empty(), "an operator is told what to do");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_fails_goes_back_by_choice() {
    let setup = Setup::new(Settings::default().parts(2).rollout(Duration::from_secs(5))).await;
    setup.world.sicken(2);
    let report = run(&setup.engine("ana"), &setup.request(None).on_failure(OnFailure::Back)).await;
    ended(&report, State::FailedRestored);
    assert_eq!(setup.world.look().everywhere(), Some(3));
    let ledger = setup.engine("ana").ledger(&name("web")).await.unwrap();
    assert!(
        ledger.quarantined().await.unwrap().is_empty(),
        "nothing is quarantined without a proven rollback"
    );
}

#[tokio::test(start_paused = true)]
async fn a_half_done_convergence_is_repaired() {
    let setup = Setup::new(Settings::default().parts(4).way(Way::Sync)).await;
    setup.world.trouble([Trouble::Pass, Trouble::Pass, Trouble::LoseAnswer]);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    ended(&report, State::Restored);
    assert_eq!(setup.world.look().everywhere(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_is_not_repaired() {
    let setup = Setup::new(Settings::default().parts(3).way(Way::PartByPart)).await;
    // A repair would be let through.
    setup.world.trouble([Trouble::Pass, Trouble::Deny]);
    let engine = setup.engine("ana");
    let report = run(&engine, &setup.request(None)).await;
    assert_eq!(report.state, State::Partial, "{report:?}");
    assert_eq!(setup.effects(), 1, "one part is changed");
    let errors = &report.components[&name("web")].errors;
    assert!(errors.iter().any(|error| error.kind == ErrorKind::Denied), "the report says why: {errors:?}");
    let journal = &engine.run(report.run).await.unwrap().journal[&name("web")];
    assert!(!journal.iter().any(|(_, line)| line.contains("repairs with")), "{journal:?}");
    // Once it is allowed, the same request goes on.
    let report = run(&engine, &setup.request(Some("revision=r2"))).await;
    ended(&report, State::Restored);
}

#[tokio::test(start_paused = true)]
async fn no_replica_is_never_restored() {
    let setup = Setup::new(Settings::default()).await;
    setup.world.scale(0);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    assert!(!report.state.is_success(), "{}", report.state);
}

#[tokio::test(start_paused = true)]
async fn a_failed_gate_is_told_apart_from_success() {
    let setup = Setup::new(Settings::default()).await;
    let bad = gate("bad", r#"{"within":"30s","every":"1s"}"#);
    let engine = setup.builder("ana").gate(bad).build();
    let report = run(&engine, &setup.request(None)).await;
    ended(&report, State::RestoredUnhealthy);
    assert_eq!(setup.world.look().everywhere(), Some(2));
    assert!(engine.ledger(&name("web")).await.unwrap().quarantined().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_passed_gate_lasts_as_long_as_it_must() {
    let setup = Setup::new(Settings::default()).await;
    let good = gate("good", r#"{"lasting":"15m","within":"1h","every":"10s"}"#);
    let report = run(&setup.builder("ana").gate(good).build(), &setup.request(None)).await;
    ended(&report, State::Restored);
    let lasted = report.ended_at.duration_since(report.started_at);
    assert!(lasted.as_mins() >= 15, "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_deploy_during_the_rollout_is_not_fought() {
    let setup = Setup::new(Settings::default().parts(4).rollout(Duration::from_secs(20))).await;
    let engine = setup.engine("ana");
    let plan = plan(&engine, &setup.request(None)).await;
    let running = tokio::spawn(async move { engine.apply(&plan, &rollback_core::Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(25)).await;
    setup.world.deploy(5, "colleague").unwrap();
    let report = running.await.unwrap().unwrap();
    ended(&report, State::Superseded);
    assert_eq!(setup.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn cancelling_stops_between_effects_and_says_where() {
    let setup = Setup::new(Settings::default().parts(4).rollout(Duration::from_secs(20))).await;
    let cancel = CancellationToken::new();
    let engine = setup.builder("ana").cancel(cancel.clone()).build();
    let plan = plan(&engine, &setup.request(None)).await;
    let running = tokio::spawn(async move { engine.apply(&plan, &rollback_core::Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(5)).await;
    cancel.cancel();
    let report = running.await.unwrap().unwrap();
    ended(&report, State::Cancelled);
    assert!(report.components[&name("web")].summary.contains("part of the way"));
    // The lease was given back: the next run need not wait.
    let again = run(&setup.engine("ben"), &setup.request(None)).await;
    ended(&again, State::Restored);
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_cannot_be_found_out_ends_as_stuck() {
    // Delayed for ever, in a world without keys: as long as nothing moves, a probe says "not applied" and the engine
    // sends again; when the first request lands later, the second was already there.
    let setup = Setup::new(Settings::default().keeps_keys(true).lag(Duration::from_secs(5))).await;
    setup.world.trouble([Trouble::Delay(None)]);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    ended(&report, State::Restored);
    setup.world.deliver();
    assert_eq!(setup.effects(), 1, "the late request is known by its key");
}

#[tokio::test(start_paused = true)]
async fn rolling_back_twice_goes_on_to_an_older_release_only_when_asked() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    ended(&run(&engine, &setup.request(None)).await, State::Restored);
    ended(&run(&engine, &setup.request(None)).await, State::AlreadyThere);
    let report = run(&engine, &setup.request(Some("previous"))).await;
    ended(&report, State::Restored);
    assert_eq!(setup.world.look().everywhere(), Some(1), "never the release that was rolled back from");
    let claim = engine.record(&name("web"), &Claim::good()).await.unwrap();
    assert!(claim.is_good());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_good_and_under_quarantine_at_once() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    ended(&run(&engine, &setup.request(None)).await, State::Restored);
    setup.deploy(3).await;
    let error = engine.record(&name("web"), &Claim::good()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    let lifted = engine.record(&name("web"), &Claim::good().lift_quarantine(true)).await.unwrap();
    assert!(lifted.is_good());
    let ledger = engine.ledger(&name("web")).await.unwrap();
    assert!(ledger.quarantined().await.unwrap().is_empty());
    assert_eq!(ledger.last_good().await.unwrap().unwrap().snapshot.info.label(), "r3 (1.3.0)");
}

#[tokio::test(start_paused = true)]
async fn parts_are_changed_in_batches_and_a_failure_starts_no_further_one() {
    let setup = Setup::new(Settings::default().parts(5).way(Way::Batches)).await;
    ended(&run(&setup.engine("ana"), &setup.request(None)).await, State::Restored);
    assert_eq!((setup.effects(), setup.world.look().everywhere()), (5, Some(2)));

    let setup = Setup::new(Settings::default().parts(5).way(Way::Batches)).await;
    // The first batch lands; in the second one part is refused each time, in the repairs too.
    setup.world.trouble([Trouble::Pass, Trouble::Pass, Trouble::Pass]);
    setup.world.trouble([Trouble::Refuse; 60]);
    let report = run(&setup.engine("ana"), &setup.request(None)).await;
    ended(&report, State::Partial);
    assert_eq!(setup.effects(), 3, "the fifth part was not begun");
    assert!(report.components[&name("web")].summary.contains("3 of 5 parts"), "{report:?}");
}
