//! The parts of the APIs' answers that are looked at. Fields that are missing or unknown are no errors: AWS adds some, and
//! emulators leave some out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::Digest;
use serde::{Deserialize, Deserializer};

use crate::arn::{Arn, TaskDefinitionArn};
use crate::time::optional;

/// `null` as nothing.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A service, as `DescribeServices` tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Service {
    /// Its ARN.
    #[serde(rename = "serviceArn")]
    pub arn: Arn,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    #[serde(default)]
    pub status: String,
    /// How many tasks there should be.
    #[serde(default, deserialize_with = "or_default")]
    pub desired_count: u32,
    /// Its deployments.
    #[serde(default, deserialize_with = "or_default")]
    pub deployments: Vec<Deployment>,
    /// Its task sets, where CodeDeploy or somebody else moves it.
    #[serde(default, deserialize_with = "or_default")]
    pub task_sets: Vec<TaskSet>,
    /// Who moves it. Left out by ECS where it is ECS.
    #[serde(default, deserialize_with = "or_default")]
    pub deployment_controller: ControllerKind,
    /// How ECS deploys it.
    #[serde(default, deserialize_with = "or_default")]
    pub deployment_configuration: DeploymentConfiguration,
    /// Its last events, newest first.
    #[serde(default, deserialize_with = "or_default")]
    pub events: Vec<Event>,
}

impl Service {
    /// The deployment that is meant to run.
    #[must_use]
    pub fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }
}

/// How ECS deploys a service, as far as it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct DeploymentConfiguration {
    /// What gives up by itself.
    #[serde(deserialize_with = "or_default")]
    pub deployment_circuit_breaker: BreakerConfiguration,
}

/// Whether there is a circuit breaker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BreakerConfiguration {
    /// Whether it is on.
    #[serde(deserialize_with = "or_default")]
    pub enable: bool,
}

/// Who moves a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ControllerKind {
    /// `ECS`, `CODE_DEPLOY` or `EXTERNAL`.
    #[serde(rename = "type", default)]
    pub kind: String,
}

