//! Register the content again, then move the service to it.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Risk, StepId, Strategy, View};

use super::{Question, REGISTER, decide};
use crate::action::EcsAction;
use crate::circumstances::Controller;
use crate::snapshot::EcsSnapshot;

/// A little longer than moving to a revision that is there.
const REGISTERED_AND_REPLACED: Lasting = Lasting::from_secs(250);

/// Registers the destination's content as a new revision, with the images pinned that ran, and moves the service to it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReRegister;

impl ReRegister {
    fn proposal(view: &View<EcsSnapshot>) -> Result<Proposal<EcsAction>, String> {
        let question = Question::new(view)?;
        question.moved_by(Controller::Ecs)?;
        question.not_there_yet()?;
        let goal = question.goal().task_definition.short();
        let why = question.needs_registering().ok_or_else(|| format!("{goal} can be used as it is"))?;
        let update = question.update(question.registered()).after([StepId::from_static(REGISTER)]);
        let mut proposal = Proposal::new(vec![question.register(), update])
            .expected(REGISTERED_AND_REPLACED)
            .risk(Risk::Medium)
            .precondition(format!("{why}, and its content can still be read"))
            .precondition("the caller may pass the task's roles (iam:PassRole)")
            .precondition("there is capacity for the tasks that start before others stop");
        if let Some(replaced) = question.replaces() {
            proposal = proposal.precondition(replaced);
        }
        Ok(proposal)
    }
}

impl Strategy<EcsSnapshot, EcsAction> for ReRegister {
    fn name(&self) -> &'static str {
        "re-register"
    }

    fn summary(&self) -> &'static str {
        "register the earlier content as a new revision, then move the service to it"
    }

    fn propose(&self, view: &View<EcsSnapshot>) -> Decision<EcsAction> {
        decide(Self::proposal(view))
    }
}
