//! Where a service is and where it is going.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rollback_core::Reading;
use rollback_core::target::Phase;

use super::reasons::line;
use super::{Deployment, Look, ServiceDeployment, code_deploy, failing};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::{Circumstances, Controller, NativeDeployment};

/// A deployment and what stands for it in the service are not made in the same moment.
const SLACK: SignedDuration = SignedDuration::from_secs(5);

/// Where a service is and where it is going.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Course {
    /// What it has come to rest on.
    pub settled: Reading<TaskDefinitionArn>,
    /// What it is on its way to, or was when it failed: what the service is set to, and does not rest on.
    pub heading: Option<TaskDefinitionArn>,
    /// Whether it moves, and why, with the platform's own reason.
    pub phase: Phase,
}

pub(super) fn course(look: &Look) -> Course {
    match look.service.status.as_str() {
        "DRAINING" => return gone("the service is being deleted: it is draining"),
        "INACTIVE" => return gone("the service was deleted"),
        _ => {}
    }
    match controller(look) {
        Controller::Ecs => native(look),
        Controller::CodeDeploy | Controller::External => code_deploy::course(look),
    }
}

fn gone(why: &str) -> Course {
    Course { settled: Reading::Absent, heading: None, phase: Phase::Failed(why.to_owned()) }
}

fn controller(look: &Look) -> Controller {
    match look.service.deployment_controller.kind.as_str() {
        "CODE_DEPLOY" => Controller::CodeDeploy,
        "EXTERNAL" => Controller::External,
        _ => Controller::Ecs,
    }
}

fn name(deployment: &Deployment) -> String {
    deployment
        .task_definition
        .as_ref()
        .map_or_else(|| "an unknown revision".to_owned(), TaskDefinitionArn::short)
}

/// A service that ECS moves by itself.
fn native(look: &Look) -> Course {
    let Some(primary) = look.service.primary() else {
        let why = "ECS tells no deployment that is meant to run".to_owned();
        return Course { settled: Reading::Unknown(why.clone()), heading: None, phase: Phase::Failed(why) };
    };
    let earlier = earlier(look, primary);
    let moving = look.native_in_flight();
    let state = primary.rollout_state.as_deref().unwrap_or_else(|| counted_state(look, primary));
    match state {
        "FAILED" => {
            let reason = primary.rollout_state_reason.as_deref().unwrap_or("ECS gives no reason");
            let phase = Phase::Failed(with_reasons(
                look,
                format!("the rollout of {} failed: {}", name(primary), line(reason)),
            ));
            // The service stays set to it: this is what has to be left.
            Course { settled: earlier, heading: primary.task_definition.clone(), phase }
        }
        // Nobody but us gives up here.
        "IN_PROGRESS"
            if moving.is_none_or(|moving| !moving.is_returning())
                && failing::keeps_failing(look, primary) =>
        {
            let text = format!(
                "{} tasks of {} failed one after the other, and no circuit breaker ends that",
                failing::failed(look, primary),
                name(primary)
            );
            let phase = Phase::Failed(with_reasons(look, text));
            Course { settled: earlier, heading: primary.task_definition.clone(), phase }
        }
        // ECS calls a rollout completed that only waits: hooks and bake time come before.
        "COMPLETED" if moving.is_none() => at_rest(look, primary),
        _ => {
            let phase = moving
                .and_then(held)
                .unwrap_or_else(|| Phase::Progressing(with_reasons(look, progress(look, primary, moving))));
            Course { settled: earlier, heading: primary.task_definition.clone(), phase }
        }
    }
}

/// Where ECS tells no state of the rollout, its counts have to do.
fn counted_state(look: &Look, primary: &Deployment) -> &'static str {
    let alone = look.service.deployments.iter().all(|d| d.id == primary.id || d.running_count == 0);
    if alone && primary.running_count == look.service.desired_count { "COMPLETED" } else { "IN_PROGRESS" }
}

fn at_rest(look: &Look, primary: &Deployment) -> Course {
    let settled = match &primary.task_definition {
        Some(arn) => Reading::Known(arn.clone()),
        None => Reading::Unknown("ECS does not tell the task definition".to_owned()),
    };
    let left: u32 =
        look.service.deployments.iter().filter(|d| d.id != primary.id).map(|d| d.running_count).sum();
    let phase = match left {
        0 => Phase::Settled,
        left => Phase::Progressing(format!("{left} tasks of earlier deployments are still being stopped")),
    };
    Course { settled, heading: None, phase }
}

/// What ran before the deployment that is on its way.
fn earlier(look: &Look, primary: &Deployment) -> Reading<TaskDefinitionArn> {
    let others = look.service.deployments.iter().filter(|d| d.id != primary.id && d.running_count > 0);
    let mut others: Vec<_> = others.filter_map(|d| d.task_definition.as_ref()).collect();
    others.sort();
    others.dedup();
    match others[..] {
        [] => match source(look) {
            Some(arn) => Reading::Known(arn.clone()),
            None => Reading::Unknown("nothing but the new deployment runs".to_owned()),
        },
        [one] => Reading::Known(one.clone()),
        _ => Reading::Unknown("tasks of several earlier deployments run".to_owned()),
    }
}

/// The one revision that the deployment in flight replaces.
fn source(look: &Look) -> Option<&TaskDefinitionArn> {
    match &look.native_in_flight()?.source_service_revisions[..] {
        [one] => look.task_definition_of(&one.arn),
        _ => None,
    }
}

