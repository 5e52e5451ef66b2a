//! Lifecycle hooks of blue/green deployments: those that pause, and functions, which succeed.

use std::time::Duration;

use serde_json::{Value, json};

use super::model::{Hook, Service, ServiceDeployment, Status};
use super::with_service;
use crate::protocol::{Fault, integer, list, required, text, texts};
use crate::world::World;

/// How long a function takes.
const FUNCTION: Duration = Duration::from_secs(2);
/// How long a hook waits where nothing is set.
const WAITS_MINUTES: i64 = 1440;

/// Opens the hooks of the present stage, and looks whether they hold the deployment.
pub(super) fn hold(world: &mut World, service: &mut Service) -> bool {
    open(world, service);
    let now = world.now;
    let Some(moving) = service.moving_mut() else { return false };
    let stage = moving.stage;
    let mut back = false;
    for hook in moving.hooks.iter_mut().filter(|hook| Some(hook.stage) == stage) {
        match hook.status {
            "IN_PROGRESS" if now >= hook.since + FUNCTION => hook.status = "SUCCEEDED",
            "AWAITING_ACTION" if hook.expires_at.is_some_and(|at| now >= at) => {
                hook.status = "TIMED_OUT";
                back |= hook.timeout_action.as_deref() != Some("CONTINUE");
            }
            _ => {}
        }
    }
    if back {
        moving.status = Status::RollbackRequested;
        moving.reason = Some("Service deployment rolled back because a lifecycle hook timed out.".to_owned());
        return true;
    }
    let waiting =
        |hook: &Hook| Some(hook.stage) == stage && ["AWAITING_ACTION", "IN_PROGRESS"].contains(&hook.status);
    moving.hooks.iter().any(waiting)
}

fn open(world: &mut World, service: &mut Service) {
    let now = world.now;
    let Some(moving) = service.moving() else { return };
    let Some(stage) = moving.stage.filter(|stage| !moving.hooks.iter().any(|hook| hook.stage == *stage))
    else {
        return;
    };
    let configured = list(&moving.configuration, "lifecycleHooks").to_vec();
    let here = configured.iter().filter(|hook| texts(hook, "lifecycleStages").contains(&stage));
    let made: Vec<_> = here.map(|hook| make(world, hook, stage, now)).collect();
    if let Some(moving) = service.moving_mut() {
        moving.hooks.extend(made);
    }
}

fn make(world: &mut World, hook: &Value, stage: &'static str, now: jiff::Timestamp) -> Hook {
    let target = text(hook, "hookTargetArn").map(str::to_owned);
    let kind = text(hook, "targetType").unwrap_or(if target.is_some() { "AWS_LAMBDA" } else { "PAUSE" });
    let pauses = kind == "PAUSE";
    let timeout = &hook["timeoutConfiguration"];
    let minutes = integer(timeout, "timeoutInMinutes").unwrap_or(WAITS_MINUTES);
    let wait = Duration::from_secs(60 * u64::try_from(minutes).unwrap_or_default());
    Hook {
        id: format!("ecs-{}-{}", if pauses { "pause" } else { "lambda" }, &world.hex()[..43]),
        stage,
        kind: kind.to_owned(),
        target,
        status: if pauses { "AWAITING_ACTION" } else { "IN_PROGRESS" },
        since: now,
        expires_at: Some(now + wait),
        timeout_action: Some(text(timeout, "action").unwrap_or("ROLLBACK").to_owned()),
    }
}

/// The deployment ends: nothing waits any more.
pub(super) fn close(moving: &mut ServiceDeployment) {
    let open = |hook: &&mut Hook| ["AWAITING_ACTION", "IN_PROGRESS"].contains(&hook.status);
    moving.hooks.iter_mut().filter(open).for_each(|hook| hook.status = "FAILED");
}

pub(super) fn render(hook: &Hook) -> Value {
    json!({
        "hookId": hook.id,
        "targetType": hook.kind,
        "targetArn": hook.target,
        "status": hook.status,
        "expiresAt": hook.expires_at.map(crate::protocol::epoch),
        "timeoutAction": hook.timeout_action,
    })
}

/// `ContinueServiceDeployment`.
pub(super) fn resume(world: &mut World, input: &Value) -> Result<Value, Fault> {
    let invalid = |why: &str| Fault::new("InvalidParameterException", why);
    let arn = required(input, "serviceDeploymentArn", "InvalidParameterException")?.to_owned();
    let id = required(input, "hookId", "InvalidParameterException")?.to_owned();
    let back = match text(input, "action").unwrap_or("CONTINUE") {
        "CONTINUE" => false,
        "ROLLBACK" => true,
        _ => return Err(invalid("Invalid action.")),
    };
    let missing = || Fault::new("ServiceDeploymentNotFoundException", "Service deployment not found.");
    let key = super::names::owner(world, &arn).map(Service::key).ok_or_else(missing)?;
    with_service(world, &key, missing(), |world, service| {
        let now = world.now;
        let moving = service.history.iter_mut().find(|one| one.arn == arn).ok_or_else(missing)?;
        if moving.status != Status::InProgress {
            return Err(invalid("The service deployment is not in progress."));
        }
        let hook = moving.hooks.iter_mut().find(|hook| hook.id == id);
        let hook = hook.ok_or_else(|| invalid("The lifecycle hook was not found."))?;
        if hook.status != "AWAITING_ACTION" {
            return Err(invalid("The lifecycle hook is not awaiting an action."));
        }
        hook.status = if back { "FAILED" } else { "SUCCEEDED" };
        moving.updated_at = now;
        if back {
            moving.status = Status::RollbackRequested;
            let why = "Service deployment rolled back because of a ContinueServiceDeployment request.";
            moving.reason = Some(why.to_owned());
        }
        Ok(json!({ "serviceDeploymentArn": arn }))
    })
}
