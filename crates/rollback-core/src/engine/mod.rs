//! The engine: plans, runs, resumes and remembers.

mod builder;
mod check;
mod clean;
mod component;
mod context;
mod finish;
pub(crate) mod fresh;
mod guards;
mod holding;
mod leftovers;
mod quarantine;
mod queue;
mod record;
mod records;
mod remember;
mod run;
mod settle;
mod soak;
mod steps;
mod tidy;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::Instrument as _;

pub use self::builder::EngineBuilder;
pub use self::check::{Check, CheckRequest, Verdict};
pub use self::clean::Cleaned;
pub(crate) use self::context::Context;
pub use self::quarantine::Admission;
pub use self::record::Claim;
use self::records::RunRecord;
use self::run::Run;
use crate::contents;
use crate::digest::Digest;
use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, Result};
use crate::lease::held_by;
use crate::ledger::{Deployment, Ledger, Trial, last_good};
use crate::name::{ComponentName, RunId};
use crate::plan::{Candidate, Past, Plan, Planned, Planner};
use crate::report::{Report, State};
use crate::request::Request;
use crate::snapshot::SnapshotRecord;
use crate::store::{Condition, KeyPrefix, Records, Store, Written};
use crate::target::{Observation, Phase, Reading, TargetInfo};

/// Plans, runs, resumes and remembers rollbacks of some components. Cheap to clone.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use rollback_core::{Approval, ComponentName, DynTarget, Engine, EnvironmentName, Planned, Request};
/// # use rollback_core::store::MemoryStore;
/// # async fn demo(web: Arc<dyn DynTarget>) -> rollback_core::Result<()> {
/// let name = ComponentName::new("web")?;
/// let engine = Engine::builder(Arc::new(MemoryStore::new())).component(name.clone(), web).build();
/// let request = Request::new(EnvironmentName::new("default")?).component(name, Some("previous".parse()?));
/// if let Planned::Ready(plan) = engine.plan(&request).await? {
///     let report = engine.apply(&plan, &Approval::yes()).await?;
///     println!("{}", report.state);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    context: Arc<Context>,
}

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
    /// Whether what runs is still on trial, or was seen to be bad.
    pub trial: Option<Trial>,
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
    /// Its components; of very many, the first hundred by name.
    pub components: Vec<ComponentName>,
    /// How many components it has.
    pub component_count: usize,
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

impl Engine {
    /// An engine over a store.
    #[must_use]
    pub fn builder(store: Arc<dyn Store>) -> EngineBuilder {
        EngineBuilder::new(store)
    }

    fn new(context: Context) -> Self {
        Self { context: Arc::new(context) }
    }

    /// Makes a plan. Changes nothing.
    ///
    /// # Errors
    ///
    /// What could not be read, or a destination that does not exist, with those that do.
    pub async fn plan(&self, request: &Request) -> Result<Planned> {
        Planner { context: &self.context }.plan(request).await
    }

    /// Runs a plan to its end.
    ///
    /// # Errors
    ///
    /// Only for what kept it from beginning a run at all: a stale or unapproved plan, a store that cannot be
    /// written. Everything after that is in the report.
    pub async fn apply(&self, plan: &Plan, approval: &Approval) -> Result<Report> {
        let now = self.context.clock.now();
        guards::check_plan(&self.context, plan, approval, now)?;
        let run = run::new_id(&self.context);
        let record = RunRecord::create(&self.context, run, plan).await?;
        self.execute(record, plan.clone(), false).await
    }

    /// Takes up a run that was cut off, and brings it to its end. A run that ended gives its report again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] for an unknown run, [`ErrorKind::Conflict`] while somebody else works on it.
    pub async fn resume(&self, run: RunId) -> Result<Report> {
        let record = RunRecord::read(&self.context.records, run).await?.value;
        let records = &self.context.records;
        match record.report(records).await? {
            Some(report) => Ok(report),
            None => {
                let plan = record.plan(records).await?;
                self.execute(record, plan, true).await
            }
        }
    }

