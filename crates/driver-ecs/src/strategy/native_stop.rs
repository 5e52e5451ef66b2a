//! Stop ECS's own deployment and let it go back.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Step, StepId, Strategy, View};

use super::{MOVED, Question, decide};
use crate::action::EcsAction;
use crate::circumstances::{Circumstances, Controller};
use crate::snapshot::EcsSnapshot;

/// How long it takes where some of the earlier tasks have to be started again.
const PARTLY_REPLACED: Lasting = Lasting::from_secs(180);

/// Stops the deployment in flight with rollback. Where it waits at a hook, the hook is answered with rollback.
#[derive(Debug, Clone, Copy, Default)]
pub struct NativeStop;

impl NativeStop {
    fn proposal(view: &View<EcsSnapshot>) -> Result<Proposal<EcsAction>, String> {
        let question = Question::new(view)?;
        question.moved_by(Controller::Ecs)?;
        question.read(Circumstances::NATIVE)?;
        let goal = question.goal().task_definition.short();
        let moving = question.circumstances.native.as_ref().ok_or("no deployment of ECS is on its way")?;
        let back = moving.returns_to.as_ref().ok_or("where ECS would go back to is not certain")?;
        if *back != question.goal().task_definition {
            return Err(format!("it would go back to {}, and {goal} is wanted", back.short()));
        }
        let deployment = moving.arn.clone();
        let id = deployment.resource().rsplit('/').next().unwrap_or_default().to_owned();
        let only = match &moving.hook {
            Some(hook) => {
                let action = EcsAction::RollBackAtHook { deployment, hook: hook.clone() };
                Step::single(
                    StepId::from_static("answer-hook"),
                    format!("let deployment {id} go back at its hook"),
                    action,
                )
            }
            // Of a deployment that goes back already, ECS takes this as "go on".
            None => {
                let action = EcsAction::StopServiceDeployment { deployment };
                Step::single(
                    StepId::from_static("stop-deployment"),
                    format!("stop deployment {id} and go back to {goal}"),
                    action,
                )
            }
        };
        let expected = if moving.both_run() { MOVED } else { PARTLY_REPLACED };
        let proposal = Proposal::new(vec![only]).expected(expected);
        Ok(if moving.both_run() {
            proposal.precondition(format!("the tasks of {goal} still run"))
        } else {
            proposal.precondition(format!("a deployment of {goal} has completed before"))
        })
    }
}

impl Strategy<EcsSnapshot, EcsAction> for NativeStop {
    fn name(&self) -> &'static str {
        "native-stop"
    }

    fn summary(&self) -> &'static str {
        "stop the deployment in flight with ECS's own rollback"
    }

    fn propose(&self, view: &View<EcsSnapshot>) -> Decision<EcsAction> {
        decide(Self::proposal(view))
    }
}
