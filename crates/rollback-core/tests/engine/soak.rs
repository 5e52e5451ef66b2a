//! What was proven is watched, and must stay so.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::engine::Claim;
use rollback_core::ledger::GoodMark;
use rollback_core::report::GateReport;
use rollback_core::time::Lasting;
use rollback_core::{Approval, Report, Request, State};
use rollback_testkit::sim::{Settings, ToyTarget, World};
use tokio_util::sync::CancellationToken;

use crate::setup::{Setup, ended, gate, name, plan, run};

const SOAK: Lasting = Lasting::from_secs(300);

async fn soaking() -> (Setup, Request) {
    let setup = Setup::new(Settings::default().parts(2).rollout(Duration::from_secs(5))).await;
    let request = setup.request(None).soak(Some(SOAK));
    (setup, request)
}

/// Runs, and does something to the world once it is proven and watched.
async fn meanwhile(setup: &Setup, request: &Request, does: impl FnOnce(&World)) -> Report {
    let engine = setup.engine("ana");
    let plan = plan(&engine, request).await;
    let running = tokio::spawn(async move { engine.apply(&plan, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(90)).await;
    assert_eq!(setup.world.look().everywhere(), Some(2), "it has arrived");
    does(&setup.world);
    running.await.unwrap().unwrap()
}

fn soak_of(report: &Report) -> &GateReport {
    report.components[&name("web")].gates.iter().find(|gate| gate.name == "soak").unwrap()
}

fn lasted(report: &Report) -> i64 {
    report.ended_at.duration_since(report.started_at).as_secs()
}

#[tokio::test(start_paused = true)]
async fn what_stays_well_is_proven_twice_and_has_earned_it() {
    let (setup, request) = soaking().await;
    let engine = setup.engine("ana");
    let report = run(&engine, &request).await;
    ended(&report, State::Restored);
    assert!(soak_of(&report).passed);
    assert!((300..330).contains(&lasted(&report)), "{}", lasted(&report));
    let summary = &report.components[&name("web")].summary;
    assert!(summary.ends_with("runs on 2 parts, proven, and again after 5m"), "{summary}");
    let proofs = engine.run(report.run).await.unwrap().journal[&name("web")]
        .iter()
        .filter(|(_, line)| line.starts_with("proven on"))
        .count();
    assert_eq!(proofs, 2);
    let newest = engine.ledger(&name("web")).await.unwrap().deployments().await.unwrap().remove(0);
    assert!(matches!(newest.good, Some(GoodMark::Soaked { lasting: SOAK, .. })), "{newest:?}");
}

#[tokio::test(start_paused = true)]
async fn the_environment_says_so_and_a_request_may_say_otherwise() {
    let (mut setup, _) = soaking().await;
    setup.environment = setup.environment.clone().soak(SOAK);
    let hasty = run(&setup.engine("ana"), &setup.request(None).soak(Some(Lasting::from_secs(0)))).await;
    ended(&hasty, State::Restored);
    assert!(lasted(&hasty) < 60 && hasty.components[&name("web")].gates.is_empty());
    setup.deploy(4).await;
    let report = run(&setup.engine("ana"), &setup.request(Some("version=1.2.0"))).await;
    ended(&report, State::Restored);
    assert!(lasted(&report) >= 300);
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_the_proof_is_told_at_once() {
    let (setup, request) = soaking().await;
    let report = meanwhile(&setup, &request, World::restart_part).await;
    ended(&report, State::RestoredUnhealthy);
    assert!(soak_of(&report).detail.contains("started again 1 time"), "{:?}", soak_of(&report));
    assert!(lasted(&report) < 120, "{}", lasted(&report));
    let ledger = setup.engine("ana").ledger(&name("web")).await.unwrap();
    assert!(ledger.quarantined().await.unwrap().is_empty(), "what was left may be better");
    assert!(!ledger.deployments().await.unwrap()[0].is_good());
}

#[tokio::test(start_paused = true)]
async fn what_is_scaled_to_nothing_does_not_stay() {
    let (setup, request) = soaking().await;
    let report = meanwhile(&setup, &request, |world| world.scale(0)).await;
    assert!(!report.state.is_success(), "{}", report.state);
    assert!(!soak_of(&report).passed);
}

#[tokio::test(start_paused = true)]
async fn a_deploy_of_somebody_else_is_not_fought() {
    let (setup, request) = soaking().await;
    let effects = setup.effects();
    let report = meanwhile(&setup, &request, |world| world.deploy(5, "colleague").unwrap()).await;
    ended(&report, State::Superseded);
    assert_eq!(setup.effects() - effects, 1);
}

#[tokio::test(start_paused = true)]
async fn what_failed_a_gate_is_not_watched_as_well() {
    let (setup, request) = soaking().await;
    let engine = setup.builder("ana").gate(gate("bad", r#"{"within":"30s","every":"1s"}"#)).build();
    let report = run(&engine, &request).await;
    ended(&report, State::RestoredUnhealthy);
    assert!(lasted(&report) < 120 && report.components[&name("web")].gates.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn stopped_on_request_it_says_what_is_known() {
    let (setup, request) = soaking().await;
    let cancel = CancellationToken::new();
    let engine = setup.builder("ana").cancel(cancel.clone()).build();
    let plan = plan(&engine, &request).await;
    let running = tokio::spawn(async move { engine.apply(&plan, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(90)).await;
    cancel.cancel();
    let report = running.await.unwrap().unwrap();
    ended(&report, State::RestoredUnhealthy);
    assert!(soak_of(&report).detail.starts_with("stopped on request"));
}

#[tokio::test(start_paused = true)]
async fn cut_off_while_it_is_watched_it_is_watched_anew() {
    let (setup, request) = soaking().await;
    let engine = setup.engine("ana");
    let plan = plan(&engine, &request).await;
    let running = tokio::spawn(async move { engine.apply(&plan, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(200)).await;
    running.abort();
    let _ = running.await;
    let engine = setup.engine("bob");
    let cut_off = engine.runs(1).await.unwrap()[0].run;
    let report = engine.resume(cut_off).await.unwrap();
    ended(&report, State::Restored);
    assert!(lasted(&report) >= 500, "{}", lasted(&report));
    assert_eq!(setup.effects(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_it_does_not_wait_for_the_soak() {
    let setup = Setup::new(Settings::default()).await;
    let db = World::new(Settings::default(), Arc::clone(&setup.clock));
    let engine = setup
        .builder("ana")
        .component(name("db"), ToyTarget::new("db", db.clone()).erase())
        .after(name("web"), name("db"))
        .build();
    db.deploy(2, "pipeline").unwrap();
    engine.record(&name("db"), &Claim::good()).await.unwrap();
    db.deploy(3, "pipeline").unwrap();
    let report = run(&engine, &setup.request(None).component(name("db"), None).soak(Some(SOAK))).await;
    ended(&report, State::Restored);
    assert!(
        (300..360).contains(&lasted(&report)),
        "{}: one after the other takes twice as long",
        lasted(&report)
    );
}
