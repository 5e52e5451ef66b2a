//! `UpdateService`.

use serde_json::{Value, json};

use super::model::{Controller, Service};
use super::{changes, names, render, services, with_service};
use crate::protocol::{Fault, boolean, text};
use crate::world::World;

/// What is taken over as it is given.
const SETTINGS: &[&str] = &[
    "capacityProviderStrategy",
    "availabilityZoneRebalancing",
    "networkConfiguration",
    "placementConstraints",
    "placementStrategy",
    "platformVersion",
    "healthCheckGracePeriodSeconds",
    "enableExecuteCommand",
    "enableECSManagedTags",
    "loadBalancers",
    "propagateTags",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];
/// A change of these takes a deployment.
const DEPLOYED: &[&str] = &[
    "capacityProviderStrategy",
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "propagateTags",
    "serviceRegistries",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
];

pub(super) fn update(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let key = names::service(world, input, "service")?;
    with_service(world, &key, names::service_missing(), |world, service| {
        if service.status != "ACTIVE" {
            return Err(Fault::new("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        refuse_foreign(service, input)?;
        let task_definition = match text(input, "taskDefinition") {
            Some(name) => names::startable(world, name)?.arn.clone(),
            None => service.task_definition.clone(),
        };
        let count = services::count(input)?;
        let changed = take_over(service, input);
        if let Some(count) = count.filter(|count| *count != service.desired) {
            service.desired = count;
            service.steady = false;
        }
        let other = task_definition != service.task_definition;
        if service.controller == Controller::Ecs && (other || changed || boolean(input, "forceNewDeployment"))
        {
            changes::begin(world, service, &task_definition);
        }
        Ok(json!({ "service": render::service(world, service, true) }))
    })
}

/// What only the one who moves the service may change.
fn refuse_foreign(service: &Service, input: &Value) -> Result<(), Fault> {
    let invalid = |why: String| Err(Fault::new("InvalidParameterException", why));
    let (name, how) = match service.controller {
        Controller::Ecs => return Ok(()),
        Controller::CodeDeploy => ("a CODE_DEPLOY", "Use AWS CodeDeploy to trigger a new deployment."),
        Controller::External => ("an EXTERNAL", "Use the task set APIs to make changes."),
    };
    if boolean(input, "forceNewDeployment") {
        return invalid(format!(
            "Cannot force a new deployment on services with {name} deployment controller. {how}"
        ));
    }
    let fixed = ["taskDefinition", "networkConfiguration", "platformVersion", "loadBalancers"];
    if fixed.iter().any(|field| !input[*field].is_null()) {
        return invalid(format!(
            "Unable to update task definition on services with {name} deployment controller. {how}"
        ));
    }
    Ok(())
}

/// Takes over what is given; whether that takes a deployment.
fn take_over(service: &mut Service, input: &Value) -> bool {
    let mut deployed = false;
    for field in SETTINGS {
        let Some(value) = input.get(*field).filter(|value| !value.is_null()) else { continue };
        let before = service.settings.insert((*field).to_owned(), value.clone());
        deployed |= before.as_ref() != Some(value) && DEPLOYED.contains(field);
    }
    if let Some(given) = input.get("deploymentConfiguration").and_then(Value::as_object) {
        let configuration = service.settings.entry("deploymentConfiguration").or_insert_with(|| json!({}));
        if let Some(fields) = configuration.as_object_mut() {
            fields.extend(given.clone());
        }
        services::fill(configuration);
    }
    deployed
}
