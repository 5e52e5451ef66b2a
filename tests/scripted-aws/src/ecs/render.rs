//! Services and their deployments as they are described.

use serde_json::{Value, json};

use super::breaker;
use super::model::{
    Container, Controller, Deployment, Event, Phase, Revision, Rollout, Service, ServiceDeployment, Task,
};
use super::scheduler::{Counts, counts};
use super::{hooks, task_sets};
use crate::protocol::epoch;
use crate::world::World;

/// What of the settings is told under its own name.
const SETTINGS: &[&str] = &[
    "loadBalancers",
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "deploymentConfiguration",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "availabilityZoneRebalancing",
    "enableECSManagedTags",
    "enableExecuteCommand",
    "propagateTags",
];

pub(super) fn service(world: &World, service: &Service, tags: bool) -> Value {
    let mut told = whole(world, service);
    for name in SETTINGS {
        if let Some(value) = service.settings.get(*name) {
            told[*name] = value.clone();
        }
    }
    match service.controller {
        Controller::Ecs => native(world, service, &mut told),
        other => {
            let kind = if other == Controller::CodeDeploy { "CODE_DEPLOY" } else { "EXTERNAL" };
            told["deploymentController"] = json!({ "type": kind });
            let sets = service.task_sets.iter();
            told["taskSets"] = sets.map(|set| task_sets::render(world, service, set)).collect();
        }
    }
    if tags {
        told["tags"] = json!(service.tags);
    }
    told
}

/// What is told of every service.
fn whole(world: &World, service: &Service) -> Value {
    let owners = service.deployments.iter().chain(&service.task_sets);
    let all = owners.map(|owner| counts(world, service, &owner.id)).fold(Counts::default(), |sum, one| {
        Counts { running: sum.running + one.running, pending: sum.pending + one.pending, ..sum }
    });
    let event =
        |event: &Event| json!({ "id": event.id, "createdAt": epoch(event.at), "message": event.message });
    json!({
        "serviceArn": service.arn,
        "serviceName": service.name,
        "clusterArn": service.cluster_arn,
        "status": service.status,
        "desiredCount": service.desired,
        "runningCount": all.running,
        "pendingCount": all.pending,
        "taskDefinition": service.task_definition,
        "deployments": service.deployments.iter().map(|one| deployment(world, service, one)).collect::<Vec<_>>(),
        "events": service.events.iter().map(event).collect::<Vec<_>>(),
        "createdAt": epoch(service.created_at),
        "createdBy": format!("arn:aws:iam::{}:role/deployer", world.account),
        "schedulingStrategy": "REPLICA",
        "platformFamily": "Linux",
        "enableECSManagedTags": false,
        "enableExecuteCommand": false,
        "propagateTags": "NONE",
        "loadBalancers": [],
        "serviceRegistries": [],
        "placementConstraints": [],
        "placementStrategy": [],
    })
}

/// What is told of the services that ECS moves itself.
fn native(world: &World, service: &Service, told: &mut Value) {
    if let Some(controller) = service.settings.get("deploymentController") {
        told["deploymentController"] = controller.clone();
    }
    told["currentServiceDeployment"] = json!(service.history.first().map(|newest| &newest.arn));
    let with_tasks = service.deployments.iter().map(|one| (one, counts(world, service, &one.id)));
    told["currentServiceRevisions"] = with_tasks
        .filter(|(one, counts)| one.status == "PRIMARY" || counts.live > 0)
        .map(|(one, counts)| {
            json!({
                "arn": one.revision,
                "requestedTaskCount": if one.status == "PRIMARY" { service.desired } else { counts.live },
                "runningTaskCount": counts.running,
                "pendingTaskCount": counts.pending,
            })
        })
        .collect();
}

fn deployment(world: &World, service: &Service, deployment: &Deployment) -> Value {
    let counts = counts(world, service, &deployment.id);
    let wanted = if deployment.status == "PRIMARY" { service.desired } else { counts.live };
    json!({
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": deployment.task_definition,
        "desiredCount": wanted,
        "pendingCount": counts.pending,
        "runningCount": counts.running,
        "failedTasks": deployment.failed_tasks,
        "createdAt": epoch(deployment.created_at),
        "updatedAt": epoch(deployment.updated_at),
        "launchType": service.settings.get("launchType"),
        "capacityProviderStrategy": service.settings.get("capacityProviderStrategy"),
        "platformVersion": service.settings.get("platformVersion"),
        "networkConfiguration": service.settings.get("networkConfiguration"),
        "platformFamily": "Linux",
        "rolloutState": match deployment.rollout {
            Rollout::InProgress => "IN_PROGRESS",
            Rollout::Completed => "COMPLETED",
            Rollout::Failed => "FAILED",
        },
        "rolloutStateReason": deployment.reason,
    })
}

