//! The targets of deployments: for ECS, the one service with its two task sets.

use serde_json::{Map, Value, json};

use super::deployment::{Deployment, Status};
use super::listeners;
use super::lists::named;
use super::walk::one_of;
use crate::ecs;
use crate::protocol::{Fault, epoch, required, texts};
use crate::world::World;

fn started<'a>(world: &'a World, input: &Value) -> Result<&'a Deployment, Fault> {
    let found = named(world, input)?;
    let why = || format!("The deployment {} has not started yet.", found.id);
    let fault = || Fault::new("DeploymentNotStartedException", why());
    found.started.is_some().then_some(found).ok_or_else(fault)
}

pub(super) fn get_target(world: &World, input: &Value) -> Result<Value, Fault> {
    let found = started(world, input)?;
    let id = required(input, "targetId", "DeploymentTargetIdRequiredException")?;
    if id != found.target() {
        let why = format!("The target {id} is not part of the deployment {}.", found.id);
        return Err(Fault::new("DeploymentTargetDoesNotExistException", why));
    }
    Ok(json!({ "deploymentTarget": tell(world, found) }))
}

pub(super) fn list_targets(world: &World, input: &Value) -> Result<Value, Fault> {
    Ok(json!({ "targetIds": [started(world, input)?.target()] }))
}

pub(super) fn batch_get_targets(world: &World, input: &Value) -> Result<Value, Fault> {
    let found = started(world, input)?;
    let asked = texts(input, "targetIds");
    let told: Vec<Value> =
        asked.iter().filter(|id| **id == found.target()).map(|_| tell(world, found)).collect();
    Ok(json!({ "deploymentTargets": told }))
}

fn tell(world: &World, deployment: &Deployment) -> Value {
    let status = match deployment.status {
        Status::Created | Status::Queued => "Pending",
        Status::InProgress => "InProgress",
        Status::Ready => "Ready",
        Status::Succeeded => "Succeeded",
        Status::Failed | Status::Stopped => "Failed",
    };
    let updated = deployment.completed.unwrap_or(world.now());
    let service = format!("service/{}/{}", deployment.cluster, deployment.service);
    json!({
        "deploymentTargetType": "ECSTarget",
        "ecsTarget": {
            "deploymentId": deployment.id,
            "targetId": deployment.target(),
            "targetArn": world.arn("ecs", &service),
            "lastUpdatedAt": epoch(updated),
            "lifecycleEvents": deployment.events.iter().map(tell_event).collect::<Vec<_>>(),
            "status": status,
            "taskSetsInfo": tell_sets(world, deployment),
        },
    })
}

fn tell_event(event: &super::deployment::Event) -> Value {
    let mut told = Map::new();
    told.insert("lifecycleEventName".into(), event.name.into());
    told.insert("status".into(), event.status.into());
    for (key, at) in [("startTime", event.began), ("endTime", event.ended)] {
        if let Some(at) = at {
            told.insert(key.into(), epoch(at));
        }
    }
    Value::Object(told)
}

/// `identifer` is how the API spells it.
fn tell_sets(world: &World, deployment: &Deployment) -> Vec<Value> {
    let sets = ecs::task_sets(world, &deployment.cluster, &deployment.service);
    let label = [
        ("Blue", &deployment.blue, 100 - deployment.shifted),
        ("Green", &deployment.green, deployment.shifted),
    ];
    let mut told = Vec::new();
    for (label, which, weight) in label {
        let Some((_, group)) = which else { continue };
        let Some(set) = one_of(&sets, which.as_ref()) else { continue };
        told.push(json!({
            "identifer": set.id,
            "desiredCount": set.desired,
            "pendingCount": set.desired.saturating_sub(set.healthy),
            "runningCount": set.healthy,
            "status": set.status,
            "trafficWeight": f64::from(weight),
            "targetGroup": { "name": listeners::name(world, group) },
            "taskSetLabel": label,
        }));
    }
    told
}
