//! A target as one process sees it: slow, throttled, sometimes losing requests and answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::erased::Considered;
use rollback_core::store::{Key, KeyPrefix};
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection};
use rollback_core::{
    ActionContext, Contents, DynTarget, Envelope, Error, ErrorKind, Evidence, Goal, IdempotencyKey, Landing,
    Leftovers, Observation, Occasion, Result, SnapshotRecord, Store as _, TargetInfo, Tidying, Token, View,
};
use serde_json::Value;

use super::book::{Look, Looked, Sent, head_of};
use super::fault_store::Weather;
use super::process::{Place, Process};
use super::random::Random;
use super::session::Session;
use super::toy::Gap;
use super::world::{Trouble, World};

/// A target as one session sees it.
#[derive(Debug)]
pub struct FaultTarget {
    inner: Arc<dyn DynTarget>,
    component: String,
    world: World,
    session: Session,
    random: Mutex<Random>,
}

impl FaultTarget {
    /// `inner`, a handle onto `world`, as `session` sees it.
    pub fn new(
        inner: Arc<dyn DynTarget>,
        component: impl Into<String>,
        world: World,
        session: Session,
        random: Random,
    ) -> Self {
        Self { inner, component: component.into(), world, session, random: Mutex::new(random) }
    }

    fn draw(&self) -> (u64, Duration) {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        (random.within(0..100), random.millis(0..self.session.weather.latency + 1))
    }

    /// The way there of a call that only reads.
    async fn ask(&self, what: &str) -> Result<()> {
        self.session.process.step(|| format!("{} {what}", self.component)).await;
        let (luck, latency) = self.draw();
        self.session.clock.sleep(latency).await;
        if luck < self.session.weather.refused {
            return Err(
                Error::new(ErrorKind::Throttled, what, "too many requests").next("wait and try again")
            );
        }
        Ok(())
    }

    /// The way back.
    async fn told<T>(&self, what: impl FnOnce() -> String, answer: Result<T>) -> Result<T> {
        self.session.process.step(what).await;
        let (_, latency) = self.draw();
        self.session.clock.sleep(latency).await;
        answer
    }

    fn looks(&self, kind: Look) {
        let (session, component) = (self.session.name.clone(), self.component.clone());
        self.session.book.looks(Looked { session, component, at: self.session.clock.monotonic(), kind });
    }

