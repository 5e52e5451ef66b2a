use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{JournalEvent, Leg, Purpose, describe_landing};
use crate::action::Landing;
use crate::error::{ErrorKind, ErrorRecord};
use crate::name::{Incarnation, PartId, StepId, Token};
use crate::report::{ComponentReport, GateReport, StepReport};

/// What the events of a component come to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progressed {
    /// How many processes worked on it.
    pub(crate) begun: u32,
    /// Set once every guard passed: the token and the incarnations from before the first effect.
    pub(crate) guarded: Option<(Token, BTreeMap<PartId, Incarnation>)>,
    pub(crate) legs: Vec<LegState>,
    /// The token after the last action that is known to have landed; before that, the planned one.
    pub(crate) token: Option<Token>,
    /// Errors, oldest first.
    pub(crate) errors: Vec<ErrorRecord>,
    pub(crate) gates: BTreeMap<String, GateReport>,
    pub(crate) ended: Option<ComponentReport>,
    /// Each intent with its leg and step, by the number of its event.
    intents: BTreeMap<u64, (usize, StepId)>,
    /// The intents whose outcome is not known, as in [`StepState::open`].
    open: BTreeSet<u64>,
}

/// One proposal and how far it is.
#[derive(Debug, Clone)]
pub(crate) struct LegState {
    pub(crate) leg: Leg,
    pub(crate) steps: BTreeMap<StepId, StepState>,
    /// What applied steps put out.
    pub(crate) outputs: BTreeMap<StepId, Value>,
    pub(crate) failed: Option<String>,
    /// Whether it failed because something is not allowed.
    pub(crate) denied: bool,
}

/// One step and what became of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepState {
    /// How often it was sent.
    pub(crate) attempts: u32,
    /// The intent whose outcome is not journalled.
    pub(crate) open: Option<u64>,
    /// The last outcome.
    pub(crate) landing: Option<Landing>,
    /// The intent of a sending that may have changed something, although a later one of the same convergence did not.
    pub(crate) half_done: Option<u64>,
}

impl StepState {
    pub(crate) fn is_applied(&self) -> bool {
        matches!(self.landing, Some(Landing::Applied(_)))
    }

    /// Whether it may have changed something without having been applied.
    pub(crate) fn is_unclear(&self) -> bool {
        self.open.is_some() || self.half_done.is_some()
    }
}

impl LegState {
    fn begun(leg: Leg) -> Self {
        Self { leg, steps: BTreeMap::new(), outputs: BTreeMap::new(), failed: None, denied: false }
    }

    /// Whether any of its actions may have changed the world.
    pub(crate) fn has_effects(&self) -> bool {
        self.steps.values().any(|step| {
            step.is_unclear()
                || matches!(
                    step.landing,
                    Some(Landing::Applied(_) | Landing::Failed { .. } | Landing::Unknown { .. })
                )
        })
    }
}

impl Progressed {
    /// The one transition function.
    pub(crate) fn apply(&mut self, number: u64, event: &JournalEvent) {
        match event {
            JournalEvent::Begun { .. } => self.begun += 1,
            JournalEvent::ForeignSettled { .. } | JournalEvent::Proved { .. } => {}
            JournalEvent::Guarded { token, incarnations } => {
                self.guarded = Some((token.clone(), incarnations.clone()));
                self.token = Some(token.clone());
            }
            JournalEvent::LegStarted { leg } => {
                if leg.token.is_some() {
                    self.token.clone_from(&leg.token);
                }
                self.legs.push(LegState::begun(leg.clone()));
            }
            JournalEvent::Intent { step, attempt, .. } => {
                let Some(current) = self.legs.len().checked_sub(1) else { return };
                let state = self.legs[current].steps.entry(step.clone()).or_default();
                state.attempts = *attempt;
                state.half_done = state.open.or(state.half_done);
                if let Some(earlier) = state.open.replace(number) {
                    self.open.remove(&earlier);
                }
                self.open.insert(number);
                self.intents.insert(number, (current, step.clone()));
            }
            JournalEvent::Outcome { intent, landing, error } => {
                self.outcome(*intent, landing, error.as_ref());
            }
            JournalEvent::LegFailed { why, error } => {
                self.errors.extend(error.clone());
                if let Some(leg) = self.legs.last_mut() {
                    leg.failed = Some(why.clone());
                    leg.denied = error.as_ref().is_some_and(|error| error.kind == ErrorKind::Denied);
                }
            }
            JournalEvent::GateEnded { name, passed, detail } => {
                self.gates.insert(name.clone(), GateReport::new(name, *passed, detail));
            }
            JournalEvent::Ended { report } => self.ended = Some((**report).clone()),
        }
    }

