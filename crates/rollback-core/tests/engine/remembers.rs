//! What is recorded and what is left is written down by the target, and nothing hangs on it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::engine::Claim;
use rollback_core::erased::Considered;
use rollback_core::progress::{Event, Progress};
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection};
use rollback_core::{
    ActionContext, Contents, DynTarget, Envelope, Error, ErrorKind, Evidence, Goal, Landing, Leftovers,
    Observation, Occasion, Result, SnapshotRecord, State, TargetInfo, Tidying, Token, View,
};
use rollback_testkit::sim::{Settings, ToyTarget};

use crate::setup::{Setup, cut_off, ended, name, run};

/// The toy driver, which notes what it is asked to remember and to do, in this order.
#[derive(Debug)]
struct Noting {
    inner: Arc<dyn DynTarget>,
    noted: Arc<Mutex<Vec<String>>>,
    /// Looks, and what is read after them.
    asked: Arc<Mutex<Vec<String>>>,
    /// What it answers instead of remembering.
    refused: Option<ErrorKind>,
}

impl Noting {
    fn asks(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for Noting {
    fn driver(&self) -> &str {
        self.inner.driver()
    }
    async fn info(&self) -> Result<TargetInfo> {
        self.inner.info().await
    }
    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.asks("look".to_owned());
        self.inner.observe(after).await
    }
    async fn anticipate(&self, query: &HistoryQuery) {
        self.asks(format!("ahead {query:?}"));
        self.inner.anticipate(query).await;
    }
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.asks(format!("history {query:?}"));
        self.inner.history(query).await
    }
    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        self.inner.inspect(from, to).await
    }
    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        self.inner.propose(view)
    }
    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.noted.lock().unwrap().push("apply".to_owned());
        self.inner.apply(cx, action).await
    }
    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.inner.probe(cx, action).await
    }
    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.inner.prove(goal).await
    }
    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        self.inner.contents(snapshot).await
    }
    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        self.noted.lock().unwrap().push(format!("{occasion:?} {}", snapshot.info.revision));
        match self.refused {
            Some(kind) => Err(Error::new(kind, "write a manifest", "no room").next("make room")),
            None => self.inner.remember(snapshot, occasion).await,
        }
    }
    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        self.inner.leftovers(now).await
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        self.noted.lock().unwrap().push("tidy".to_owned());
        let mut left = Leftovers::default();
        left.add("an asset", u64::from(!tidying.stop.is_cancelled()));
        Ok(Some(left))
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        self.inner.recall(found, recorded)
    }
}

struct Bed {
    setup: Setup,
    noted: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Bed {
    async fn new() -> Self {
        Self::of(Setup::new(Settings::default()).await)
    }

    fn of(setup: Setup) -> Self {
        Self { setup, noted: Arc::default(), asked: Arc::default() }
    }

    fn engine(&self, refused: Option<ErrorKind>, progress: Progress) -> rollback_core::Engine {
        let inner = ToyTarget::new("web", self.setup.world.clone()).by("ana").erase();
        let (noted, asked) = (Arc::clone(&self.noted), Arc::clone(&self.asked));
        let target = Noting { inner, noted, asked, refused };
        self.setup.builder("ana").component(name("web"), Arc::new(target)).progress(progress).build()
    }

    fn noted(&self) -> Vec<String> {
        std::mem::take(&mut *self.noted.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_remembered_before_anything_is_changed() {
    let bed = Bed::new().await;
    let engine = bed.engine(None, Progress::default());
    let report = run(&engine, &bed.setup.request(None)).await;
    ended(&report, State::Restored);
    assert_eq!(bed.noted(), ["Leaving r3", "apply"]);
    assert!(!format!("{report:?}").contains("not-remembered"));
    // Where nothing is changed, nothing is left.
    ended(&run(&engine, &bed.setup.request(Some("revision=r2"))).await, State::AlreadyThere);
    assert!(bed.noted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rollback_goes_on_without_it_and_says_what_is_lost() {
    let bed = Bed::new().await;
    let engine = bed.engine(Some(ErrorKind::Denied), Progress::default());
    let report = run(&engine, &bed.setup.request(None)).await;
    ended(&report, State::Restored);
    assert_eq!(bed.noted(), ["Leaving r3", "apply"]);
    let findings = &report.components[&name("web")].findings;
    let told = findings.iter().find(|finding| finding.code == "not-remembered").expect("it is not told");
    assert!(told.message.contains("r3") && told.message.contains("no room"), "{told:?}");
    assert_eq!(told.next.as_deref(), Some("make room"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_rest_any_more_is_no_loss() {
    let bed = Bed::new().await;
    let engine = bed.engine(Some(ErrorKind::Stale), Progress::default());
    let report = run(&engine, &bed.setup.request(None)).await;
    ended(&report, State::Restored);
    assert!(!format!("{report:?}").contains("not-remembered"));
}

#[tokio::test(start_paused = true)]
async fn a_record_has_its_state_remembered_and_stands_without() {
    let bed = Bed::new().await;
    bed.engine(None, Progress::default()).record(&name("web"), &Claim::deployed()).await.unwrap();
    assert_eq!(bed.noted(), ["Recorded r3"]);
    let (progress, mut events) = Progress::channel();
    let engine = bed.engine(Some(ErrorKind::Denied), progress);
    let recorded = engine.record(&name("web"), &Claim::good().by("ana")).await.unwrap();
    assert!(recorded.good.is_some());
    let mut warned = String::new();
    while let Some(event) = events.try_next() {
        if let Event::Warning { message, .. } = event {
            warned.push_str(&message);
        }
    }
    assert!(warned.contains("no room"), "{warned:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_left_behind_is_taken_away_under_the_lease() {
    let bed = Bed::new().await;
    let engine = bed.engine(None, Progress::default());
    let gone = engine.tidy(&name("web")).await.unwrap().unwrap();
    assert_eq!((gone.due, gone.bytes, bed.noted().len()), (1, 1, 1));
    // The lease was given back.
    ended(&run(&engine, &bed.setup.request(None)).await, State::Restored);
    // Where a run was cut off, nobody knows what may still land.
    let setup = Setup::new(Settings::default().parts(6).rollout(std::time::Duration::from_secs(20))).await;
    cut_off(&setup, "ana").await;
    let bed = Bed::of(setup);
    bed.setup.clock.sleep(std::time::Duration::from_secs(600)).await;
    let error = bed.engine(None, Progress::default()).tidy(&name("web")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(bed.noted().is_empty(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_next_is_read_beside_the_look() {
    for to in [None, Some("revision=r2"), Some("previous")] {
        let bed = Bed::new().await;
        let engine = bed.engine(None, Progress::default());
        engine.plan(&bed.setup.request(to)).await.unwrap();
        let asked = std::mem::take(&mut *bed.asked.lock().unwrap());
        let query = asked[1].strip_prefix("ahead ").unwrap();
        assert!(query.contains("observed: true"), "{query}");
        assert_eq!(asked, ["look".to_owned(), format!("ahead {query}"), format!("history {query}")]);
    }
}
