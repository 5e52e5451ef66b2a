//! The deployment circuit breaker.

use serde_json::Value;

use super::model::{Phase, Rollout, Service, Status};
use super::returning;
use super::scheduler::say;
use crate::world::World;

/// Counts the tasks of the primary deployment that ended without being told to. A healthy one sets the count back.
pub(super) fn count(world: &mut World, service: &mut Service) {
    let resets = setting(service, "resetOnHealthyTask").and_then(Value::as_bool).unwrap_or(true);
    let Some(id) = service.primary().map(|primary| primary.id.clone()) else { return };
    let mut failed = 0;
    for task in world.ecs.tasks.of_mut(service).iter_mut().filter(|task| task.belongs_to(&id) && task.failed)
    {
        task.failed = false;
        failed += 1;
    }
    let healthy = world.ecs.tasks.of(service).iter().any(|task| task.belongs_to(&id) && task.is_good());
    let Some(primary) = service.primary_mut() else { return };
    // Only a rollout is watched; a task that dies later is replaced.
    let rolling = primary.rollout == Rollout::InProgress;
    if failed == 0 && !(healthy && resets) {
        return;
    }
    primary.failed_tasks = if healthy && resets { 0 } else { primary.failed_tasks + failed };
    let total = primary.failed_tasks;
    if failed > 0 {
        service.steady = false;
    }
    if let Some(moving) = service.moving_mut().filter(|_| rolling) {
        moving.failures = total;
    }
}

fn setting<'a>(service: &'a Service, name: &str) -> Option<&'a Value> {
    service.configured("deploymentCircuitBreaker")?.get(name)
}

pub(super) fn enabled(configuration: &Value, name: &str) -> bool {
    configuration["deploymentCircuitBreaker"][name].as_bool().unwrap_or(false)
}

/// How many failures are too many: half of the desired count, from 3 to 200, where nothing else is set.
pub(super) fn threshold(configuration: &Value, desired: u32) -> u32 {
    let set = &configuration["deploymentCircuitBreaker"]["thresholdConfiguration"];
    let value = set["value"].as_u64().unwrap_or(50);
    let percent = (u64::from(desired) * value).div_ceil(100);
    let threshold = match set["type"].as_str().unwrap_or("BOUNDED_PERCENT") {
        "COUNT" => value,
        "UNBOUNDED_PERCENT" => percent.max(1),
        _ => percent.clamp(3, 200),
    };
    u32::try_from(threshold).unwrap_or(u32::MAX)
}

/// Fails a rollout with too many failures, and has it rolled back if that is set.
pub(super) fn check(world: &mut World, service: &mut Service) {
    let configuration = service.settings.get("deploymentConfiguration").cloned().unwrap_or_default();
    let threshold = threshold(&configuration, service.desired);
    let Some(primary) = service.primary() else { return };
    let watched = enabled(&configuration, "enable") && primary.rollout == Rollout::InProgress;
    if !watched || !primary.launches || primary.failed_tasks < threshold {
        return;
    }
    fail(world, service);
    let back = service.moving().is_some_and(|moving| moving.status == Status::RollbackInProgress);
    if back {
        // What it was to go back to does not start either.
        end(world, service, Status::RollbackFailed);
    } else if enabled(&configuration, "rollback") {
        let reason = "Service deployment rolled back because the circuit breaker threshold was exceeded.";
        let to = service.last_completed.clone();
        returning::go_back(world, service, to, reason);
    } else {
        end(world, service, Status::Stopped);
    }
}

fn fail(world: &mut World, service: &mut Service) {
    let now = world.now;
    let Some(primary) = service.primary_mut() else { return };
    primary.rollout = Rollout::Failed;
    primary.reason = "ECS deployment circuit breaker: tasks failed to start.".to_owned();
    primary.launches = false;
    primary.updated_at = now;
    let id = primary.id.clone();
    if let Some(moving) = service.moving_mut() {
        moving.tripped = true;
        moving.stage = None;
    }
    let starting = |task: &&mut super::model::Task| task.belongs_to(&id) && task.phase < Phase::Running;
    for task in world.ecs.tasks.of_mut(service).iter_mut().filter(starting) {
        let reason = format!("Scaling activity initiated by (deployment {id})");
        super::life::end(task, "ServiceSchedulerInitiated", reason, now);
    }
    say(world, service, &format!("(deployment {id}) deployment failed: tasks failed to start."));
}

fn end(world: &World, service: &mut Service, status: Status) {
    let now = world.now;
    if let Some(moving) = service.moving_mut() {
        let reason =
            "Service deployment stopped because the circuit breaker threshold was exceeded.".to_owned();
        moving.end(status, Some(reason), now);
    }
}
