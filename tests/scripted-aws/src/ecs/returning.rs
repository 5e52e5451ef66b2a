//! How ECS goes back by itself.

use super::changes;
use super::model::{Rollback, Rollout, Service, Status};
use super::scheduler::{counts, say};
use super::{blue_green, hooks};
use crate::world::World;

/// Somebody asked for it: back to the revision before.
pub(super) fn requested(world: &mut World, service: &mut Service) {
    let before = service.moving().and_then(|moving| moving.sources.first().cloned());
    let to = before.or_else(|| service.last_completed.clone());
    let reason = service.moving().and_then(|moving| moving.reason.clone()).unwrap_or_default();
    go_back(world, service, to, &reason);
}

/// Goes back to a revision, or ends where there is none.
pub(super) fn go_back(world: &mut World, service: &mut Service, to: Option<String>, reason: &str) {
    let now = world.now;
    let revision = to.and_then(|arn| service.revision(&arn).cloned());
    if let Some(primary) = service.primary_mut() {
        primary.launches = false;
    }
    let Some(moving) = service.moving_mut() else { return };
    hooks::close(moving);
    moving.stage = None;
    let Some(revision) = revision else {
        let reason = format!("{reason} There is no completed service deployment to roll back to.");
        return moving.end(Status::RollbackFailed, Some(reason), now);
    };
    moving.status = Status::RollbackInProgress;
    moving.reason = Some(reason.to_owned());
    moving.updated_at = now;
    moving.rollback = Some(Rollback { reason: reason.to_owned(), at: now, revision: revision.arn.clone() });
    let tripped = moving.tripped;
    let id = promote(world, service, &revision.arn);
    revision.task_definition.clone_into(&mut service.task_definition);
    service.steady = false;
    let why = if tripped { "circuit breaker" } else { "rollback" };
    if let Some(primary) = service.primary_mut() {
        primary.rollout = Rollout::InProgress;
        primary.reason = format!("ECS deployment {why}: rolling back to deploymentId {id}.");
        primary.updated_at = now;
        primary.failed_tasks = 0;
        primary.launches = true;
    }
    say(world, service, &format!("rolling back to deployment {id}."));
}

/// Makes a revision the primary deployment: in blue/green the one whose tasks still run, else a new one; its id.
fn promote(world: &mut World, service: &mut Service, arn: &str) -> String {
    let kept =
        service.deployments.iter().find(|d| d.revision == arn && counts(world, service, &d.id).live > 0);
    let kept = kept.filter(|_| service.is_blue_green()).map(|deployment| deployment.id.clone());
    for deployment in &mut service.deployments {
        deployment.status = "ACTIVE";
    }
    if let Some(id) = kept {
        if let Some(at) = service.deployments.iter().position(|deployment| deployment.id == id) {
            let mut deployment = service.deployments.remove(at);
            deployment.status = "PRIMARY";
            service.deployments.insert(0, deployment);
        }
        blue_green::shift(world, service, "productionListenerRule");
        blue_green::shift(world, service, "testListenerRule");
        return id;
    }
    let Some(revision) = service.revision(arn).cloned() else { return String::new() };
    let made = changes::deployment(world, &revision.task_definition, arn, revision.target_groups);
    let id = made.id.clone();
    service.deployments.insert(0, made);
    id
}
