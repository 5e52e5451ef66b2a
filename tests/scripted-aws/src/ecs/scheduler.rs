//! The service scheduler: it starts and stops tasks until a service is what it is set to.

use std::time::Duration;

use serde_json::Value;

use super::Behaviour;
use super::life::{self, Order};
use super::model::{Controller, Deployment, Phase, Rollout, Service, Status};
use super::{blue_green, breaker, returning, task_sets};
use crate::world::World;

/// How often it is told that a task cannot be placed.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// How many tasks of a deployment there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Starting or running.
    pub(super) live: u32,
    pub(super) pending: u32,
    pub(super) running: u32,
    /// Running and healthy.
    pub(super) good: u32,
    /// Those that are being stopped, too.
    pub(super) there: u32,
}

pub(super) fn counts(world: &World, service: &Service, owner: &str) -> Counts {
    let mut counts = Counts::default();
    for task in world
        .ecs
        .tasks
        .of(service)
        .iter()
        .filter(|task| task.belongs_to(owner) && task.phase != Phase::Stopped)
    {
        counts.there += 1;
        counts.live += u32::from(task.is_live());
        counts.pending += u32::from(task.phase < Phase::Running);
        counts.running += u32::from(task.phase == Phase::Running);
        counts.good += u32::from(task.is_good());
    }
    counts
}

pub(super) fn say(world: &mut World, service: &mut Service, text: &str) {
    let (id, now) = (world.uuid(), world.now);
    let message = format!("(service {}) {text}", service.name);
    service.event(id, now, message);
}

pub(super) fn step(world: &mut World, service: &mut Service) {
    match service.status {
        "INACTIVE" => return,
        "DRAINING" => return drain(world, service),
        _ => {}
    }
    if service.controller != Controller::Ecs {
        return task_sets::step(world, service);
    }
    go_on(world, service);
    breaker::count(world, service);
    breaker::check(world, service);
    if service.moving().is_some_and(|moving| moving.stage.is_some()) {
        blue_green::step(world, service);
    } else {
        roll(world, service);
        complete(world, service);
    }
}

/// Whether something would change by itself as time passes, at rest or not.
pub(super) fn moves(service: &Service) -> bool {
    match service.moving() {
        _ if service.status == "DRAINING" => true,
        Some(moving) => !moving.hooks.iter().any(|hook| hook.status == "AWAITING_ACTION"),
        None => service.status == "ACTIVE" && !service.steady && !stalled(service),
    }
}

/// Its deployment failed, and nothing is started any more.
fn stalled(service: &Service) -> bool {
    service.controller == Controller::Ecs && service.primary().is_none_or(|primary| !primary.launches)
}

fn drain(world: &mut World, service: &mut Service) {
    let owners: Vec<_> = service.deployments.iter().chain(&service.task_sets).map(|d| d.id.clone()).collect();
    for owner in &owners {
        stop(world, service, owner, u32::MAX);
    }
    if owners.iter().all(|owner| counts(world, service, owner).there == 0) {
        service.status = "INACTIVE";
    }
}

/// What was asked for begins.
fn go_on(world: &mut World, service: &mut Service) {
    let now = world.now;
    let blue_green = service.is_blue_green();
    let Some(moving) = service.moving_mut() else { return };
    match moving.status {
        Status::Pending => {
            moving.status = Status::InProgress;
            moving.started_at = Some(now);
            moving.updated_at = now;
            if blue_green && !moving.sources.is_empty() {
                moving.stage = Some(blue_green::first(moving.sources.len()));
                moving.stage_since = now;
            }
        }
        Status::StopRequested => {
            let reason = "Service deployment stopped because of a StopServiceDeployment request.".to_owned();
            moving.end(Status::Stopped, Some(reason), now);
            moving.stage = None;
            if let Some(primary) = service.primary_mut() {
                primary.launches = false;
                primary.rollout = Rollout::Failed;
                primary.reason = "ECS deployment was stopped.".to_owned();
            }
        }
        Status::RollbackRequested => returning::requested(world, service),
        _ => {}
    }
}

/// A percentage of the desired count.
fn share(service: &Service, name: &str, otherwise: u64) -> u64 {
    let percent = service.configured(name).and_then(Value::as_u64).unwrap_or(otherwise);
    u64::from(service.desired) * percent
}

/// Rolling: new tasks up to the maximum, earlier ones down to the minimum of healthy ones.
pub(super) fn roll(world: &mut World, service: &mut Service) {
    let Some(primary) = service.primary() else { return };
    let (id, launches) = (primary.id.clone(), primary.launches);
    let earlier: Vec<_> =
        service.deployments.iter().filter(|d| d.id != id).map(|deployment| deployment.id.clone()).collect();
    let most = u32::try_from(share(service, "maximumPercent", 200) / 100).unwrap_or(u32::MAX);
    let least = u32::try_from(share(service, "minimumHealthyPercent", 100).div_ceil(100)).unwrap_or(u32::MAX);
    let new = counts(world, service, &id);
    let old = sum(world, service, &earlier);
    if new.live > service.desired {
        stop(world, service, &id, new.live - service.desired);
    }
    if launches {
        let room = most.saturating_sub(new.live + old.live);
        let wanted = service.desired.saturating_sub(new.live).min(room);
        start(world, service, &id, wanted);
    }
    // A deployment that failed leaves the earlier tasks alone.
    if old.live > 0 && launches {
        let spare = (new.good + old.good).saturating_sub(least).min(old.good);
        stop_earlier(world, service, &earlier, old.live.saturating_sub(old.good) + spare);
    }
}

