//! Services: making, showing and deleting them.

use serde_json::{Map, Value, json};

use super::model::{Controller, Service};
use super::{changes, names, render, task_sets, with_service};
use crate::protocol::{Fault, boolean, integer, list, required, text, texts};
use crate::world::World;

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidParameterException", message)
}

pub(super) fn create(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let cluster = names::cluster(world, input)?;
    let name = required(input, "serviceName", "InvalidParameterException")?.to_owned();
    let key = (cluster, name);
    if world.ecs.services.get(&key).is_some_and(|service| service.status != "INACTIVE") {
        return Err(invalid("Creation of service was not idempotent."));
    }
    let controller = match text(&input["deploymentController"], "type").unwrap_or("ECS") {
        "ECS" => Controller::Ecs,
        "CODE_DEPLOY" => Controller::CodeDeploy,
        "EXTERNAL" => Controller::External,
        _ => return Err(invalid("Invalid deployment controller type.")),
    };
    let task_definition = match text(input, "taskDefinition") {
        Some(name) => names::startable(world, name)?.arn.clone(),
        None if controller == Controller::External => String::new(),
        None => return Err(invalid("TaskDefinition cannot be blank.")),
    };
    let desired = count(input)?.unwrap_or(0);
    let mut service = new(world, &key, controller, &task_definition, input);
    service.desired = desired;
    match controller {
        Controller::Ecs => changes::begin(world, &mut service, &task_definition),
        Controller::CodeDeploy => task_sets::first(world, &mut service),
        Controller::External => {}
    }
    let answer = json!({ "service": render::service(world, &service, true) });
    world.ecs.services.insert(key, service);
    Ok(answer)
}

/// A service with nothing in it.
fn new(
    world: &World,
    (cluster, name): &(String, String),
    controller: Controller,
    task_definition: &str,
    input: &Value,
) -> Service {
    Service {
        arn: world.arn("ecs", &format!("service/{cluster}/{name}")),
        cluster_arn: world.arn("ecs", &format!("cluster/{cluster}")),
        cluster: cluster.clone(),
        name: name.clone(),
        status: "ACTIVE",
        desired: 0,
        controller,
        settings: settings(input),
        task_definition: task_definition.to_owned(),
        created_at: world.now,
        tags: list(input, "tags").to_vec(),
        events: Vec::new(),
        deployments: Vec::new(),
        history: Vec::new(),
        revisions: Vec::new(),
        task_sets: Vec::new(),
        last_completed: None,
        steady: false,
        impaired_at: None,
    }
}

/// The desired count that is asked for, if any is.
pub(super) fn count(input: &Value) -> Result<Option<u32>, Fault> {
    match integer(input, "desiredCount") {
        None => Ok(None),
        Some(count) => {
            u32::try_from(count).map(Some).map_err(|_| invalid("desiredCount cannot be less than 0."))
        }
    }
}

/// What a service is set to, with ECS's defaults.
fn settings(input: &Value) -> Map<String, Value> {
    let mut settings = input.as_object().cloned().unwrap_or_default();
    for elsewhere in ["cluster", "serviceName", "taskDefinition", "desiredCount", "tags", "clientToken"] {
        settings.remove(elsewhere);
    }
    if !settings.contains_key("capacityProviderStrategy") {
        settings.entry("launchType").or_insert(json!("EC2"));
    }
    let fargate = settings.get("launchType").and_then(Value::as_str) == Some("FARGATE");
    if fargate {
        settings.entry("platformVersion").or_insert(json!("LATEST"));
    }
    let configuration = settings.entry("deploymentConfiguration").or_insert_with(|| json!({}));
    fill(configuration);
    settings
}

/// ECS tells these where nothing was said.
pub(super) fn fill(configuration: &mut Value) {
    let Some(fields) = configuration.as_object_mut() else { return };
    fields.entry("maximumPercent").or_insert(json!(200));
    fields.entry("minimumHealthyPercent").or_insert(json!(100));
    fields.entry("strategy").or_insert(json!("ROLLING"));
    let breaker = fields.entry("deploymentCircuitBreaker");
    breaker.or_insert_with(|| json!({ "enable": false, "rollback": false }));
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let cluster = names::cluster(world, input)?;
    let wanted = texts(input, "services");
    if wanted.is_empty() {
        return Err(invalid("Services cannot be empty."));
    }
    if wanted.len() > 10 {
        return Err(invalid("Services must have 10 or fewer entries."));
    }
    let tags = texts(input, "include").contains(&"TAGS");
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in wanted {
        names::in_cluster(name, &cluster)?;
        let name = names::short(name);
        match world.ecs.services.get(&(cluster.clone(), name.to_owned())) {
            Some(service) => found.push(render::service(world, service, tags)),
            None => {
                let arn = world.arn("ecs", &format!("service/{cluster}/{name}"));
                failures.push(json!({ "arn": arn, "reason": "MISSING" }));
            }
        }
    }
    Ok(json!({ "services": found, "failures": failures }))
}

pub(super) fn list_all(world: &World, input: &Value) -> Result<Value, Fault> {
    let cluster = names::cluster(world, input)?;
    let here = world.ecs.services.values().filter(|s| s.cluster == cluster && s.status != "INACTIVE");
    let all: Vec<_> = here.map(|service| service.arn.clone()).collect();
    let size = integer(input, "maxResults").map_or(json!(10), Value::from);
    let asked = json!({ "maxResults": size, "nextToken": input["nextToken"] });
    let (arns, next) = names::page(all, &asked, 100)?;
    Ok(json!({ "serviceArns": arns, "nextToken": next }))
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = names::service(world, input, "service")?;
    let force = boolean(input, "force");
    with_service(world, &key, names::service_missing(), |world, service| {
        if service.desired > 0 && !force {
            return Err(invalid("The service cannot be stopped while it is scaled above 0."));
        }
        service.desired = 0;
        service.status = "DRAINING";
        Ok(json!({ "service": render::service(world, service, true) }))
    })
}
