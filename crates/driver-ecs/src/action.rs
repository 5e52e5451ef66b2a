//! What can be done to a service.

use std::collections::BTreeMap;

use rollback_core::document::decode_exact;
use rollback_core::error::quoted;
use rollback_core::{Action, Digest, Document, Error, ErrorKind, Result, StepId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arn::{Arn, TaskDefinitionArn};
use crate::circumstances::CodeDeployGroup;
use crate::text::is_ecs_name;

/// One request that changes something. Each names its objects. Those that move a service send no desired count and force no
/// deployment; what does is an action of its own, which no strategy of this driver proposes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum EcsAction {
    /// `StopServiceDeployment` with rollback.
    StopServiceDeployment {
        /// The deployment.
        deployment: Arn,
    },
    /// `ContinueServiceDeployment` with rollback, for a deployment that waits at a hook.
    RollBackAtHook {
        /// The deployment.
        deployment: Arn,
        /// The hook.
        hook: String,
    },
    /// CodeDeploy's `StopDeployment` with automatic rollback.
    StopCodeDeploy {
        /// The deployment's id.
        deployment: String,
    },
    /// CodeDeploy's `CreateDeployment` with an AppSpec. The group's own configuration holds.
    CreateCodeDeploy {
        /// The group.
        group: CodeDeployGroup,
        /// Where to.
        to: Destination,
    },
    /// `UpdateService` with a task definition and nothing else.
    UpdateService {
        /// The service.
        service: Arn,
        /// Where to.
        to: Destination,
    },
    /// `RegisterTaskDefinition` with the content of an earlier revision, which is read when this is sent. Puts out the new ARN
    /// under `task-definition`.
    Register {
        /// The revision whose content is registered.
        from: TaskDefinitionArn,
        /// Images to be pinned, by container.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pin: BTreeMap<String, Digest>,
        /// The revision whose variables, secrets and environment files all containers get that it has as well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment_of: Option<TaskDefinitionArn>,
    },
    /// `DeregisterTaskDefinition`, unless something still uses the revision. Tasks that run are not touched, and its content can be
    /// registered again.
    Deregister {
        /// The revision.
        revision: TaskDefinitionArn,
    },
    /// `ModifyListener` or `ModifyRule` with other weights for its target groups.
    ShiftTraffic {
        /// The listener or rule.
        listener: Arn,
        /// The weight of every target group.
        weights: BTreeMap<Arn, u16>,
    },
    /// `UpdateService` with a forced deployment of what the service is set to: a restart. Tags are resolved anew by it.
    Restart {
        /// The service.
        service: Arn,
    },
    /// `UpdateService` with a number of tasks: none to stop a service, and what it had to start it again.
    SetTasks {
        /// The service.
        service: Arn,
        /// How many there should be.
        tasks: u32,
    },
    /// `RunTask`, once, where and as the tasks of the service run. Applied when it has ended with 0 in every container; puts out
    /// its ARN and exit codes under `task` and `exit-codes`.
    RunTask {
        /// What it runs.
        run: Destination,
        /// The container that gets another command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<String>,
        /// Its command. It shows in plans and in ECS: no secrets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        command: Vec<String>,
    },
}

/// Which task definition is meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// One that is registered.
    Revision(TaskDefinitionArn),
    /// The one that this step of the same proposal registered.
    RegisteredBy(StepId),
}