pub(super) fn service_deployment(world: &World, service: &Service, one: &ServiceDeployment) -> Value {
    let summary = |arn: &String| revision_summary(world, service, service.revision(arn), arn);
    json!({
        "serviceDeploymentArn": one.arn,
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "createdAt": epoch(one.created_at),
        "startedAt": one.started_at.map(epoch),
        "finishedAt": one.finished_at.map(epoch),
        "stoppedAt": one.stopped_at.map(epoch),
        "updatedAt": epoch(one.updated_at),
        "sourceServiceRevisions": one.sources.iter().map(summary).collect::<Vec<_>>(),
        "targetServiceRevision": summary(&one.target),
        "status": one.status.name(),
        "statusReason": one.reason,
        "lifecycleStage": one.stage,
        "lifecycleHookDetails": one.hooks.iter().map(hooks::render).collect::<Vec<_>>(),
        "deploymentConfiguration": one.configuration,
        "rollback": one.rollback.as_ref().map(|rollback| json!({
            "reason": rollback.reason,
            "startedAt": epoch(rollback.at),
            "serviceRevisionArn": rollback.revision,
        })),
        "deploymentCircuitBreaker": circuit_breaker(service, one),
        "alarms": { "status": "DISABLED", "alarmNames": [], "triggeredAlarmNames": [] },
    })
}

fn circuit_breaker(service: &Service, one: &ServiceDeployment) -> Value {
    let status = if !breaker::enabled(&one.configuration, "enable") {
        "DISABLED"
    } else if one.tripped {
        "TRIGGERED"
    } else if one.status.in_flight() {
        "MONITORING"
    } else {
        "MONITORING_COMPLETE"
    };
    let threshold = breaker::threshold(&one.configuration, service.desired);
    json!({ "status": status, "failureCount": one.failures, "threshold": threshold })
}

fn revision_summary(world: &World, service: &Service, revision: Option<&Revision>, arn: &str) -> Value {
    let all = service.deployments.iter().filter(|deployment| deployment.revision == arn);
    let all: Vec<_> =
        all.map(|deployment| (deployment.status, counts(world, service, &deployment.id))).collect();
    let primary = all.iter().any(|(status, _)| *status == "PRIMARY");
    let sum = |count: fn(&Counts) -> u32| all.iter().map(|(_, counts)| count(counts)).sum::<u32>();
    json!({
        "arn": revision.map_or(arn, |revision| revision.arn.as_str()),
        "requestedTaskCount": if primary { service.desired } else { sum(|counts| counts.live) },
        "runningTaskCount": sum(|counts| counts.running),
        "pendingTaskCount": sum(|counts| counts.pending),
    })
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Provisioning => "PROVISIONING",
        Phase::Pending => "PENDING",
        Phase::Running => "RUNNING",
        Phase::Deactivating => "DEACTIVATING",
        Phase::Stopping => "STOPPING",
        Phase::Stopped => "STOPPED",
    }
}

pub(super) fn task(task: &Task, tags: bool) -> Value {
    let fargate = task.launch_type == "FARGATE";
    let health =
        if task.containers.iter().any(|container| container.checked) { health(task) } else { "UNKNOWN" };
    let mut told = json!({
        "taskArn": task.arn,
        "clusterArn": task.cluster_arn,
        "taskDefinitionArn": task.task_definition,
        "group": task.group,
        "startedBy": task.started_by,
        "launchType": task.launch_type,
        "platformFamily": fargate.then_some("Linux"),
        "platformVersion": fargate.then_some("1.4.0"),
        "lastStatus": phase(task.phase),
        "desiredStatus": if task.is_live() { "RUNNING" } else { "STOPPED" },
        "healthStatus": health,
        "connectivity": "CONNECTED",
        "createdAt": epoch(task.created_at),
        "startedAt": task.started_at.map(epoch),
        "stoppingAt": task.stopping_at.map(epoch),
        "stoppedAt": task.stopped_at.map(epoch),
        "stopCode": task.stop_code,
        "stoppedReason": task.stopped_reason,
        "containers": task.containers.iter().map(|one| container(task, one)).collect::<Vec<_>>(),
        "overrides": task.overrides,
        "attachments": [attachment(task)],
        "attributes": [],
        "version": 1 + task.phase as u8,
    });
    if tags {
        told["tags"] = json!(task.tags);
    }
    told
}

/// The network interface of a task, by which its targets are known.
fn attachment(task: &Task) -> Value {
    let id = task.arn.rsplit('/').next().unwrap_or_default();
    json!({
        "id": format!("eni-of-{id}"),
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED",
        "details": [{ "name": "privateIPv4Address", "value": task.ip }],
    })
}

fn health(task: &Task) -> &'static str {
    match task.healthy {
        Some(true) => "HEALTHY",
        Some(false) => "UNHEALTHY",
        None => "UNKNOWN",
    }
}

fn container(task: &Task, container: &Container) -> Value {
    let arn = format!("{}/{}", task.arn.replacen(":task/", ":container/", 1), container.name);
    // Until it is pulled, nothing is known of it.
    let pulled = task.started_at.is_some();
    json!({
        "containerArn": arn,
        "taskArn": task.arn,
        "name": container.name,
        "image": container.image,
        "imageDigest": pulled.then_some(&container.digest),
        "lastStatus": match task.phase {
            Phase::Running | Phase::Deactivating => "RUNNING",
            Phase::Stopped | Phase::Stopping => "STOPPED",
            _ => "PENDING",
        },
        "healthStatus": if container.checked { health(task) } else { "UNKNOWN" },
        "exitCode": container.exit_code,
        "reason": container.reason,
        "networkInterfaces": [{ "attachmentId": task.id(), "privateIpv4Address": task.ip }],
        "networkBindings": [],
    })
}
