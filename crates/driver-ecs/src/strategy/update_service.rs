//! Move the service to the revision.

use rollback_core::{Decision, Proposal, Strategy, View};

use super::{Question, REPLACED, decide};
use crate::action::EcsAction;
use crate::circumstances::Controller;
use crate::snapshot::EcsSnapshot;

/// Moves the service to the earlier revision as it is registered.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpdateService;

impl UpdateService {
    fn proposal(view: &View<EcsSnapshot>) -> Result<Proposal<EcsAction>, String> {
        let question = Question::new(view)?;
        question.moved_by(Controller::Ecs)?;
        question.not_there_yet()?;
        if let Some(why) = question.needs_registering() {
            return Err(format!("{why}: its content has to be registered again"));
        }
        if question.has_failed_to_reach_goal() {
            return Err(format!(
                "the service is set to {} already, and its rollout failed: setting it again changes nothing",
                question.goal().task_definition.short()
            ));
        }
        let update = question.update(question.revision());
        let mut proposal = Proposal::new(vec![update])
            .expected(REPLACED)
            .precondition("there is capacity for the tasks that start before others stop");
        if let Some(replaced) = question.replaces() {
            proposal = proposal.precondition(replaced);
        }
        Ok(proposal)
    }
}

impl Strategy<EcsSnapshot, EcsAction> for UpdateService {
    fn name(&self) -> &'static str {
        "update-service"
    }

    fn summary(&self) -> &'static str {
        "move the service to the earlier revision"
    }

    fn propose(&self, view: &View<EcsSnapshot>) -> Decision<EcsAction> {
        decide(Self::proposal(view))
    }
}
