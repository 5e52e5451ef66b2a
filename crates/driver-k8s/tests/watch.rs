//! The API server tells when to look again.
#[path = "support/site.rs"]
#[expect(dead_code, reason = "no engine is needed here")]
mod site;

use std::time::Duration;

use futures_util::FutureExt as _;
use rollback_core::target::{Changes, Phase};
use rollback_core::time::within;
use rollback_core::{Result, Target as _};
use rollback_driver_k8s::Kind;

use self::site::Site;

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
