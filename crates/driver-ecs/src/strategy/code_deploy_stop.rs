//! Stop CodeDeploy's deployment and let it go back.

use rollback_core::{Decision, Proposal, Step, StepId, Strategy, View};

use super::{MOVED, Question, decide};
use crate::action::EcsAction;
use crate::circumstances::{Circumstances, Controller};
use crate::snapshot::EcsSnapshot;

/// Stops the deployment in flight with automatic rollback: traffic goes to the task set that took it before.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeDeployStop;

impl CodeDeployStop {
    fn proposal(view: &View<EcsSnapshot>) -> Result<Proposal<EcsAction>, String> {
        let question = Question::new(view)?;
        question.moved_by(Controller::CodeDeploy)?;
        question.read(Circumstances::CODE_DEPLOY)?;
        let goal = question.goal().task_definition.short();
        let moving =
            question.circumstances.code_deploy.as_ref().ok_or("no deployment of CodeDeploy is on its way")?;
        if moving.returning {
            let to = moving.returns_to.as_ref().map(|arn| format!(" to {}", arn.short())).unwrap_or_default();
            return Err(format!(
                "deployment {} is itself a rollback{to}: stopping it would undo that",
                moving.id
            ));
        }
        let back = moving.returns_to.as_ref().ok_or("where CodeDeploy would go back to is not certain")?;
        if *back != question.goal().task_definition {
            return Err(format!("it would go back to {}, and {goal} is wanted", back.short()));
        }
        let action = EcsAction::StopCodeDeploy { deployment: moving.id.clone() };
        let stuck = if moving.stuck { ", which is stuck," } else { "" };
        let title = format!("stop deployment {}{stuck} and send traffic back to {goal}", moving.id);
        Ok(Proposal::new(vec![Step::single(StepId::from_static("stop-code-deploy"), title, action)])
            .expected(MOVED)
            .precondition(format!("the task set of {goal} was not terminated yet")))
    }
}

impl Strategy<EcsSnapshot, EcsAction> for CodeDeployStop {
    fn name(&self) -> &'static str {
        "codedeploy-stop"
    }

    fn summary(&self) -> &'static str {
        "stop CodeDeploy's deployment in flight with its own rollback"
    }

    fn propose(&self, view: &View<EcsSnapshot>) -> Decision<EcsAction> {
        decide(Self::proposal(view))
    }
}
