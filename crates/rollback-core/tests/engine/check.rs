//! Could it be rolled back right now? And what pipelines ask before they ship.

use std::time::Duration;

use rollback_core::engine::{Check, CheckRequest, Verdict};
use rollback_core::target::Severity;
use rollback_core::{Approval, Engine, ErrorKind, State};
use rollback_testkit::sim::Settings;

use crate::setup::{Setup, ended, name, plan, run};

async fn check(engine: &Engine, to: Option<&str>) -> Check {
    let request = CheckRequest::default();
    let request = to.map_or(request.clone(), |to| request.to(to.parse().unwrap()));
    engine.check(&name("web"), &request).await.unwrap()
}

fn codes(check: &Check, severity: Severity) -> Vec<&str> {
    let found = check.findings.iter().filter(|finding| finding.severity == severity);
    found.map(|finding| finding.code.as_str()).collect()
}

fn to(check: &Check) -> Option<&str> {
    check.to.as_ref().map(|to| to.revision.as_str())
}

#[tokio::test(start_paused = true)]
async fn what_could_be_rolled_back_says_where_to_and_how() {
    let setup = Setup::new(Settings::default()).await;
    let found = check(&setup.engine("ana"), None).await;
    assert_eq!((found.verdict, to(&found)), (Verdict::Ready, Some("r2")), "{found:#?}");
    assert_eq!(found.from.unwrap().revision.as_str(), "r3");
    assert!(found.strategy.is_some());
    assert_eq!(setup.effects(), 0);
    assert!(setup.engine("ana").runs(1).await.unwrap().is_empty(), "nothing is saved");
}

#[tokio::test(start_paused = true)]
async fn while_the_last_good_one_runs_the_way_to_the_one_before_is_checked() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    ended(&run(&engine, &setup.request(None)).await, State::Restored);
    setup.deploy(4).await;
    engine.record(&name("web"), &rollback_core::engine::Claim::good().by("ana")).await.unwrap();
    let found = check(&engine, None).await;
    assert_eq!((found.verdict, to(&found)), (Verdict::Ready, Some("r2")), "{found:#?}");
    assert!(codes(&found, Severity::Info).contains(&"last-good-runs"));
    let found = check(&engine, Some("last-good")).await;
    assert!(found.already_there && found.verdict == Verdict::Ready, "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_blocks() {
    let setup = Setup::new(Settings::default()).await;
    setup.world.remove(2);
    let found = check(&setup.engine("ana"), Some("last-good")).await;
    assert_eq!(found.verdict, Verdict::Blocked);
    assert!(codes(&found, Severity::Blocker).contains(&"artifact-missing"), "{found:#?}");
    let error = setup
        .engine("ana")
        .check(&name("web"), &CheckRequest::default().to("revision=r9".parse().unwrap()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_nobody_else_sees_blocks_where_apply_would_refuse() {
    let mut setup = Setup::new(Settings::default()).await;
    setup.environment = setup.environment.confirm("DO IT");
    let found = check(&setup.engine("ana"), None).await;
    assert_eq!(codes(&found, Severity::Blocker), ["store-not-shared"]);
    let planned = plan(&setup.engine("ana"), &setup.request(None)).await;
    let refused = setup.engine("ana").apply(&planned, &Approval::yes().phrase("DO IT")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_on_is_told() {
    let setup = Setup::new(Settings::default().parts(6).rollout(Duration::from_secs(20))).await;
    let ana = setup.engine("ana");
    let planned = plan(&ana, &setup.request(None)).await;
    let running = tokio::spawn(async move { ana.apply(&planned, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(5)).await;
    let found = check(&setup.engine("ben"), Some("revision=r1")).await;
    assert!(codes(&found, Severity::Warning).contains(&"held"), "{found:#?}");
    ended(&running.await.unwrap().unwrap(), State::Restored);
}

#[tokio::test(start_paused = true)]
async fn what_is_under_quarantine_may_not_be_shipped() {
    let setup = Setup::new(Settings::default()).await;
    let (engine, web) = (setup.engine("ana"), name("web"));
    let before = engine.admits(&web, "r3").await.unwrap();
    assert!(before.allowed && !before.states.is_empty(), "{before:?}");
    let unknown = engine.admits(&web, "r99").await.unwrap();
    assert!(unknown.allowed && unknown.states.is_empty(), "{unknown:?}");

    let report = run(&engine, &setup.request(None)).await;
    let refused = engine.admits(&web, "r3").await.unwrap();
    assert!(!refused.allowed);
    assert_eq!(refused.quarantine[0].run, Some(report.run));
    let identity = refused.quarantine[0].identity;
    assert!(!engine.admits(&web, &identity.short()).await.unwrap().allowed);
    assert!(!engine.admits(&web, &identity.to_string()).await.unwrap().allowed);

    let lifted = engine.lift_quarantine(&web, "r3", "fixed by configuration", Some("ben")).await.unwrap();
    assert_eq!(lifted, refused.quarantine);
    assert!(engine.admits(&web, "r3").await.unwrap().allowed);
    let kept = engine.ledger(&web).await.unwrap().lifted().await.unwrap();
    assert_eq!((kept[0].by.as_str(), kept[0].reason.as_str()), ("ben", "fixed by configuration"));
    let error = engine.lift_quarantine(&web, "r3", "again", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_version_known_to_be_bad_is_put_under_quarantine_by_hand() {
    let setup = Setup::new(Settings::default()).await;
    let (engine, web) = (setup.engine("ana"), name("web"));
    let entries = engine.quarantine(&web, "r2", "leaks memory", Some("ana")).await.unwrap();
    assert_eq!((entries.len(), entries[0].describe().contains("leaks memory (by ana")), (1, true));
    let again = engine.quarantine(&web, "r2", "another reason", None).await.unwrap();
    assert_eq!(again, entries, "the first reason stays");
    assert_eq!(engine.ledger(&web).await.unwrap().last_good().await.unwrap(), None);
    let error = engine.quarantine(&web, "r99", "unheard of", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = engine.quarantine(&web, "r1", "two\nlines", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
