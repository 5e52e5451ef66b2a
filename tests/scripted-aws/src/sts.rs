//! Who is calling.

use serde_json::{Value, json};

use crate::protocol::Fault;
use crate::world::World;

pub(crate) fn handle(world: &mut World, op: &str, _input: &Value) -> Result<Value, Fault> {
    match op {
        "GetCallerIdentity" => Ok(json!({
            "UserId": "AROAEXAMPLE:tests",
            "Account": world.account,
            "Arn": format!("arn:aws:sts::{}:assumed-role/deployer/tests", world.account),
        })),
        _ => Err(Fault::unknown_operation(op)),
    }
}
