//! `StopDeployment` and `ContinueDeployment`.

use serde_json::{Value, json};

use super::deployment::{Deployment, Phase, Status, Stop};
use super::lists::named;
use super::walk;
use crate::protocol::{Fault, text};
use crate::world::World;

fn not_over(deployment: &Deployment) -> Result<(), Fault> {
    let why = || format!("The deployment {} has already completed.", deployment.id);
    let over = deployment.has_ended();
    (!over).then_some(()).ok_or_else(|| Fault::new("DeploymentAlreadyCompletedException", why()))
}

pub(super) fn stop_deployment(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let found = named(world, input)?;
    not_over(found)?;
    let id = found.id.clone();
    let roll_back = match input["autoRollbackEnabled"].as_bool() {
        Some(said) => said,
        None => found.rolls_back_on("DEPLOYMENT_STOP_ON_REQUEST"),
    };
    let begun = !matches!(found.status, Status::Created | Status::Queued);
    let at = world.now();
    let Some(deployment) = world.code_deploy.find_mut(&id) else { return Ok(json!({})) };
    if begun {
        // A second request changes nothing: the first one decides.
        deployment.stop.get_or_insert(Stop { at, roll_back });
        return Ok(json!({ "status": "Pending", "statusMessage": "The deployment is being stopped." }));
    }
    walk::end(deployment, Status::Stopped, at);
    deployment.error = Some(("MANUAL_STOP".to_owned(), walk::words("MANUAL_STOP").to_owned()));
    Ok(json!({ "status": "Succeeded", "statusMessage": "The deployment was stopped before it began." }))
}

pub(super) fn continue_deployment(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let found = named(world, input)?;
    not_over(found)?;
    let phase = match text(input, "deploymentWaitType") {
        None | Some("READY_WAIT") => Phase::AwaitingTraffic,
        Some("TERMINATION_WAIT") => Phase::AwaitingTermination,
        Some(other) => {
            let why = format!("The wait type {other} is invalid.");
            return Err(Fault::new("InvalidDeploymentWaitTypeException", why));
        }
    };
    if found.phase != phase || found.stop.is_some() {
        let why = format!("The deployment {} is not waiting for this.", found.id);
        return Err(Fault::new("DeploymentIsNotInReadyStateException", why));
    }
    let id = found.id.clone();
    if let Some(deployment) = world.code_deploy.find_mut(&id) {
        deployment.go_on = true;
    }
    Ok(json!({}))
}
