//! Deployment records: what is kept, what is removed, what counts as good.

use std::sync::Arc;

use jiff::Timestamp;
use rollback_core::ledger::{DEFAULT_RETENTION, Deployment, GoodMark, Ledger, Quarantine};
use rollback_core::store::{MemoryStore, Records};
use rollback_core::time::Lasting;
use rollback_core::{SnapshotRecord, TargetId};
use rollback_testkit::sim::{SeededEntropy, ToySnapshot};

use crate::setup::clock;

fn ledger() -> Ledger {
    let records = Records::new(Arc::new(MemoryStore::new()), clock(), Arc::new(SeededEntropy::new(1)));
    Ledger::new(records, &TargetId::new("toy/web").unwrap()).unwrap()
}

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + number * 86_400).unwrap()
}

fn deployment(release: u32, since: i64, good: bool) -> Deployment {
    let snapshot = SnapshotRecord::seal(&ToySnapshot::of(release)).unwrap();
    let mut deployment = Deployment::new(snapshot, day(since), "ana");
    deployment.good = good.then(|| GoodMark::Soaked { lasting: Lasting::from_secs(900), at: day(since) });
    deployment
}

async fn labels(ledger: &Ledger) -> Vec<String> {
    let deployments = ledger.deployments().await.unwrap();
    deployments.iter().map(|one| one.snapshot.info.revision.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn old_records_go_but_never_the_newest_good_one() {
    let ledger = ledger();
    for (release, since, good) in [(1, 0, true), (2, 1, true), (3, 2, false), (4, 50, false), (5, 60, false)]
    {
        ledger.record(&deployment(release, since, good)).await.unwrap();
    }
    assert_eq!(labels(&ledger).await, ["r5", "r4", "r3", "r2", "r1"]);
    assert_eq!(ledger.clean(day(70), DEFAULT_RETENTION).await.unwrap(), 2);
    assert_eq!(labels(&ledger).await, ["r5", "r4", "r2"], "r2 is old, and all there is to go back to");
    // Nothing new for a year: the newest stays, whatever it is.
    assert_eq!(ledger.clean(day(400), DEFAULT_RETENTION).await.unwrap(), 1);
    assert_eq!(labels(&ledger).await, ["r5", "r2"]);
}

#[tokio::test(start_paused = true)]
async fn good_is_lost_by_being_left_and_by_quarantine() {
    let ledger = ledger();
    for release in 1..=3 {
        ledger.record(&deployment(release, i64::from(release), true)).await.unwrap();
    }
    let good = async || ledger.last_good().await.unwrap().map(|one| one.snapshot.info.revision.to_string());
    assert_eq!(good().await.as_deref(), Some("r3"));
    let run = rollback_core::RunId::new(day(4), &SeededEntropy::new(2));
    ledger.mark_left(deployment(3, 3, true).snapshot.info.identity, run).await.unwrap();
    assert_eq!(good().await.as_deref(), Some("r2"));
    let second = deployment(2, 2, true).snapshot.info;
    let entry = Quarantine::new(second.identity, second.label(), "500s on login", "ana", day(5));
    ledger.quarantine(&entry).await.unwrap();
    assert_eq!(good().await.as_deref(), Some("r1"));
    assert!(ledger.lift(second.identity, "fixed in r4", "ben", day(6)).await.unwrap());
    assert_eq!(good().await.as_deref(), Some("r2"));
}

#[tokio::test(start_paused = true)]
async fn two_deployments_of_one_millisecond_are_both_kept() {
    let ledger = ledger();
    ledger.record(&deployment(1, 1, false)).await.unwrap();
    ledger.record(&deployment(2, 1, false)).await.unwrap();
    assert_eq!(labels(&ledger).await, ["r2", "r1"]);
}
