//! What CodeDeploy does with a service, by its deployments and by the service's task sets.

mod info;
#[cfg(test)]
mod tests;

use jiff::SignedDuration;
use rollback_core::target::Phase;
use rollback_core::{Digest, Reading, Token};
use serde_json::json;

pub use self::info::{CodeDeployError, CodeDeployInfo, CodeDeployRollback};
use super::course::with_reasons;
use super::reasons::line;
use super::{Course, Look, Task, TaskSet};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::CodeDeployment;

/// How long a deployment may take before it counts as stuck.
const STUCK: SignedDuration = SignedDuration::from_mins(30);
/// How long after the end of a deployment the one that rolls it back may take to show.
const UNDECIDED: SignedDuration = SignedDuration::from_secs(60);
/// What tokens begin with while CodeDeploy's newest deployment is what counts.
const TOKEN: &str = "codedeploy/";

/// A service that is moved from outside: by CodeDeploy, or by task sets.
pub(super) fn course(look: &Look) -> Course {
    let settled = match primary(look).and_then(|set| set.task_definition.clone()) {
        Some(arn) => Reading::Known(arn),
        None => Reading::Unknown("ECS tells no task set that takes requests".to_owned()),
    };
    if let Reading::Unknown(why) = &look.code_deploy {
        let other = look.service.task_sets.iter().find(|set| set.status == "ACTIVE");
        let heading = other.and_then(|set| set.task_definition.clone());
        let phase = Phase::Progressing(format!("whether CodeDeploy moves it is not known: {why}"));
        return Course { settled, heading, phase };
    }
    if let Some(moving) = look.code_deploy_in_flight() {
        if stands_by(look, moving) {
            return Course { settled, heading: None, phase: Phase::Progressing(waits(look, moving)) };
        }
        return Course {
            settled: rested_before(look, moving),
            heading: destination(look, moving),
            phase: phase(look, moving),
        };
    }
    match newest(look).filter(|newest| newest.is_given_up()) {
        Some(given_up) => after_giving_up(look, given_up, settled),
        None => Course { settled, heading: None, phase: resting(look) },
    }
}

/// Of a service that no deployment moves.
fn resting(look: &Look) -> Phase {
    let left = look.service.task_sets.iter().filter(|set| set.status == "DRAINING");
    let left: u32 = left.map(|set| set.running_count).sum();
    if left > 0 {
        return Phase::Progressing(format!("{left} tasks of earlier task sets are still being stopped"));
    }
    match primary(look).and_then(|set| set.stability_status.as_deref()) {
        Some("STABILIZING") => {
            Phase::Progressing("the task set that takes requests is not steady yet".to_owned())
        }
        _ => Phase::Settled,
    }
}

/// The newest deployment failed or was stopped, and none followed.
fn after_giving_up(look: &Look, given_up: &CodeDeployInfo, settled: Reading<TaskDefinitionArn>) -> Course {
    let told = format!("{} is {}: {}", given_up.told(), given_up.status, given_up.words());
    let left = destination(look, given_up).filter(|_| leftover(look, given_up));
    let Some(left) = left else { return Course { settled, heading: None, phase: resting(look) } };
    let ended = given_up.complete_time.zip(look.at).map(|(ended, now)| now.duration_since(ended));
    let undecided = !given_up.is_rollback() && ended.is_some_and(|since| since < UNDECIDED);
    let phase = if undecided || given_up.rolled_back_by().is_some() {
        Phase::Progressing(format!("{told}; its rollback does not show yet"))
    } else {
        Phase::Failed(with_reasons(look, told))
    };
    Course { settled: rested_before(look, given_up), heading: Some(left), phase }
}

/// Whether something of a deployment that gave up is left in the service: its task set, or, of a rollback, the one that it was to
/// remove.
fn leftover(look: &Look, given_up: &CodeDeployInfo) -> bool {
    let bad = given_up.rolls_back().unwrap_or(&given_up.deployment_id);
    staying(look).any(|set| set.external_id.as_deref() == Some(bad))
}

fn phase(look: &Look, moving: &CodeDeployInfo) -> Phase {
    let told = moving.told();
    if moving.status == "Ready" {
        return Phase::Paused(format!(
            "{told} waits for its traffic to be moved{}",
            stuck_words(look, moving)
        ));
    }
    if let Some(since) = stuck(look, moving) {
        let text = format!(
            "{told} is stuck: {} for {} minutes; it can be stopped, and goes back then",
            line(&moving.status),
            since.as_secs() / 60
        );
        return Phase::Progressing(with_reasons(look, text));
    }
    Phase::Progressing(match moving.rolls_back() {
        Some(bad) => format!("{told} rolls {} back and is {}", line(bad), line(&moving.status)),
        None => with_reasons(look, format!("{told} is {}", line(&moving.status))),
    })
}

