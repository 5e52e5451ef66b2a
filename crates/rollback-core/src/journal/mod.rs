//! The journal of one component in one run: a key per event, written only if absent.
//!
//! One transition function ([`Progressed::apply`]) turns events into state. The engine appends an event and applies
//! it; a resume reads all events and applies them: there is no second truth.

mod state;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use self::state::{Progressed, StepState};
use crate::action::Landing;
use crate::document::Envelope;
use crate::error::{Error, ErrorKind, ErrorRecord, Result};
use crate::lease::Holder;
use crate::name::{ComponentName, IdempotencyKey, Incarnation, PartId, RunId, StepId, Token};
use crate::report::ComponentReport;
use crate::store::{Condition, KeyPrefix, Records, Written};
use crate::strategy::Proposal;

/// The schema of journal entries; a journal of another schema is not resumed.
pub(crate) const JOURNAL_SCHEMA: &str = "rollback-journal/1";

/// One event with what every event has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) schema: String,
    pub(crate) at: Timestamp,
    pub(crate) epoch: u64,
    #[serde(flatten)]
    pub(crate) event: JournalEvent,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum JournalEvent {
    /// A process began to work on the component.
    Begun { holder: Holder },
    /// An action that an earlier run had left open was settled by looking.
    ForeignSettled { run: RunId, number: u64, landing: Landing },
    /// Every guard passed. From here on there may be effects.
    Guarded { token: Token, incarnations: BTreeMap<PartId, Incarnation> },
    /// A proposal began to be carried out.
    LegStarted { leg: Leg },
    /// An action is about to be authorised and sent.
    Intent { step: StepId, attempt: u32, key: IdempotencyKey, expected: Option<Token> },
    /// What became of an action.
    Outcome { intent: u64, landing: Landing, error: Option<ErrorRecord> },
    /// A proposal cannot be brought to its end.
    LegFailed { why: String, error: Option<ErrorRecord> },
    /// The identity was proven on every part.
    Proved { parts: u64 },
    /// A gate has decided.
    GateEnded { name: String, passed: bool, detail: String },
    /// The component has ended.
    Ended { report: Box<ComponentReport> },
}

/// One proposal that is carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Leg {
    pub(crate) purpose: Purpose,
    pub(crate) strategy: String,
    /// Written out for repairs and the way back; those of the plan are in the plan.
    pub(crate) proposal: Option<Proposal<Envelope>>,
    /// What the target must still be at before the first effect of this leg.
    pub(crate) token: Option<Token>,
}

/// Why a proposal is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Purpose {
    /// The chosen one.
    Forward,
    /// An approved alternative.
    Alternative,
    /// Once more, from what is now.
    Repair,
    /// To the origin.
    Back,
    /// What is left to do once the destination is proven.
    Tidy,
}

/// Writes and keeps the events of one component.
#[derive(Debug)]
pub(crate) struct Journal {
    records: Records,
    prefix: KeyPrefix,
    pub(crate) epoch: u64,
    entries: Vec<Entry>,
    pub(crate) state: Progressed,
}

/// Why an event was not written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// Somebody else writes this journal now.
    Lost,
    /// The store failed.
    Failed(Error),
}

fn prefix(run: RunId, component: &ComponentName) -> Result<KeyPrefix> {
    KeyPrefix::new(&format!("journal/{run}/{component}"))
}