fn held(deployment: &ServiceDeployment) -> Option<Phase> {
    let hook = deployment.waiting_hook()?;
    let stage = line(deployment.lifecycle_stage.as_deref().unwrap_or("a stage that is not told"));
    let then = match (hook.expires_at, hook.timeout_action.as_deref()) {
        (Some(at), Some("CONTINUE")) => format!("; at {at:.0} it goes on by itself"),
        (Some(at), Some("ROLLBACK")) => format!("; at {at:.0} it goes back by itself"),
        _ => String::new(),
    };
    Some(Phase::Paused(format!(
        "the deployment waits at a hook of {stage} for somebody to say how to go on{then}"
    )))
}

fn progress(look: &Look, primary: &Deployment, moving: Option<&ServiceDeployment>) -> String {
    let goal = name(primary);
    if let Some(moving) = moving.filter(|moving| moving.is_returning()) {
        let reason = moving
            .rollback
            .as_ref()
            .and_then(|back| back.reason.as_deref())
            .or(moving.status_reason.as_deref());
        return format!("ECS is rolling back: {}", line(reason.unwrap_or("it gives no reason")));
    }
    let (running, wanted) = (primary.running_count, primary.desired_count.max(look.service.desired_count));
    let stage = moving.and_then(|moving| moving.lifecycle_stage.as_deref());
    let stage = stage.map(|stage| format!(", in stage {}", line(stage))).unwrap_or_default();
    format!("{running} of {wanted} tasks of {goal} run{stage}")
}

/// With the most telling reason, and with how a task ended: that is what people look up next.
pub(super) fn with_reasons(look: &Look, mut text: String) -> String {
    let first = look.reasons().into_iter().find(|reason| !text.contains(reason.as_str()));
    for reason in first.into_iter().chain(super::reasons::stopped_tasks(look).into_iter().next()) {
        if !text.contains(reason.as_str()) {
            text = format!("{text}; {reason}");
        }
    }
    text
}

pub(super) fn circumstances(look: &Look) -> Circumstances {
    let native = look.native_in_flight().map(|moving| NativeDeployment {
        returning: moving.is_returning(),
        stage: moving.lifecycle_stage.as_deref().map(line),
        hook: moving.waiting_hook().map(|hook| hook.hook_id.clone()),
        ..NativeDeployment::new(moving.arn.clone(), returns_to(look, moving).cloned())
    });
    let code_deploy = look.code_deploy_in_flight().map(|moving| code_deploy::moving(look, moving));
    let mut unread = BTreeMap::new();
    if let Reading::Unknown(why) = &look.deployments {
        unread.insert(Circumstances::NATIVE.to_owned(), line(why));
    }
    if let Reading::Unknown(why) = &look.code_deploy {
        unread.insert(Circumstances::CODE_DEPLOY.to_owned(), line(why));
    }
    if let Reading::Unknown(why) = &look.traffic {
        unread.insert(Circumstances::TRAFFIC.to_owned(), line(why));
    }
    Circumstances {
        unread,
        controller: controller(look),
        native,
        code_deploy,
        group: look.group.clone(),
        traffic: look.traffic.known().cloned(),
    }
}

/// Whether ECS took what `made` says was made then, gave it up, and goes or went back by itself; with its reason.
pub(super) fn went_back(look: &Look, made: Timestamp) -> Option<String> {
    let primary = look.service.primary()?;
    // Somebody asked for what is meant to run now after ECS gave up: that is another story.
    let newest = look.deployments.known().and_then(|deployments| deployments.first());
    if let Some(newest) = newest {
        let ours = newest.created_at.or(newest.started_at).is_some_and(|at| at >= made - SLACK);
        if !ours || !newest.status.starts_with("ROLLBACK") {
            return None;
        }
        let reason = newest.rollback.as_ref().and_then(|back| back.reason.as_deref());
        let reason = reason.or(newest.status_reason.as_deref()).unwrap_or("ECS gives no reason");
        return Some(with_reasons(look, line(reason)));
    }
    if let Some(failed) = given_up(look, made) {
        let reason = failed.rollout_state_reason.as_deref().unwrap_or("ECS gives no reason");
        return Some(with_reasons(look, line(reason)));
    }
    // Where service deployments cannot be read, what ECS writes beside the deployment that it put back has to do.
    let said = primary.rollout_state_reason.as_deref()?;
    said.contains("rolling back").then(|| with_reasons(look, line(said)))
}

/// A deployment made at `made` or later that failed, while an older one is meant to run again: only ECS puts one of those
/// back, whoever asks it for something makes a new one.
pub(super) fn given_up(look: &Look, made: Timestamp) -> Option<&Deployment> {
    let meant = look.service.primary()?.created_at?;
    let failed = |deployment: &&Deployment| deployment.rollout_state.as_deref() == Some("FAILED");
    let mut failed = look.service.deployments.iter().filter(failed);
    failed.find(|deployment| deployment.created_at.is_some_and(|at| at >= made && at > meant))
}

/// Where ECS would go back to: where it says so, else the one revision that is replaced. Of several it would choose the one
/// that last completed; that is not guessed here.
fn returns_to<'a>(look: &'a Look, moving: &'a ServiceDeployment) -> Option<&'a TaskDefinitionArn> {
    if let Some(revision) = moving.rollback.as_ref().and_then(|back| back.service_revision_arn.as_deref()) {
        return look.task_definition_of(revision);
    }
    source(look)
}
