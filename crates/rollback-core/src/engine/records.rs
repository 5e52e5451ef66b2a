//! What the store keeps of each run.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Context, RunDetails, RunSummary};
use crate::action::{ActionContext, Step};
use crate::document::Envelope;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Journal, JournalEvent};
use crate::lease::{Holder, OpenIntent};
use crate::name::RunId;
use crate::plan::Plan;
use crate::report::Report;
use crate::store::{Condition, Key, KeyPrefix, Record, Records, Written};

pub(super) const RUN_SCHEMA: &str = "rollback-run/1";

/// One run: what it was asked to do, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RunRecord {
    pub(super) schema: String,
    pub(super) run: RunId,
    pub(super) plan: Plan,
    pub(super) holder: Holder,
    pub(super) started_at: Timestamp,
    pub(super) break_glass: Option<String>,
    pub(super) report: Option<Report>,
}

pub(super) fn prefix() -> Result<KeyPrefix> {
    KeyPrefix::new("runs")
}

fn key(run: RunId) -> Result<Key> {
    prefix()?.key(run)
}

impl RunRecord {
    pub(super) async fn read(records: &Records, run: RunId) -> Result<Record<Self>> {
        let found = records.get::<Self>(&key(run)?).await?;
        let record = found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "find the run",
                format!("{} has no run {run}", records.info().url),
            )
            .next("`rollback runs` lists the runs with their ids")
        })?;
        if record.value.schema != RUN_SCHEMA {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("read run {run}"),
                format!("it has the schema {:?}, this version reads {RUN_SCHEMA:?}", record.value.schema),
            )
            .next("use the version that wrote it"));
        }
        Ok(record)
    }

    pub(super) async fn create(&self, records: &Records) -> Result<()> {
        match records.put(&key(self.run)?, self, &Condition::Absent).await? {
            Written::Stored(_) => Ok(()),
            Written::Conflict => {
                Err(Error::new(ErrorKind::Conflict, "begin the run", "its id is taken").transient(true))
            }
        }
    }

    /// Adds the report, unless somebody else has brought the run to its end.
    pub(super) async fn end(records: &Records, run: RunId, report: &Report) -> Result<()> {
        let mut record = Self::read(records, run).await?;
        if record.value.report.is_none() {
            record.value.report = Some(report.clone());
            records.put(&key(run)?, &record.value, &Condition::Version(record.version)).await?;
        }
        Ok(())
    }

    pub(super) fn summary(&self) -> RunSummary {
        RunSummary {
            run: self.run,
            started_at: self.started_at,
            actor: self.plan.actor.clone(),
            reason: self.plan.request.reason.clone(),
            components: self.plan.components.keys().cloned().collect(),
            state: self.report.as_ref().map(|report| report.state),
            break_glass: self.break_glass.clone(),
        }
    }

    pub(super) async fn details(self, records: &Records) -> Result<RunDetails> {
        let mut journal = std::collections::BTreeMap::new();
        for name in self.plan.components.keys() {
            let events = Journal::open(records.clone(), self.run, name).await?;
            let lines = events.entries().iter().map(|entry| (entry.at, entry.event.describe()));
            journal.insert(name.clone(), lines.collect());
        }
        Ok(RunDetails { summary: self.summary(), plan: self.plan, journal, report: self.report })
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
    let run = RunRecord::read(records, open.run).await?.value;
    let planned = run.plan.components.get(&open.component);
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
