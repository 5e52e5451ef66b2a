//! Applications and deployment groups.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::deployment::Status;
use crate::protocol::{Fault, epoch, list, required, text, texts};
use crate::world::World;

#[derive(Debug)]
pub(super) struct Application {
    id: String,
    created: Timestamp,
    pub(super) groups: BTreeMap<String, Group>,
}

/// A deployment group, as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Group {
    id: String,
    pub(super) said: Value,
}

/// The configurations that AWS has for ECS.
const CONFIGS: [&str; 5] = [
    "CodeDeployDefault.ECSAllAtOnce",
    "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
    "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
    "CodeDeployDefault.ECSCanary10Percent5Minutes",
    "CodeDeployDefault.ECSCanary10Percent15Minutes",
];

pub(super) fn known_config(name: &str) -> Result<(), Fault> {
    let why = || format!("No deployment configuration found for name: {name}");
    CONFIGS
        .contains(&name)
        .then_some(())
        .ok_or_else(|| Fault::new("DeploymentConfigDoesNotExistException", why()))
}

pub(super) fn application<'a>(world: &'a World, name: &str) -> Result<&'a Application, Fault> {
    let why = || format!("No application found for name: {name}");
    let found = world.code_deploy.applications.get(name);
    found.ok_or_else(|| Fault::new("ApplicationDoesNotExistException", why()))
}

pub(super) fn group<'a>(world: &'a World, input: &Value) -> Result<(String, String, &'a Group), Fault> {
    let app = required(input, "applicationName", "ApplicationNameRequiredException")?;
    let name = required(input, "deploymentGroupName", "DeploymentGroupNameRequiredException")?;
    let why = || format!("No Deployment Group found for name: {name}");
    let found = application(world, app)?.groups.get(name);
    let found = found.ok_or_else(|| Fault::new("DeploymentGroupDoesNotExistException", why()))?;
    Ok((app.to_owned(), name.to_owned(), found))
}

pub(super) fn create_application(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let name = required(input, "applicationName", "ApplicationNameRequiredException")?;
    if world.code_deploy.applications.contains_key(name) {
        let why = format!("An application already exists with name: {name}");
        return Err(Fault::new("ApplicationAlreadyExistsException", why));
    }
    if text(input, "computePlatform").is_some_and(|platform| platform != "ECS") {
        let why = "The double plays the compute platform ECS alone.";
        return Err(Fault::new("InvalidComputePlatformException", why));
    }
    let made = Application { id: world.uuid(), created: world.now(), groups: BTreeMap::new() };
    let answer = json!({ "applicationId": made.id });
    world.code_deploy.applications.insert(name.to_owned(), made);
    Ok(answer)
}

pub(super) fn get_application(world: &World, input: &Value) -> Result<Value, Fault> {
    let name = required(input, "applicationName", "ApplicationNameRequiredException")?;
    let found = application(world, name)?;
    Ok(json!({ "application": {
        "applicationId": found.id,
        "applicationName": name,
        "createTime": epoch(found.created),
        "linkedToGitHub": false,
        "computePlatform": "ECS",
    } }))
}

pub(super) fn list_applications(world: &World, _input: &Value) -> Result<Value, Fault> {
    Ok(json!({ "applications": world.code_deploy.applications.keys().collect::<Vec<_>>() }))
}

pub(super) fn create_group(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let app = required(input, "applicationName", "ApplicationNameRequiredException")?;
    application(world, app)?;
    let name = required(input, "deploymentGroupName", "DeploymentGroupNameRequiredException")?;
    required(input, "serviceRoleArn", "RoleRequiredException")?;
    check_group(world, input)?;
    let id = world.uuid();
    let group = Group { id: id.clone(), said: input.clone() };
    let groups = world.code_deploy.applications.get_mut(app).map(|app| &mut app.groups);
    if let Some(groups) = groups {
        if groups.contains_key(name) {
            let why = format!("Deployment group name already exists: {name}");
            return Err(Fault::new("DeploymentGroupAlreadyExistsException", why));
        }
        groups.insert(name.to_owned(), group);
    }
    Ok(json!({ "deploymentGroupId": id }))
}

