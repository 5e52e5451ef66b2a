//! A target as one process sees it: slow, throttled, sometimes losing requests and answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::erased::Considered;
use rollback_core::store::{KeyPrefix, MemoryStore};
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection};
use rollback_core::time::Clock;
use rollback_core::{
    ActionContext, DynTarget, Envelope, Error, ErrorKind, Evidence, Goal, IdempotencyKey, Landing,
    Observation, Result, RunId, SnapshotRecord, Store as _, TargetInfo, Token, View,
};

use super::fault_store::Weather;
use super::process::Process;
use super::random::Random;
use super::toy::Gap;
use super::world::{Trouble, World};

/// One call of `apply`, as the simulation saw it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Which session of which process called.
    pub session: String,
    /// For which run.
    pub run: RunId,
    /// For which component.
    pub component: String,
    /// Under which key.
    pub key: IdempotencyKey,
    /// When it was called.
    pub called: Duration,
    /// When it came to the driver.
    pub at: Duration,
    /// Whether the key was in a journal before.
    pub journalled: bool,
}

/// One call of `observe` or `prove`.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Which session of which process called.
    pub session: String,
    /// For which component.
    pub component: String,
    /// When it looked.
    pub at: Duration,
    /// Whether it was `prove`.
    pub proof: bool,
}

/// What all processes of a simulation did, for the invariants.
#[derive(Debug, Clone, Default)]
pub struct Book {
    sent: Arc<Mutex<Vec<Sent>>>,
    looked: Arc<Mutex<Vec<Looked>>>,
}

