//! A new deployment of CodeDeploy.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Risk, Step, StepId, Strategy, View};

use super::{Question, REGISTER, decide};
use crate::action::EcsAction;
use crate::circumstances::{Circumstances, Controller};
use crate::snapshot::EcsSnapshot;

/// How long CodeDeploy takes to start a second task set and move all traffic to it at once.
const DEPLOYED: u64 = 420;
/// How long it is given beside that to move traffic in a way that somebody made up.
const UNKNOWN: u64 = 15;

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
        let minutes = group.configuration.as_deref().map_or(0, shifting);
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
            .expected(Lasting::from_secs(DEPLOYED + 60 * minutes))
            .risk(if register { Risk::Medium } else { Risk::Low })
            .precondition("there is capacity for a second copy of all tasks")
            .precondition(format!("the hooks and alarms of {name} let it through")))
    }
}

/// For how many minutes a deployment configuration divides requests. AWS's own say it in their names:
/// `CodeDeployDefault.ECSLinear10PercentEvery3Minutes`, `CodeDeployDefault.ECSCanary10Percent15Minutes`.
fn shifting(configuration: &str) -> u64 {
    let Some(name) = configuration.strip_prefix("CodeDeployDefault.ECS") else { return UNKNOWN };
    let number = |text: &str| text.strip_suffix("Minutes").and_then(|minutes| minutes.parse::<u64>().ok());
    if name == "AllAtOnce" {
        return 0;
    }
    let linear = name.strip_prefix("Linear10PercentEvery").and_then(number).map(|every| 10 * every);
    linear.or_else(|| name.strip_prefix("Canary10Percent").and_then(number)).unwrap_or(UNKNOWN)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_say_how_long_they_take() {
        for (name, minutes) in [
            ("CodeDeployDefault.ECSAllAtOnce", 0),
            ("CodeDeployDefault.ECSLinear10PercentEvery1Minutes", 10),
            ("CodeDeployDefault.ECSLinear10PercentEvery3Minutes", 30),
            ("CodeDeployDefault.ECSCanary10Percent5Minutes", 5),
            ("CodeDeployDefault.ECSCanary10Percent15Minutes", 15),
            ("CodeDeployDefault.ECSSomethingNew", UNKNOWN),
            ("our-own", UNKNOWN),
        ] {
            assert_eq!(shifting(name), minutes, "{name}");
        }
    }
}