fn stuck_words(look: &Look, moving: &CodeDeployInfo) -> String {
    stuck(look, moving)
        .map_or_else(String::new, |since| format!(", for {} minutes now", since.as_secs() / 60))
}

/// For how long it has been on its way, if that is longer than it should be.
fn stuck(look: &Look, moving: &CodeDeployInfo) -> Option<SignedDuration> {
    let begun = moving.start_time.or(moving.create_time)?;
    Some(look.at?.duration_since(begun)).filter(|since| *since > STUCK)
}

/// What is told while the task set before is only kept to go back to.
fn waits(look: &Look, moving: &CodeDeployInfo) -> String {
    let kept: Vec<_> = look
        .service
        .task_sets
        .iter()
        .filter(|set| set.status == "ACTIVE")
        .filter_map(|set| set.task_definition.as_ref().map(TaskDefinitionArn::short))
        .collect();
    format!("{} has moved all requests and keeps {} to go back to", moving.told(), kept.join(", "))
}

pub(super) fn moving(look: &Look, moving: &CodeDeployInfo) -> CodeDeployment {
    CodeDeployment {
        returning: moving.is_rollback(),
        started_at: moving.start_time.or(moving.create_time),
        stuck: !stands_by(look, moving) && stuck(look, moving).is_some(),
        ..CodeDeployment::new(moving.deployment_id.clone(), returns_to(look, moving))
    }
}

fn newest(look: &Look) -> Option<&CodeDeployInfo> {
    look.code_deploy.known()?.first()
}

fn primary(look: &Look) -> Option<&TaskSet> {
    look.service.task_sets.iter().find(|set| set.status == "PRIMARY")
}

/// The task sets that are not being removed.
fn staying(look: &Look) -> impl Iterator<Item = &TaskSet> {
    look.service.task_sets.iter().filter(|set| set.status != "DRAINING")
}

/// The one revision that these task sets have in common; the one that takes requests decides where they differ.
fn one_of<'a>(sets: impl Iterator<Item = &'a TaskSet>) -> Option<&'a TaskDefinitionArn> {
    let sets: Vec<_> = sets.collect();
    if let Some(primary) = sets.iter().find(|set| set.status == "PRIMARY") {
        return primary.task_definition.as_ref();
    }
    let mut found: Vec<_> = sets.into_iter().filter_map(|set| set.task_definition.as_ref()).collect();
    found.sort();
    found.dedup();
    match found[..] {
        [one] => Some(one),
        _ => None,
    }
}

/// The task sets that another deployment than this made.
fn others<'a>(look: &'a Look, id: &'a str) -> impl Iterator<Item = &'a TaskSet> {
    staying(look).filter(move |set| set.external_id.as_deref() != Some(id))
}

/// Where a deployment goes. A rollback makes no task set: it goes to the one that was there before the deployment that it rolls
/// back, and never to that one's.
fn destination(look: &Look, moving: &CodeDeployInfo) -> Option<TaskDefinitionArn> {
    if let Some(bad) = moving.rolls_back() {
        return one_of(others(look, bad)).or(moving.task_definition.as_ref()).cloned();
    }
    let sets = &look.service.task_sets;
    let own = sets.iter().find(|set| set.external_id.as_deref() == Some(moving.deployment_id.as_str()));
    own.and_then(|set| set.task_definition.as_ref()).or(moving.task_definition.as_ref()).cloned()
}

/// What rested before a deployment: what the others' task sets run. Of a rollback that is what it leaves.
fn rested_before(look: &Look, moving: &CodeDeployInfo) -> Reading<TaskDefinitionArn> {
    let found = match moving.rolls_back() {
        Some(bad) => primary(look)
            .or_else(|| staying(look).find(|set| set.external_id.as_deref() == Some(bad)))
            .and_then(|set| set.task_definition.as_ref()),
        None => one_of(others(look, &moving.deployment_id)),
    };
    found.cloned().map_or_else(
        || Reading::Unknown("nothing but what is on its way has a task set".to_owned()),
        Reading::Known,
    )
}

/// CodeDeploy goes back to the task set that took requests before.
fn returns_to(look: &Look, moving: &CodeDeployInfo) -> Option<TaskDefinitionArn> {
    if moving.is_rollback() {
        return destination(look, moving);
    }
    let own = |set: &TaskSet| {
        set.external_id.as_deref() == Some(moving.deployment_id.as_str())
            // A description without external ids: then what it goes to tells which one it made.
            || (set.external_id.is_none()
                && set.status != "PRIMARY"
                && set.task_definition.is_some()
                && set.task_definition == moving.task_definition)
    };
    let mut kept: Vec<_> = staying(look).filter(|set| !own(set)).collect();
    // Before its own task set is there, the next one clears up what an earlier one left.
    if kept.len() > 1 && !staying(look).any(own) {
        kept.retain(|set| set.status == "PRIMARY");
    }
    match kept[..] {
        [one] => one.task_definition.clone(),
        _ => None,
    }
}