    async fn execute(&self, record: RunRecord, plan: Plan, resumed: bool) -> Result<Report> {
        let span = tracing::info_span!("rollback", run = %record.run, resumed);
        let work =
            async { Run::open(Arc::clone(&self.context), record, plan, resumed).await?.execute().await };
        work.instrument(span).await
    }

    /// The newest runs.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn runs(&self, limit: usize) -> Result<Vec<RunSummary>> {
        run::newest(&self.context, limit).await
    }

    /// One run.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] for an unknown run.
    pub async fn run(&self, run: RunId) -> Result<RunDetails> {
        let record = RunRecord::read(&self.context.records, run).await?.value;
        record.details(&self.context.records).await
    }

    /// How a component is now.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn status(&self, component: &ComponentName) -> Result<Status> {
        let target = self.context.target(component)?;
        let info = self.context.info(component).await?;
        let observed = target.observe(None).await?;
        let ledger = Ledger::new(self.context.records.clone(), &info.id)?;
        let deployments = ledger.deployments().await?;
        // Of something that nobody ever recorded, a wrong name is likelier than that it was deleted.
        if let (Reading::Absent, None, Phase::Failed(why), true) =
            (&observed.settled, &observed.heading, &observed.phase, deployments.is_empty())
        {
            return Err(Error::new(ErrorKind::NotFound, format!("look at {component}"), why.clone()));
        }
        let runs = observed.heading.as_ref().or(observed.settled.known()).map(|record| record.info.identity);
        let record = deployments.iter().find(|record| Some(record.snapshot.info.identity) == runs);
        let quarantined = ledger.quarantined().await?;
        let entry = quarantined.iter().find(|entry| Some(entry.identity) == runs);
        let head = held_by(&self.context.records, &info.id).await?;
        let holder = head.and_then(|head| Some(format!("{} for run {}", head.holder?, head.run)));
        Ok(Status {
            driver: target.driver().to_owned(),
            last_good: last_good(&deployments, &quarantined).cloned(),
            trial: record.and_then(|record| record.trial.clone()),
            quarantined: entry.map(|entry| entry.reason.clone()),
            held_by: holder,
            target: info,
            observed,
        })
    }

    /// A cheap look at what runs.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn observe(&self, component: &ComponentName) -> Result<Observation<SnapshotRecord>> {
        self.context.target(component)?.observe(None).await
    }

    /// The target of a component, with the standard layers around it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a component that the engine does not have.
    pub fn target(&self, component: &ComponentName) -> Result<Arc<dyn DynTarget>> {
        self.context.target(component).cloned()
    }

    /// What a component could be put back to, newest first.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn history(&self, component: &ComponentName, limit: usize) -> Result<Vec<Candidate>> {
        let target = self.context.target(component)?;
        let ledger = self.ledger(component).await?;
        let mut past = Past::read(&**target, &ledger, limit).await?;
        past.candidates.truncate(limit);
        Ok(past.candidates)
    }

    /// The deployment records and quarantine of a component.
    ///
    /// # Errors
    ///
    /// What could not be read.
    pub async fn ledger(&self, component: &ComponentName) -> Result<Ledger> {
        let info = self.context.info(component).await?;
        Ledger::new(self.context.records.clone(), &info.id)
    }

    /// Copies everything that break-glass runs wrote into `local` to this engine's store. What is there already stays.
    /// How many records were copied.
    ///
    /// # Errors
    ///
    /// Either store's.
    pub async fn merge_break_glass(&self, local: Arc<dyn Store>) -> Result<usize> {
        let clock = Arc::clone(&self.context.clock);
        let local = Records::new(local, clock, Arc::clone(&self.context.entropy));
        let mut copied = 0;
        // Runs last: a run that can be seen has its plan and its journal.
        for space in ["journal", contents::SPACE, "deployments", "quarantine", "lifted", "documents", "runs"]
        {
            for key in local.keys(&KeyPrefix::new(space)?).await? {
                let Some(record) = local.get::<serde_json::Value>(&key).await? else { continue };
                let written = self.context.records.put(&key, &record.value, &Condition::Absent).await?;
                copied += usize::from(matches!(written, Written::Stored(_)));
            }
        }
        Ok(copied)
    }
}
