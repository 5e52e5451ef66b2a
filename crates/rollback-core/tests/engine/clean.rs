//! What a clean-up removes, and what stays however old it is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollback_core::engine::Cleaned;
use rollback_core::store::{
    Condition, Delete, Key, KeyPrefix, MemoryStore, Put, StoreInfo, StoreVersion, Versioned,
};
use rollback_core::time::Lasting;
use rollback_core::{Approval, Engine, Error, ErrorKind, Result, RunId, State, Store};
use rollback_testkit::sim::Settings;

use crate::setup::{Setup, cut_off, ended, name, plan, run};

const MONTH: Lasting = Lasting::from_secs(30 * 86_400);

async fn clean(engine: &Engine, dry_run: bool) -> Cleaned {
    engine.clean_up(MONTH, dry_run, &|_| {}).await.unwrap()
}

async fn ids(engine: &Engine) -> Vec<RunId> {
    engine.runs(100).await.unwrap().into_iter().map(|run| run.run).collect()
}

async fn months(setup: &Setup, count: u32) {
    setup.clock.sleep(MONTH.as_duration() * count).await;
}

/// Runs that nothing stands on: nothing had to be done.
async fn idle_runs(setup: &Setup, engine: &Engine, count: usize) {
    for _ in 0..count {
        let planned = plan(engine, &setup.request(Some("revision=r3"))).await;
        ended(&engine.apply(&planned, &Approval::yes()).await.unwrap(), State::AlreadyThere);
    }
}

#[tokio::test(start_paused = true)]
async fn old_runs_go_with_their_journals_and_a_dry_run_removes_nothing() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    idle_runs(&setup, &engine, 3).await;
    assert_eq!(clean(&engine, false).await, Cleaned::default(), "nothing is old");
    months(&setup, 2).await;
    idle_runs(&setup, &engine, 1).await;
    let before = ids(&engine).await;
    let counted = clean(&engine, true).await;
    assert_eq!((counted.runs, ids(&engine).await.len()), (3, 4));
    let told = Mutex::new(Vec::new());
    let tell = |cleaned: &Cleaned| told.lock().unwrap().push(cleaned.runs);
    assert_eq!(engine.clean_up(MONTH, false, &tell).await.unwrap(), counted);
    assert_eq!(told.into_inner().unwrap().last(), Some(&3));
    assert!(counted.events >= 6, "{counted:?}");
    assert_eq!(ids(&engine).await, &before[..1], "the young one stays");
    assert_eq!(clean(&engine, false).await, Cleaned::default());
}

#[tokio::test(start_paused = true)]
async fn what_something_stands_on_stays() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    let restored = run(&engine, &setup.request(None)).await;
    ended(&restored, State::Restored);
    months(&setup, 3).await;
    let cleaned = clean(&engine, false).await;
    assert_eq!((cleaned.runs, cleaned.kept.values().sum::<usize>()), (0, 1), "{cleaned:?}");
    let ledger = engine.ledger(&name("web")).await.unwrap();
    assert_eq!(ledger.quarantined().await.unwrap().len(), 1);
    assert!(!engine.run(restored.run).await.unwrap().journal[&name("web")].is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_run_stays_and_can_still_be_resumed() {
    let setup = Setup::new(Settings::default().parts(6).rollout(Duration::from_secs(20))).await;
    cut_off(&setup, "ana").await;
    months(&setup, 3).await;
    let ben = setup.engine("ben");
    let cleaned = clean(&ben, false).await;
    assert_eq!(cleaned.runs, 0, "{cleaned:?}");
    let open = ids(&ben).await;
    ended(&ben.resume(open[0]).await.unwrap(), State::Restored);
}

#[tokio::test(start_paused = true)]
async fn old_deployments_go_but_never_the_last_good_one() {
    let setup = Setup::new(Settings::default()).await;
    let engine = setup.engine("ana");
    let web = name("web");
    let claim = rollback_core::engine::Claim::deployed().by("ana");
    engine.record(&web, &claim).await.unwrap();
    for release in 4..=6 {
        setup.deploy(release).await;
        engine.record(&web, &claim).await.unwrap();
    }
    months(&setup, 2).await;
    let ledger = engine.ledger(&web).await.unwrap();
    assert_eq!(ledger.deployments().await.unwrap().len(), 5);
    assert_eq!(clean(&engine, false).await.deployments, 3);
    let left: Vec<_> = ledger.deployments().await.unwrap();
    let left: Vec<_> = left.iter().map(|one| one.snapshot.info.revision.as_str()).collect();
    assert_eq!(left, ["r6", "r2"], "the newest, and the last good one");
}

/// A store that lets so many removals through, and then no more: a clean-up that is cut off there.
#[derive(Debug)]
struct CutOff {
    inner: MemoryStore,
    left: AtomicUsize,
}

#[async_trait::async_trait]
impl Store for CutOff {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        self.inner.get(key).await
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        self.inner.put(key, value, condition).await
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete> {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            return Err(Error::new(ErrorKind::Unavailable, "remove", "the plug was pulled").transient(false));
        }
        self.inner.delete(key, version).await
    }
}

#[tokio::test(start_paused = true)]
async fn cut_off_at_any_removal_every_run_can_be_read_and_the_next_goes_on() {
    let setup = Setup::new(Settings::default()).await;
    idle_runs(&setup, &setup.engine("ana"), 2).await;
    months(&setup, 2).await;
    let mut cut_off = 0;
    for limit in 0.. {
        let store = CutOff { inner: setup.store.clone(), left: AtomicUsize::new(limit) };
        let engine = Engine::builder(Arc::new(store)).clock(Arc::clone(&setup.clock)).build();
        let ended = engine.clean_up(MONTH, false, &|_| {}).await;
        for run in ids(&engine).await {
            let details = engine.run(run).await.unwrap();
            assert_eq!(details.summary.state, Some(State::AlreadyThere), "after {limit} removals");
        }
        if ended.is_ok() {
            break;
        }
        cut_off += 1;
    }
    assert!(cut_off >= 3, "{cut_off}");
    let left = setup.store.list(&KeyPrefix::new("documents").unwrap(), None, 10).await.unwrap();
    assert_eq!(left, [], "no plan stays without its run");
    let left = setup.store.list(&KeyPrefix::new("journal").unwrap(), None, 10).await.unwrap();
    assert_eq!(left, []);
}