    /// Whether the journal of the run holds the key of this action.
    async fn journalled(&self, cx: &ActionContext) -> Result<bool> {
        let needle = cx.key.as_str().as_bytes();
        let memory = &self.session.memory;
        let prefix = KeyPrefix::new(&format!("journal/{}/{}", cx.run, cx.component))?;
        for key in memory.list(&prefix, None, usize::MAX).await? {
            let found = memory.get(&key).await?;
            if found.is_some_and(|found| found.value.windows(needle.len()).any(|window| window == needle)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the head names this session, and this run's action among those that may be on their way.
    async fn authorised(&self, cx: &ActionContext) -> Result<bool> {
        if !self.session.leases {
            return Ok(true);
        }
        let name = head_of(&self.component);
        let found = self.session.memory.get(&Key::new(format!("heads/{name}"))?).await?;
        let head: Option<Value> = found.and_then(|found| serde_json::from_slice(&found.value).ok());
        let Some(body) = head.as_ref().and_then(|head| head.get("body")) else { return Ok(false) };
        let run = cx.run.to_string();
        let owner = self.session.book.owner(&self.session.name, &name);
        let ours = body["owner"].as_str().map(str::to_owned) == owner && owner.is_some();
        let open = body["open"].as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(ours
            && !body["holder"].is_null()
            && open.iter().any(|intent| intent["run"].as_str() == Some(&run)))
    }

    /// Requests of other runs that are on their way.
    fn overtakes(&self, cx: &ActionContext) -> Vec<(Duration, IdempotencyKey)> {
        let run = cx.run.to_string();
        let late = self.world.on_their_way().into_iter();
        let late = late.filter_map(|(sent, request)| Some((sent, request.key?)));
        late.filter(|(_, key)| !key.as_str().starts_with(&run)).collect()
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
        self.told(|| "told".to_owned(), answer).await
    }

    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        self.ask("observe").await?;
        self.looks(Look::Observe);
        let answer = self.inner.observe(after).await;
        self.told(|| "observed".to_owned(), answer).await
    }

    async fn anticipate(&self, query: &HistoryQuery) {
        self.inner.anticipate(query).await;
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SnapshotRecord>>> {
        self.ask("read the history").await?;
        let answer = self.inner.history(query).await;
        self.told(|| "read".to_owned(), answer).await
    }

    async fn inspect(&self, from: Option<&SnapshotRecord>, to: &SnapshotRecord) -> Result<Inspection> {
        self.ask("inspect").await?;
        let answer = self.inner.inspect(from, to).await;
        self.told(|| "inspected".to_owned(), answer).await
    }

    fn propose(&self, view: &View<SnapshotRecord>) -> Result<Vec<Considered>> {
        self.inner.propose(view)
    }

    async fn apply(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        let Session { process, clock, book, .. } = &self.session;
        let called = clock.monotonic();
        let (authorised, overtakes) = (self.authorised(cx).await?, self.overtakes(cx));
        process.reach(Place::Sending);
        process.step(|| format!("{} apply {} under {}", self.component, action.body, cx.key)).await;
        let (_, latency) = self.draw();
        clock.sleep(latency).await;
        book.sends(Sent {
            session: self.session.name.clone(),
            run: cx.run,
            component: self.component.clone(),
            key: cx.key.clone(),
            called,
            at: clock.monotonic(),
            journalled: self.journalled(cx).await?,
            authorised,
            overtakes,
        });
        let answer = self.inner.apply(cx, action).await;
        process.reach(Place::Answered);
        let text = format!("{answer:?}");
        self.told(|| format!("{} answered {text}", self.component), answer).await
    }

    async fn probe(&self, cx: &ActionContext, action: &Envelope) -> Result<Landing> {
        self.ask("probe").await?;
        self.looks(Look::Probe);
        let answer = self.inner.probe(cx, action).await;
        let text = format!("{answer:?}");
        self.told(|| format!("{} probed {text}", self.component), answer).await
    }

    async fn prove(&self, goal: &Goal<SnapshotRecord>) -> Result<Evidence> {
        self.ask("prove").await?;
        self.looks(Look::Prove);
        let answer = self.inner.prove(goal).await;
        self.told(|| "proved".to_owned(), answer).await
    }

    async fn contents(&self, snapshot: &SnapshotRecord) -> Result<Option<Contents>> {
        self.ask("read contents").await?;
        let answer = self.inner.contents(snapshot).await;
        self.told(|| "read".to_owned(), answer).await
    }

    async fn remember(&self, snapshot: &SnapshotRecord, occasion: Occasion) -> Result<bool> {
        self.inner.remember(snapshot, occasion).await
    }

    async fn leftovers(&self, now: Timestamp) -> Result<Option<Leftovers>> {
        self.inner.leftovers(now).await
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Option<Leftovers>> {
        self.inner.tidy(tidying).await
    }

    fn recall(&self, found: &SnapshotRecord, recorded: &SnapshotRecord) -> Result<SnapshotRecord> {
        self.inner.recall(found, recorded)
    }
}

/// What happens to a mutating request between the driver's comparing and its landing: the process may freeze or
/// die, the request may be refused, lost, or late.
#[derive(Debug)]
pub struct FaultGap {
    world: World,
    process: Process,
    weather: Weather,
    random: Mutex<Random>,
}

impl FaultGap {
    /// The gap before `process`'s requests to `world`.
    #[must_use]
    pub fn new(world: World, process: Process, weather: Weather, random: Random) -> Self {
        Self { world, process, weather, random: Mutex::new(random) }
    }

    /// How long a request hangs before it lands: longer than anybody waits for it.
    fn hangs(&self) -> Option<Duration> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        if !random.chance(self.weather.slow) {
            return None;
        }
        // Some for so long that the run gives up before.
        Some(if random.chance(40) { random.millis(200_000..900_000) } else { random.millis(30_000..200_000) })
    }

    fn trouble(&self) -> Trouble {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let luck = random.within(0..100);
        let lag = u64::try_from(self.world.settings().lag.as_millis()).unwrap_or(u64::MAX);
        let Weather { refused, lost, late, .. } = self.weather;
        match luck {
            luck if luck < refused => Trouble::Refuse,
            luck if luck < refused + lost => Trouble::LoseAnswer,
            luck if luck < refused + 2 * lost => Trouble::LoseRequest,
            // Within the lag that the driver declares, else no caution could help.
            luck if luck < refused + 3 * lost + late && lag > 0 => {
                Trouble::Delay(Some(random.millis(0..lag)))
            }
            _ => Trouble::Pass,
        }
    }
}

#[async_trait]
impl Gap for FaultGap {
    async fn pass(&self) {
        self.process.step(|| "send".to_owned()).await;
        if let Some(hangs) = self.hangs() {
            self.process.hang(hangs).await;
        }
        let trouble = self.trouble();
        self.process.note(|| format!("the request meets {trouble:?}"));
        // Nothing runs between this and the driver's sending: the trouble hits exactly its request.
        self.world.trouble([trouble]);
    }
}