impl Journal {
    /// Reads what is there; nothing for a new run.
    pub(crate) async fn open(records: Records, run: RunId, component: &ComponentName) -> Result<Self> {
        let prefix = prefix(run, component)?;
        let mut entries = Vec::new();
        let mut state = Progressed::default();
        let keys = records.keys(&prefix).await?;
        let found = records.get_all::<Entry>(&keys).await?;
        for (number, (key, record)) in keys.iter().zip(found).enumerate() {
            if *key != prefix.key(format!("{number:06}"))? {
                return Err(broken(&prefix, &format!("event {number} is missing")));
            }
            let Some(record) = record else {
                return Err(broken(&prefix, &format!("event {number} was removed")));
            };
            if record.value.schema != JOURNAL_SCHEMA {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("read {prefix}"),
                    format!(
                        "it has the schema {:?}, this version reads {JOURNAL_SCHEMA:?}",
                        record.value.schema
                    ),
                )
                .next("resume the run with the version that began it"));
            }
            state.apply(number as u64, &record.value.event);
            entries.push(record.value);
        }
        Ok(Self { records, prefix, epoch: 0, entries, state })
    }

    /// How many events there are, without reading them.
    pub(crate) async fn length(records: &Records, run: RunId, component: &ComponentName) -> Result<usize> {
        Ok(records.keys(&prefix(run, component)?).await?.len())
    }

    /// Writes an event and applies it. Its number.
    pub(crate) async fn append(&mut self, at: Timestamp, event: JournalEvent) -> Result<u64, Unwritten> {
        let number = self.entries.len() as u64;
        let key = self.prefix.key(format!("{number:06}")).map_err(Unwritten::Failed)?;
        let entry = Entry { schema: JOURNAL_SCHEMA.to_owned(), at, epoch: self.epoch, event };
        match self.records.put(&key, &entry, &Condition::Absent).await {
            Ok(Written::Stored(_)) => {}
            Ok(Written::Conflict) => return Err(Unwritten::Lost),
            Err(error) => return Err(Unwritten::Failed(error)),
        }
        self.state.apply(number, &entry.event);
        self.entries.push(entry);
        Ok(number)
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All events in words. Steps of a batch end in any order, so each outcome names its step.
    pub(crate) fn lines(&self) -> Vec<(Timestamp, String)> {
        let line = |entry: &Entry| match &entry.event {
            JournalEvent::Outcome { intent, .. } => match self.step_of(*intent) {
                Some(step) => format!("{step}: {}", entry.event.describe()),
                None => entry.event.describe(),
            },
            event => event.describe(),
        };
        self.entries.iter().map(|entry| (entry.at, line(entry))).collect()
    }

    fn step_of(&self, intent: u64) -> Option<&StepId> {
        match &self.entries.get(usize::try_from(intent).ok()?)?.event {
            JournalEvent::Intent { step, .. } => Some(step),
            _ => None,
        }
    }
}

fn broken(prefix: &KeyPrefix, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("read {prefix}"), what.to_owned())
        .next("the journal cannot be trusted; look at the target by hand and make a new plan")
}

impl JournalEvent {
    /// The event in words.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Begun { holder } => format!("{holder} began"),
            Self::ForeignSettled { run, landing, .. } => {
                format!("an action that run {run} had left open: {}", describe_landing(landing))
            }
            Self::Guarded { .. } => "every guard passed".to_owned(),
            Self::LegStarted { leg } => match leg.purpose {
                Purpose::Forward => format!("{} began", leg.strategy),
                Purpose::Alternative => format!("fell back to {}", leg.strategy),
                Purpose::Repair => format!("repairs with {}", leg.strategy),
                Purpose::Back => format!("goes back with {}", leg.strategy),
                Purpose::Tidy => format!("tidies up after {}", leg.strategy),
            },
            Self::Intent { step, attempt: 1, .. } => format!("{step}: about to be sent"),
            Self::Intent { step, attempt, .. } => format!("{step}: about to be sent, attempt {attempt}"),
            Self::Outcome { landing, error, .. } => match error {
                Some(error) => format!("{} ({error})", describe_landing(landing)),
                None => describe_landing(landing),
            },
            Self::LegFailed { why, .. } => format!("failed: {why}"),
            Self::Proved { parts } => format!("proven on {}", counted(*parts, "part")),
            Self::GateEnded { name, passed, detail } => {
                format!("gate {name} {}: {detail}", if *passed { "passed" } else { "failed" })
            }
            Self::Ended { report } => format!("ended: {}: {}", report.state, report.summary),
        }
    }
}

/// A number with its noun: `1 part`, `3 parts`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A landing in words.
pub(crate) fn describe_landing(landing: &Landing) -> String {
    match landing {
        Landing::Applied(receipt) if receipt.presumed => "applied (presumed)".to_owned(),
        Landing::Applied(_) => "applied".to_owned(),
        Landing::NotApplied { why } => format!("not applied: {why}"),
        Landing::Running { what } => format!("running: {what}"),
        Landing::Failed { why } => format!("landed and failed: {why}"),
        Landing::Superseded { by } => format!("superseded: {by}"),
        Landing::Unknown { why } => format!("unknown: {why}"),
    }
}
