//! The calls that change something. Each is sent once.

use std::collections::BTreeMap;

use aws_sdk_ecs::types::{DeploymentLifecycleHookAction, StopServiceDeploymentStopType};
use rollback_core::error::quoted;
use rollback_core::{Digest, Effect, Error, ErrorKind, Result};
use serde_json::{Value, json};

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

    /// Deploys anew what the service is set to.
    pub(crate) async fn restart(&self) -> Result<Option<Service>> {
        let request = self.api.ecs.update_service().cluster(&self.place.cluster).service(&self.place.service);
        let doing = format!("restart {}", self.shown());
        let answer =
            self.api.change("UpdateService", doing, request.force_new_deployment(true).send()).await?;
        Ok(service::changed(&answer.body))
    }

    /// Sets how many tasks there should be.
    pub(crate) async fn set_tasks(&self, tasks: u32) -> Result<Option<Service>> {
        let request = self.api.ecs.update_service().cluster(&self.place.cluster).service(&self.place.service);
        let doing = format!("set {} to {tasks} tasks", self.shown());
        let request = request.desired_count(i32::try_from(tasks).unwrap_or(i32::MAX));
        let answer = self.api.change("UpdateService", doing, request.send()).await?;
        Ok(service::changed(&answer.body))
    }

    /// Starts one task where and as those of the service run. Its ARN.
    pub(crate) async fn run_task(
        &self,
        run: &TaskDefinitionArn,
        mark: &str,
        command: Option<(&str, &[String])>,
    ) -> Result<String> {
        let unsent = |error: Error| error.with_effect(Effect::None);
        let described = self.service().await.map_err(unsent)?.1;
        let doing = format!("run a task of {}", run.short());
        let mut body = json!({
            "cluster": self.place.cluster, "taskDefinition": run, "count": 1, "clientToken": mark, "startedBy": mark,
        });
        for field in ["launchType", "capacityProviderStrategy", "platformVersion", "networkConfiguration"] {
            if let Some(value) = described.entry.get(field).filter(|value| !is_nothing(value)) {
                body[field] = value.clone();
            }
        }
        if let Some((container, command)) = command {
            body["overrides"] = json!({ "containerOverrides": [{ "name": container, "command": command }] });
        }
        let request = self.api.ecs.run_task().task_definition(run.arn().as_str());
        let answer = self.api.change_with("RunTask", doing.clone(), &body, request.send()).await?;
        let started =
            answer.body.get("tasks").and_then(|tasks| tasks.get(0)).and_then(|task| text(task, "taskArn"));
        started.map(str::to_owned).ok_or_else(|| {
            let failure = answer.body.get("failures").and_then(|failures| failures.get(0));
            let why = failure.and_then(|failure| text(failure, "reason")).unwrap_or("it gives no reason");
            let what = format!("ECS could not place it: {}", quoted(why));
            Error::new(ErrorKind::Unavailable, doing, what).with_effect(Effect::None)
        })
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

    /// Makes a revision INACTIVE.
    pub(crate) async fn deregister(&self, revision: &TaskDefinitionArn) -> Result<()> {
        let request = self.api.ecs.deregister_task_definition().task_definition(revision.arn().as_str());
        let doing = format!("deregister {}", revision.short());
        self.api.change("DeregisterTaskDefinition", doing, request.send()).await?;
        self.api.surroundings().registered(revision, crate::task_definition::Registration::Inactive);
        Ok(())
    }

    /// What is registered to put a revision back: its content as it is now, with these images pinned and the environment of
    /// another one.
    pub(crate) async fn for_registering(
        &self,
        from: &TaskDefinitionArn,
        pin: &BTreeMap<String, Digest>,
        environment_of: Option<&TaskDefinitionArn>,
    ) -> Result<TaskDefinition> {
        let mut wanted = self.task_definition(from).await?;
        if let Some(earlier) = environment_of {
            wanted = wanted.with_environments_of(&self.task_definition(earlier).await?)?;
        }
        let images = wanted.redacted(&self.key(from.arn().account()))?.containers();
        for container in images {
            if let Some(digest) = pin.get(&container.name) {
                wanted = wanted.with_image(&container.name, &container.image.pinned(*digest))?;
            }
        }
        Ok(wanted)
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}