/// How many tasks of several deployments there are.
fn sum(world: &World, service: &Service, owners: &[String]) -> Counts {
    owners.iter().map(|owner| counts(world, service, owner)).fold(Counts::default(), |sum, one| Counts {
        live: sum.live + one.live,
        pending: sum.pending + one.pending,
        running: sum.running + one.running,
        good: sum.good + one.good,
        there: sum.there + one.there,
    })
}

/// Stops tasks of earlier deployments: those that are no good first.
fn stop_earlier(world: &mut World, service: &mut Service, earlier: &[String], may: u32) {
    let mut left = may;
    for owner in earlier.iter().rev() {
        let live = counts(world, service, owner).live;
        let count = live.min(left);
        stop(world, service, owner, count);
        left -= count;
    }
}

/// Starts tasks of a deployment or a task set.
pub(super) fn start(world: &mut World, service: &mut Service, owner: &str, count: u32) {
    let of = service.deployments.iter().chain(&service.task_sets).find(|deployment| deployment.id == owner);
    let Some(order) = of.filter(|_| count > 0).map(|deployment| order(service, deployment)) else { return };
    if life::behaviour(world, &order.images) == Behaviour::NoCapacity {
        return no_room(world, service);
    }
    let ids: Vec<_> = (0..count).map(|_| life::start(world, order.clone())).collect();
    service.steady = false;
    let text = format!("has started {count} tasks: {}.", listed(&ids));
    say(world, service, &text);
}

fn order(service: &Service, deployment: &Deployment) -> Order {
    let images = service.revision(&deployment.revision).map(|revision| revision.images.clone());
    let launch_type = service.settings.get("launchType").and_then(Value::as_str).unwrap_or("FARGATE");
    Order {
        cluster: service.cluster.clone(),
        service: Some(service.name.clone()),
        group: format!("service:{}", service.name),
        started_by: Some(deployment.id.clone()),
        task_definition: deployment.task_definition.clone(),
        launch_type: launch_type.to_owned(),
        target_groups: deployment.target_groups.clone(),
        images: images.unwrap_or_default(),
        overrides: serde_json::json!({ "containerOverrides": [], "inferenceAcceleratorOverrides": [] }),
        tags: Vec::new(),
    }
}

fn no_room(world: &mut World, service: &mut Service) {
    if service.impaired_at.is_some_and(|at| world.now < at + TOLD_AGAIN) {
        return;
    }
    service.impaired_at = Some(world.now);
    let ec2 = service.settings.get("launchType").and_then(Value::as_str) == Some("EC2");
    let why = if ec2 {
        "was unable to place a task because no container instance met all of its requirements. Reason: No Container \
         Instances were found in your cluster. For more information, see the Troubleshooting section of the Amazon ECS \
         Developer Guide."
    } else {
        "was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a \
         different availability zone. For more information, see the Troubleshooting section of the Amazon ECS Developer \
         Guide."
    };
    say(world, service, why);
}

/// Stops tasks of a deployment: those that are not healthy first, then the youngest.
pub(super) fn stop(world: &mut World, service: &mut Service, owner: &str, count: u32) {
    let now = world.now;
    let mut live: Vec<_> = world
        .ecs
        .tasks
        .of_mut(service)
        .iter_mut()
        .filter(|task| task.belongs_to(owner) && task.is_live())
        .collect();
    live.sort_by_key(|task| (task.is_good(), std::cmp::Reverse(task.created_at)));
    let mut ids = Vec::new();
    for task in live.into_iter().take(usize::try_from(count).unwrap_or(usize::MAX)) {
        let reason = format!("Scaling activity initiated by (deployment {owner})");
        life::end(task, "ServiceSchedulerInitiated", reason, now);
        ids.push(task.id().to_owned());
    }
    if !ids.is_empty() {
        service.steady = false;
        let text = format!("has stopped {} running tasks: {}.", ids.len(), listed(&ids));
        say(world, service, &text);
    }
}

fn listed(ids: &[String]) -> String {
    let tasks: Vec<_> = ids.iter().map(|id| format!("(task {id})")).collect();
    tasks.join(" ")
}

/// A rollout is completed once nothing but healthy tasks of it is left.
pub(super) fn complete(world: &mut World, service: &mut Service) {
    let Some(primary) = service.primary() else { return };
    let (id, completed) = (primary.id.clone(), primary.rollout == Rollout::Completed);
    let new = counts(world, service, &id);
    let others = service.deployments.iter().filter(|deployment| deployment.id != id);
    let left: u32 = others.map(|deployment| counts(world, service, &deployment.id).there).sum();
    let reached = new.good == service.desired && new.there == service.desired && left == 0;
    if !reached || !primary.launches || service.steady {
        return;
    }
    if !completed {
        finish(world, service, &id);
    }
    service.steady = true;
    service.impaired_at = None;
    say(world, service, "has reached a steady state.");
}

fn finish(world: &mut World, service: &mut Service, id: &str) {
    let now = world.now;
    service.deployments.retain(|deployment| deployment.id == id);
    if let Some(primary) = service.primary_mut() {
        primary.rollout = Rollout::Completed;
        primary.reason = format!("ECS deployment {id} completed.");
        primary.failed_tasks = 0;
        primary.updated_at = now;
    }
    service.last_completed = service.primary().map(|primary| primary.revision.clone());
    if let Some(moving) = service.moving_mut() {
        let back = moving.status == Status::RollbackInProgress;
        let reason = moving.rollback.as_ref().map(|rollback| rollback.reason.clone());
        moving.end(if back { Status::RollbackSuccessful } else { Status::Successful }, reason, now);
        moving.stage = None;
    }
    say(world, service, &format!("(deployment {id}) deployment completed."));
}
