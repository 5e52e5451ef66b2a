//! What other services ask of ECS: CodeDeploy moves task sets, load balancers want to know their targets.

use jiff::Timestamp;

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
pub(crate) fn targets_of(_world: &World, _target_group: &str) -> Vec<Target> {
    Vec::new()
}

/// The task sets of a service, given by its cluster's and its own name; the primary one first.
pub(crate) fn task_sets(_world: &World, _cluster: &str, _service: &str) -> Vec<TaskSet> {
    Vec::new()
}

/// Starts a task set beside those that are there, at the service's desired count and with its first container of the load balancer; its id.
pub(crate) fn create_task_set(
    _world: &mut World,
    _cluster: &str,
    _service: &str,
    _task_definition: &str,
    _target_group: Option<&str>,
) -> Result<String, Fault> {
    Err(Fault::unknown_operation("CreateTaskSet"))
}

/// Makes a task set the primary one; the one that was becomes `ACTIVE`.
pub(crate) fn make_primary(_world: &mut World, _cluster: &str, _service: &str, _id: &str) {}

/// Drains a task set: its tasks stop, then it is gone.
pub(crate) fn delete_task_set(_world: &mut World, _cluster: &str, _service: &str, _id: &str) {}
