//! The engine: plans, runs, resumes and remembers.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::digest::Digest;
use crate::environment::Environment;
use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Deployment, Ledger};
use crate::name::{ComponentName, Entropy, RunId};
use crate::plan::{Candidate, Plan, Planned};
use crate::probe::{Gate, ProbeRegistry};
use crate::progress::Progress;
use crate::report::{Report, State};
use crate::request::Request;
use crate::snapshot::SnapshotRecord;
use crate::store::Store;
use crate::target::{Observation, TargetInfo};
use crate::time::{Clock, Lasting};

/// Plans, runs, resumes and remembers rollbacks of some components.
#[derive(Debug, Clone)]
pub struct Engine {
    _inner: Arc<()>,
}

/// Sets up an [`Engine`].
#[derive(Debug)]
pub struct EngineBuilder {}

/// What a person or pipeline agreed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Approval {
    /// The phrase that was typed, where the environment asks for one.
    pub phrase: Option<String>,
    /// The digest that was approved, where the plan was reviewed before.
    pub digest: Option<Digest>,
}

impl Approval {
    /// Agrees, without a phrase.
    #[must_use]
    pub fn yes() -> Self {
        Self::default()
    }

    /// Adds the phrase that was typed.
    #[must_use]
    pub fn phrase(mut self, phrase: impl Into<String>) -> Self {
        self.phrase = Some(phrase.into());
        self
    }

    /// Approves only the plan with this digest.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }
}

/// How a component is now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The driver.
    pub driver: String,
    /// Who and what the target is.
    pub target: TargetInfo,
    /// What was observed.
    pub observed: Observation<SnapshotRecord>,
    /// The newest state that earned being good.
    pub last_good: Option<Deployment>,
    /// Why what runs must not run, if it is under quarantine.
    pub quarantined: Option<String>,
    /// Who holds the lease, if somebody does.
    pub held_by: Option<String>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunSummary {
    /// Which run.
    pub run: RunId,
    /// When it began.
    pub started_at: Timestamp,
    /// Who asked for it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Its components.
    pub components: Vec<ComponentName>,
    /// How it ended; `None` while it runs, or when it was cut off and waits for `resume`.
    pub state: Option<State>,
    /// Why it ran without a lease, if it did.
    pub break_glass: Option<String>,
}

/// Everything that is known of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunDetails {
    /// The run in short.
    pub summary: RunSummary,
    /// The plan that it ran.
    pub plan: Plan,
    /// What was journalled, a line for each event: when, and what in words.
    pub journal: BTreeMap<ComponentName, Vec<(Timestamp, String)>>,
    /// The report, once it ended.
    pub report: Option<Report>,
}

/// A claim that what runs now is worth remembering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// Whether it is said to be good.
    pub good: bool,
    /// Who says so; left out: user and host.
    pub by: Option<String>,
}

impl Claim {
    /// Only that it was deployed.
    #[must_use]
    pub fn deployed() -> Self {
        Self::default()
    }

    /// That it is good.
    #[must_use]
    pub fn good() -> Self {
        Self { good: true, ..Self::default() }
    }

    /// Says who claims it.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.by = Some(who.into());
        self
    }
}

fn unbuilt<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "use the engine", "it is being built"))
}

impl Engine {
    /// An engine over a store.
    #[must_use]
    pub fn builder(store: Arc<dyn Store>) -> EngineBuilder {
        let _ = store;
        EngineBuilder {}
    }

    /// Makes a plan. Changes nothing.
    ///
    /// # Errors
    ///
    /// What could not be read, or a destination that does not exist, with those that do.
    pub async fn plan(&self, request: &Request) -> Result<Planned> {
        let _ = request;
        unbuilt()
    }

    /// Runs a plan to its end.
    ///
    /// # Errors
    ///
    /// Only for what kept it from beginning a run at all: a stale or unapproved plan, a store that cannot be
    /// written. Everything after that is in the report.
    pub async fn apply(&self, plan: &Plan, approval: &Approval) -> Result<Report> {
        let _ = (plan, approval);
        unbuilt()
    }

    /// Takes up a run that was cut off, and brings it to its end. A run that ended gives its report again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] for an unknown run, [`ErrorKind::Conflict`] while somebody else works on it.
    pub async fn resume(&self, run: RunId) -> Result<Report> {
        let _ = run;
        unbuilt()
    }

    /// The newest runs.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunSummary>> {
        let _ = limit;
        unbuilt()
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] for an unknown run.
    pub async fn run(&self, run: RunId) -> Result<RunDetails> {
        let _ = run;
        unbuilt()
    }

    /// How a component is now.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn status(&self, component: &ComponentName) -> Result<Status> {
        let _ = component;
        unbuilt()
    }

    /// What a component could be put back to, newest first.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn history(&self, component: &ComponentName, limit: usize) -> Result<Vec<Candidate>> {
        let _ = (component, limit);
        unbuilt()
    }

    /// Proves what runs now and records it as deployed, or as good.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unhealthy`] when what runs cannot be proven.
    pub async fn record(&self, component: &ComponentName, claim: &Claim) -> Result<Deployment> {
        let _ = (component, claim);
        unbuilt()
    }

    /// The deployment records and quarantine of a component.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn ledger(&self, component: &ComponentName) -> Result<Ledger> {
        let _ = component;
        unbuilt()
    }
}

impl EngineBuilder {
    /// Adds a component.
    #[must_use]
    pub fn component(self, name: ComponentName, target: Arc<dyn DynTarget>) -> Self {
        let _ = (name, target);
        self
    }

    /// Lets `component` act only after `first` was proven.
    #[must_use]
    pub fn after(self, component: ComponentName, first: ComponentName) -> Self {
        let _ = (component, first);
        self
    }

    /// Sets the rules of the environment that requests are made in.
    #[must_use]
    pub fn environment(self, environment: Environment) -> Self {
        let _ = environment;
        self
    }

    /// Adds a gate.
    #[must_use]
    pub fn gate(self, gate: Gate) -> Self {
        let _ = gate;
        self
    }

    /// Sets the kinds of probes that gates may use.
    #[must_use]
    pub fn probes(self, probes: ProbeRegistry) -> Self {
        let _ = probes;
        self
    }

    /// Sets where progress is told.
    #[must_use]
    pub fn progress(self, progress: Progress) -> Self {
        let _ = progress;
        self
    }

    /// Sets what stops runs at their next safe point.
    #[must_use]
    pub fn cancel(self, cancel: CancellationToken) -> Self {
        let _ = cancel;
        self
    }

    /// Sets the time to live of leases; 15 seconds unless told otherwise.
    #[must_use]
    pub fn lease(self, ttl: Lasting) -> Self {
        let _ = ttl;
        self
    }

    /// Runs without a lease because the shared store is down: journals into `local`, marked with the reason, and is
    /// merged later.
    #[must_use]
    pub fn break_glass(self, local: Arc<dyn Store>, reason: impl Into<String>) -> Self {
        let _ = (local, reason.into());
        self
    }

    /// Sets the clock; the machine's unless told otherwise.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        let _ = clock;
        self
    }

    /// Sets where nonces and run ids come from; the operating system unless told otherwise.
    #[must_use]
    pub fn entropy(self, entropy: Arc<dyn Entropy>) -> Self {
        let _ = entropy;
        self
    }

    /// The engine.
    #[must_use]
    pub fn build(self) -> Engine {
        Engine { _inner: Arc::new(()) }
    }
}
