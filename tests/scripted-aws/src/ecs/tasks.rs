//! Tasks: listing, showing, running and stopping them.

use serde_json::{Value, json};

use super::Behaviour;
use super::life::{self, Order};
use super::model::Task;
use super::{names, render};
use crate::protocol::{Fault, integer, list, required, text, texts};
use crate::world::World;

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterException", message)
}

pub(super) fn list_all(world: &World, input: &Value) -> Result<Value, Fault> {
    let cluster = names::cluster(world, input)?;
    let service = text(input, "serviceName").map(names::short);
    if let Some(name) = service
        && !world.ecs.services.contains_key(&(cluster.clone(), name.to_owned()))
    {
        return Err(names::service_missing());
    }
    let desired = text(input, "desiredStatus").unwrap_or("RUNNING");
    if !["RUNNING", "PENDING", "STOPPED"].contains(&desired) {
        return Err(invalid("Invalid desiredStatus."));
    }
    let family =
        |task: &Task| names::task_definition(world, &task.task_definition).map(|one| one.family.as_str());
    let fits = |task: &&Task| {
        // Nothing is ever wanted to be PENDING.
        (if task.is_live() { desired == "RUNNING" } else { desired == "STOPPED" })
            && text(input, "launchType").is_none_or(|launch| task.launch_type == launch)
            && text(input, "startedBy").is_none_or(|by| task.started_by.as_deref() == Some(by))
            && text(input, "family").is_none_or(|wanted| family(task) == Some(wanted))
    };
    let all: Vec<_> =
        world.ecs.tasks.in_cluster(&cluster, service).filter(fits).map(|task| task.arn.clone()).collect();
    let (arns, next) = names::page(all, input, 100)?;
    Ok(json!({ "taskArns": arns, "nextToken": next }))
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let cluster = names::cluster(world, input)?;
    let wanted = texts(input, "tasks");
    if wanted.is_empty() {
        return Err(invalid("Tasks cannot be empty."));
    }
    if wanted.len() > 100 {
        return Err(invalid("Tasks must have 100 or fewer entries."));
    }
    let tags = texts(input, "include").contains(&"TAGS");
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in wanted {
        let id = names::short(name);
        match world.ecs.tasks.find(&cluster, id) {
            Some(task) => found.push(render::task(task, tags)),
            None => {
                let arn = world.arn("ecs", &format!("task/{cluster}/{id}"));
                failures.push(json!({ "arn": arn, "reason": "MISSING" }));
            }
        }
    }
    Ok(json!({ "tasks": found, "failures": failures }))
}

pub(super) fn run(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let cluster = names::cluster(world, input)?;
    let count = integer(input, "count").unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(invalid("Task count must be between 1 and 10."));
    }
    let name = required(input, "taskDefinition", "InvalidParameterException")?;
    let found = names::startable(world, name).map_err(|fault| {
        if fault.message().contains("inactive") { invalid(fault.message()) } else { fault }
    })?;
    let (arn, family) = (found.arn.clone(), found.family.clone());
    let images = life::resolve(world, &arn);
    if life::behaviour(world, &images) == Behaviour::NoCapacity {
        let failure =
            json!({ "arn": world.arn("ecs", &format!("cluster/{cluster}")), "reason": "RESOURCE:CPU" });
        return Ok(json!({ "tasks": [], "failures": [failure] }));
    }
    let order = Order {
        cluster: cluster.clone(),
        service: None,
        group: text(input, "group").map_or_else(|| format!("family:{family}"), str::to_owned),
        started_by: text(input, "startedBy").map(str::to_owned),
        task_definition: arn,
        launch_type: text(input, "launchType").unwrap_or("EC2").to_owned(),
        target_groups: Vec::new(),
        images,
        overrides: input.get("overrides").cloned().unwrap_or_else(|| json!({ "containerOverrides": [] })),
        tags: list(input, "tags").to_vec(),
    };
    let ids: Vec<_> = (0..count).map(|_| life::start(world, order.clone())).collect();
    let started = ids.iter().filter_map(|id| world.ecs.tasks.find(&cluster, id));
    let tasks: Vec<_> = started.map(|task| render::task(task, true)).collect();
    Ok(json!({ "tasks": tasks, "failures": [] }))
}

pub(super) fn stop(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let cluster = names::cluster(world, input)?;
    let id = names::short(required(input, "task", "InvalidParameterException")?).to_owned();
    let reason = text(input, "reason").unwrap_or("Task stopped by user").to_owned();
    let now = world.now;
    let task = world.ecs.tasks.find_mut(&cluster, &id);
    let task = task.ok_or_else(|| invalid("The referenced task was not found."))?;
    life::end(task, "UserInitiated", reason, now);
    let (told, service) = (render::task(task, false), task.service.clone());
    // Its service misses it from now on.
    if let Some(service) = service.and_then(|name| world.ecs.services.get_mut(&(cluster, name))) {
        service.steady = false;
    }
    Ok(json!({ "task": told }))
}
