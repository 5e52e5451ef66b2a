//! The calls that change something. Each is sent once.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::{DeploymentLifecycleHookAction, StopServiceDeploymentStopType};
use rollback_core::{Digest, Effect, Error, ErrorKind, Result};

use super::{Client, service, text};
use crate::arn::{Arn, TaskDefinitionArn};
use crate::look::Service;
use crate::task_definition::TaskDefinition;

impl Client {
    /// Moves the service to a revision and sends nothing else: no count, no force, no network.
    pub(crate) async fn update_service(&self, to: &TaskDefinitionArn) -> Result<Option<Service>> {
        let request = self.api.ecs.update_service().cluster(&self.place.cluster).service(&self.place.service);
        let request = request.task_definition(to.arn().as_str());
        let doing = format!("move {} to {}", self.shown(), to.short());
        let answer = self.api.change("UpdateService", doing, request.send()).await?;
        Ok(service::changed(&answer.body))
    }

    /// Stops a deployment of ECS and has it rolled back.
    pub(crate) async fn stop_deployment(&self, deployment: &Arn) -> Result<()> {
        let request = self.api.ecs.stop_service_deployment().service_deployment_arn(deployment.as_str());
        let request = request.stop_type(StopServiceDeploymentStopType::Rollback);
        let doing = format!("stop the deployment of {} and roll it back", self.shown());
        self.api.change("StopServiceDeployment", doing, request.send()).await.map(drop)
    }

    /// Answers the hook at which a deployment waits.
    pub(crate) async fn roll_back_at_hook(&self, deployment: &Arn, hook: &str) -> Result<()> {
        let request = self.api.ecs.continue_service_deployment().service_deployment_arn(deployment.as_str());
        let request = request.hook_id(hook).action(DeploymentLifecycleHookAction::Rollback);
        let doing = format!("roll the deployment of {} back at its hook", self.shown());
        self.api.change("ContinueServiceDeployment", doing, request.send()).await.map(drop)
    }

    /// Registers a task definition. The ARN of the new revision.
    pub(crate) async fn register(&self, wanted: &TaskDefinition) -> Result<TaskDefinitionArn> {
        // The body is what was read, with fields that the SDK does not know; these only satisfy its builder.
        let request = self.api.ecs.register_task_definition().family(wanted.arn().family());
        let request = request.set_container_definitions(Some(Vec::new()));
        let doing = format!("register the content of {} again", wanted.arn().short());
        let body = wanted.for_registering();
        let answer =
            self.api.change_with("RegisterTaskDefinition", doing.clone(), &body, request.send()).await?;
        let registered = answer.body.get("taskDefinition").and_then(|made| text(made, "taskDefinitionArn"));
        let unreadable = || {
            Error::new(ErrorKind::Unavailable, doing, "the answer names no revision")
                .with_effect(Effect::Applied)
        };
        registered.and_then(|arn| arn.parse().ok()).ok_or_else(unreadable)
    }

    /// What is registered to put a revision back: its content as it is now, with these images pinned.
    pub(crate) async fn for_registering(
        &self,
        from: &TaskDefinitionArn,
        pin: &BTreeMap<String, Digest>,
    ) -> Result<TaskDefinition> {
        let mut wanted = self.task_definition(from).await?;
        let images = wanted.redacted(&self.key(from.arn().account()))?.containers();
        for container in images {
            if let Some(digest) = pin.get(&container.name) {
                wanted = wanted.with_image(&container.name, &container.image.pinned(*digest))?;
            }
        }
        Ok(wanted)
    }
}
