//! Elastic Container Service: task definitions, services, their deployments and tasks, moving in logical time.

mod behaviour;
mod blue_green;
mod breaker;
mod changes;
mod clusters;
mod deployments;
mod hooks;
mod life;
mod links;
mod model;
mod names;
mod render;
mod returning;
mod revisions;
mod run_task;
mod scheduler;
mod services;
mod task_definitions;
mod task_sets;
mod task_table;
mod tasks;
mod update;
mod view;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::behaviour::Behaviour;
pub(crate) use self::links::{
    Target, TaskSet, create_task_set, delete_task_set, make_primary, targets_of, task_sets,
};
use self::model::{Cluster, Service, Task, TaskDefinition};
pub use self::view::{ServiceView, TaskView};
use crate::protocol::Fault;
use crate::world::World;

/// All that ECS knows.
#[derive(Debug, Default)]
pub(crate) struct State {
    clusters: BTreeMap<String, Cluster>,
    /// By family; the revisions in order.
    families: BTreeMap<String, Vec<TaskDefinition>>,
    /// By cluster and name.
    services: BTreeMap<(String, String), Service>,
    tasks: task_table::Tasks,
    behaviours: behaviour::Behaviours,
    tokens: Vec<run_task::Used>,
}

pub(crate) fn handle(world: &mut World, op: &str, input: &Value) -> Result<Value, Fault> {
    match op {
        "CreateCluster" => clusters::create(world, input),
        "ListClusters" => clusters::list_all(world, input),
        "DescribeClusters" => clusters::describe(world, input),
        "RegisterTaskDefinition" => task_definitions::register(world, input),
        "DescribeTaskDefinition" => task_definitions::describe(world, input),
        "ListTaskDefinitions" => task_definitions::list_all(world, input),
        "DeregisterTaskDefinition" => task_definitions::deregister(world, input),
        "DeleteTaskDefinitions" => task_definitions::delete(world, input),
        "CreateService" => services::create(world, input),
        "DescribeServices" => services::describe(world, input),
        "ListServices" => services::list_all(world, input),
        "DeleteService" => services::delete(world, input),
        "UpdateService" => update::update(world, input),
        "ListServiceDeployments" => deployments::list_all(world, input),
        "DescribeServiceDeployments" => deployments::describe(world, input),
        "StopServiceDeployment" => deployments::stop(world, input),
        "ContinueServiceDeployment" => hooks::resume(world, input),
        "DescribeServiceRevisions" => revisions::describe(world, input),
        "ListTasks" => tasks::list_all(world, input),
        "DescribeTasks" => tasks::describe(world, input),
        "RunTask" => run_task::run(world, input),
        "StopTask" => tasks::stop(world, input),
        "DescribeTaskSets" => task_sets::describe(world, input),
        "CreateTaskSet" => task_sets::create(world, input),
        "UpdateServicePrimaryTaskSet" => task_sets::promote(world, input),
        "DeleteTaskSet" => task_sets::delete(world, input),
        _ => Err(Fault::unknown_operation(op)),
    }
}

/// Brings everything to the world's present time.
pub(crate) fn step(world: &mut World) {
    life::step(world);
    let rests = |service: &Service| {
        // What waits at a hook is looked at all the same: the hook may time out.
        let waits = service.moving().is_some();
        !waits && !scheduler::moves(service) && !world.ecs.tasks.of(service).iter().any(Task::moves)
    };
    let moving = world.ecs.services.iter().filter(|(_, service)| !rests(service));
    let keys: Vec<_> = moving.map(|(key, _)| key.clone()).collect();
    for key in keys {
        let Some(mut service) = world.ecs.services.remove(&key) else { continue };
        scheduler::step(world, &mut service);
        world.ecs.services.insert(key, service);
    }
}

/// Whether anything would change by itself. What waits for somebody's word does not count.
pub(crate) fn moves(world: &World) -> bool {
    world.ecs.tasks.all().any(Task::moves) || world.ecs.services.values().any(scheduler::moves)
}

/// Does something with a service that is taken out of the world meanwhile, and put back whatever comes of it.
fn with_service<T>(
    world: &mut World,
    key: &(String, String),
    missing: Fault,
    act: impl FnOnce(&mut World, &mut Service) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let Some(mut service) = world.ecs.services.remove(key) else { return Err(missing) };
    let result = act(world, &mut service);
    world.ecs.services.insert(key.clone(), service);
    result
}
