//! The API server tells when to look again.
#[path = "support/site.rs"]
#[expect(dead_code, reason = "what a workload is set to is not asked here")]
mod site;

use std::time::Duration;

use futures_util::FutureExt as _;
use rollback_core::target::{Changes, Phase};
use rollback_core::time::within;
use rollback_core::{Report, Result, State, Target as _};
use rollback_driver_k8s::Kind;
use rollback_scripted_kubernetes::Behaviour;

use self::site::{Site, image};

/// Whether something stirs within a while.
async fn stirs(site: &Site, changes: &Changes) -> bool {
    within(&*site.clock, Duration::from_secs(5), changes.wait()).await.is_some()
}

/// Requests that were sent have arrived.
async fn opened() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn watches(site: &Site) -> usize {
    site.cluster.calls().iter().filter(|call| call.verb == "watch").count()
}

#[tokio::test(start_paused = true)]
async fn what_stirs_wakes_whoever_waits_until_the_end() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    let target = site.target()?;
    let token = target.observe(None).await?.token;
    assert_eq!(watches(&site), 0, "nobody waits yet");
    site.begin("v2");
    let seen = target.observe(Some(&token)).await?;
    assert!(matches!(seen.phase, Phase::Progressing(_)));
    // What is there comes first: whatever happened before the watch was open shows in the next look.
    assert!(stirs(&site, &seen.changes).await);
    assert_eq!(watches(&site), 2, "the workload and its pods");
    let seen = target.observe(Some(&token)).await?;
    opened().await;
    assert!(seen.changes.wait().now_or_never().is_none(), "nothing stirred since");
    site.cluster.tick();
    assert!(stirs(&site, &seen.changes).await);
    assert_eq!((watches(&site), site.cluster.watchers()), (2, 2), "they stay open");
    drop(target);
    for _ in 0..2 {
        site.begin("v3");
        site.cluster.tick();
        opened().await;
    }
    assert_eq!(site.cluster.watchers(), 0, "nobody waits any more");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn other_workloads_wake_nobody() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    let target = site.target()?;
    let token = target.observe(None).await?.token;
    target.observe(Some(&token)).await?;
    opened().await;
    let seen = target.observe(Some(&token)).await?;
    let other = rollback_scripted_kubernetes::workload("deployments", "other", "r/other:v1", 2);
    site.cluster.create(site::NAMESPACE, &other);
    site.cluster.settle();
    opened().await;
    assert!(seen.changes.wait().now_or_never().is_none());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_watch_asks_and_does_not_insist() -> Result<()> {
    let site = Site::new(Kind::StatefulSet, &["v1"]);
    site.cluster.deny("watch pods");
    let target = site.target()?;
    let token = target.observe(None).await?.token;
    site.begin("v2");
    for _ in 0..5 {
        let seen = target.observe(Some(&token)).await?;
        assert!(matches!(seen.phase, Phase::Progressing(_)));
        opened().await;
    }
    assert_eq!(watches(&site), 2, "once each, and the pods were denied");
    assert_eq!(site.cluster.watchers(), 1);
    Ok(())
}

const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

/// A workload whose first version takes a while to be ready.
fn slow(kind: Kind) -> Site {
    let site = Site::new(kind, &["v1", "v2"]);
    site.cluster.behave(&image("v1"), Behaviour::Slow(60));
    site
}

/// Goes back, while each of these happens some seconds after the one before.
async fn back_while(site: &Site, happens: &[&(dyn Fn() + Sync)]) -> Result<Report> {
    let (report, ()) = tokio::join!(site.go("previous"), async {
        for then in happens {
            site.clock.sleep(Duration::from_secs(6)).await;
            then();
        }
    });
    report
}

fn looks(site: &Site) -> usize {
    let workload = format!("{}.apps", site.config.kind.resource());
    site.cluster.calls().iter().filter(|call| call.verb == "get" && call.resource == workload).count()
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_in_the_middle_is_opened_again() -> Result<()> {
    for kind in KINDS {
        // Too old to go on, an error of the server, and a server that went away.
        for code in [Some(410), Some(500), None] {
            let site = slow(kind);
            let breaks = || {
                assert_eq!(site.cluster.watchers(), 2, "{kind} {code:?}: it was open");
                site.cluster.end_watches(code);
            };
            let report = back_while(&site, &[&breaks]).await?;
            assert_eq!(report.state, State::Restored, "{kind} {code:?}: {report:#?}");
            assert_eq!((watches(&site), site.cluster.landed()), (4, 1), "{kind} {code:?}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn watches_that_always_break_are_not_opened_without_end() -> Result<()> {
    for kind in KINDS {
        let site = slow(kind);
        site.cluster.end_every_watch(410);
        let began = site.clock.monotonic();
        let report = back_while(&site, &[]).await?;
        assert_eq!(report.state, State::Restored, "{kind}: {report:#?}");
        let took = site.clock.monotonic().saturating_sub(began).as_secs();
        assert!(took > 10, "{kind}: it took {took} s");
        // Two of them each five seconds, and each may wake one more look than the pauses do.
        assert!(watches(&site) as u64 <= 2 * (took / 5 + 1), "{kind}: {} in {took} s", watches(&site));
        assert!(looks(&site) as u64 <= 3 * took + 10, "{kind}: {} in {took} s", looks(&site));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn reads_that_are_told_to_wait_are_repeated_and_the_patch_is_not() -> Result<()> {
    for kind in KINDS {
        let site = slow(kind);
        let busy = || site.cluster.answer_reads(&[429, 429, 429]);
        let fails = || site.cluster.answer_reads(&[500, 503]);
        let report = back_while(&site, &[&busy, &fails]).await?;
        assert_eq!(report.state, State::Restored, "{kind}: {report:#?}");
        assert_eq!(site.cluster.landed(), 1, "{kind}");
        let answers = |code| site.cluster.calls().iter().filter(|call| call.status == Some(code)).count();
        assert_eq!((answers(429), answers(500), answers(503)), (3, 1, 1), "{kind}: what was injected");
    }
    Ok(())
}
