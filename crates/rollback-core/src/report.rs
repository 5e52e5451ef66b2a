//! Honest terminal states and the report of a run.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::ErrorRecord;
use crate::name::{ComponentName, RunId};
use crate::request::Request;
use crate::snapshot::SnapshotInfo;
use crate::target::{Evidence, Finding};

/// How a component, or a whole run, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// The destination runs on every part, proven, and every gate passed.
    Restored,
    /// The destination runs on every part, proven, and a gate failed.
    RestoredUnhealthy,
    /// The destination was running already, proven. Nothing was done.
    AlreadyThere,
    /// A guard said no. Nothing was done.
    Refused,
    /// The destination was not reached; the origin runs on every part, proven.
    FailedRestored,
    /// Some parts (or components) are at the destination and some are not.
    Partial,
    /// What runs could not be proven to be either. A person must look.
    Stuck,
    /// Somebody else took over or changed the target; this run stopped.
    Superseded,
    /// Stopped on request, at a safe point.
    Cancelled,
}

impl State {
    /// Whether what was asked for is true of the world.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Restored | Self::AlreadyThere)
    }

    /// The state of a run from those of its components: a success only if all of them are, and never better than
    /// the worst of them. An app back on the old code over a new schema is not a success.
    ///
    /// ```
    /// use rollback_core::State::*;
    /// assert_eq!(rollback_core::State::of_run([Restored, AlreadyThere]), Restored);
    /// assert_eq!(rollback_core::State::of_run([Restored, FailedRestored]), Partial);
    /// assert_eq!(rollback_core::State::of_run([Partial, Stuck]), Stuck);
    /// ```
    pub fn of_run(states: impl IntoIterator<Item = Self>) -> Self {
        let states: Vec<Self> = states.into_iter().collect();
        let any = |state| states.contains(&state);
        let all = |wanted: &[Self]| states.iter().all(|state| wanted.contains(state));
        if states.is_empty() {
            return Self::Refused;
        }
        if any(Self::Stuck) {
            return Self::Stuck;
        }
        let moved = [Self::Restored, Self::RestoredUnhealthy, Self::Partial].map(any).contains(&true);
        match () {
            () if all(&[Self::AlreadyThere]) => Self::AlreadyThere,
            () if all(&[Self::Restored, Self::AlreadyThere]) => Self::Restored,
            () if all(&[Self::Restored, Self::RestoredUnhealthy, Self::AlreadyThere]) => {
                Self::RestoredUnhealthy
            }
            () if moved => Self::Partial,
            () if any(Self::Superseded) => Self::Superseded,
            () if any(Self::FailedRestored) => Self::FailedRestored,
            () if any(Self::Cancelled) => Self::Cancelled,
            () => Self::Refused,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Restored => "restored",
            Self::RestoredUnhealthy => "restored, unhealthy",
            Self::AlreadyThere => "already there",
            Self::Refused => "refused",
            Self::FailedRestored => "failed, origin proven",
            Self::Partial => "partial",
            Self::Stuck => "stuck",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        })
    }
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The run.
    pub run: RunId,
    /// The plan that ran.
    pub plan: Digest,
    /// Who asked for what, and why.
    pub request: Request,
    /// The state of the whole.
    pub state: State,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why it ran without a lease, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// Each component.
    pub components: BTreeMap<ComponentName, ComponentReport>,
}

/// What became of one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ComponentReport {
    /// How it ended.
    pub state: State,
    /// In one sentence.
    pub summary: String,
    /// Where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<SnapshotInfo>,
    /// Where it should go.
    pub to: SnapshotInfo,
    /// What was done, in order.
    pub steps: Vec<StepReport>,
    /// The last evidence that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What each gate said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateReport>,
    /// What went wrong, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ErrorRecord>,
    /// What to do now, by hand, where something is left to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// What would undo this rollback, and everything else worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

impl ComponentReport {
    /// A report without steps.
    pub fn new(
        state: State,
        summary: impl Into<String>,
        from: Option<SnapshotInfo>,
        to: SnapshotInfo,
    ) -> Self {
        Self {
            state,
            summary: summary.into(),
            from,
            to,
            steps: Vec::new(),
            evidence: None,
            gates: Vec::new(),
            errors: Vec::new(),
            next: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// One step that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepReport {
    /// What it was, for people.
    pub title: String,
    /// What became of it: `applied`, `not applied: …`, `unknown: …`.
    pub outcome: String,
}

impl StepReport {
    /// A step with its outcome.
    pub fn new(title: impl Into<String>, outcome: impl Into<String>) -> Self {
        Self { title: title.into(), outcome: outcome.into() }
    }
}

/// What a gate said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GateReport {
    /// Which gate.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

impl GateReport {
    /// A gate's answer.
    pub fn new(name: impl Into<String>, passed: bool, detail: impl Into<String>) -> Self {
        Self { name: name.into(), passed, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::State::{
        self, AlreadyThere, Cancelled, FailedRestored, Partial, Refused, Restored, RestoredUnhealthy, Stuck,
        Superseded,
    };

    const ALL: [State; 9] = [
        Restored,
        RestoredUnhealthy,
        AlreadyThere,
        Refused,
        FailedRestored,
        Partial,
        Stuck,
        Superseded,
        Cancelled,
    ];

    #[test]
    fn a_run_of_one_component_is_what_its_component_is() {
        for state in ALL {
            assert_eq!(State::of_run([state]), state);
        }
    }

    #[test]
    fn a_run_is_a_success_only_if_every_component_is() {
        for a in ALL {
            for b in ALL {
                let run = State::of_run([a, b]);
                assert_eq!(run.is_success(), a.is_success() && b.is_success(), "{a} + {b} = {run}");
                assert_eq!(run, State::of_run([b, a]), "the order must not matter");
            }
        }
    }
}
