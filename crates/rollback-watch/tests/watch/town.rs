//! A town: a simulated world with a component that a pipeline deploys to, and probes that can be led astray.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rollback_core::engine::Claim;
use rollback_core::environment::Automatic;
use rollback_core::lease::{Holder, Liveness};
use rollback_core::ledger::Deployment;
use rollback_core::probe::{Probe, Sample};
use rollback_core::store::{MemoryStore, Records};
use rollback_core::time::{Clock, Lasting, TokioClock};
use rollback_core::{ComponentName, Engine, Environment, EnvironmentName, Report};
use rollback_testkit::sim::{SeededEntropy, Settings as Physics, ToyTarget, World};
use rollback_watch::{
    Component, Event, Events, Incident, Incidents, Settings, Severity, Switches, Telling, Trigger, Verdict,
    Watcher, named,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn web() -> ComponentName {
    ComponentName::new("web").unwrap()
}

/// Nobody is ever known to be dead: takers wait.
#[derive(Debug)]
struct NobodyKnows;

impl Liveness for NobodyKnows {
    fn is_dead(&self, _: &Holder) -> bool {
        false
    }
}

/// A wall clock that somebody sets.
#[derive(Debug)]
struct Jumping {
    inner: TokioClock,
    ahead: AtomicI64,
}

#[async_trait]
impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead.load(Ordering::SeqCst));
        self.inner.now().checked_add(ahead).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.inner.sleep(duration).await;
    }
}

/// How the component answers.
#[derive(Debug)]
struct Health {
    world: World,
    bad: Mutex<BTreeSet<u32>>,
    slow: Mutex<BTreeSet<u32>>,
    broken: AtomicBool,
    dark: AtomicBool,
    hangs: AtomicBool,
}

impl Health {
    fn of(world: World) -> Arc<Self> {
        let off = || AtomicBool::new(false);
        Arc::new(Self {
            world,
            bad: Mutex::default(),
            slow: Mutex::default(),
            broken: off(),
            dark: off(),
            hangs: off(),
        })
    }
}

#[async_trait]
impl Probe for Health {
    async fn sample(&self) -> Sample {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.dark.load(Ordering::SeqCst) {
            return Sample::unknown("no such name");
        }
        let runs = self.world.look().everywhere();
        let bad = runs.is_some_and(|release| self.bad.lock().unwrap().contains(&release));
        if bad || self.broken.load(Ordering::SeqCst) {
            return Sample::bad("HTTP 503");
        }
        let slow = runs.is_some_and(|release| self.slow.lock().unwrap().contains(&release));
        Sample::ok("HTTP 200").with("latency_ms", if slow { 90.0 } else { 12.0 })
    }
}

pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) clock: Arc<dyn Clock>,
    jumping: Arc<Jumping>,
    neighbour: World,
    store: MemoryStore,
    environment: Environment,
    health: Arc<Health>,
    next_door: Arc<Health>,
    pipeline: Arc<Health>,
}

impl Town {
    /// Release 2 runs and is good.
    pub(crate) async fn new() -> Self {
        Self::of(Physics::default()).await
    }

    /// The same with two parts, each of which takes ten seconds.
    pub(crate) async fn slow() -> Self {
        Self::of(Physics::default().parts(2).rollout(Duration::from_secs(10))).await
    }

    async fn of(settings: Physics) -> Self {
        let town = Self::bare(settings);
        town.rest(MINUTE).await;
        town.world.deploy(2, "pipeline").unwrap();
        town.rest(10 * MINUTE).await;
        town.engine("ana").record(&web(), &Claim::good().by("ana")).await.unwrap();
        town
    }

    /// Nothing was ever recorded.
    pub(crate) async fn empty() -> Self {
        let town = Self::bare(Physics::default());
        town.rest(MINUTE).await;
        town
    }

    fn bare(settings: Physics) -> Self {
        let inner = TokioClock::starting_at("2026-11-21T03:00:00Z".parse().unwrap());
        let jumping = Arc::new(Jumping { inner, ahead: AtomicI64::new(0) });
        let clock: Arc<dyn Clock> = jumping.clone();
        let world = World::new(settings, Arc::clone(&clock));
        let neighbour = World::new(Physics::default(), Arc::clone(&clock));
        let environment = Environment::new(EnvironmentName::new("test").unwrap());
        Self {
            health: Health::of(world.clone()),
            next_door: Health::of(neighbour.clone()),
            pipeline: Health::of(world.clone()),
            world,
            neighbour,
            clock,
            jumping,
            store: MemoryStore::new(),
            environment: environment.automatic(Automatic::Act),
        }
    }

    pub(crate) fn automatic(mut self, automatic: Automatic) -> Self {
        self.environment = self.environment.automatic(automatic);
        self
    }

    pub(crate) async fn rest(&self, pause: Duration) {
        self.clock.sleep(pause).await;
    }

    pub(crate) fn deploy_bad(&self, release: u32) {
        self.health.bad.lock().unwrap().insert(release);
        self.world.deploy(release, "pipeline").unwrap();
    }

    /// It answers well, and takes its time.
    pub(crate) fn deploy_slow(&self, release: u32) {
        self.health.slow.lock().unwrap().insert(release);
        self.world.deploy(release, "pipeline").unwrap();
    }

    pub(crate) fn break_all(&self) {
        self.health.broken.store(true, Ordering::SeqCst);
    }

    pub(crate) fn heal(&self) {
        self.health.broken.store(false, Ordering::SeqCst);
    }

    pub(crate) fn break_neighbour(&self) {
        self.next_door.broken.store(true, Ordering::SeqCst);
    }