/// Whether a deployment has moved all requests to its own task set, and only waits before it removes the one before.
fn stands_by(look: &Look, moving: &CodeDeployInfo) -> bool {
    moving.status == "InProgress"
        && moving.instance_termination_wait_time_started
        && primary(look).is_some_and(|set| set.external_id.as_deref() == Some(moving.deployment_id.as_str()))
}

/// Whether requests are divided between task sets, or are about to be.
fn is_shifting(look: &Look) -> bool {
    match &look.code_deploy {
        Reading::Known(_) => look.code_deploy_in_flight().is_some_and(|moving| !stands_by(look, moving)),
        // Somebody else's task sets: who gets requests is not known.
        Reading::Absent | Reading::Unknown(_) => true,
    }
}

/// Whether a task belongs to a task set that gets no requests and only waits: ECS says `ACTIVE` of it, and nothing moves traffic.
pub(super) fn is_kept(look: &Look, task: &Task) -> bool {
    let sets = &look.service.task_sets;
    let owner = sets.iter().find(|set| Some(set.id.as_str()) == task.started_by.as_deref());
    owner.is_some_and(|set| is_set_kept(look, set))
}

/// The same of a task set.
pub(super) fn is_set_kept(look: &Look, set: &TaskSet) -> bool {
    set.status == "ACTIVE" && !is_shifting(look)
}

/// What the newest deployment brings, or brought before it was given up: whose tasks tell why it does not get there.
pub(super) fn brought(look: &Look) -> Option<TaskDefinitionArn> {
    let newest = newest(look).filter(|newest| newest.is_in_flight() || newest.is_given_up())?;
    let Some(bad) = newest.rolls_back() else { return destination(look, newest) };
    let bad = look.code_deploy.known()?.iter().find(|deployment| deployment.deployment_id == bad)?;
    destination(look, bad)
}

/// What keeps a proof from being one, or is worth telling with it.
pub(super) enum Standing {
    /// It has not ended.
    Moving(String),
    /// It has moved all requests.
    Waiting(String),
    /// Nothing moves.
    Rest,
}

pub(super) fn standing(look: &Look) -> Standing {
    match look.code_deploy_in_flight() {
        Some(moving) if stands_by(look, moving) => Standing::Waiting(waits(look, moving)),
        Some(moving) => Standing::Moving(format!("{} is {}", moving.told(), line(&moving.status))),
        None => Standing::Rest,
    }
}

/// The token of a service that CodeDeploy moves: its newest deployment, whatever becomes of it. A rollback is one of its own.
pub(super) fn token(look: &Look) -> Option<Token> {
    newest(look).map(|newest| token_of(look, &newest.deployment_id))
}

/// The token while this deployment is the newest.
pub(super) fn token_of(look: &Look, id: &str) -> Token {
    let intent = json!([look.service.arn, id]);
    Token::new(format!("{TOKEN}{}/{id}", Digest::of_bytes(intent.to_string().as_bytes()).short()))
}

/// The deployment that a token names.
fn of_token(token: &Token) -> Option<&str> {
    token.as_str().strip_prefix(TOKEN)?.split_once('/').map(|(_, id)| id)
}

/// Whether a deployment that `after` proves was made does not show yet.
pub(super) fn is_before(look: &Look, after: &Token) -> bool {
    let Some(id) = of_token(after) else { return false };
    let known = look.code_deploy.known();
    known.is_some_and(|all| all.iter().all(|deployment| deployment.deployment_id != id))
}

/// Whether the deployment that `after` names has moved all requests: what was asked for is there.
pub(super) fn has_arrived(look: &Look, after: &Token) -> bool {
    look.code_deploy_in_flight().is_some_and(|moving| {
        stands_by(look, moving)
            && of_token(after) == Some(moving.deployment_id.as_str())
            && resting_but_for_waiting(look)
    })
}

fn resting_but_for_waiting(look: &Look) -> bool {
    resting(look) == Phase::Settled
}

/// Whether CodeDeploy gave the deployment up that `after` names, with its own reason.
pub(super) fn went_back(look: &Look, after: &Token) -> Option<String> {
    let id = of_token(after)?;
    let all = look.code_deploy.known()?;
    let given_up = all.iter().find(|deployment| deployment.deployment_id == id)?;
    // Somebody asked for something else since: that is another story.
    let own = |other: &&CodeDeployInfo| other.deployment_id == id || other.rolls_back() == Some(id);
    let ours = all.first().is_some_and(|newest| own(&newest));
    (given_up.is_given_up() && ours).then(|| {
        let told = format!("{} is {}: {}", given_up.told(), line(&given_up.status), given_up.words());
        with_reasons(look, told)
    })
}