impl Book {
    /// Every call of `apply`, oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every call of `observe` and `prove`, oldest first.
    #[must_use]
    pub fn looked(&self) -> Vec<Looked> {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A target as one process sees it.
#[derive(Debug)]
pub struct FaultTarget {
    inner: Arc<dyn DynTarget>,
    component: String,
    session: String,
    process: Process,
    clock: Arc<dyn Clock>,
    weather: Weather,
    random: Mutex<Random>,
    book: Book,
    // The true content of the store, to see whether an intent was journalled.
    memory: MemoryStore,
}

impl FaultTarget {
    /// `inner` as one session of `process` sees it in this weather.
    #[expect(clippy::too_many_arguments, reason = "the parts of a simulation, put together in one place")]
    pub fn new(
        inner: Arc<dyn DynTarget>,
        component: impl Into<String>,
        session: impl Into<String>,
        process: Process,
        clock: Arc<dyn Clock>,
        weather: Weather,
        random: Random,
        book: Book,
        memory: MemoryStore,
    ) -> Self {
        let random = Mutex::new(random);
        Self {
            inner,
            component: component.into(),
            session: session.into(),
            process,
            clock,
            weather,
            random,
            book,
            memory,
        }
    }

    fn draw(&self) -> (u64, Duration) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        (random.within(0..100), random.millis(0..self.weather.latency + 1))
    }

    /// The way there of a call that only reads.
    async fn ask(&self, what: &str) -> Result<()> {
        self.process.step(&format!("{} {what}", self.component)).await;
        let (luck, latency) = self.draw();
        self.clock.sleep(latency).await;
        if luck < self.weather.refused {
            return Err(
                Error::new(ErrorKind::Throttled, what, "too many requests").next("wait and try again")
            );
        }
        Ok(())
    }

    /// The way back.
    async fn told<T>(&self, what: &str, answer: Result<T>) -> Result<T> {
        self.process.step(what).await;
        let (_, latency) = self.draw();
        self.clock.sleep(latency).await;
        answer
    }

    fn looks(&self, proof: bool) {
        self.book.looked.lock().unwrap_or_else(PoisonError::into_inner).push(Looked {
            session: self.session.clone(),
            component: self.component.clone(),
            at: self.clock.monotonic(),
            proof,
        });
    }

    /// Whether any journal holds the key of this action.
    async fn journalled(&self, cx: &ActionContext) -> Result<bool> {
        let needle = cx.key.as_str().as_bytes();
        for key in self.memory.list(&KeyPrefix::new("journal")?, None, usize::MAX).await? {
            let found = self.memory.get(&key).await?;
            if found.is_some_and(|found| found.value.windows(needle.len()).any(|window| window == needle)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl DynTarget for FaultTarget {
    fn driver(&self) -> &str {
        self.inner.driver()
    }

    async fn info(&self) -> Result<TargetInfo> {
        self.ask("info").await?;
        let answer = self.inner.info().await;
        self.told("told", answer).await
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.ask("observe").await?;
        self.looks(false);
        let answer = self.inner.observe(after).await;
        self.told("observed", answer).await
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.ask("read the history").await?;
        let answer = self.inner.history(query).await;
        self.told("read", answer).await
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        self.ask("inspect").await?;
        let answer = self.inner.inspect(from, to).await;
        self.told("inspected", answer).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        self.inner.propose(view)
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let called = self.clock.monotonic();
        self.process.step(&format!("{} apply {} under {}", self.component, action.body, cx.key)).await;
        let (_, latency) = self.draw();
        self.clock.sleep(latency).await;
        let journalled = self.journalled(cx).await?;
        self.book.sent.lock().unwrap_or_else(PoisonError::into_inner).push(Sent {
            session: self.session.clone(),
            run: cx.run,
            component: self.component.clone(),
            key: cx.key.clone(),
            called,
            at: self.clock.monotonic(),
            journalled,
        });
        let answer = self.inner.apply(cx, action).await;
        self.told(&format!("{} answered {answer:?}", self.component), answer).await
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.ask("probe").await?;
        let answer = self.inner.probe(cx, action).await;
        self.told(&format!("{} probed {answer:?}", self.component), answer).await
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.ask("prove").await?;
        self.looks(true);
        let answer = self.inner.prove(goal).await;
        self.told("proved", answer).await
    }
}

/// What happens to a mutating request between the driver's comparing and its landing: the process may freeze or
/// die, the request may be refused, lost, or late.
#[derive(Debug)]
pub struct FaultGap {
    world: World,
    process: Process,
    clock: Arc<dyn Clock>,
    weather: Weather,
    random: Mutex<Random>,
}

impl FaultGap {
    /// The gap before `process`'s requests to `world`.
    #[must_use]
    pub fn new(world: World, process: Process, weather: Weather, random: Random) -> Self {
        let clock = process.clock();
        Self { world, process, clock, weather, random: Mutex::new(random) }
    }

    /// How long a request hangs before it lands: longer than anybody waits for it.
    fn hangs(&self) -> Option<Duration> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.chance(self.weather.slow).then(|| random.millis(30_000..200_000))
    }

    fn trouble(&self) -> Trouble {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let luck = random.within(0..100);
        let lag = u64::try_from(self.world.settings().lag.as_millis()).unwrap_or(u64::MAX);
        let Weather { refused, lost, .. } = self.weather;
        match luck {
            luck if luck < refused => Trouble::Refuse,
            luck if luck < refused + lost => Trouble::LoseAnswer,
            luck if luck < refused + 2 * lost => Trouble::LoseRequest,
            // Within the lag that the driver declares, else no caution could help.
            luck if luck < refused + 3 * lost && lag > 0 => Trouble::Delay(Some(random.millis(0..lag))),
            _ => Trouble::Pass,
        }
    }
}

#[async_trait]
impl Gap for FaultGap {
    async fn pass(&self) {
        self.process.step("send").await;
        if let Some(hangs) = self.hangs() {
            self.process.note(|| format!("the request hangs for {hangs:?}"));
            self.clock.sleep(hangs).await;
        }
        let trouble = self.trouble();
        self.process.note(|| format!("the request meets {trouble:?}"));
        // Nothing runs between this and the driver's sending: the trouble hits exactly its request.
        self.world.trouble([trouble]);
    }
}
