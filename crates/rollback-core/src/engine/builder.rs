use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::fresh::FreshLooks;
use super::{Context, Engine};
use crate::contents::ContentsKeys;
use crate::environment::Environment;
use crate::erased::DynTarget;
use crate::layer;
use crate::lease::{DEFAULT_TTL, Holder, LONGEST_TTL, Leasing, Liveness, SHORTEST_TTL, SystemLiveness};
use crate::ledger::DEFAULT_RETENTION;
use crate::name::{ComponentName, Entropy, EnvironmentName, SystemEntropy};
use crate::probe::{Gate, ProbeRegistry};
use crate::progress::Progress;
use crate::store::{Records, Store};
use crate::time::{Clock, Lasting, SystemClock};

/// Sets up an [`Engine`].
pub struct EngineBuilder {
    store: Arc<dyn Store>,
    targets: BTreeMap<ComponentName, Arc<dyn DynTarget>>,
    after: BTreeMap<ComponentName, Vec<ComponentName>>,
    environment: Option<Environment>,
    gates: Vec<Gate>,
    probes: ProbeRegistry,
    progress: Progress,
    cancel: CancellationToken,
    ttl: Lasting,
    retention: Lasting,
    contents: Option<ContentsKeys>,
    break_glass: Option<String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    holder: Option<Holder>,
    liveness: Arc<dyn Liveness>,
}

impl EngineBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            targets: BTreeMap::new(),
            after: BTreeMap::new(),
            environment: None,
            gates: Vec::new(),
            probes: ProbeRegistry::new(),
            progress: Progress::default(),
            cancel: CancellationToken::new(),
            ttl: DEFAULT_TTL,
            retention: DEFAULT_RETENTION,
            contents: None,
            break_glass: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            holder: None,
            liveness: Arc::new(SystemLiveness),
        }
    }

    /// Adds a component.
    #[must_use]
    pub fn component(mut self, name: ComponentName, target: Arc<dyn DynTarget>) -> Self {
        self.targets.insert(name, target);
        self
    }

    /// Lets `component` act only after `first` was proven.
    #[must_use]
    pub fn after(mut self, component: ComponentName, first: ComponentName) -> Self {
        self.after.entry(component).or_default().push(first);
        self
    }

    /// Sets the rules of the environment that requests are made in. Left out: one named `default` that asks for no
    /// reason.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Adds a gate.
    #[must_use]
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gates.push(gate);
        self
    }

    /// Sets the kinds of probes that gates may use.
    #[must_use]
    pub fn probes(mut self, probes: ProbeRegistry) -> Self {
        self.probes = probes;
        self
    }

    /// Sets where progress is told.
    #[must_use]
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Sets what stops runs at their next safe point.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Sets the time to live of leases, from [`SHORTEST_TTL`] to [`LONGEST_TTL`]; 15 seconds unless told otherwise.
    #[must_use]
    pub fn lease(mut self, ttl: Lasting) -> Self {
        self.ttl = ttl.clamp(SHORTEST_TTL, LONGEST_TTL);
        self
    }

    /// Sets how long deployment records are kept; 30 days unless told otherwise.
    #[must_use]
    pub fn retention(mut self, retention: Lasting) -> Self {
        self.retention = retention;
        self
    }

    /// Keeps the contents of recorded states, encrypted with these keys, of targets that [keep
    /// them](crate::contents::KeepsContents). Without keys nothing is kept.
    #[must_use]
    pub fn contents(mut self, keys: ContentsKeys) -> Self {
        self.contents = Some(keys);
        self
    }

    /// Works without a lease because the shared store is down: everything goes into `local`, marked with the reason,
    /// until [`Engine::merge_break_glass`] brings it home.
    #[must_use]
    pub fn break_glass(mut self, local: Arc<dyn Store>, reason: impl Into<String>) -> Self {
        self.store = local;
        self.break_glass = Some(reason.into());
        self
    }

    /// Sets the clock; the machine's unless told otherwise.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets where nonces and run ids come from; the operating system unless told otherwise.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Sets who holds leases; this process unless told otherwise.
    #[must_use]
    pub fn holder(mut self, holder: Holder) -> Self {
        self.holder = Some(holder);
        self
    }

    /// Sets who tells whether a holder is dead; this machine's `/proc` unless told otherwise.
    #[must_use]
    pub fn liveness(mut self, liveness: Arc<dyn Liveness>) -> Self {
        self.liveness = liveness;
        self
    }

    /// The engine. Each target gets the [standard layers](layer::standard).
    ///
    /// # Panics
    ///
    /// Never: the name of the default environment is a valid one.
    #[must_use]
    pub fn build(self) -> Engine {
        let clock = self.clock;
        let records = Records::new(self.store, Arc::clone(&clock), Arc::clone(&self.entropy));
        let environment = self.environment.unwrap_or_else(|| {
            let name = EnvironmentName::new("default").unwrap_or_else(|_| unreachable!("a valid name"));
            Environment::new(name).require_reason(false)
        });
        let targets = self.targets.into_iter();
        Engine::new(Context {
            fresh: FreshLooks::default(),
            leasing: Leasing {
                records: records.clone(),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&self.entropy),
                holder: self.holder.unwrap_or_else(Holder::this_process),
                liveness: self.liveness,
                ttl: self.ttl,
            },
            targets: targets.map(|(name, target)| (name, layer::standard(target, &clock))).collect(),
            records,
            clock,
            entropy: self.entropy,
            after: self.after,
            environment,
            gates: self.gates,
            probes: self.probes,
            progress: self.progress,
            cancel: self.cancel,
            retention: self.retention,
            contents: self.contents,
            break_glass: self.break_glass,
        })
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder")
            .field("store", &self.store)
            .field("components", &self.targets.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
