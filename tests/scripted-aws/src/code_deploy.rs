//! CodeDeploy.

use serde_json::Value;

use crate::protocol::Fault;
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct State {}

pub(crate) fn handle(_world: &mut World, op: &str, _input: &Value) -> Result<Value, Fault> {
    Err(Fault::unknown_operation(op))
}

/// Moves its deployments to the world's present time. Called at least once per logical second while something moves.
pub(crate) fn step(_world: &mut World) {}

/// Whether a deployment would move by itself as time passes.
pub(crate) fn moves(_world: &World) -> bool {
    false
}
