//! A new deployment of CodeDeploy.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Risk, Step, StepId, Strategy, View};

use super::{Question, REGISTER, decide};
use crate::action::EcsAction;
use crate::circumstances::{Circumstances, Controller};
use crate::snapshot::EcsSnapshot;

/// How long CodeDeploy takes to start a second task set and move all traffic to it, with the group's own configuration.
const DEPLOYED: Lasting = Lasting::from_secs(420);

/// Deploys the earlier revision through CodeDeploy, where `UpdateService` would be refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct CodeDeployDeployment;

impl CodeDeployDeployment {
    fn proposal(view: &View<EcsSnapshot>) -> Result<Proposal<EcsAction>, String> {
        let question = Question::new(view)?;
        question.moved_by(Controller::CodeDeploy)?;
        question.read(Circumstances::CODE_DEPLOY)?;
        question.not_there_yet()?;
        if let Some(moving) = &question.circumstances.code_deploy {
            return Err(format!("deployment {} is on its way, and a group runs one at a time", moving.id));
        }
        let group = question.circumstances.group.clone();
        let group =
            group.ok_or("the deployment group is not known: set `codedeploy` in the configuration")?;
        let register = question.needs_registering().is_some();
        let to = if register { question.registered() } else { question.revision() };
        let title = format!(
            "deploy {} through {}/{}",
            question.goal().task_definition.short(),
            group.application,
            group.group
        );
        let name = format!("{}/{}", group.application, group.group);
        let mut deploy = Step::single(
            StepId::from_static("create-deployment"),
            title,
            EcsAction::CreateCodeDeploy { group, to },
        );
        let mut steps = Vec::new();
        if register {
            deploy = deploy.after([StepId::from_static(REGISTER)]);
            steps.push(question.register());
        }
        steps.push(deploy);
        Ok(Proposal::new(steps)
            .expected(DEPLOYED)
            .risk(if register { Risk::Medium } else { Risk::Low })
            .precondition("there is capacity for a second copy of all tasks")
            .precondition(format!("the hooks and alarms of {name} let it through")))
    }
}

impl Strategy<EcsSnapshot, EcsAction> for CodeDeployDeployment {
    fn name(&self) -> &'static str {
        "codedeploy-deploy"
    }

    fn summary(&self) -> &'static str {
        "deploy the earlier revision through CodeDeploy"
    }

    fn propose(&self, view: &View<EcsSnapshot>) -> Decision<EcsAction> {
        decide(Self::proposal(view))
    }
}
