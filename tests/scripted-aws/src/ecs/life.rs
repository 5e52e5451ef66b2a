//! The life of a task: provisioned, pending, running, stopped.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Behaviour;
use super::model::{Container, Phase, Task};
use crate::protocol::{integer, list, text};
use crate::world::World;

const PROVISIONING: Duration = Duration::from_secs(2);
const PENDING: Duration = Duration::from_secs(3);
/// How long the first health checks take.
const CHECKS: Duration = Duration::from_secs(5);
const CRASH: Duration = Duration::from_secs(2);
/// How long ECS looks at failing checks before it stops the task.
const UNHEALTHY: Duration = Duration::from_secs(20);
const DEACTIVATING: Duration = Duration::from_secs(1);
const STOPPING: Duration = Duration::from_secs(3);
/// Stopped tasks are told of for so long.
const KEPT: Duration = Duration::from_secs(3600);

/// What is to be started.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) cluster: String,
    pub(super) service: Option<String>,
    pub(super) group: String,
    pub(super) started_by: Option<String>,
    pub(super) task_definition: String,
    pub(super) launch_type: String,
    pub(super) target_groups: Vec<String>,
    /// Digests that are fixed already, by container.
    pub(super) images: Vec<(String, String, String)>,
    pub(super) overrides: Value,
    pub(super) tags: Vec<Value>,
}

/// What tasks of these images do.
pub(super) fn behaviour(world: &World, images: &[(String, String, String)]) -> Behaviour {
    let told = images.iter().map(|(_, image, digest)| world.ecs.behaviours.of(image, digest));
    told.into_iter().find(|behaviour| *behaviour != Behaviour::Healthy).unwrap_or_default()
}

/// The images of a task definition, with what their tags stand for now.
pub(super) fn resolve(world: &World, task_definition: &str) -> Vec<(String, String, String)> {
    let found = super::names::task_definition(world, task_definition);
    let body = found.map(|one| json!(one.body)).unwrap_or_default();
    list(&body, "containerDefinitions")
        .iter()
        .filter_map(|container| {
            let (name, image) = (text(container, "name")?, text(container, "image")?);
            Some((name.to_owned(), image.to_owned(), world.images.digest(image)))
        })
        .collect()
}

/// Starts a task; its id.
pub(super) fn start(world: &mut World, order: Order) -> String {
    let id = world.hex()[..32].to_owned();
    let arn = world.arn("ecs", &format!("task/{}/{id}", order.cluster));
    let cluster_arn = world.arn("ecs", &format!("cluster/{}", order.cluster));
    let behaviour = behaviour(world, &order.images);
    let number = world.ecs.tasks.started() + 10;
    let task = Task {
        arn,
        cluster_arn,
        containers: containers(world, &order),
        cluster: order.cluster,
        service: order.service,
        group: order.group,
        started_by: order.started_by,
        task_definition: order.task_definition,
        launch_type: order.launch_type,
        created_at: world.now,
        started_at: None,
        stopping_at: None,
        stopped_at: None,
        phase: Phase::Provisioning,
        since: world.now,
        stop_code: None,
        stopped_reason: None,
        behaviour,
        healthy: None,
        ip: format!("10.0.{}.{}", number / 250 % 250, number % 250),
        target_groups: order.target_groups,
        overrides: order.overrides,
        tags: order.tags,
        failed: false,
    };
    world.ecs.tasks.push(task);
    id
}

fn containers(world: &World, order: &Order) -> Vec<Container> {
    let found = super::names::task_definition(world, &order.task_definition);
    let body = found.map(|one| json!(one.body)).unwrap_or_default();
    let definitions = list(&body, "containerDefinitions");
    let of = |name: &str| definitions.iter().find(|definition| text(definition, "name") == Some(name));
    let container = |(name, image, digest): &(String, String, String)| {
        let definition = of(name);
        let ports = definition.map(|definition| list(definition, "portMappings")).unwrap_or_default();
        Container {
            name: name.clone(),
            image: image.clone(),
            digest: digest.clone(),
            port: ports.first().and_then(|port| u16::try_from(integer(port, "containerPort")?).ok()),
            checked: definition.is_some_and(|definition| !definition["healthCheck"].is_null()),
            exit_code: None,
            reason: None,
        }
    };
    order.images.iter().map(container).collect()
}

