//! What the load balancers think of their targets.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::TargetGroup;
use super::describe::{balancers_of, not_found, number};
use crate::ecs;
use crate::protocol::Fault;
use crate::world::World;

/// One target of a target group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Its address.
    pub ip: String,
    /// Its port.
    pub port: u16,
    /// Since when it is registered.
    pub since: Timestamp,
    /// Whether it is being taken out: it finishes what it has, and takes nothing new.
    pub leaving: bool,
    /// Whether it would answer health checks and requests well.
    pub works: bool,
    /// What it runs: `web:2`, or whatever a test registered.
    pub runs: String,
}

impl Target {
    /// A target that is in use.
    pub fn new(ip: impl Into<String>, port: u16, since: Timestamp, runs: impl Into<String>) -> Self {
        Self { ip: ip.into(), port, since, leaving: false, works: true, runs: runs.into() }
    }
}

/// The state of a target, with its reason and description where there are such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Initial,
    Healthy,
    Unhealthy,
    Draining,
    Unused,
    NotRegistered,
}

impl Health {
    fn tell(self) -> Value {
        let (state, reason, description) = match self {
            Self::Healthy => return json!({ "State": "healthy" }),
            Self::Initial => ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
            Self::Unhealthy => {
                ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]")
            }
            Self::Draining => {
                ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
            }
            Self::Unused => (
                "unused",
                "Target.NotInUse",
                "Target group is not configured to receive traffic from the load balancer",
            ),
            Self::NotRegistered => {
                ("unused", "Target.NotRegistered", "Target is not registered to the target group")
            }
        };
        json!({ "State": state, "Reason": reason, "Description": description })
    }
}

/// All targets of a target group with what is thought of them.
pub(crate) fn targets(world: &World, target_group: &str) -> Vec<(Target, Health)> {
    let Some(group) = world.elb.target_groups.iter().find(|one| one.arn == target_group) else {
        return Vec::new();
    };
    let used = !balancers_of(world, target_group).is_empty();
    let registered = world.elb.registered.iter().filter(|(of, _)| of == target_group);
    let own = registered.map(|(_, target)| (target.clone(), health(group, target, world.now())));
    let all = own.chain(ecs::targets_of(world, target_group).into_iter().map(of_task));
    all.map(|(target, health)| (target, if used { health } else { Health::Unused })).collect()
}

/// A task that ECS registered. ECS knows how its checks go.
fn of_task(task: ecs::Target) -> (Target, Health) {
    let health = match task.healthy {
        _ if task.draining => Health::Draining,
        None => Health::Initial,
        Some(true) => Health::Healthy,
        Some(false) => Health::Unhealthy,
    };
    let mut target = Target::new(task.ip, task.port, task.since, task.task_definition);
    target.leaving = task.draining;
    target.works = task.healthy == Some(true);
    (target, health)
}

/// One passed health check makes a new target healthy.
fn health(group: &TargetGroup, target: &Target, now: Timestamp) -> Health {
    let checked = now.duration_since(target.since) >= SignedDuration::from_secs(group.interval.into());
    match target {
        Target { leaving: true, .. } => Health::Draining,
        _ if !checked => Health::Initial,
        Target { works: true, .. } => Health::Healthy,
        Target { works: false, .. } => Health::Unhealthy,
    }
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, Fault> {
    let arn = input["TargetGroupArn"].as_str().unwrap_or_default();
    if !world.elb.target_groups.iter().any(|one| one.arn == arn) {
        return Err(not_found("TargetGroup", "target groups"));
    }
    let all = targets(world, arn);
    let told: Vec<Value> = match input["Targets"].as_array() {
        None => all.iter().map(|(target, health)| tell(&target.ip, target.port, *health)).collect(),
        Some(asked) => asked.iter().map(|one| tell_asked(&all, one)).collect(),
    };
    Ok(json!({ "TargetHealthDescriptions": told }))
}

fn tell_asked(all: &[(Target, Health)], asked: &Value) -> Value {
    let ip = asked["Id"].as_str().unwrap_or_default();
    let port = number(&asked["Port"]).and_then(|port| u16::try_from(port).ok());
    let is_it = |target: &Target| target.ip == ip && port.is_none_or(|port| target.port == port);
    match all.iter().find(|(target, _)| is_it(target)) {
        Some((target, health)) => tell(&target.ip, target.port, *health),
        None => tell(ip, port.unwrap_or_default(), Health::NotRegistered),
    }
}

fn tell(ip: &str, port: u16, health: Health) -> Value {
    json!({
        "Target": { "Id": ip, "Port": port, "AvailabilityZone": "eu-west-1a" },
        "HealthCheckPort": port.to_string(),
        "TargetHealth": health.tell(),
    })
}
