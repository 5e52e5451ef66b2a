//! A world with three releases behind one engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::engine::{Claim, EngineBuilder};
use rollback_core::environment::Environment;
use rollback_core::lease::{Holder, Liveness};
use rollback_core::probe::{Gate, Probe, ProbeFactory, ProbeRegistry, ProbeSpec, Sample};
use rollback_core::store::MemoryStore;
use rollback_core::time::{Clock, Lasting, TokioClock};
use rollback_core::{
    Approval, ComponentName, Destination, Engine, EnvironmentName, Plan, Planned, Report, Request, Result,
    State,
};
use rollback_testkit::sim::{SeededEntropy, Settings, ToyTarget, World};

/// Nobody is ever known to be dead: takers wait.
#[derive(Debug)]
pub(crate) struct NobodyKnows;

impl Liveness for NobodyKnows {
    fn is_dead(&self, _: &Holder) -> bool {
        false
    }
}

/// A probe that always says the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Constant(pub(crate) bool);

#[async_trait]
impl Probe for Constant {
    async fn sample(&self) -> Sample {
        if self.0 { Sample::ok("fine") } else { Sample::bad("broken") }
    }
}

impl ProbeFactory for Constant {
    fn kind(&self) -> &'static str {
        if self.0 { "good" } else { "bad" }
    }

    fn config_schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "object", "properties": {} })
    }

    fn build(&self, _: &serde_json::Map<String, serde_json::Value>) -> Result<Arc<dyn Probe>> {
        Ok(Arc::new(*self))
    }
}

pub(crate) fn name(text: &str) -> ComponentName {
    ComponentName::new(text).unwrap()
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::starting_at("2026-11-21T03:00:00Z".parse::<Timestamp>().unwrap()))
}

/// One world, its store, and engines over both.
pub(crate) struct Setup {
    pub(crate) world: World,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) environment: Environment,
}

impl Setup {
    /// Release 1 ran, release 2 was recorded as good, release 3 runs and is bad.
    pub(crate) async fn new(settings: Settings) -> Self {
        let clock = clock();
        let world = World::new(settings, Arc::clone(&clock));
        let environment = Environment::new(EnvironmentName::new("test").unwrap()).require_reason(false);
        let setup = Self { world, store: MemoryStore::new(), clock, environment };
        setup.deploy(2).await;
        setup.engine("ana").record(&name("web"), &Claim::good().by("ana")).await.unwrap();
        setup.deploy(3).await;
        setup
    }

    pub(crate) async fn deploy(&self, release: u32) {
        self.clock.sleep(Lasting::from_secs(60).as_duration()).await;
        self.world.deploy(release, "pipeline").unwrap();
        self.clock.sleep(self.world.settings().rollout * 20).await;
    }

    pub(crate) fn builder(&self, who: &str) -> EngineBuilder {
        let seed = who.bytes().fold(7, |sum: u64, byte| sum * 31 + u64::from(byte));
        Engine::builder(Arc::new(self.store.clone()))
            .component(name("web"), ToyTarget::new("web", self.world.clone()).by(who).erase())
            .environment(self.environment.clone())
            .clock(Arc::clone(&self.clock))
            .entropy(Arc::new(SeededEntropy::new(seed)))
            .holder(Holder::named(who, "host", 1))
            .liveness(Arc::new(NobodyKnows))
            .probes(ProbeRegistry::new().with(Constant(true)).with(Constant(false)))
    }

    pub(crate) fn engine(&self, who: &str) -> Engine {
        self.builder(who).build()
    }

    pub(crate) fn request(&self, destination: Option<&str>) -> Request {
        let destination = destination.map(|text| text.parse::<Destination>().unwrap());
        Request::new(self.environment.name.clone()).component(name("web"), destination).reason("it is bad")
    }

    pub(crate) fn effects(&self) -> usize {
        self.world.landed().iter().filter(|landed| landed.request.key.is_some()).count()
    }
}

pub(crate) fn gate(kind: &str, rule: &str) -> Gate {
    Gate {
        name: "health".to_owned(),
        component: name("web"),
        probe: ProbeSpec { kind: kind.to_owned(), config: serde_json::Map::new() },
        rule: serde_json::from_str(rule).unwrap(),
    }
}

pub(crate) async fn plan(engine: &Engine, request: &Request) -> Plan {
    match engine.plan(request).await.unwrap() {
        Planned::Ready(plan) => *plan,
        Planned::Undecided(why) => panic!("no plan: {why:?}"),
    }
}

pub(crate) async fn run(engine: &Engine, request: &Request) -> Report {
    let plan = plan(engine, request).await;
    engine.apply(&plan, &Approval::yes()).await.unwrap()
}

/// A run of `who` that is cut off after half a minute.
pub(crate) async fn cut_off(setup: &Setup, who: &str) {
    let engine = setup.engine(who);
    let planned = plan(&engine, &setup.request(None)).await;
    let running = tokio::spawn(async move { engine.apply(&planned, &Approval::yes()).await });
    setup.clock.sleep(Duration::from_secs(30)).await;
    running.abort();
    let _ = running.await;
}

pub(crate) fn ended(report: &Report, state: State) {
    assert_eq!(report.state, state, "{}", serde_json::to_string_pretty(report).unwrap());
}

#[test]
fn an_engine_can_be_used_from_any_task() {
    fn sendable<T: Send>(_: impl FnOnce(Engine, Plan) -> T) {}
    sendable(|engine: Engine, plan: Plan| async move { engine.apply(&plan, &Approval::yes()).await });
    sendable(|engine: Engine, plan: Plan| async move { engine.plan(&plan.request).await });
}
