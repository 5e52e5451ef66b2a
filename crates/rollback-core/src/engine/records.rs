//! What the store keeps of each run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Context, RunDetails, RunSummary};
use crate::action::{ActionContext, Step};
use crate::digest::Digest;
use crate::document::Envelope;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, JournalEvent};
use crate::lease::{Holder, OpenIntent};
use crate::name::{ComponentName, RunId};
use crate::plan::Plan;
use crate::report::{Report, State};
use crate::store::{Condition, Filed, Key, KeyPrefix, Record, Records, Written};

const RUN_SCHEMA: &str = "rollback-run/1";

/// How many components a run names in lists; the plan names all of them.
const NAMED: usize = 100;

/// One run as the store keeps it, small whatever the run's size: what it was asked to do and how it ended are
/// documents of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RunRecord {
    schema: String,
    pub(super) run: RunId,
    pub(super) holder: Holder,
    pub(super) started_at: Timestamp,
    pub(super) break_glass: Option<String>,
    actor: String,
    reason: Option<String>,
    /// The first of its components, by name.
    components: Vec<ComponentName>,
    component_count: usize,
    plan: Filed,
    ended: Option<Ended>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ended {
    state: State,
    report: Filed,
}

pub(super) fn prefix() -> Result<KeyPrefix> {
    KeyPrefix::new("runs")
}

fn key(run: RunId) -> Result<Key> {
    prefix()?.key(run)
}

/// Where a run's documents are.
fn document(run: RunId, name: &str) -> Result<Key> {
    KeyPrefix::new(&format!("documents/{run}"))?.key(name)
}

fn json(what: &str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("write {what}"), "it is not JSON").with_source(error)
    })
}

impl RunRecord {
    pub(super) async fn read(records: &Records, run: RunId) -> Result<Record<Self>> {
        let found = records.get::<Value>(&key(run)?).await?;
        let Record { value, version } = found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "find the run",
                format!("{} has no run {run}", records.info().url),
            )
            .next("`rollback runs` lists the runs with their ids")
        })?;
        let reading = format!("read run {run}");
        let schema = value.get("schema").and_then(Value::as_str).unwrap_or("none");
        if schema != RUN_SCHEMA {
            let what = format!("it has the schema {schema:?}, this version reads {RUN_SCHEMA:?}");
            let error = Error::new(ErrorKind::Unsupported, reading, what);
            return Err(error.next("use the version that wrote it"));
        }
        let value = serde_json::from_value(value).map_err(|error| {
            Error::new(ErrorKind::Corrupt, reading, "its record does not fit its schema")
                .next("keep a copy of the store; then look at the targets by hand")
                .with_source(error)
        })?;
        Ok(Record { value, version })
    }

    /// Begins a run: its plan first, so that a run that can be seen can be resumed.
    pub(super) async fn create(context: &Context, run: RunId, plan: &Plan) -> Result<Self> {
        let records = &context.records;
        let record = Self {
            schema: RUN_SCHEMA.to_owned(),
            run,
            holder: context.leasing.holder.clone(),
            started_at: context.clock.now(),
            break_glass: context.break_glass.clone(),
            actor: plan.actor.clone(),
            reason: plan.request.reason.clone(),
            components: plan.components.keys().take(NAMED).cloned().collect(),
            component_count: plan.components.len(),
            plan: records.file(document(run, "plan")?, &json("the plan", plan)?).await?,
            ended: None,
        };
        match records.put(&key(run)?, &record, &Condition::Absent).await? {
            Written::Stored(_) => Ok(record),
            Written::Conflict => {
                Err(Error::new(ErrorKind::Conflict, "begin the run", "its id is taken").transient(true))
            }
        }
    }

    pub(super) async fn plan(&self, records: &Records) -> Result<Plan> {
        Plan::from_json(&records.filed(&self.plan).await?)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Its report, once it ended.
    pub(super) async fn report(&self, records: &Records) -> Result<Option<Report>> {
        let Some(ended) = &self.ended else { return Ok(None) };
        let report = serde_json::from_str(&records.filed(&ended.report).await?).map_err(|error| {
            Error::new(ErrorKind::Corrupt, format!("read the report of run {}", self.run), "it does not fit")
                .next("its journal is still there: rollback show")
                .with_source(error)
        })?;
        Ok(Some(report))
    }

    /// Adds the report, unless somebody else has brought the run to its end.
    pub(super) async fn end(context: &Context, report: &Report) -> Result<()> {
        let (records, run) = (&context.records, report.run);
        let mut record = Self::read(records, run).await?;
        if !record.value.has_ended() {
            // Two that end one run at the same time must not mix their reports: one of them will not be named.
            let nonce = Digest::of_bytes(&context.entropy.bytes()).short();
            let filed = document(run, &format!("report-{nonce}"))?;
            let filed = records.file(filed, &json("the report", report)?).await?;
            record.value.ended = Some(Ended { state: report.state, report: filed });
            records.put(&key(run)?, &record.value, &Condition::Version(record.version)).await?;
        }
        Ok(())
    }

    pub(super) fn summary(&self) -> RunSummary {
        RunSummary {
            run: self.run,
            started_at: self.started_at,
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            components: self.components.clone(),
            component_count: self.component_count,
            state: self.ended.as_ref().map(|ended| ended.state),
            break_glass: self.break_glass.clone(),
        }
    }

    pub(super) async fn details(self, records: &Records) -> Result<RunDetails> {
        let plan = self.plan(records).await?;
        let mut journal = BTreeMap::new();
        for name in plan.components.keys() {
            let events = Journal::open(records.clone(), self.run, name).await?;
            journal.insert(name.clone(), events.lines());
        }
        let report = self.report(records).await?;
        Ok(RunDetails { summary: self.summary(), plan, journal, report })
    }
}

