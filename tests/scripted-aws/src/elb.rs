//! Elastic Load Balancing v2.

use serde_json::Value;

use crate::protocol::Fault;
use crate::world::World;

#[derive(Debug, Default)]
pub(crate) struct State {}

pub(crate) fn handle(_world: &mut World, op: &str, _input: &Value) -> Result<Value, Fault> {
    Err(Fault::unknown_operation(op))
}

/// Sets what a listener or a rule forwards to: target groups with their weights. ECS does so in its own blue/green deployments.
pub(crate) fn forward(_world: &mut World, _listener_or_rule: &str, _groups: &[(&str, u32)]) {}
