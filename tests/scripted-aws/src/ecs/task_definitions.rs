//! Task definitions: every field is kept as it was given, and AWS's defaults are filled in.

use serde_json::{Map, Value, json};

use super::model::TaskDefinition;
use super::names;
use crate::protocol::{Fault, epoch, list, required, text, texts};
use crate::world::World;

/// What AWS fills in itself, whatever was sent.
const READ_ONLY: &[&str] = &[
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
    "deleteRequestedAt",
    "tags",
];

fn client(message: impl Into<String>) -> Fault {
    Fault::new("ClientException", message)
}

pub(super) fn register(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let family = required(input, "family", "ClientException")
        .map_err(|_| client("Family should not be null or empty."))?
        .to_owned();
    check_containers(input)?;
    let revisions = world.ecs.families.get(&family).map_or(0, Vec::len);
    let revision = u32::try_from(revisions + 1).unwrap_or(u32::MAX);
    let arn = world.arn("ecs", &format!("task-definition/{family}:{revision}"));
    let mut body = input.as_object().cloned().unwrap_or_default();
    READ_ONLY.iter().for_each(|field| drop(body.remove(*field)));
    fill(&mut body);
    let who = format!("arn:aws:sts::{}:assumed-role/deployer/tests", world.account);
    body.insert("taskDefinitionArn".to_owned(), arn.clone().into());
    body.insert("revision".to_owned(), revision.into());
    body.insert("status".to_owned(), "ACTIVE".into());
    body.insert(
        "requiresAttributes".to_owned(),
        json!([{ "name": "com.amazonaws.ecs.capability.docker-remote-api.1.18" }]),
    );
    body.insert("compatibilities".to_owned(), json!(["EC2", "FARGATE"]));
    body.insert("registeredAt".to_owned(), epoch(world.now));
    body.insert("registeredBy".to_owned(), who.into());
    let tags = list(input, "tags").to_vec();
    let answer = json!({ "taskDefinition": body, "tags": tags });
    let made = TaskDefinition { arn, family: family.clone(), revision, status: "ACTIVE", body, tags };
    world.ecs.families.entry(family).or_default().push(made);
    Ok(answer)
}

fn check_containers(input: &Value) -> Result<(), Fault> {
    let containers = list(input, "containerDefinitions");
    if containers.is_empty() {
        return Err(client("Container list cannot be empty."));
    }
    let memory = text(input, "memory").is_some();
    for container in containers {
        for field in ["name", "image"] {
            if text(container, field).unwrap_or_default().is_empty() {
                return Err(client(format!("Container.{field} should not be null or empty.")));
            }
        }
        let own = ["memory", "memoryReservation"].iter().any(|field| !container[*field].is_null());
        if !memory && !own {
            let name = text(container, "name").unwrap_or_default();
            return Err(client(format!(
                "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
            )));
        }
    }
    Ok(())
}

/// What AWS adds where nothing was said.
fn fill(body: &mut Map<String, Value>) {
    let awsvpc = body.get("networkMode").and_then(Value::as_str) == Some("awsvpc");
    for field in ["volumes", "placementConstraints"] {
        body.entry(field).or_insert_with(|| json!([]));
    }
    let Some(containers) = body.get_mut("containerDefinitions").and_then(Value::as_array_mut) else { return };
    for container in containers.iter_mut().filter_map(Value::as_object_mut) {
        container.entry("cpu").or_insert(json!(0));
        container.entry("essential").or_insert(json!(true));
        for field in ["portMappings", "environment", "mountPoints", "volumesFrom", "systemControls"] {
            container.entry(field).or_insert_with(|| json!([]));
        }
        let Some(ports) = container.get_mut("portMappings").and_then(Value::as_array_mut) else { continue };
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            port.entry("protocol").or_insert(json!("tcp"));
            let number = if awsvpc { port.get("containerPort").cloned() } else { Some(json!(0)) };
            if let Some(number) = number {
                port.entry("hostPort").or_insert(number);
            }
        }
    }
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let name = named(input)?;
    let missing = || client("Unable to describe task definition.");
    let found = names::task_definition(world, name).ok_or_else(missing)?;
    let mut answer = json!({ "taskDefinition": found.body });
    if texts(input, "include").contains(&"TAGS") {
        answer["tags"] = json!(found.tags);
    }
    Ok(answer)
}

fn named(input: &Value) -> Result<&str, Fault> {
    required(input, "taskDefinition", "ClientException")
        .map_err(|_| client("Task Definition can not be blank."))
}

fn list_of(world: &World, family: Option<&str>, status: &str) -> Vec<String> {
    let families = world.ecs.families.values().flatten();
    families
        .filter(|one| family.is_none_or(|family| one.family == family) && one.status == status)
        .map(|one| one.arn.clone())
        .collect()
}

pub(super) fn list_all(world: &World, input: &Value) -> Result<Value, Fault> {
    let status = text(input, "status").unwrap_or("ACTIVE");
    if !["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"].contains(&status) {
        return Err(Fault::new("InvalidParameterException", "Invalid status."));
    }
    let mut all = list_of(world, text(input, "familyPrefix"), status);
    if text(input, "sort") == Some("DESC") {
        all.reverse();
    }
    let (arns, next) = names::page(all, input, 100)?;
    Ok(json!({ "taskDefinitionArns": arns, "nextToken": next }))
}

pub(super) fn deregister(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let name = named(input)?.to_owned();
    if !names::short(&name).contains(':') {
        return Err(client("Revision is missing."));
    }
    let found = names::task_definition(world, &name)
        .ok_or_else(|| client("The specified task definition does not exist."))?;
    if found.status != "ACTIVE" {
        return Err(client(
            "The specified task definition is inactive. You can only deregister active task definitions.",
        ));
    }
    let arn = found.arn.clone();
    let body = set_status(world, &arn, "INACTIVE", "deregisteredAt");
    Ok(json!({ "taskDefinition": body }))
}

fn set_status(world: &mut World, arn: &str, status: &'static str, when: &str) -> Value {
    let now = world.now;
    let found = world.ecs.families.values_mut().flatten().find(|one| one.arn == arn);
    let Some(found) = found else { return Value::Null };
    found.status = status;
    found.body.insert("status".to_owned(), status.into());
    found.body.insert(when.to_owned(), epoch(now));
    json!(found.body)
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for name in texts(input, "taskDefinitions") {
        let found = names::task_definition(world, name).map(|one| (one.arn.clone(), one.status));
        match found {
            None => failures.push(json!({ "arn": name, "reason": "The specified task definition does not exist." })),
            Some((arn, "ACTIVE")) => failures.push(json!({
                "arn": arn,
                "reason": "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
            })),
            Some((arn, _)) => {
                deleted.push(set_status(world, &arn, "DELETE_IN_PROGRESS", "deleteRequestedAt"));
            }
        }
    }
    Ok(json!({ "taskDefinitions": deleted, "failures": failures }))
}
