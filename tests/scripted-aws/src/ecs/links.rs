//! What other services ask of ECS: CodeDeploy moves task sets, load balancers want to know their targets.

use jiff::Timestamp;

use super::model::Phase;
use super::scheduler::counts;
use super::{names, task_sets as sets, with_service};
use crate::protocol::Fault;
use crate::world::World;

/// A task that a service registered in a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The address of the task.
    pub(crate) ip: String,
    /// The port of the container.
    pub(crate) port: u16,
    /// When its task began to run.
    pub(crate) since: Timestamp,
    /// Whether it answers as it should; none while the first checks are under way.
    pub(crate) healthy: Option<bool>,
    /// Whether its task is being stopped.
    pub(crate) draining: bool,
    /// What it runs: `web:2`.
    pub(crate) task_definition: String,
}

/// A task set of a service that CodeDeploy moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskSet {
    /// `ecs-svc/123`.
    pub(crate) id: String,
    /// Its task definition's ARN.
    pub(crate) task_definition: String,
    /// `PRIMARY`, `ACTIVE` or `DRAINING`.
    pub(crate) status: String,
    /// The target group that it is registered in.
    pub(crate) target_group: Option<String>,
    /// How many tasks it should have.
    pub(crate) desired: u32,
    /// How many run and are healthy.
    pub(crate) healthy: u32,
}

/// The targets that ECS has registered in a target group now.
pub(crate) fn targets_of(world: &World, target_group: &str) -> Vec<Target> {
    let registered = world.ecs.tasks.all().filter(|task| {
        // A task is registered when it begins to run, and deregistered when it begins to stop.
        let there = matches!(task.phase, Phase::Running | Phase::Deactivating);
        there && task.target_groups.iter().any(|group| group == target_group)
    });
    registered
        .filter_map(|task| {
            Some(Target {
                ip: task.ip.clone(),
                port: task.containers.iter().find_map(|container| container.port).unwrap_or(80),
                since: task.started_at?,
                healthy: task.healthy,
                draining: task.phase == Phase::Deactivating,
                task_definition: names::short(&task.task_definition).to_owned(),
            })
        })
        .collect()
}

fn key(cluster: &str, service: &str) -> (String, String) {
    (cluster.to_owned(), service.to_owned())
}

/// The task sets of a service, given by its cluster's and its own name; the primary one first.
pub(crate) fn task_sets(world: &World, cluster: &str, service: &str) -> Vec<TaskSet> {
    let Some(service) = world.ecs.services.get(&key(cluster, service)) else { return Vec::new() };
    let mut all: Vec<_> = service
        .task_sets
        .iter()
        .map(|set| TaskSet {
            id: set.id.clone(),
            task_definition: set.task_definition.clone(),
            status: set.status.to_owned(),
            target_group: set.target_groups.first().cloned(),
            desired: if set.status == "DRAINING" { 0 } else { service.desired },
            healthy: counts(world, service, &set.id).good,
        })
        .collect();
    all.sort_by_key(|set| set.status != "PRIMARY");
    all
}

/// Starts a task set beside those that are there, with as many tasks as the service is to have and with the
/// deployment of CodeDeploy as its external id; its id.
///
/// # Errors
/// With ECS's error where the service or the task definition is not there, or is not ACTIVE.
pub(crate) fn create_task_set(
    world: &mut World,
    cluster: &str,
    service: &str,
    task_definition: &str,
    target_group: Option<&str>,
    external_id: &str,
) -> Result<String, Fault> {
    let arn = names::startable(world, task_definition)?.arn.clone();
    let group = target_group.map(str::to_owned);
    with_service(world, &key(cluster, service), names::service_missing(), |world, service| {
        if service.status != "ACTIVE" {
            return Err(Fault::new("ServiceNotActiveException", "Service was not ACTIVE."));
        }
        let id = sets::add(world, service, &arn, group, "ACTIVE");
        if let Some(made) = service.task_sets.iter_mut().find(|set| set.id == id) {
            made.external_id = Some(external_id.to_owned());
        }
        Ok(id)
    })
}

/// Makes a task set the primary one; the one that was becomes `ACTIVE`.
pub(crate) fn make_primary(world: &mut World, cluster: &str, service: &str, id: &str) {
    let _ = with_service(world, &key(cluster, service), names::service_missing(), |world, service| {
        Ok(sets::make_primary(world, service, id))
    });
}

/// Drains a task set: its tasks stop, then it is gone.
pub(crate) fn delete_task_set(world: &mut World, cluster: &str, service: &str, id: &str) {
    let _ = with_service(world, &key(cluster, service), names::service_missing(), |world, service| {
        Ok(sets::drain(world, service, id))
    });
}