    pub(crate) fn give_up(&self, gives_up: bool) {
        self.pipeline.broken.store(gives_up, Ordering::SeqCst);
    }

    pub(crate) fn dark(&self, dark: bool) {
        self.health.dark.store(dark, Ordering::SeqCst);
    }

    pub(crate) fn hang(&self, hangs: bool) {
        self.health.hangs.store(hangs, Ordering::SeqCst);
    }

    pub(crate) fn jump(&self, ahead: Lasting) {
        let seconds = i64::try_from(ahead.as_duration().as_secs()).unwrap();
        self.jumping.ahead.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn effects(&self) -> usize {
        self.world.landed().iter().filter(|landed| landed.request.key.is_some()).count()
    }

    pub(crate) fn engine(&self, who: &str) -> Engine {
        let seed = who.bytes().fold(7, |sum: u64, byte| sum * 31 + u64::from(byte));
        let target = |name: &str, world: &World| ToyTarget::new(name, world.clone()).by(who).erase();
        Engine::builder(Arc::new(self.store.clone()))
            .component(web(), target("web", &self.world))
            .component(ComponentName::new("api").unwrap(), target("api", &self.neighbour))
            .environment(self.environment.clone())
            .clock(Arc::clone(&self.clock))
            .entropy(Arc::new(SeededEntropy::new(seed)))
            .holder(Holder::named(who, "host", 1))
            .liveness(Arc::new(NobodyKnows))
            .build()
    }

    fn records(&self) -> Records {
        let entropy = Arc::new(SeededEntropy::new(99));
        Records::new(Arc::new(self.store.clone()), Arc::clone(&self.clock), entropy)
    }

    pub(crate) fn switches(&self) -> Switches {
        Switches::new(self.records(), &self.environment.name).unwrap()
    }

    pub(crate) async fn incidents(&self) -> Vec<Incident> {
        Incidents::new(self.records()).all().await.unwrap()
    }

    pub(crate) async fn newest(&self) -> Deployment {
        let ledger = self.engine("x").ledger(&web()).await.unwrap();
        ledger.deployments().await.unwrap().remove(0)
    }

    /// With a rule that fires in no time.
    pub(crate) fn watched_closely(&self) -> Component {
        let mut rule = named::outage().rule().clone();
        (rule.lasting, rule.every) = (Lasting::from_secs(3), Lasting::from_secs(1));
        let trigger = Trigger::new("outage", rule, Severity::P0);
        Component::new(web()).trigger(trigger, Arc::clone(&self.health) as Arc<dyn Probe>)
    }

    pub(crate) fn watched(&self) -> Component {
        Component::new(web())
            .trigger(named::outage(), Arc::clone(&self.health) as Arc<dyn Probe>)
            .trigger(named::deploy(), Arc::clone(&self.pipeline) as Arc<dyn Probe>)
    }

    /// With a rule that asks what was usual.
    pub(crate) fn watched_for_latency(&self) -> Component {
        let mut rule = named::latency().rule().clone();
        rule.lasting = Lasting::from_secs(60);
        let trigger = Trigger::new("latency", rule, Severity::P0);
        Component::new(web()).trigger(trigger, Arc::clone(&self.health) as Arc<dyn Probe>)
    }

    pub(crate) fn watcher(&self, who: &str, settings: Settings) -> Watcher {
        let seed = who.bytes().fold(13, |sum: u64, byte| sum * 31 + u64::from(byte));
        let (store, engines) = (Arc::new(self.store.clone()), Arc::new(self.engine(who)));
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::new(SeededEntropy::new(seed)));
        Watcher::in_time_of(store, engines, self.environment.clone(), clock, entropy)
            .unwrap()
            .settings(settings)
            .by(who)
    }

    pub(crate) fn watch(&self, who: &str) -> Watch {
        self.watch_as(who, Settings::default())
    }

    pub(crate) fn watch_as(&self, who: &str, settings: Settings) -> Watch {
        Watch::start(self.watcher(who, settings).component(self.watched()))
    }

    pub(crate) fn watch_closely(&self, who: &str) -> Watch {
        Watch::start(self.watcher(who, Settings::default()).component(self.watched_closely()))
    }

    pub(crate) fn watch_latency(&self, who: &str) -> Watch {
        Watch::start(self.watcher(who, Settings::default()).component(self.watched_for_latency()))
    }

    pub(crate) fn watch_with_neighbour(&self, who: &str) -> Watch {
        let api = Component::new(ComponentName::new("api").unwrap())
            .trigger(named::outage(), Arc::clone(&self.next_door) as Arc<dyn Probe>);
        Watch::start(self.watcher(who, Settings::default()).component(self.watched()).component(api))
    }
}

/// A watcher at work.
pub(crate) struct Watch {
    events: Events,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Watch {
    fn start(watcher: Watcher) -> Self {
        let (telling, events) = Telling::channel();
        let stop = CancellationToken::new();
        let task = tokio::spawn(watcher.telling(telling).run(stop.clone()));
        Self { events, stop, task }
    }

    /// Waits for a rollback to end.
    pub(crate) async fn rolled_back(&mut self) -> (Incident, Report) {
        while let Some(event) = self.events.next().await {
            if let Event::RolledBack { incident, report, .. } = event {
                return (*incident, *report);
            }
        }
        panic!("the watch ended");
    }

    pub(crate) fn so_far(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_next()).collect()
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

pub(crate) fn verdicts(events: &[Event]) -> Vec<Verdict> {
    let verdict = |event: &Event| match event {
        Event::Decided { incident } => incident.verdict().cloned(),
        _ => None,
    };
    events.iter().filter_map(verdict).collect()
}
