//! Task sets, of services that CodeDeploy or somebody else moves.

use serde_json::{Value, json};

use super::model::{Controller, Deployment, Service};
use super::scheduler::{counts, say, start, stop};
use super::{changes, names, revisions, with_service};
use crate::protocol::{Fault, epoch, list, required, text, texts};
use crate::world::World;

/// The first task set of a new service.
pub(super) fn first(world: &mut World, service: &mut Service) {
    let settings = Value::Object(service.settings.clone());
    let groups = list(&settings, "loadBalancers").iter().filter_map(|one| text(one, "targetGroupArn"));
    let group = groups.map(str::to_owned).next();
    let task_definition = service.task_definition.clone();
    add(world, service, &task_definition, group, "PRIMARY");
}

/// Adds a task set; its id.
pub(super) fn add(
    world: &mut World,
    service: &mut Service,
    task_definition: &str,
    target_group: Option<String>,
    status: &'static str,
) -> String {
    let groups: Vec<_> = target_group.into_iter().collect();
    let revision = revisions::make(world, service, task_definition, groups.clone());
    let mut set = changes::deployment(world, task_definition, &revision, groups);
    set.status = status;
    let id = set.id.clone();
    service.task_sets.push(set);
    service.steady = false;
    id
}

/// Makes a task set the primary one; whether it is there.
pub(super) fn make_primary(world: &World, service: &mut Service, id: &str) -> bool {
    let Some(task_definition) =
        service.task_sets.iter().find(|set| set.id == id).map(|set| set.task_definition.clone())
    else {
        return false;
    };
    for set in &mut service.task_sets {
        if set.id == id {
            set.status = "PRIMARY";
        } else if set.status == "PRIMARY" {
            set.status = "ACTIVE";
        }
        set.updated_at = world.now;
    }
    service.task_definition = task_definition;
    true
}

/// Drains a task set; whether it is there.
pub(super) fn drain(world: &World, service: &mut Service, id: &str) -> bool {
    let Some(set) = service.task_sets.iter_mut().find(|set| set.id == id) else { return false };
    set.status = "DRAINING";
    set.updated_at = world.now;
    service.steady = false;
    true
}

/// Each task set gets the service's tasks; one that drains loses them, and is gone.
pub(super) fn step(world: &mut World, service: &mut Service) {
    let sets: Vec<_> = service.task_sets.iter().map(|set| (set.id.clone(), set.status)).collect();
    for (id, status) in &sets {
        let wanted = if *status == "DRAINING" { 0 } else { service.desired };
        let live = counts(world, service, id).live;
        if live < wanted {
            start(world, service, id, wanted - live);
        } else if live > wanted {
            stop(world, service, id, live - wanted);
        }
    }
    let gone = |set: &Deployment| set.status == "DRAINING" && counts(world, service, &set.id).there == 0;
    let gone: Vec<_> = service.task_sets.iter().filter(|set| gone(set)).map(|set| set.id.clone()).collect();
    service.task_sets.retain(|set| !gone.contains(&set.id));
    let settled = service.task_sets.iter().all(|set| {
        let counts = counts(world, service, &set.id);
        set.status != "DRAINING" && counts.good == service.desired && counts.there == service.desired
    });
    if settled && !service.steady {
        service.steady = true;
        say(world, service, "has reached a steady state.");
    } else if !settled {
        service.steady = false;
    }
}

pub(super) fn render(world: &World, service: &Service, set: &Deployment) -> Value {
    let counts = counts(world, service, &set.id);
    let wanted = if set.status == "DRAINING" { 0 } else { service.desired };
    let steady = counts.good == wanted && counts.there == wanted;
    let id = set.id.trim_start_matches("ecs-svc/");
    let settings = Value::Object(service.settings.clone());
    let by = if service.controller == Controller::CodeDeploy { "CODE_DEPLOY" } else { "EXTERNAL" };
    json!({
        "id": set.id,
        "taskSetArn": service.arn.replacen(":service/", ":task-set/", 1) + "/ecs-svc/" + id,
        "serviceArn": service.arn,
        "clusterArn": service.cluster_arn,
        "startedBy": by,
        "externalId": set.external_id,
        "status": set.status,
        "taskDefinition": set.task_definition,
        "computedDesiredCount": wanted,
        "pendingCount": counts.pending,
        "runningCount": counts.running,
        "createdAt": epoch(set.created_at),
        "updatedAt": epoch(set.updated_at),
        "launchType": settings["launchType"],
        "platformVersion": settings["platformVersion"],
        "networkConfiguration": settings["networkConfiguration"],
        "loadBalancers": balancers(&settings, set),
        "serviceRegistries": [],
        "scale": { "value": 100.0, "unit": "PERCENT" },
        "stabilityStatus": if steady { "STEADY_STATE" } else { "STABILIZING" },
        "stabilityStatusAt": epoch(set.updated_at),
        "tags": [],
    })
}

