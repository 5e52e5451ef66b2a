//! A guard after a deploy, in virtual time.

use std::time::Duration;

use rollback_core::State;
use rollback_core::engine::Claim;
use rollback_core::ledger::{GoodMark, Trial};
use rollback_core::time::Lasting;
use rollback_watch::{Guarded, Settings, Verdict};
use tokio_util::sync::CancellationToken;

use crate::town::{MINUTE, Town, web};

const TEN: Lasting = Lasting::from_secs(600);

/// Deploys, records it as a pipeline does, and begins a guard.
fn guard(town: &Town) -> tokio::task::JoinHandle<Guarded> {
    let watcher = town.watcher("guard", Settings::default()).component(town.watched());
    tokio::spawn(async move { watcher.guard(TEN, CancellationToken::new()).await.remove(0).1 })
}

async fn record(town: &Town) {
    town.engine("ci").record(&web(), &Claim::pending().by("ci")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_well_all_the_time_is_good() {
    let town = Town::new().await;
    town.world.deploy(3, "pipeline").unwrap();
    record(&town).await;
    let began = town.clock.monotonic();
    let Guarded::Healthy(Some(deployment)) = guard(&town).await.unwrap() else { panic!("it was well") };
    assert_eq!((town.clock.monotonic() - began).as_secs(), 600);
    assert!(matches!(deployment.good, Some(GoodMark::Soaked { lasting: TEN, .. })));
    assert_eq!(town.newest().await, *deployment);
    assert!(town.incidents().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_bad_is_rolled_back_and_marked() {
    let town = Town::slow().await;
    town.deploy_bad(3);
    record(&town).await;
    let began = town.clock.monotonic();
    let Guarded::RolledBack(incident, report) = guard(&town).await.unwrap() else { panic!("it was bad") };
    assert_eq!((report.state, incident.state), (State::Restored, Some(State::Restored)));
    let took = (town.clock.monotonic() - began).as_secs();
    assert!((140..=200).contains(&took), "as soon as that is known, and not after ten minutes: {took}");
    let ledger = town.engine("x").ledger(&web()).await.unwrap();
    let bad = ledger.deployments().await.unwrap().into_iter().find(|one| one.trial.is_some()).unwrap();
    assert!(
        matches!(&bad.trial, Some(Trial::Failed { reason, .. }) if reason.contains("HTTP 503")),
        "{bad:?}"
    );
    assert!(bad.left_by.is_some());
}

#[tokio::test(start_paused = true)]
async fn without_a_good_version_it_says_so() {
    let town = Town::empty().await;
    town.deploy_bad(3);
    let Guarded::NotActedOn(incident) = guard(&town).await.unwrap() else { panic!("nothing is good") };
    assert_eq!(incident.verdict(), Some(&Verdict::CallSomebody));
    assert_eq!(town.effects(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_not_healthy() {
    let town = Town::new().await;
    town.world.deploy(3, "pipeline").unwrap();
    record(&town).await;
    town.dark(true);
    let Guarded::Unknown(why) = guard(&town).await.unwrap() else { panic!("nobody knows") };
    assert_eq!(why, "outage: no such name");
    assert_eq!(town.newest().await.trial, Some(Trial::Pending));
}

#[tokio::test(start_paused = true)]
async fn trouble_at_the_end_is_watched_until_it_is_decided() {
    let town = Town::new().await;
    town.world.deploy(3, "pipeline").unwrap();
    let guarded = guard(&town);
    town.rest(9 * MINUTE + Duration::from_secs(30)).await;
    town.break_all();
    let ended = guarded.await.unwrap();
    assert!(matches!(ended, Guarded::RolledBack(..)), "{ended:?}");

    // And what was well again by then is healthy, and has not earned anything.
    let town = Town::new().await;
    town.world.deploy(3, "pipeline").unwrap();
    let guarded = guard(&town);
    town.rest(9 * MINUTE + Duration::from_secs(30)).await;
    town.break_all();
    town.rest(MINUTE).await;
    town.heal();
    assert_eq!(guarded.await.unwrap(), Guarded::Healthy(None));
}

#[tokio::test(start_paused = true)]
async fn a_guard_can_be_stopped() {
    let town = Town::new().await;
    let stop = CancellationToken::new();
    let watcher = town.watcher("guard", Settings::default()).component(town.watched());
    let (inner, lasting) = (stop.clone(), TEN);
    let guarded = tokio::spawn(async move { watcher.guard(lasting, inner).await.remove(0).1 });
    town.rest(MINUTE).await;
    stop.cancel();
    assert_eq!(guarded.await.unwrap(), Guarded::Stopped);
}

/// One guard in each pipeline is enough: the next knows what was usual from the one before.
#[tokio::test(start_paused = true)]
async fn what_was_usual_is_known_from_the_guard_before() {
    let town = Town::new().await;
    let guard = |town: &Town| {
        let watcher = town.watcher("guard", Settings::default()).component(town.watched_for_latency());
        tokio::spawn(async move { watcher.guard(TEN, CancellationToken::new()).await.remove(0).1 })
    };
    town.world.deploy(3, "pipeline").unwrap();
    let Guarded::Unknown(why) = guard(&town).await.unwrap() else { panic!("nobody knew what was usual") };
    assert!(why.contains("latency"), "{why}");

    town.world.deploy(4, "pipeline").unwrap();
    record(&town).await;
    let ended = guard(&town).await.unwrap();
    assert!(matches!(ended, Guarded::Healthy(Some(_))), "{ended:?}");

    town.deploy_slow(5);
    record(&town).await;
    let Guarded::RolledBack(incident, _) = guard(&town).await.unwrap() else { panic!("it was slow") };
    assert_eq!((incident.bad.revision.as_str(), incident.good.unwrap().revision.as_str()), ("r5", "r4"));
}