pub(super) fn step(world: &mut World) {
    let now = world.now;
    world.ecs.tasks.retain_mut(|task| {
        // More than one phase may have passed where time jumped.
        for _ in 0..6 {
            if !advance(task, now) {
                break;
            }
        }
        task.stopped_at.is_none_or(|at| now < at + KEPT)
    });
}

/// Brings a task one phase on, if it is time; whether it was.
fn advance(task: &mut Task, now: Timestamp) -> bool {
    let past = |after: Duration| now >= task.since + after;
    match task.phase {
        Phase::Provisioning if past(PROVISIONING) => enter(task, Phase::Pending, PROVISIONING),
        Phase::Pending => {
            let takes = if let Behaviour::SlowStart(takes) = task.behaviour { takes } else { PENDING };
            if !past(takes) {
                return false;
            }
            if task.behaviour == Behaviour::MissingImage {
                return not_pulled(task, takes);
            }
            enter(task, Phase::Running, takes);
            task.started_at = Some(task.since);
            true
        }
        Phase::Running => run(task, now),
        Phase::Deactivating if past(DEACTIVATING) => enter(task, Phase::Stopping, DEACTIVATING),
        Phase::Stopping if past(STOPPING) => {
            enter(task, Phase::Stopped, STOPPING);
            task.stopped_at = Some(task.since);
            for container in task.containers.iter_mut().filter(|container| container.exit_code.is_none()) {
                container.exit_code = Some(0);
            }
            true
        }
        _ => false,
    }
}

fn enter(task: &mut Task, phase: Phase, after: Duration) -> bool {
    task.phase = phase;
    task.since += after;
    true
}

fn not_pulled(task: &mut Task, after: Duration) -> bool {
    let Some(container) = task.containers.first_mut() else { return false };
    let image = &container.image;
    let why = format!(
        "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {image}: {image}: not found"
    );
    container.reason = Some(why.clone());
    enter(task, Phase::Stopped, after);
    task.stop_code = Some("TaskFailedToStart");
    task.stopped_reason = Some(why);
    task.stopping_at = Some(task.since);
    task.stopped_at = Some(task.since);
    task.failed = true;
    true
}

/// A running task: its checks pass or fail, it ends, or it goes on.
fn run(task: &mut Task, now: Timestamp) -> bool {
    let past = |after: Duration| now >= task.since + after;
    let crashes = match task.behaviour {
        Behaviour::Crash => Some(CRASH),
        Behaviour::CrashAfter(after) => Some(after),
        _ => None,
    };
    let unhealthy = task.behaviour == Behaviour::Unhealthy;
    if let Some(after) = crashes.filter(|after| past(*after)) {
        crash(task, after);
        return true;
    }
    if unhealthy && past(UNHEALTHY) {
        let why = match task.target_groups.first() {
            Some(group) if !task.containers.iter().any(|container| container.checked) => {
                format!("Task failed ELB health checks in (target-group {group})")
            }
            _ => "Task failed container health checks".to_owned(),
        };
        task.failed = true;
        end(task, "ServiceSchedulerInitiated", why, now);
        return true;
    }
    if task.healthy.is_none() && past(CHECKS) {
        task.healthy = Some(!unhealthy);
        return true;
    }
    false
}

fn crash(task: &mut Task, after: Duration) {
    if let Some(container) = task.containers.first_mut() {
        container.exit_code = Some(1);
    }
    task.since += after;
    task.failed = true;
    task.healthy = Some(false);
    let at = task.since;
    end(task, "EssentialContainerExited", "Essential container in task exited".to_owned(), at);
    task.phase = Phase::Stopping;
}

/// Has a task stop.
pub(super) fn end(task: &mut Task, code: &'static str, reason: String, now: Timestamp) {
    if !task.is_live() {
        return;
    }
    task.stop_code = Some(code);
    task.stopped_reason = Some(reason);
    task.stopping_at = Some(now);
    task.phase = if task.phase == Phase::Running { Phase::Deactivating } else { Phase::Stopping };
    task.since = now;
}
