//! What really runs, for tests to look at without asking the API, and short ways to set things up.

use serde_json::{Value, json};

use super::model::{Phase, Task};
use super::{Behaviour, render};
use crate::cloud::Cloud;
use crate::protocol::Fault;

/// What really runs of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceView {
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// What it is set to: `web:2`.
    pub task_definition: String,
    /// How many tasks it is to have.
    pub desired: u32,
    /// Its tasks that are not stopped.
    pub tasks: Vec<TaskView>,
    /// The status of its newest service deployment.
    pub deployment: Option<String>,
    /// The stage of that one, in blue/green.
    pub stage: Option<String>,
    /// What its events say, newest first.
    pub events: Vec<String>,
}

impl ServiceView {
    /// What its healthy tasks run, one entry for each of them, sorted: `["web:2", "web:2"]`.
    #[must_use]
    pub fn healthy(&self) -> Vec<&str> {
        let mut all: Vec<_> =
            self.tasks.iter().filter(|task| task.healthy).map(|task| task.task_definition.as_str()).collect();
        all.sort_unstable();
        all
    }
}

/// A task of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskView {
    /// What it runs: `web:2`.
    pub task_definition: String,
    /// `RUNNING`, …
    pub status: String,
    /// Whether it runs and its checks pass.
    pub healthy: bool,
    /// The digests of its images.
    pub digests: Vec<String>,
}

impl TaskView {
    fn of(task: &Task) -> Self {
        Self {
            task_definition: super::names::short(&task.task_definition).to_owned(),
            status: render::phase(task.phase).to_owned(),
            healthy: task.is_good(),
            digests: task.containers.iter().map(|container| container.digest.clone()).collect(),
        }
    }
}

impl Cloud {
    /// Tells what tasks of an image do from now on. Those that are there go on as they are.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        let mut world = self.world();
        let images = world.images.clone();
        world.ecs.behaviours.tell(&images, image, behaviour);
    }

    /// Makes a cluster.
    pub fn cluster(&self, name: &str) {
        let made = self.ask("ecs", "CreateCluster", &json!({ "clusterName": name }));
        debug_assert!(made.is_ok(), "a cluster can always be made");
    }

    /// Registers a task definition with one container, named as the family, that runs an image; its ARN.
    ///
    /// # Errors
    /// With ECS's error.
    pub fn register(&self, family: &str, image: &str) -> Result<String, Fault> {
        let container = json!({ "name": family, "image": image, "memory": 128, "portMappings": [{ "containerPort": 80 }] });
        let input = json!({ "family": family, "networkMode": "awsvpc", "containerDefinitions": [container] });
        let answer = self.ask("ecs", "RegisterTaskDefinition", &input)?;
        Ok(answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_default().to_owned())
    }

    /// Makes a service on Fargate with this deployment configuration, and lets it settle.
    ///
    /// # Errors
    /// With ECS's error.
    pub fn create_service(
        &self,
        cluster: &str,
        name: &str,
        task_definition: &str,
        desired: u32,
        configuration: &Value,
    ) -> Result<(), Fault> {
        let input = json!({
            "cluster": cluster, "serviceName": name, "taskDefinition": task_definition, "desiredCount": desired,
            "launchType": "FARGATE", "deploymentConfiguration": configuration,
        });
        self.ask("ecs", "CreateService", &input)?;
        self.settle();
        Ok(())
    }

    /// Sets a service to a task definition, as somebody who deploys does.
    ///
    /// # Errors
    /// With ECS's error.
    pub fn deploy(&self, cluster: &str, service: &str, task_definition: &str) -> Result<Value, Fault> {
        let input = json!({ "cluster": cluster, "service": service, "taskDefinition": task_definition });
        self.ask("ecs", "UpdateService", &input)
    }

    /// What really runs of a service; none if there is no such service.
    #[must_use]
    pub fn service(&self, cluster: &str, name: &str) -> Option<ServiceView> {
        let world = self.world();
        let service = world.ecs.services.get(&(cluster.to_owned(), name.to_owned()))?;
        let there = world.ecs.tasks.of(service).iter().filter(|task| task.phase != Phase::Stopped);
        Some(ServiceView {
            status: service.status.to_owned(),
            task_definition: super::names::short(&service.task_definition).to_owned(),
            desired: service.desired,
            tasks: there.map(TaskView::of).collect(),
            deployment: service.history.first().map(|newest| newest.status.name().to_owned()),
            stage: service.history.first().and_then(|newest| newest.stage).map(str::to_owned),
            events: service.events.iter().map(|event| event.message.clone()).collect(),
        })
    }
}
