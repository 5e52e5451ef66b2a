//! `CreateDeployment`, and the deployments that CodeDeploy makes itself.

use serde_json::{Value, json};

use super::app_spec::AppSpec;
use super::deployment::{Deployment, Event, Phase, Rollback, Status};
use super::groups::{group, known_config};
use super::walk::one_of;
use crate::ecs;
use crate::protocol::{Fault, list, text, texts};
use crate::world::World;

/// The configuration of all deployments that roll back, whatever the group has.
const ALL_AT_ONCE: &str = "CodeDeployDefault.ECSAllAtOnce";

pub(super) fn create_deployment(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let (application, name, found) = group(world, input)?;
    let mut settings = found.said.clone();
    let revision = input.get("revision").filter(|revision| revision.is_object());
    let revision =
        revision.ok_or_else(|| Fault::new("RevisionRequiredException", "Revision is required."))?;
    let spec = AppSpec::read(revision)?;
    let config = text(input, "deploymentConfigName").or_else(|| text(&settings, "deploymentConfigName"));
    let config = config.unwrap_or(ALL_AT_ONCE).to_owned();
    known_config(&config)?;
    check_service(world, &settings)?;
    let mut all = world.code_deploy.deployments.iter();
    let active = all.find(|one| one.application == application && one.group == name && !one.has_ended());
    if let Some(active) = active {
        let why = format!("The Deployment Group '{name}' already has an active Deployment '{}'", active.id);
        return Err(Fault::new("DeploymentLimitExceededException", why));
    }
    for key in ["autoRollbackConfiguration", "overrideAlarmConfiguration"] {
        if let Some(said) = input.get(key).filter(|said| said.is_object()) {
            settings[key] = said.clone();
        }
    }
    let key = (application.clone(), spec.sha256.clone());
    world.code_deploy.revisions.insert(key, spec.content.clone());
    let mut made = new(world, &application, &name, settings, spec);
    made.config = config;
    made.description = text(input, "description").map(str::to_owned);
    let answer = json!({ "deploymentId": made.id });
    world.code_deploy.deployments.push(made);
    Ok(answer)
}

/// The service has to be there and has to be moved by CodeDeploy.
fn check_service(world: &mut World, settings: &Value) -> Result<(), Fault> {
    let (cluster, name) = service(settings);
    let asked = json!({ "cluster": cluster, "services": [name] });
    let told = ecs::handle(world, "DescribeServices", &asked).unwrap_or_default();
    let found = list(&told, "services").iter().find(|one| one["status"] == "ACTIVE");
    match found.map(|one| &one["deploymentController"]["type"]) {
        Some(controller) if controller == "CODE_DEPLOY" => Ok(()),
        Some(_) => {
            let why =
                "Deployment group's ECS service must be configured for a CODE_DEPLOY deployment controller.";
            Err(Fault::new("InvalidECSServiceException", why))
        }
        None => {
            let why = format!("The ECS service cannot be found: {name} in cluster {cluster}.");
            Err(Fault::new("InvalidECSServiceException", why))
        }
    }
}

/// The names of the cluster and of the service that a group deploys to.
fn service(settings: &Value) -> (String, String) {
    let service = &settings["ecsServices"][0];
    let word = |key| text(service, key).unwrap_or_default().to_owned();
    (word("clusterName"), word("serviceName"))
}

fn new(world: &mut World, application: &str, group: &str, settings: Value, spec: AppSpec) -> Deployment {
    let id = format!("d-{}", world.hex()[..9].to_uppercase());
    let now = world.now();
    let (cluster, service) = service(&settings);
    let mut all = world.code_deploy.deployments.iter().rev();
    let previous = all
        .find(|one| one.application == application && one.group == group && one.status == Status::Succeeded);
    Deployment {
        id,
        application: application.to_owned(),
        group: group.to_owned(),
        config: ALL_AT_ONCE.to_owned(),
        spec,
        description: None,
        creator: "user",
        status: Status::Created,
        phase: Phase::Waiting,
        since: now,
        created: now,
        started: None,
        completed: None,
        error: None,
        rollback: Rollback::default(),
        previous: previous.map(|one| one.spec.clone()),
        events: events(&settings),
        settings,
        cluster,
        service,
        blue: None,
        green: None,
        shifted: 0,
        stop: None,
        go_on: false,
    }
}

/// The events of its life. Those of test traffic come where there is a listener for it.
fn events(settings: &Value) -> Vec<Event> {
    let pair = &settings["loadBalancerInfo"]["targetGroupPairInfoList"][0];
    let tested = !texts(&pair["testTrafficRoute"], "listenerArns").is_empty();
    let names = [
        "BeforeInstall",
        "Install",
        "AfterInstall",
        "AllowTestTraffic",
        "AfterAllowTestTraffic",
        "BeforeAllowTraffic",
        "AllowTraffic",
        "AfterAllowTraffic",
    ];
    let names = names.into_iter().filter(|name| tested || !name.ends_with("TestTraffic"));
    names.map(|name| Event { name, status: "Pending", began: None, ended: None }).collect()
}

/// Makes the deployment that rolls another one back, and links both.
pub(super) fn roll_back(world: &mut World, failed: &mut Deployment, ended: &str) {
    let sets = ecs::task_sets(world, &failed.cluster, &failed.service);
    let Some(to) = one_of(&sets, failed.blue.as_ref()).map(|set| set.task_definition.clone()) else {
        // Nothing was touched yet, and nothing has to be put back.
        return;
    };
    let spec = failed.previous.clone().filter(|spec| spec.task_definition == to);
    let spec = spec.unwrap_or_else(|| AppSpec::back_to(&to));
    let key = (failed.application.clone(), spec.sha256.clone());
    world.code_deploy.revisions.entry(key).or_insert_with(|| spec.content.clone());
    let mut made = new(world, &failed.application, &failed.group, failed.settings.clone(), spec);
    made.creator = "codeDeployRollback";
    made.blue = failed.blue.clone();
    made.green = failed.green.clone();
    made.shifted = failed.shifted;
    let message = format!("Deployment {} is triggered to roll back deployment {}.", made.id, failed.id);
    made.rollback = Rollback { by: None, of: Some(failed.id.clone()), message: Some(message) };
    let message = format!(
        "Deployment {} {ended}. Automatic rollback is triggered with a DeploymentId {}.",
        failed.id, made.id
    );
    failed.rollback = Rollback { by: Some(made.id.clone()), of: None, message: Some(message) };
    world.code_deploy.deployments.push(made);
}
