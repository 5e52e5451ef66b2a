//! What is recorded when it is deployed, and earns being good by being watched.

use rollback_core::engine::Claim;
use rollback_core::environment::Automatic;
use rollback_core::ledger::{Deployment, GoodMark, Trial};
use rollback_core::time::Lasting;
use rollback_core::{Approval, Engine, ErrorKind, Identity, State, Version};
use rollback_testkit::sim::Settings;

use crate::setup::{Setup, ended, name, plan, run};

const SOAK: Lasting = Lasting::from_secs(900);

async fn newest(engine: &Engine) -> Deployment {
    engine.ledger(&name("web")).await.unwrap().deployments().await.unwrap().remove(0)
}

async fn pending(setup: &Setup) -> (Engine, Identity) {
    let engine = setup.engine("ci");
    let claim = Claim::pending().by("ci").version(Version::new("v3").unwrap());
    let claim = claim.commit(Version::new("abc123d").unwrap());
    let recorded = engine.record(&name("web"), &claim).await.unwrap();
    assert_eq!(recorded, newest(&engine).await);
    (engine, recorded.snapshot.info.identity)
}

#[tokio::test(start_paused = true)]
async fn what_was_deployed_is_recorded_with_all_that_is_said_of_it() {
    let setup = Setup::new(Settings::default()).await;
    let (engine, _) = pending(&setup).await;
    let recorded = newest(&engine).await;
    assert_eq!(recorded.trial, Some(Trial::Pending));
    assert_eq!(recorded.commit.as_ref().map(Version::as_str), Some("abc123d"));
    assert_eq!(recorded.environment.as_ref().map(ToString::to_string).as_deref(), Some("test"));
    assert_eq!(recorded.recorded_by, "ci");
    assert!(!recorded.proven && recorded.good.is_none());
    // Said twice, it is one record.
    let (engine, _) = pending(&setup).await;
    assert_eq!(engine.ledger(&name("web")).await.unwrap().deployments().await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_may_still_be_on_its_way() {
    let setup = Setup::new(Settings::default().parts(3).rollout(std::time::Duration::from_secs(60))).await;
    setup.world.deploy(1, "pipeline").unwrap();
    let engine = setup.engine("ci");
    let recorded = engine.record(&name("web"), &Claim::pending()).await.unwrap();
    assert_eq!(recorded.snapshot.info.revision.as_str(), "r1", "not what it leaves");
    let refused = engine.promote(&name("web"), recorded.snapshot.info.identity, SOAK).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unhealthy, "it has not arrived: {refused}");
}

#[tokio::test(start_paused = true)]
async fn what_stayed_well_is_good_and_what_did_not_is_not() {
    let setup = Setup::new(Settings::default()).await;
    let (engine, identity) = pending(&setup).await;
    let promoted = engine.promote(&name("web"), identity, SOAK).await.unwrap();
    assert_eq!(promoted, newest(&engine).await);
    assert!(matches!(promoted.good, Some(GoodMark::Soaked { lasting: SOAK, .. })) && promoted.proven);
    assert_eq!((promoted.trial, promoted.recorded_by.as_str()), (None, "ci"));
    let bad = engine.mark_failed(&name("web"), identity, "503 for 2m", "watch").await.unwrap();
    assert!(!bad, "it has earned it, and keeps that");

    setup.deploy(1).await;
    let (engine, identity) = pending(&setup).await;
    assert!(engine.mark_failed(&name("web"), identity, "503 for 2m", "watch").await.unwrap());
    let refused = engine.promote(&name("web"), identity, SOAK).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("503 for 2m"), "{refused}");
    pending(&setup).await;
    assert!(matches!(newest(&engine).await.trial, Some(Trial::Failed { .. })), "it does not begin again");
    // A person may know better.
    engine.record(&name("web"), &Claim::good()).await.unwrap();
    assert!(newest(&engine).await.is_good() && newest(&engine).await.trial.is_none());
}

#[tokio::test(start_paused = true)]
async fn only_what_was_watched_is_promoted() {
    let setup = Setup::new(Settings::default()).await;
    let (engine, watched) = pending(&setup).await;
    setup.deploy(1).await;
    let stale = engine.promote(&name("web"), watched, SOAK).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
    setup.deploy(3).await;
    engine.quarantine(&name("web"), "r3", "leaks", Some("ana")).await.unwrap();
    let refused = engine.promote(&name("web"), watched, SOAK).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
}

#[tokio::test(start_paused = true)]
async fn without_a_person_only_where_that_is_allowed() {
    let mut setup = Setup::new(Settings::default()).await;
    setup.environment = setup.environment.clone().confirm("ROLLBACK-PROD").single_operator(true);
    let request = setup.request(None).automatic(true);
    let engine = setup.engine("watch");
    let refused = engine.apply(&plan(&engine, &request).await, &Approval::yes()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("without a person"), "{refused}");
    // No phrase is wanted: nobody is there to type it.
    setup.environment = setup.environment.clone().automatic(Automatic::Act);
    ended(&run(&setup.engine("watch"), &request).await, State::Restored);
}