impl EcsAction {
    fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::new(ErrorKind::Corrupt, "read an ECS action", why));
        let word = |text: &str| {
            !text.is_empty()
                && text.len() <= 256
                && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        match self {
            Self::StopServiceDeployment { deployment } | Self::RollBackAtHook { deployment, .. }
                if !deployment.resource().starts_with("service-deployment/") =>
            {
                wrong(format!("{deployment} is no service deployment"))
            }
            Self::RollBackAtHook { hook, .. } if !word(hook) => wrong(format!("{} is no hook", quoted(hook))),
            Self::StopCodeDeploy { deployment } if !word(deployment) => {
                wrong(format!("{} is no deployment of CodeDeploy", quoted(deployment)))
            }
            Self::CreateCodeDeploy { group, .. }
                if !is_ecs_name(&group.container)
                    || group.port == 0
                    || group.application.is_empty()
                    || group.group.is_empty() =>
            {
                wrong("its deployment group cannot be meant".to_owned())
            }
            Self::UpdateService { service, .. }
            | Self::Restart { service }
            | Self::SetTasks { service, .. }
                if !service.resource().starts_with("service/") =>
            {
                wrong(format!("{service} is no service"))
            }
            Self::SetTasks { tasks, .. } if *tasks > 5000 => {
                wrong("it asks for more tasks than a service may have".to_owned())
            }
            Self::RunTask { container: None, command, .. } if !command.is_empty() => {
                wrong("it has a command and no container that runs it".to_owned())
            }
            Self::RunTask { container: Some(container), .. } if !is_ecs_name(container) => {
                wrong(format!("{} is no container", quoted(container)))
            }
            Self::ShiftTraffic { weights, .. }
                if weights.values().all(|w| *w == 0) || weights.values().any(|w| *w > 999) =>
            {
                wrong("its weights leave nobody to take requests, or are more than 999".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl Document for EcsAction {
    const SCHEMA: &'static str = "ecs-action/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        let action: Self = decode_exact(schema, body)?;
        action.check()?;
        Ok(action)
    }
}

impl Action for EcsAction {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{SERVICE, arn, revision};

    fn all() -> Vec<EcsAction> {
        let deployment = arn("ecs", "service-deployment/prod/web/abc");
        let step = StepId::new("register").unwrap();
        vec![
            EcsAction::StopServiceDeployment { deployment: deployment.clone() },
            EcsAction::RollBackAtHook { deployment, hook: "ecs-pause-1".into() },
            EcsAction::StopCodeDeploy { deployment: "d-ABC".into() },
            EcsAction::CreateCodeDeploy {
                group: CodeDeployGroup::new("shop", "web", "web", 80),
                to: Destination::Revision(revision(41)),
            },
            EcsAction::UpdateService {
                service: SERVICE.parse().unwrap(),
                to: Destination::RegisteredBy(step),
            },
            EcsAction::Register {
                from: revision(41),
                pin: BTreeMap::from([("web".into(), Digest::of_bytes(b"1"))]),
                environment_of: Some(revision(40)),
            },
            EcsAction::Deregister { revision: revision(42) },
            EcsAction::ShiftTraffic {
                listener: arn("elasticloadbalancing", "listener/app/x/1/2"),
                weights: BTreeMap::from([(arn("elasticloadbalancing", "targetgroup/blue/1"), 100)]),
            },
            EcsAction::Restart { service: SERVICE.parse().unwrap() },
            EcsAction::SetTasks { service: SERVICE.parse().unwrap(), tasks: 0 },
            EcsAction::RunTask {
                run: Destination::Revision(revision(41)),
                container: Some("web".into()),
                command: vec!["migrate".into(), "down".into()],
            },
        ]
    }

    #[test]
    fn actions_survive_storage() {
        for action in all() {
            let stored = serde_json::to_value(&action).unwrap();
            assert_eq!(EcsAction::decode("ecs-action/1", stored).unwrap(), action);
        }
    }

    #[test]
    fn hostile_actions_are_refused() {
        let other = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod";
        for body in [
            json!({ "do": "delete-service" }),
            json!({ "do": "stop-service-deployment", "deployment": other }),
            json!({ "do": "stop-service-deployment", "deployment": "x" }),
            json!({ "do": "stop-code-deploy", "deployment": "d 1\n" }),
            json!({ "do": "update-service", "service": other, "to": { "revision": revision(1) } }),
            json!({ "do": "update-service", "service": SERVICE, "to": { "revision": revision(1) }, "desired-count": 0 }),
            json!({ "do": "shift-traffic", "listener": other, "weights": {} }),
            json!({ "do": "restart", "service": other }),
            json!({ "do": "deregister", "revision": SERVICE }),
            json!({ "do": "set-tasks", "service": SERVICE, "tasks": 5001 }),
            json!({ "do": "run-task", "run": { "revision": revision(1) }, "command": ["x"] }),
            json!({ "do": "run-task", "run": { "revision": revision(1) }, "container": "a b" }),
            json!({ "do": "shift-traffic", "listener": other, "weights": { other: 1000 } }),
        ] {
            assert!(EcsAction::decode("ecs-action/1", body.clone()).is_err(), "{body}");
        }
        let good = serde_json::to_value(&all()[0]).unwrap();
        assert!(EcsAction::decode("ecs-action/2", good).is_err());
    }
}