    fn outcome(&mut self, intent: u64, landing: &Landing, error: Option<&ErrorRecord>) {
        self.errors.extend(error.cloned());
        let Some((leg, step)) = self.intents.get(&intent) else { return };
        let leg = &mut self.legs[*leg];
        let Some(state) = leg.steps.get_mut(step) else { return };
        // An unknown outcome stays open: the request may still land.
        if !matches!(landing, Landing::Unknown { .. } | Landing::Running { .. }) && state.open == Some(intent)
        {
            state.open = None;
            self.open.remove(&intent);
        }
        match landing {
            Landing::Unknown { .. } | Landing::Running { .. } => state.half_done = Some(intent),
            Landing::NotApplied { .. } if state.half_done != Some(intent) => {}
            _ => state.half_done = None,
        }
        state.landing = Some(landing.clone());
        leg.outputs.remove(step);
        if let Landing::Applied(receipt) = landing {
            self.token.clone_from(&receipt.token);
            if !receipt.output.is_null() {
                leg.outputs.insert(step.clone(), receipt.output.clone());
            }
        }
    }

    /// The proposal that is carried out now.
    pub(crate) fn leg(&self) -> Option<&LegState> {
        self.legs.last()
    }

    /// The intents whose outcome is not known, with their steps.
    pub(crate) fn open(&self) -> Vec<(u64, StepId)> {
        self.open.iter().filter_map(|number| Some((*number, self.intents.get(number)?.1.clone()))).collect()
    }

    /// Whether some step may have changed the world without having been applied.
    pub(crate) fn is_unclear(&self) -> bool {
        self.legs.iter().any(|leg| leg.steps.values().any(StepState::is_unclear))
    }

    /// Whether any action may have changed the world.
    pub(crate) fn has_effects(&self) -> bool {
        self.legs.iter().any(LegState::has_effects)
    }

    /// Why the run is over, if one of its actions was found to be out of date. Not one that only tidies up.
    pub(crate) fn superseded(&self) -> Option<String> {
        let legs = self.legs.iter().filter(|leg| leg.leg.purpose != Purpose::Tidy);
        let landings = legs.flat_map(|leg| leg.steps.values()).map(|step| &step.landing);
        landings.flatten().find_map(|landing| match landing {
            Landing::Superseded { by } => Some(by.clone()),
            _ => None,
        })
    }

    /// Whether a leg with this purpose was begun, how often.
    pub(crate) fn count(&self, purpose: Purpose) -> usize {
        self.legs.iter().filter(|leg| leg.leg.purpose == purpose).count()
    }

    /// Everything that was sent, for the report.
    pub(crate) fn step_reports(&self, title: impl Fn(usize, &StepId) -> String) -> Vec<StepReport> {
        let mut seen = BTreeSet::new();
        self.intents
            .values()
            .map(|(leg, step)| (*leg, step))
            .filter(|sent| seen.insert(*sent))
            .map(|(leg, step)| {
                let state = self.legs[leg].steps.get(step);
                let outcome = match state.and_then(|state| state.landing.as_ref()) {
                    Some(landing) => describe_landing(landing),
                    None => "sent, outcome not known".to_owned(),
                };
                StepReport::new(title(leg, step), outcome)
            })
            .collect()
    }
}
