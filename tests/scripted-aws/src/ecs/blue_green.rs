//! Blue/green deployments: stage after stage, with hooks and bake time. Canary and linear ones shift all at once here.

use std::time::Duration;

use serde_json::Value;

use super::hooks;
use super::model::{Service, Status};
use super::scheduler::{complete, counts, start, stop};
use crate::protocol::{list, text};
use crate::world::World;

const STAGES: &[&str] = &[
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
];
/// The shortest that a stage takes.
const SHORTEST: Duration = Duration::from_secs(2);
/// Where no bake time is set.
const BAKE_MINUTES: u64 = 15;

/// The first stage; with several revisions running they are reconciled first.
pub(super) fn first(sources: usize) -> &'static str {
    if sources > 1 { STAGES[0] } else { STAGES[1] }
}

pub(super) fn step(world: &mut World, service: &mut Service) {
    scale(world, service);
    if hooks::hold(world, service) {
        return;
    }
    let Some(stage) = service.moving().and_then(|moving| moving.stage) else { return };
    let since = service.moving().map_or(world.now, |moving| moving.stage_since);
    let ready = world.now >= since + SHORTEST;
    match stage {
        "SCALE_UP" => {
            let good = service.primary().map_or(0, |primary| counts(world, service, &primary.id).good);
            if ready && good >= service.desired {
                next(world, service);
            }
        }
        "BAKE_TIME" => {
            let minutes =
                service.configured("bakeTimeInMinutes").and_then(Value::as_u64).unwrap_or(BAKE_MINUTES);
            if world.now >= since + Duration::from_secs(60 * minutes) {
                next(world, service);
            }
        }
        "CLEAN_UP" => clean_up(world, service),
        _ if ready => next(world, service),
        _ => {}
    }
}

/// The green tasks come with `SCALE_UP`; until then, and beside them, the blue ones are kept.
fn scale(world: &mut World, service: &mut Service) {
    let Some(moving) = service.moving() else { return };
    let at = |stage: &str| STAGES.iter().position(|one| *one == stage);
    let reached = moving.stage.and_then(at) >= at("SCALE_UP");
    let Some(primary) = service.primary() else { return };
    let (id, launches) = (primary.id.clone(), primary.launches);
    let live = counts(world, service, &id).live;
    if reached && launches && live < service.desired {
        let count = service.desired - live;
        start(world, service, &id, count);
    }
}

fn next(world: &mut World, service: &mut Service) {
    let now = world.now;
    let Some(moving) = service.moving_mut() else { return };
    let at = STAGES.iter().position(|one| Some(*one) == moving.stage);
    let Some(stage) = at.and_then(|at| STAGES.get(at + 1)) else { return };
    moving.stage = Some(stage);
    moving.stage_since = now;
    moving.updated_at = now;
    match *stage {
        "TEST_TRAFFIC_SHIFT" => shift(world, service, "testListenerRule"),
        "PRODUCTION_TRAFFIC_SHIFT" => shift(world, service, "productionListenerRule"),
        _ => {}
    }
}

/// Has the listener rules forward all to the target group of the primary deployment.
pub(super) fn shift(world: &mut World, service: &Service, rule: &str) {
    let Some(primary) = service.primary() else { return };
    let settings = Value::Object(service.settings.clone());
    for (balancer, group) in list(&settings, "loadBalancers").iter().zip(&primary.target_groups) {
        let advanced = &balancer["advancedConfiguration"];
        let both = [text(balancer, "targetGroupArn"), text(advanced, "alternateTargetGroupArn")];
        let weights: Vec<_> =
            both.into_iter().flatten().map(|one| (one, if one == group { 100 } else { 0 })).collect();
        if let Some(rule) = text(advanced, rule) {
            crate::elb::forward(world, rule, &weights);
        }
    }
}

/// The blue tasks go, then the deployment is done.
fn clean_up(world: &mut World, service: &mut Service) {
    let primary = service.primary().map(|primary| primary.id.clone());
    let others: Vec<_> =
        service.deployments.iter().map(|d| d.id.clone()).filter(|id| Some(id) != primary.as_ref()).collect();
    for owner in others {
        stop(world, service, &owner, u32::MAX);
    }
    if service.moving().is_some_and(|moving| moving.status == Status::InProgress) {
        complete(world, service);
    }
}
