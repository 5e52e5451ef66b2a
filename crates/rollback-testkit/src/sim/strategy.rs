//! The toy driver's strategies.

use std::sync::atomic::{AtomicU32, Ordering};

use rollback_core::{Decision, Proposal, Risk, Step, StepId, Strategy, View};

use super::flaw::Flaw;
use super::forms::{ToyAction, ToySnapshot};

/// What all strategies have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Common {
    /// Whether a restart of every part is wanted.
    pub(super) restarts: bool,
    /// Whether the release that was left is swept away afterwards.
    pub(super) sweeps: bool,
}

impl Common {
    fn propose(self, steps: Vec<Step<ToyAction>>, view: &View<ToySnapshot>) -> Proposal<ToyAction> {
        let proposal = Proposal::new(steps);
        let proposal = if self.restarts { proposal.restarts() } else { proposal };
        let left = view.observed.heading.as_ref().or(view.observed.settled.known());
        match left.filter(|left| self.sweeps && left.release != view.goal.release) {
            None => proposal,
            Some(left) => {
                let action = ToyAction::Sweep { release: left.release };
                let title = format!("sweep r{} away", left.release);
                proposal.afterwards(Step::single(step_id("sweep"), title, action).irreversible())
            }
        }
    }
}

/// One request that rolls the release out over all parts.
#[derive(Debug)]
pub(super) struct SwitchAll {
    flaw: Option<Flaw>,
    common: Common,
    /// How often it was asked, for a flaw.
    asked: AtomicU32,
}

impl SwitchAll {
    pub(super) fn new(flaw: Option<Flaw>, common: Common) -> Self {
        Self { flaw, common, asked: AtomicU32::new(0) }
    }
}

/// One request for each part, one after the other.
#[derive(Debug)]
pub(super) struct PartByPart {
    pub(super) common: Common,
    /// How many parts at once.
    pub(super) batch: u32,
}

/// Bulk work over all parts.
#[derive(Debug)]
pub(super) struct SyncAll {
    pub(super) common: Common,
}

fn step_id(text: &str) -> StepId {
    StepId::new(text).expect("a step id")
}

impl Strategy<ToySnapshot, ToyAction> for SwitchAll {
    fn name(&self) -> &'static str {
        "switch-all"
    }

    fn summary(&self) -> &'static str {
        match self.flaw {
            Some(Flaw::NamelessStrategy) => "",
            _ => "one request, rolled out by the platform",
        }
    }

    fn propose(&self, view: &View<ToySnapshot>) -> Decision<ToyAction> {
        let release = view.goal.release;
        let mut title = format!("roll out r{release}");
        if self.flaw == Some(Flaw::ImpureStrategy) {
            title.push_str(&format!(" ({})", self.asked.fetch_add(1, Ordering::Relaxed)));
        }
        let mut step = Step::single(step_id("switch"), title, ToyAction::Switch { release });
        if self.flaw == Some(Flaw::CircularSteps) {
            step = step.after([step_id("switch")]);
        }
        Decision::Propose(self.common.propose(vec![step], view))
    }
}

impl Strategy<ToySnapshot, ToyAction> for PartByPart {
    fn name(&self) -> &'static str {
        "part-by-part"
    }

    fn summary(&self) -> &'static str {
        "one request for each part"
    }

    fn propose(&self, view: &View<ToySnapshot>) -> Decision<ToyAction> {
        let release = view.goal.release;
        let wanted = view.goal.identity().ok();
        let moving = view.observed.heading.is_some();
        let mut steps: Vec<Step<ToyAction>> = Vec::new();
        for state in &view.observed.parts {
            if state.identity == wanted && !self.common.restarts && !moving {
                continue;
            }
            let part = state.part.clone();
            let action = ToyAction::SwitchPart { part: part.clone(), release };
            let last = steps.last().filter(|_| self.batch == 1);
            let before: Vec<_> = last.map(|step| step.id.clone()).into_iter().collect();
            let title = format!("put r{release} on {part}");
            steps.push(
                Step::single(step_id(&format!("switch@{part}")), title, action).after(before).on_part(part),
            );
        }
        if steps.is_empty() {
            return Decision::NotApplicable("every part runs it already".to_owned());
        }
        let proposal = self.common.propose(steps, view);
        Decision::Propose(proposal.risk(Risk::Medium).parallel(self.batch))
    }
}

impl Strategy<ToySnapshot, ToyAction> for SyncAll {
    fn name(&self) -> &'static str {
        "sync"
    }

    fn summary(&self) -> &'static str {
        "part for part until all are there"
    }

    fn propose(&self, view: &View<ToySnapshot>) -> Decision<ToyAction> {
        let release = view.goal.release;
        let action = ToyAction::Sync { release };
        let step = Step::convergence(step_id("sync"), format!("sync r{release}"), action);
        Decision::Propose(self.common.propose(vec![step], view))
    }
}
