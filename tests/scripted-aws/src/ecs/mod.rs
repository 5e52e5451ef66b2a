//! Elastic Container Service.

mod links;

use serde_json::Value;

pub(crate) use self::links::{
    Target, TaskSet, create_task_set, delete_task_set, make_primary, targets_of, task_sets,
};
use crate::protocol::Fault;
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct State {}

pub(crate) fn handle(_world: &mut World, op: &str, _input: &Value) -> Result<Value, Fault> {
    Err(Fault::unknown_operation(op))
}

pub(crate) fn step(_world: &mut World) {}

pub(crate) fn moves(_world: &World) -> bool {
    false
}
