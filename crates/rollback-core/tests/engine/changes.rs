//! A backend that tells of changes is looked at when it does, and not only after a pause.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::erased::Considered;
use rollback_core::target::{Changes, HistoryEntry, HistoryQuery, Inspection};
use rollback_core::time::within;
use rollback_core::{
    ActionContext, Contents, DynTarget, Engine, Envelope, Evidence, Goal, Landing, Leftovers, Observation,
    Occasion, Result, SnapshotRecord, State, TargetInfo, Tidying, Token, View,
};
use rollback_testkit::sim::{Settings, ToyTarget};
use tokio::sync::watch;

use crate::setup::{Setup, clock, ended, name, run};

/// The toy driver, which says when to look again.
#[derive(Debug)]
struct Telling(Arc<dyn DynTarget>, watch::Receiver<()>);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for Telling {
    fn driver(&self) -> &str {
        self.0.driver()
    }
    async fn info(&self) -> Result<TargetInfo> {
        self.0.info().await
    }
    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        let changes = Changes::from_now_on(&self.1);
        Ok(self.0.observe(after).await?.telling(changes))
    }
    async fn anticipate(&self, query: &HistoryQuery) {
        self.0.anticipate(query).await;
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.0.history(query).await
    }
    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        self.0.inspect(from, to).await
    }
    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        self.0.propose(view)
    }
    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.0.apply(cx, action).await
    }
    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.0.probe(cx, action).await
    }
    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.0.prove(goal).await
    }

    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        self.0.contents(snapshot).await
    }

    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        self.0.remember(snapshot, occasion).await
    }

    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        self.0.leftovers(now).await
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        self.0.tidy(tidying).await
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        self.0.recall(found, recorded)
    }
}

/// How long a rollback takes whose rollout takes 40 seconds, and when the backend tells of something.
async fn takes(tells: impl IntoIterator<Item = u64>) -> Duration {
    let setup = Setup::new(Settings::default().rollout(Duration::from_secs(40))).await;
    let (stirs, listens) = watch::channel(());
    let toy = ToyTarget::new("web", setup.world.clone()).by("ana").erase();
    let engine: Engine = setup.builder("ana").component(name("web"), Arc::new(Telling(toy, listens))).build();
    let began = setup.clock.monotonic();
    let at: Vec<_> = tells.into_iter().collect();
    let clock = Arc::clone(&setup.clock);
    let backend = tokio::spawn(async move {
        for at in at {
            let wait = (began + Duration::from_secs(at)).saturating_sub(clock.monotonic());
            clock.sleep(wait).await;
            stirs.send_replace(());
        }
        stirs
    });
    ended(&run(&engine, &setup.request(None)).await, State::Restored);
    backend.abort();
    setup.clock.monotonic() - began
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_told_ends_the_pause() {
    let untold = takes([]).await;
    let told = takes([40]).await;
    assert!(untold > Duration::from_secs(44), "{untold:?}");
    assert!(told < Duration::from_millis(40_500), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_never_stops_telling_is_given_a_breath() {
    let told = takes([0].into_iter().chain((0..40).flat_map(|second| [second; 1_000]))).await;
    assert!(told < Duration::from_secs(50), "{told:?}");
}

/// Whoever told is gone: then it is looked at after pauses, as everywhere.
#[tokio::test(start_paused = true)]
async fn a_channel_that_ended_is_no_change() {
    let (stirs, listens) = watch::channel(());
    let changes = Changes::from_now_on(&listens);
    drop(stirs);
    let waited = within(&*clock(), Duration::from_secs(60), changes.wait()).await;
    assert!(waited.is_none());
}