/// One entry of a service's `deployments`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Deployment {
    /// `ecs-svc/123`.
    pub id: String,
    /// `PRIMARY`, `ACTIVE` or `INACTIVE`.
    pub status: String,
    /// What its tasks run.
    pub task_definition: Option<TaskDefinitionArn>,
    /// How many tasks it should have.
    #[serde(deserialize_with = "or_default")]
    pub desired_count: u32,
    /// How many are starting.
    #[serde(deserialize_with = "or_default")]
    pub pending_count: u32,
    /// How many run.
    #[serde(deserialize_with = "or_default")]
    pub running_count: u32,
    /// How many failed to start since the last that did.
    #[serde(deserialize_with = "or_default")]
    pub failed_tasks: u32,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`; missing behind a Classic Load Balancer and with other controllers.
    pub rollout_state: Option<String>,
    /// ECS's words for it.
    pub rollout_state_reason: Option<String>,
    /// When it was made.
    #[serde(deserialize_with = "optional")]
    pub created_at: Option<Timestamp>,
}

/// One task set.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct TaskSet {
    /// `ecs-svc/123`.
    pub id: String,
    /// `PRIMARY`, `ACTIVE` or `DRAINING`.
    pub status: String,
    /// What its tasks run.
    pub task_definition: Option<TaskDefinitionArn>,
    /// How many tasks it should have by its scale.
    #[serde(deserialize_with = "or_default")]
    pub computed_desired_count: u32,
    /// How many run.
    #[serde(deserialize_with = "or_default")]
    pub running_count: u32,
    /// `STEADY_STATE` or `STABILIZING`.
    pub stability_status: Option<String>,
    /// The deployment of CodeDeploy that made it. The one that the service was made with has none.
    pub external_id: Option<String>,
    /// When it was made.
    #[serde(deserialize_with = "optional")]
    pub created_at: Option<Timestamp>,
}

/// One event of a service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Event {
    /// When.
    #[serde(deserialize_with = "optional")]
    pub created_at: Option<Timestamp>,
    /// What.
    #[serde(deserialize_with = "or_default")]
    pub message: String,
}

/// A service deployment, as `DescribeServiceDeployments` tells it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServiceDeployment {
    /// Its ARN.
    #[serde(rename = "serviceDeploymentArn")]
    pub arn: Arn,
    /// `PENDING`, `IN_PROGRESS`, `SUCCESSFUL`, `STOPPED`, `STOP_REQUESTED`, `ROLLBACK_REQUESTED`, `ROLLBACK_IN_PROGRESS`,
    /// `ROLLBACK_SUCCESSFUL` or `ROLLBACK_FAILED`.
    #[serde(default)]
    pub status: String,
    /// ECS's words for it.
    #[serde(default)]
    pub status_reason: Option<String>,
    /// `SCALE_UP`, `BAKE_TIME`, …
    #[serde(default)]
    pub lifecycle_stage: Option<String>,
    /// Where it goes.
    #[serde(default)]
    pub target_service_revision: Option<RevisionRef>,
    /// What it replaces.
    #[serde(default, deserialize_with = "or_default")]
    pub source_service_revisions: Vec<RevisionRef>,
    /// How it was rolled back, if it was.
    #[serde(default)]
    pub rollback: Option<RolledBack>,
    /// What the circuit breaker did.
    #[serde(default)]
    pub deployment_circuit_breaker: Option<CircuitBreaker>,
    /// Its hooks.
    #[serde(default, deserialize_with = "or_default")]
    pub lifecycle_hook_details: Vec<LifecycleHook>,
    /// When it began.
    #[serde(default, deserialize_with = "optional")]
    pub started_at: Option<Timestamp>,
    /// When it was made.
    #[serde(default, deserialize_with = "optional")]
    pub created_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, deserialize_with = "optional")]
    pub finished_at: Option<Timestamp>,
}

impl ServiceDeployment {
    /// Whether it is not at its end.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        matches!(
            self.status.as_str(),
            "PENDING" | "IN_PROGRESS" | "STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS"
        )
    }

    /// Whether it is on its way back.
    #[must_use]
    pub fn is_returning(&self) -> bool {
        matches!(self.status.as_str(), "STOP_REQUESTED" | "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS")
    }

    /// The hook that waits for an answer.
    #[must_use]
    pub fn waiting_hook(&self) -> Option<&LifecycleHook> {
        self.lifecycle_hook_details.iter().find(|hook| hook.status == "AWAITING_ACTION")
    }
}

/// A hook of a service deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct LifecycleHook {
    /// Its id.
    pub hook_id: String,
    /// `AWAITING_ACTION`, `IN_PROGRESS`, `SUCCEEDED`, `FAILED` or `TIMED_OUT`.
    pub status: String,
    /// Until when it waits.
    #[serde(deserialize_with = "optional")]
    pub expires_at: Option<Timestamp>,
    /// What happens then: `CONTINUE` or `ROLLBACK`.
    pub timeout_action: Option<String>,
}

/// A reference to a service revision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RevisionRef {
    /// Its ARN.
    pub arn: String,
}

/// How ECS rolled a deployment back.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RolledBack {
    /// ECS's words.
    pub reason: Option<String>,
    /// Where to.
    pub service_revision_arn: Option<String>,
    /// When.
    #[serde(deserialize_with = "optional")]
    pub started_at: Option<Timestamp>,
}

/// What the circuit breaker did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct CircuitBreaker {
    /// `TRIGGERED`, `MONITORING`, `MONITORING_COMPLETE` or `DISABLED`.
    pub status: Option<String>,
    /// How many tasks failed.
    #[serde(deserialize_with = "or_default")]
    pub failure_count: u32,
    /// How many may.
    #[serde(deserialize_with = "or_default")]
    pub threshold: u32,
}

/// A service revision, as `DescribeServiceRevisions` tells it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ServiceRevision {
    /// Its ARN.
    #[serde(rename = "serviceRevisionArn")]
    pub arn: String,
    /// Its task definition.
    pub task_definition: Option<TaskDefinitionArn>,
    /// What its images were resolved to.
    #[serde(deserialize_with = "or_default")]
    pub container_images: Vec<ContainerImage>,
    /// When it was made.
    #[serde(deserialize_with = "optional")]
    pub created_at: Option<Timestamp>,
}

/// What an image was resolved to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct ContainerImage {
    /// The container.
    pub container_name: String,
    /// The image as it is written.
    pub image: Option<String>,
    /// The digest.
    pub image_digest: Option<String>,
}

/// A task, as `DescribeTasks` tells it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Task {
    /// Its ARN.
    #[serde(rename = "taskArn")]
    pub arn: String,
    /// What it runs.
    #[serde(rename = "taskDefinitionArn")]
    pub task_definition: Option<TaskDefinitionArn>,
    /// `RUNNING`, `STOPPED`, `PENDING`, …
    pub last_status: String,
    /// What it should be.
    pub desired_status: String,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub health_status: Option<String>,
    /// When it began to run.
    #[serde(deserialize_with = "optional")]
    pub started_at: Option<Timestamp>,
    /// When it stopped.
    #[serde(deserialize_with = "optional")]
    pub stopped_at: Option<Timestamp>,
    /// ECS's words for why it stopped.
    pub stopped_reason: Option<String>,
    /// Why it stopped: `EssentialContainerExited`, `TaskFailedToStart`, `ServiceSchedulerInitiated`, …
    pub stop_code: Option<String>,
    /// Its containers.
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<TaskContainer>,
    /// Its network interface, and what else is attached to it.
    #[serde(deserialize_with = "or_default")]
    pub attachments: Vec<Attachment>,
    /// Who started it: ECS's own deployment, or a mark that was given.
    pub started_by: Option<String>,
}

impl Task {
    /// The digests that its containers run.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<String, Digest> {
        let digest = |c: &TaskContainer| Some((c.name.clone(), c.image_digest.as_deref()?.parse().ok()?));
        self.containers.iter().filter_map(digest).collect()
    }

    /// The addresses under which load balancers know it.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let interfaces = self.containers.iter().flat_map(|container| &container.network_interfaces);
        let of_containers =
            interfaces.flat_map(|one| [one.private_ipv4_address.as_deref(), one.ipv6_address.as_deref()]);
        let details = self.attachments.iter().flat_map(|attachment| &attachment.details);
        let address =
            |detail: &&Detail| detail.name == "privateIPv4Address" || detail.name == "privateIPv6Address";
        details.filter(address).map(|detail| detail.value.as_str()).chain(of_containers.flatten())
    }

    /// The last part of its ARN.
    #[must_use]
    pub fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }
}

/// Something attached to a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Attachment {
    /// What is known of it.
    #[serde(deserialize_with = "or_default")]
    pub details: Vec<Detail>,
}

/// One thing that is known of an attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Detail {
    /// What.
    pub name: String,
    /// Its value.
    #[serde(deserialize_with = "or_default")]
    pub value: String,
}

/// A container of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct TaskContainer {
    /// Its name.
    pub name: String,
    /// The digest of its image.
    pub image_digest: Option<String>,
    /// What it ended with.
    pub exit_code: Option<i32>,
    /// ECS's words for why it does not run.
    pub reason: Option<String>,
    /// How it is reached, where tasks have an interface of their own.
    #[serde(deserialize_with = "or_default")]
    pub network_interfaces: Vec<NetworkInterface>,
}

/// A network interface, as its containers tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct NetworkInterface {
    /// Its address.
    pub private_ipv4_address: Option<String>,
    /// Its other address.
    pub ipv6_address: Option<String>,
}