/// What CodeDeploy demands of a group for an ECS service.
fn check_group(world: &World, input: &Value) -> Result<(), Fault> {
    if let Some(config) = text(input, "deploymentConfigName") {
        known_config(config)?;
    }
    let style = &input["deploymentStyle"];
    if style["deploymentType"] != "BLUE_GREEN" || style["deploymentOption"] != "WITH_TRAFFIC_CONTROL" {
        let why = "For ECS deployment group, deployment style must be BLUE_GREEN and WITH_TRAFFIC_CONTROL";
        return Err(Fault::new("InvalidDeploymentStyleException", why));
    }
    if !input["blueGreenDeploymentConfiguration"].is_object() {
        let why = "For ECS deployment group, a blue/green deployment configuration must be specified";
        return Err(Fault::new("InvalidBlueGreenDeploymentConfigurationException", why));
    }
    let [service] = list(input, "ecsServices") else {
        let why = "For ECS deployment group, exactly one ECS service must be specified";
        return Err(Fault::new("InvalidECSServiceException", why));
    };
    required(service, "serviceName", "InvalidECSServiceException")?;
    required(service, "clusterName", "InvalidECSServiceException")?;
    let [pair] = list(&input["loadBalancerInfo"], "targetGroupPairInfoList") else {
        let why = "For ECS deployment group, exactly one target group pair must be specified";
        return Err(Fault::new("InvalidLoadBalancerInfoException", why));
    };
    let groups: Vec<&str> = list(pair, "targetGroups").iter().filter_map(|one| text(one, "name")).collect();
    let known = |name: &&str| world.elb.target_groups.iter().any(|one| one.name == *name);
    if groups.len() != 2 || !groups.iter().all(known) {
        let why = "A target group pair names two target groups that are there";
        return Err(Fault::new("InvalidTargetGroupPairException", why));
    }
    let listeners = texts(&pair["prodTrafficRoute"], "listenerArns");
    let known = |arn: &&str| world.elb.listeners.iter().any(|one| one.arn == *arn);
    if listeners.len() != 1 || !listeners.iter().all(known) {
        let why = "A target group pair needs a listener for production traffic that is there";
        return Err(Fault::new("InvalidTargetGroupPairException", why));
    }
    Ok(())
}

pub(super) fn get_group(world: &World, input: &Value) -> Result<Value, Fault> {
    let (application, name, group) = group(world, input)?;
    Ok(json!({ "deploymentGroupInfo": tell(world, &application, &name, group) }))
}

fn tell(world: &World, application: &str, name: &str, group: &Group) -> Value {
    let mut told = Map::new();
    told.insert("applicationName".into(), application.into());
    told.insert("deploymentGroupId".into(), group.id.clone().into());
    told.insert("deploymentGroupName".into(), name.into());
    told.insert("computePlatform".into(), "ECS".into());
    told.insert("terminationHookEnabled".into(), false.into());
    told.insert("outdatedInstancesStrategy".into(), "UPDATE".into());
    for none in
        ["ec2TagFilters", "onPremisesInstanceTagFilters", "autoScalingGroups", "triggerConfigurations"]
    {
        told.insert(none.into(), json!([]));
    }
    told.insert("deploymentConfigName".into(), CONFIGS[0].into());
    for key in [
        "deploymentConfigName",
        "serviceRoleArn",
        "alarmConfiguration",
        "autoRollbackConfiguration",
        "deploymentStyle",
        "blueGreenDeploymentConfiguration",
        "loadBalancerInfo",
        "ecsServices",
    ] {
        if let Some(said) = group.said.get(key).filter(|said| !said.is_null()) {
            told.insert(key.into(), said.clone());
        }
    }
    tell_last(world, (application, name), &mut told);
    Value::Object(told)
}

/// What came of a group's deployments.
fn tell_last(world: &World, (application, name): (&str, &str), told: &mut Map<String, Value>) {
    let last = |good: bool| {
        let mut all = world.code_deploy.deployments.iter().rev();
        all.find(|one| {
            one.application == application && one.group == name && (!good || one.status == Status::Succeeded)
        })
    };
    for (key, good) in [("lastSuccessfulDeployment", true), ("lastAttemptedDeployment", false)] {
        if let Some(one) = last(good) {
            told.insert(key.into(), one.tell_last());
        }
    }
    if let Some(one) = last(true) {
        told.insert("targetRevision".into(), one.spec.tell());
    }
}

pub(super) fn list_groups(world: &World, input: &Value) -> Result<Value, Fault> {
    let name = required(input, "applicationName", "ApplicationNameRequiredException")?;
    let groups: Vec<&String> = application(world, name)?.groups.keys().collect();
    Ok(json!({ "applicationName": name, "deploymentGroups": groups }))
}

pub(super) fn batch_get_groups(world: &World, input: &Value) -> Result<Value, Fault> {
    let name = required(input, "applicationName", "ApplicationNameRequiredException")?;
    let found = application(world, name)?;
    let asked = texts(input, "deploymentGroupNames");
    if asked.len() > 100 {
        let why = "Maximum number of names or IDs allowed for this batch request is 100.";
        return Err(Fault::new("BatchLimitExceededException", why));
    }
    let told: Vec<Value> =
        asked.iter().filter_map(|group| Some(tell(world, name, group, found.groups.get(*group)?))).collect();
    Ok(json!({ "deploymentGroupsInfo": told, "errorMessage": "" }))
}
