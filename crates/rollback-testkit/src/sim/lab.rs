//! Everything that one simulation holds.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollback_core::lease::{Holder, Liveness};
use rollback_core::probe::ProbeRegistry;
use rollback_core::store::MemoryStore;
use rollback_core::time::Clock;
use rollback_core::{ComponentName, Engine, Environment, EnvironmentName, Error, Report, Store};
use tokio_util::sync::CancellationToken;

use super::book::Book;
use super::fault_store::{FaultStore, Weather};
use super::fault_target::{FaultGap, FaultTarget};
use super::gate::{Moods, gate};
use super::process::{Fuse, Process};
use super::random::{Random, SeededEntropy};
use super::script::Script;
use super::session::Session;
use super::toy::ToyTarget;
use super::trace::Trace;
use super::world::World;

/// A report as the simulation got it.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// From which process.
    pub(super) process: String,
    /// The report.
    pub(super) report: Report,
    /// When it came.
    pub(super) at: Duration,
}

/// One component with its world.
#[derive(Debug, Clone)]
pub(super) struct Deployed {
    /// Its name.
    pub(super) name: ComponentName,
    /// Its world.
    pub(super) world: World,
}

/// Who is dead is never certain: takers wait for leases to expire, and no file of this machine is read.
#[derive(Debug)]
struct NobodyKnows;

impl Liveness for NobodyKnows {
    fn is_dead(&self, _holder: &Holder) -> bool {
        false
    }
}

/// How an engine works.
#[derive(Debug, Default)]
pub(super) struct How {
    /// What stops it.
    pub(super) cancel: CancellationToken,
    /// Whether it breaks the glass.
    pub(super) glass: bool,
}

impl How {
    /// On the shared store or beside it.
    pub(super) fn glass(glass: bool) -> Self {
        Self { glass, ..Self::default() }
    }
}

/// Everything that one simulation holds.
pub(super) struct Lab {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) trace: Trace,
    pub(super) memory: MemoryStore,
    /// Where those work who break the glass.
    pub(super) local: MemoryStore,
    pub(super) deployed: Vec<Deployed>,
    pub(super) book: Book,
    script: Script,
    random: Mutex<Random>,
    ended: Mutex<Vec<Ended>>,
    stored: Mutex<Vec<Report>>,
    refused: Mutex<Vec<String>>,
    processes: Mutex<Vec<Process>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lab {
    pub(super) fn new(script: Script, random: Random, clock: Arc<dyn Clock>, trace: Trace) -> Self {
        let deploy = |(number, settings): (usize, _)| {
            let name = ComponentName::new(format!("c{number}")).expect("a component name");
            Deployed { name, world: World::new(settings, Arc::clone(&clock)) }
        };
        let deployed = script.worlds.iter().copied().enumerate().map(deploy).collect();
        Self {
            deployed,
            clock,
            trace,
            memory: MemoryStore::new(),
            local: MemoryStore::new(),
            book: Book::default(),
            script,
            random: Mutex::new(random),
            ended: Mutex::default(),
            stored: Mutex::default(),
            refused: Mutex::default(),
            processes: Mutex::default(),
        }
    }

    pub(super) fn process(&self, name: impl Into<String>, fuse: Fuse) -> Process {
        let process = Process::new(name, Arc::clone(&self.clock), self.trace.clone(), fuse);
        lock(&self.processes).push(process.clone());
        process
    }

    /// The engine of one session of a process: everything it sees goes through the process and the weather. It works
    /// on the shared store, unless the glass is broken.
    pub(super) fn engine(&self, process: &Process, name: &str, weather: Weather, how: How) -> Engine {
        let (memory, clock) = (self.memory.clone(), Arc::clone(&self.clock));
        let memory = if how.glass { self.local.clone() } else { memory };
        let session = Session::new(name, process.clone(), clock, memory, self.book.clone()).weather(weather);
        let session = if how.glass { session.without_leases() } else { session };
        let store = Arc::new(FaultStore::new(session.clone(), self.fork()));
        let environment =
            EnvironmentName::new("simulated").map(Environment::new).expect("an environment name");
        let environment = match self.script.soak {
            Some(soak) => environment.soak(soak),
            None => environment,
        };
        let mut engine = Engine::builder(Arc::clone(&store) as Arc<dyn Store>)
            .environment(environment.require_reason(false).single_operator(true))
            .clock(process.clock())
            .holder(Holder::named("simulated", process.name(), 1))
            .liveness(Arc::new(NobodyKnows))
            .entropy(Arc::new(SeededEntropy::new(self.fork().next_u64())))
            .probes(ProbeRegistry::new().with(Moods { process: process.clone() }))
            .cancel(how.cancel);
        for Deployed { name, world } in &self.deployed {
            let gap = FaultGap::new(world.clone(), process.clone(), weather, self.fork());
            let toy = ToyTarget::new(name.as_str(), world.clone()).by(process.name()).gap(Arc::new(gap));
            let fork = self.fork();
            let target = FaultTarget::new(toy.erase(), name.as_str(), world.clone(), session.clone(), fork);
            engine = engine.component(name.clone(), Arc::new(target));
        }
        if self.script.chained {
            for pair in self.deployed.windows(2) {
                engine = engine.after(pair[1].name.clone(), pair[0].name.clone());
            }
        }
        for (deployed, mood) in self.deployed.iter().zip(&self.script.gates) {
            if let Some(mood) = mood {
                engine = engine.gate(gate(&deployed.name, *mood));
            }
        }
        let engine = if how.glass { engine.break_glass(store, "the store is gone") } else { engine };
        engine.build()
    }

    fn fork(&self) -> Random {
        lock(&self.random).fork()
    }

    pub(super) fn end(&self, process: &Process, report: Report) {
        process.note(|| {
            let states = report
                .components
                .iter()
                .map(|(name, one)| format!("{name}: {} ({})", one.state, one.summary));
            format!("run {} ended {}: {}", report.run, report.state, states.collect::<Vec<_>>().join("; "))
        });
        let ended = Ended { process: process.name().to_owned(), report, at: self.clock.monotonic() };
        lock(&self.ended).push(ended);
    }

    /// An operator whose `apply` gave an error instead of a report: nothing may have been done.
    pub(super) fn refuse(&self, process: &Process, error: &Error) {
        process.note(|| format!("apply: {error}"));
        lock(&self.refused).push(process.name().to_owned());
    }

    pub(super) fn ended(&self) -> Vec<Ended> {
        lock(&self.ended).clone()
    }

    /// What the store has in the end.
    pub(super) fn store(&self, report: Report) {
        lock(&self.stored).push(report);
    }

    pub(super) fn stored(&self) -> Vec<Report> {
        lock(&self.stored).clone()
    }

    pub(super) fn refused(&self) -> Vec<String> {
        lock(&self.refused).clone()
    }

    pub(super) fn processes(&self) -> Vec<Process> {
        lock(&self.processes).clone()
    }

    /// The processes that work beside the store.
    pub(super) fn glass(&self) -> BTreeSet<String> {
        let beside =
            |process: &Process| self.script.glass && !matches!(process.name(), "setup" | "operator-after");
        self.processes()
            .iter()
            .filter(|process| beside(process))
            .map(|process| process.name().to_owned())
            .collect()
    }

    pub(super) fn script(&self) -> &Script {
        &self.script
    }
}

impl fmt::Debug for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lab").field("script", &self.script).finish_non_exhaustive()
    }
}
