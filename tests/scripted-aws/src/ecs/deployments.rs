//! Service deployments: listing, showing and stopping them.

use serde_json::{Value, json};

use super::model::{Service, ServiceDeployment, Status};
use super::{hooks, names, render, with_service};
use crate::protocol::{Fault, epoch, required, text, texts};
use crate::world::World;

/// They are told of for so long.
const KEPT: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 3600);

const STATUSES: &[&str] = &[
    "PENDING",
    "IN_PROGRESS",
    "SUCCESSFUL",
    "STOPPED",
    "STOP_REQUESTED",
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_SUCCESSFUL",
    "ROLLBACK_FAILED",
];

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterException", message)
}

pub(super) fn list_all(world: &World, input: &Value) -> Result<Value, Fault> {
    let key = names::service(world, input, "service")?;
    let service = world.ecs.services.get(&key).ok_or_else(names::service_missing)?;
    refuse_foreign(service)?;
    let statuses = texts(input, "status");
    if let Some(unknown) = statuses.iter().find(|status| !STATUSES.contains(status)) {
        return Err(invalid(format!("Invalid status: {unknown}.")));
    }
    let bound = |name: &str| input["createdAt"].get(name).and_then(Value::as_f64);
    let (after, before) = (bound("after"), bound("before"));
    let fits = |one: &&ServiceDeployment| {
        let made = one.created_at.as_millisecond() as f64 / 1000.0;
        let kept = one.status.in_flight() || world.now < one.created_at + KEPT;
        kept && (statuses.is_empty() || statuses.contains(&one.status.name()))
            && after.is_none_or(|after| made >= after)
            && before.is_none_or(|before| made <= before)
    };
    let all: Vec<_> = service.history.iter().filter(fits).map(|one| brief(service, one)).collect();
    let (page, next) = names::page(all, input, 100)?;
    Ok(json!({ "serviceDeployments": page, "nextToken": next }))
}

fn refuse_foreign(service: &Service) -> Result<(), Fault> {
    if service.controller == super::model::Controller::Ecs {
        return Ok(());
    }
    let why = "Service deployments are only available for services with an ECS deployment controller.";
    Err(Fault::new("UnsupportedFeatureException", why))
}

fn brief(service: &Service, one: &ServiceDeployment) -> Value {
    json!({
        "serviceDeploymentArn": one.arn,
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "startedAt": one.started_at.map(epoch),
        "createdAt": epoch(one.created_at),
        "finishedAt": one.finished_at.map(epoch),
        "targetServiceRevisionArn": one.target,
        "status": one.status.name(),
        "statusReason": one.reason,
    })
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let arns = texts(input, "serviceDeploymentArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(invalid("serviceDeploymentArns must have 1 to 20 entries."));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        let service = names::owner(world, arn);
        let one =
            service.and_then(|service| Some((service, service.history.iter().find(|one| one.arn == arn)?)));
        match one {
            Some((service, one)) => found.push(render::service_deployment(world, service, one)),
            None => failures.push(json!({ "arn": arn, "reason": "MISSING" })),
        }
    }
    Ok(json!({ "serviceDeployments": found, "failures": failures }))
}

pub(super) fn stop(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let arn = required(input, "serviceDeploymentArn", "InvalidParameterException")?.to_owned();
    let back = match text(input, "stopType").unwrap_or("ROLLBACK") {
        "ROLLBACK" => true,
        "ABORT" => false,
        _ => return Err(invalid("Invalid stopType.")),
    };
    let missing = || Fault::new("ServiceDeploymentNotFoundException", "Service deployment not found.");
    let key = names::owner(world, &arn).map(Service::key).ok_or_else(missing)?;
    with_service(world, &key, missing(), |world, service| {
        let now = world.now;
        let one = service.history.iter_mut().find(|one| one.arn == arn).ok_or_else(missing)?;
        match one.status {
            Status::Pending | Status::InProgress => {
                one.status = if back { Status::RollbackRequested } else { Status::StopRequested };
                let why = "Service deployment rolled back because of a StopServiceDeployment request.";
                one.reason = back.then(|| why.to_owned());
                one.updated_at = now;
                hooks::close(one);
            }
            // It goes on as it is asked to already.
            Status::StopRequested | Status::RollbackRequested | Status::RollbackInProgress => {}
            ended => {
                let why = format!("The service deployment is {} and cannot be stopped.", ended.name());
                return Err(Fault::new("ConflictException", why));
            }
        }
        Ok(json!({ "serviceDeploymentArn": arn }))
    })
}
