//! The beginning of a deployment.

use serde_json::Value;

use super::model::{Deployment, Rollout, Service, ServiceDeployment, Status};
use super::revisions;
use crate::protocol::{list, text};
use crate::world::World;

/// Sets a service to a task definition: a new primary deployment, a new revision and a new service deployment. One that is
/// on its way is stopped.
pub(super) fn begin(world: &mut World, service: &mut Service, task_definition: &str) {
    let sources = running(world, service);
    replace(world, service);
    let groups = target_groups(service, &sources);
    let revision = revisions::make(world, service, task_definition, groups.clone());
    let deployment = deployment(world, task_definition, &revision, groups);
    task_definition.clone_into(&mut service.task_definition);
    for earlier in &mut service.deployments {
        earlier.status = "ACTIVE";
        earlier.launches = false;
    }
    service.deployments.insert(0, deployment);
    service.steady = false;
    let made = service_deployment(world, service, sources, revision);
    service.history.insert(0, made);
}

/// The revisions that have tasks, newest first.
fn running(world: &World, service: &Service) -> Vec<String> {
    let own = world.ecs.tasks.of(service);
    let live = |id: &str| own.iter().any(|task| task.belongs_to(id) && task.is_live());
    let with_tasks = service.deployments.iter().filter(|deployment| live(&deployment.id));
    let mut sources: Vec<String> = Vec::new();
    for deployment in with_tasks {
        if !sources.contains(&deployment.revision) {
            sources.push(deployment.revision.clone());
        }
    }
    sources
}

fn replace(world: &World, service: &mut Service) {
    let now = world.now;
    if let Some(moving) = service.moving_mut() {
        let reason = "Service deployment stopped because a newer service deployment replaced it.";
        moving.end(Status::Stopped, Some(reason.to_owned()), now);
        super::hooks::close(moving);
    }
}

pub(super) fn deployment(
    world: &mut World,
    task_definition: &str,
    revision: &str,
    target_groups: Vec<String>,
) -> Deployment {
    let id = format!("ecs-svc/{}", world.number());
    Deployment {
        reason: format!("ECS deployment {id} in progress."),
        id,
        status: "PRIMARY",
        task_definition: task_definition.to_owned(),
        revision: revision.to_owned(),
        created_at: world.now,
        updated_at: world.now,
        rollout: Rollout::InProgress,
        failed_tasks: 0,
        launches: true,
        target_groups,
        external_id: None,
    }
}

fn service_deployment(
    world: &mut World,
    service: &Service,
    sources: Vec<String>,
    target: String,
) -> ServiceDeployment {
    let id = world.hex()[..21].to_owned();
    let arn = world.arn("ecs", &format!("service-deployment/{}/{}/{id}", service.cluster, service.name));
    ServiceDeployment {
        arn,
        status: Status::Pending,
        reason: None,
        created_at: world.now,
        started_at: None,
        finished_at: None,
        stopped_at: None,
        updated_at: world.now,
        sources,
        target,
        configuration: service.settings.get("deploymentConfiguration").cloned().unwrap_or_default(),
        stage: None,
        stage_since: world.now,
        hooks: Vec::new(),
        rollback: None,
        tripped: false,
        failures: 0,
    }
}

/// Where the new tasks are registered: in all target groups of the service, or, in blue/green, in the one that is free.
fn target_groups(service: &Service, sources: &[String]) -> Vec<String> {
    let settings = Value::Object(service.settings.clone());
    let balancers = list(&settings, "loadBalancers");
    if !service.is_blue_green() {
        return balancers.iter().filter_map(|one| text(one, "targetGroupArn")).map(str::to_owned).collect();
    }
    let serving = sources.last().and_then(|arn| service.revision(arn));
    let taken = serving.map(|revision| revision.target_groups.clone()).unwrap_or_default();
    let free = |one: &Value| {
        let first = text(one, "targetGroupArn")?;
        let other = text(&one["advancedConfiguration"], "alternateTargetGroupArn");
        let group = if taken.iter().any(|group| group == first) { other.unwrap_or(first) } else { first };
        Some(group.to_owned())
    };
    balancers.iter().filter_map(free).collect()
}
