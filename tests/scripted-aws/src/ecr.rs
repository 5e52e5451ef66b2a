//! The registry.

use serde_json::Value;

use crate::protocol::Fault;
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct State {}

pub(crate) fn handle(_world: &mut World, op: &str, _input: &Value) -> Result<Value, Fault> {
    Err(Fault::unknown_operation(op))
}
