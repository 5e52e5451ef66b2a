//! Two simulated components behind one engine, in virtual time, the same each time.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rollback_core::environment::Environment;
use rollback_core::lease::{Holder, Liveness};
use rollback_core::store::{Condition, Key, KeyPrefix, MemoryStore};
use rollback_core::time::{Clock, Lasting, TokioClock, within};
use rollback_core::{ComponentName, Engine, EnvironmentName, Report, State, Store as _};
use rollback_testkit::sim::{SeededEntropy, Settings, ToySnapshot, ToyTarget, Way, World};
use serde_json::Value;

use crate::lines::Line;

/// Runs to its end what waits in virtual time only.
pub(crate) fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let builder = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    builder.expect("a runtime without I/O").block_on(work)
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(TokioClock::starting_at("2026-11-21T03:00:00Z".parse::<Timestamp>().expect("a time")))
}

pub(crate) fn name(text: &str) -> ComponentName {
    ComponentName::new(text).expect("a good name")
}

/// Nobody is ever known to be dead.
#[derive(Debug)]
struct NobodyKnows;

impl Liveness for NobodyKnows {
    fn is_dead(&self, _: &Holder) -> bool {
        false
    }
}

/// The components `db` and `web` (which comes after it), both at release 3, their store, and virtual time.
pub(crate) struct Lab {
    pub(crate) db: World,
    pub(crate) web: World,
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        let clock = clock();
        let db = Settings::default().keeps_keys(true);
        let web = Settings::default()
            .parts(2)
            .rollout(Duration::from_secs(2))
            .refuses_stale_writers(true)
            .way(Way::SwitchOrParts);
        let lab = Self {
            db: World::new(db, Arc::clone(&clock)),
            web: World::new(web, Arc::clone(&clock)),
            store: MemoryStore::new(),
            clock,
        };
        for release in [2, 3] {
            lab.clock.sleep(Duration::from_secs(60)).await;
            for world in [&lab.db, &lab.web] {
                world.deploy(release, "pipeline").expect("a release that is there");
            }
        }
        lab.clock.sleep(Duration::from_secs(60)).await;
        lab
    }

    pub(crate) fn environment() -> Environment {
        Environment::new(EnvironmentName::new("test").expect("a good name")).require_reason(false)
    }

    /// An engine of the process `number`.
    pub(crate) fn engine(&self, environment: Environment, number: u32) -> Engine {
        let target = |name: &str, world: &World| ToyTarget::new(name, world.clone()).erase();
        Engine::builder(Arc::new(self.store.clone()))
            .component(name("db"), target("db", &self.db))
            .component(name("web"), target("web", &self.web))
            .after(name("web"), name("db"))
            .environment(environment)
            .clock(Arc::clone(&self.clock))
            .entropy(Arc::new(SeededEntropy::new(u64::from(number))))
            .holder(Holder::named("ana", "host", number))
            .liveness(Arc::new(NobodyKnows))
            .probes(rollback_probes::registry())
            .build()
    }

    /// Puts records into the store as they are.
    pub(crate) async fn load(&self, lines: &[Line<'_>]) {
        for line in lines {
            // Memory takes everything.
            let _ = self.store.put(&line.key, line.value, &Condition::Any).await;
        }
    }

    /// Every record in the store.
    pub(crate) async fn dump(&self) -> Vec<(Key, Vec<u8>)> {
        let mut found = Vec::new();
        for space in ["runs", "journal", "heads", "deployments", "quarantine"] {
            let prefix = KeyPrefix::new(space).expect("a good prefix");
            for key in self.store.list(&prefix, None, 10_000).await.unwrap_or_default() {
                if let Ok(Some(found_there)) = self.store.get(&key).await {
                    found.push((key, found_there.value));
                }
            }
        }
        found
    }

    /// Waits for `work`. Whatever the input, it ends: after the lengths of time that the input names, several times over,
    /// and what the engine waits by itself. `None` when the input names more than half a day.
    pub(crate) async fn ends<T>(&self, named: Duration, work: impl Future<Output = T>) -> Option<T> {
        let (own, most) = (Duration::from_secs(3_600), Duration::from_secs(43_200));
        let wanted = named.saturating_mul(40).saturating_add(own);
        let ended = within(&*self.clock, wanted.min(most), work).await;
        assert!(
            ended.is_some() || wanted > most,
            "it goes on for more than {} and never ends",
            Lasting::new(wanted)
        );
        ended
    }

    /// What a report says is true of the world, and it survives being stored.
    pub(crate) fn check_report(&self, report: &Report) {
        let written = serde_json::to_string(report).expect("a report is JSON");
        let again: Report = serde_json::from_str(&written).expect("what was written can be read");
        assert_eq!(again, *report, "a report changes by being stored");
        self.no_effect_twice();
    }

    /// Success is proven, and a refusal did nothing.
    pub(crate) fn check_honest(&self, report: &Report) {
        for (component, ended) in &report.components {
            let world = if component.as_str() == "db" { &self.db } else { &self.web };
            let runs = world.look().everywhere().and_then(|release| ToySnapshot::of(release).identity().ok());
            let there = runs == Some(ended.to.identity);
            assert!(
                there || !ended.state.is_success(),
                "{component} is said to be {} and is not",
                ended.state
            );
            let effects = world.landed().iter().any(|landed| landed.request.key.is_some());
            let idle = matches!(ended.state, State::Refused | State::AlreadyThere);
            assert!(!(idle && effects), "{component} was changed and is said to be {}", ended.state);
        }
    }

    fn no_effect_twice(&self) {
        for world in [&self.db, &self.web] {
            let landed = world.landed();
            let single = landed.iter().filter(|landed| !landed.request.repeatable);
            let mut keys: Vec<_> = single.filter_map(|landed| landed.request.key.clone()).collect();
            let sent = keys.len();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), sent, "a single effect landed twice");
        }
    }
}

/// The sum of all lengths of time in a document.
pub(crate) fn named_time(value: &Value) -> Duration {
    match value {
        Value::String(text) => text.parse().map_or(Duration::ZERO, Lasting::as_duration),
        Value::Array(items) => items.iter().map(named_time).fold(Duration::ZERO, Duration::saturating_add),
        Value::Object(map) => map.values().map(named_time).fold(Duration::ZERO, Duration::saturating_add),
        _ => Duration::ZERO,
    }
}