/// The service's load balancers, with the target groups of this task set.
fn balancers(settings: &Value, set: &Deployment) -> Vec<Value> {
    let first = list(settings, "loadBalancers").first().cloned().unwrap_or_default();
    let (name, port) = (&first["containerName"], &first["containerPort"]);
    let balancer =
        |group: &String| json!({ "targetGroupArn": group, "containerName": name, "containerPort": port });
    set.target_groups.iter().map(balancer).collect()
}

fn refuse_native(service: &Service) -> Result<(), Fault> {
    if service.controller == Controller::Ecs {
        let why = "Task sets are only available for services with a CODE_DEPLOY or an EXTERNAL deployment controller.";
        return Err(Fault::new("InvalidParameterException", why));
    }
    Ok(())
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let key = names::service(world, input, "service")?;
    let service = world.ecs.services.get(&key).ok_or_else(names::service_missing)?;
    refuse_native(service)?;
    let wanted = texts(input, "taskSets");
    let named = |set: &Deployment, name: &str| names::short(name) == names::short(&set.id);
    let sets = service.task_sets.iter();
    let found = sets.filter(|set| wanted.is_empty() || wanted.iter().any(|name| named(set, name)));
    let missing = wanted.iter().filter(|name| !service.task_sets.iter().any(|set| named(set, name)));
    Ok(json!({
        "taskSets": found.map(|set| render(world, service, set)).collect::<Vec<_>>(),
        "failures": missing.map(|name| json!({ "arn": name, "reason": "MISSING" })).collect::<Vec<_>>(),
    }))
}

fn refuse_code_deploy(service: &Service) -> Result<(), Fault> {
    refuse_native(service)?;
    if service.controller == Controller::CodeDeploy {
        let why =
            "Task sets of services with a CODE_DEPLOY deployment controller are managed by AWS CodeDeploy.";
        return Err(Fault::new("InvalidParameterException", why));
    }
    Ok(())
}

pub(super) fn create(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = names::service(world, input, "service")?;
    let name = required(input, "taskDefinition", "InvalidParameterException")?.to_owned();
    with_service(world, &key, names::service_missing(), |world, service| {
        refuse_code_deploy(service)?;
        let arn = names::startable(world, &name)?.arn.clone();
        let group = list(input, "loadBalancers").first().and_then(|one| text(one, "targetGroupArn"));
        let id = add(world, service, &arn, group.map(str::to_owned), "ACTIVE");
        let made = service.task_sets.iter().find(|set| set.id == id);
        Ok(json!({ "taskSet": made.map(|set| render(world, service, set)) }))
    })
}

fn missing_set() -> Fault {
    Fault::new("TaskSetNotFoundException", "The specified task set was not found.")
}

pub(super) fn promote(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let id =
        format!("ecs-svc/{}", names::short(required(input, "primaryTaskSet", "InvalidParameterException")?));
    changed(world, input, &id, make_primary)
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let id = format!("ecs-svc/{}", names::short(required(input, "taskSet", "InvalidParameterException")?));
    changed(world, input, &id, drain)
}

fn changed(
    world: &mut World,
    input: &Value,
    id: &str,
    act: fn(&World, &mut Service, &str) -> bool,
) -> Result<Value, Fault> {
    let key = names::service(world, input, "service")?;
    with_service(world, &key, names::service_missing(), |world, service| {
        refuse_code_deploy(service)?;
        if !act(world, service, id) {
            return Err(missing_set());
        }
        let set = service.task_sets.iter().find(|set| set.id == id);
        Ok(json!({ "taskSet": set.map(|set| render(world, service, set)) }))
    })
}
