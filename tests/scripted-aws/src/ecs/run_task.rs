//! `RunTask`.

use serde_json::{Value, json};

use super::life::{self, Order};
use super::{Behaviour, names, render};
use crate::protocol::{Fault, integer, list, required, text};
use crate::world::World;

/// What a client token was used for.
#[derive(Debug)]
pub(super) struct Used {
    token: String,
    cluster: String,
    input: Value,
    ids: Vec<String>,
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterException", message)
}

pub(super) fn run(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let cluster = names::cluster(world, input)?;
    let count = integer(input, "count").unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(invalid("Task count must be between 1 and 10."));
    }
    let order = order(world, input, &cluster)?;
    let token = text(input, "clientToken").map(str::to_owned);
    if let Some(ids) = again(world, input, &cluster)? {
        return Ok(told(world, &cluster, &ids));
    }
    if life::behaviour(world, &order) == Behaviour::NoCapacity {
        let arn = world.arn("ecs", &format!("cluster/{cluster}"));
        return Ok(json!({ "tasks": [], "failures": [{ "arn": arn, "reason": "RESOURCE:CPU" }] }));
    }
    let ids: Vec<_> = (0..count).map(|_| life::start(world, order.clone())).collect();
    let answer = told(world, &cluster, &ids);
    if let Some(token) = token {
        world.ecs.tokens.push(Used { token, cluster, input: input.clone(), ids });
    }
    Ok(answer)
}

/// The tasks that this very request started before. Another request may not use its token.
fn again(world: &World, input: &Value, cluster: &str) -> Result<Option<Vec<String>>, Fault> {
    let Some(token) = text(input, "clientToken") else { return Ok(None) };
    if token.is_empty() || token.len() > 64 || !token.bytes().all(|byte| (33..=126).contains(&byte)) {
        return Err(invalid("Invalid clientToken: it has to have 1 to 64 ASCII characters from 33 to 126."));
    }
    let used = world.ecs.tokens.iter().find(|used| used.token == token && used.cluster == cluster);
    let Some(used) = used else { return Ok(None) };
    if used.input == *input {
        return Ok(Some(used.ids.clone()));
    }
    let arns: Vec<_> = used.ids.iter().map(|id| world.arn("ecs", &format!("task/{cluster}/{id}"))).collect();
    let why = "The provided clientToken is already in use with a different RunTask request.";
    Err(Fault::new("ConflictException", why).with("resourceIds", arns))
}

fn told(world: &World, cluster: &str, ids: &[String]) -> Value {
    let tasks = ids.iter().filter_map(|id| world.ecs.tasks.find(cluster, id));
    json!({ "tasks": tasks.map(|task| render::task(task, true)).collect::<Vec<_>>(), "failures": [] })
}

fn order(world: &World, input: &Value, cluster: &str) -> Result<Order, Fault> {
    let name = required(input, "taskDefinition", "InvalidParameterException")?;
    let found = names::startable(world, name).map_err(|fault| {
        if fault.message().contains("inactive") { invalid(fault.message()) } else { fault }
    })?;
    if found.body.get("networkMode").and_then(Value::as_str) == Some("awsvpc")
        && input["networkConfiguration"].is_null()
    {
        return Err(invalid(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
        ));
    }
    let images = life::resolve(world, &found.arn);
    for other in list(&input["overrides"], "containerOverrides") {
        let name = text(other, "name").unwrap_or_default();
        if !images.iter().any(|(container, ..)| container == name) {
            return Err(invalid(format!(
                "Override for container named {name} is not a container in the TaskDefinition."
            )));
        }
    }
    let started_by = text(input, "startedBy");
    if started_by.is_some_and(|by| by.len() > 128) {
        return Err(invalid("startedBy cannot have more than 128 characters."));
    }
    Ok(Order {
        cluster: cluster.to_owned(),
        service: None,
        group: text(input, "group").map_or_else(|| format!("family:{}", found.family), str::to_owned),
        started_by: started_by.map(str::to_owned),
        task_definition: found.arn.clone(),
        launch_type: text(input, "launchType").unwrap_or("EC2").to_owned(),
        target_groups: Vec::new(),
        images,
        overrides: input.get("overrides").cloned().unwrap_or_else(|| json!({ "containerOverrides": [] })),
        tags: list(input, "tags").to_vec(),
    })
}