/// The step that another run had authorised, if its outcome is not in that run's journal.
pub(super) async fn left_open(
    context: &Context,
    open: &OpenIntent,
) -> Result<Option<(Step<Envelope>, ActionContext)>> {
    let records = &context.records;
    let journal = Journal::open(records.clone(), open.run, &open.component).await?;
    if !journal.state.open().iter().any(|(event, _)| *event == open.event) {
        return Ok(None);
    }
    let entries = journal.entries();
    let Some(JournalEvent::Intent { step, attempt, key, expected }) =
        entries.get(usize::try_from(open.event).unwrap_or(usize::MAX)).map(|entry| &entry.event)
    else {
        return Ok(None);
    };
    let legs = entries.iter().take(usize::try_from(open.event).unwrap_or(0)).rev();
    let Some(leg) = legs.map(|entry| &entry.event).find_map(|event| match event {
        JournalEvent::LegStarted { leg } => Some(leg),
        _ => None,
    }) else {
        return Ok(None);
    };
    // Those of the plan are only there: a leg that was planned on the way has its own.
    let run_plan = match &leg.proposal {
        Some(_) => None,
        None => Some(RunRecord::read(records, open.run).await?.value.plan(records).await?),
    };
    let planned = run_plan.as_ref().and_then(|plan| plan.components.get(&open.component));
    let planned = planned.and_then(|plan| plan.proposals().find(|(strategy, _)| *strategy == leg.strategy));
    let proposal = leg.proposal.as_ref().or(planned.map(|(_, proposal)| proposal));
    let found = proposal.and_then(|proposal| proposal.steps.iter().find(|one| one.id == *step));
    Ok(found
        // A convergence that was left half done is what our own will repair.
        .filter(|found| found.kind == crate::action::ActionKind::SingleEffect)
        .map(|found| {
            let cx = ActionContext::new(open.run, open.component.clone(), step.clone(), key.clone());
            (found.clone(), cx.with_attempt(*attempt).expecting(expected.clone()))
        }))
}
