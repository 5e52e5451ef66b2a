//! How deployments go on as time passes.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::create::roll_back;
use super::deployment::{Deployment, Phase, Status};
use super::listeners;
use crate::ecs::{self, TaskSet};
use crate::others;
use crate::protocol::{Fault, list, text};
use crate::world::World;

/// How long it is `Created`, and then `Queued`.
const WAITS: SignedDuration = SignedDuration::from_secs(1);
/// How long a request to stop takes.
const STOPS: SignedDuration = SignedDuration::from_secs(5);
/// How long each half of going back takes.
const RETURNS: SignedDuration = SignedDuration::from_secs(3);
/// How long green may take to become healthy.
const INSTALLS: SignedDuration = SignedDuration::from_mins(60);

/// What comes before traffic moves.
const BEFORE: [&str; 5] =
    ["AfterInstall", "AllowTestTraffic", "AfterAllowTestTraffic", "BeforeAllowTraffic", "Install"];

/// CodeDeploy's words for its error codes.
pub(super) fn words(code: &str) -> &'static str {
    match code {
        "HEALTH_CONSTRAINTS" => {
            "The deployment failed because too many individual instances failed deployment, too few healthy instances \
             are available for deployment, or some instances in your deployment group are experiencing problems."
        }
        "MANUAL_STOP" => "The deployment was manually stopped.",
        "HOOK_EXECUTION_FAILURE" => "A lifecycle event hook reported that validation failed.",
        "TIMEOUT" => {
            "The deployment timed out while waiting for the replacement task set to become healthy. This time out \
             period is 60 minutes."
        }
        _ => "The deployment failed.",
    }
}

pub(super) fn step(world: &mut World, deployment: &mut Deployment) {
    let now = world.now();
    if let Some(stop) = deployment.stop {
        if now.duration_since(stop.at) >= STOPS {
            deployment.error = Some(("MANUAL_STOP".to_owned(), words("MANUAL_STOP").to_owned()));
            stopped(world, deployment, stop.roll_back);
        }
        return;
    }
    if stopped_by_alarms(world, deployment) {
        return;
    }
    let passed = now.duration_since(deployment.since);
    match deployment.phase {
        Phase::Waiting if passed >= WAITS => begin(world, deployment),
        Phase::Installing => installing(world, deployment, passed),
        Phase::AwaitingTraffic => awaiting_traffic(world, deployment, passed),
        Phase::Shifting => shifting(world, deployment, passed),
        Phase::AwaitingTermination => awaiting_termination(world, deployment, passed),
        Phase::Returning if passed >= RETURNS => give_back(world, deployment),
        Phase::Clearing if passed >= RETURNS => clear(world, deployment),
        _ => {}
    }
}

pub(super) fn end(deployment: &mut Deployment, status: Status, now: Timestamp) {
    deployment.breaks_off(now);
    deployment.enter(Phase::Ended, now);
    deployment.status = status;
    deployment.completed = Some(now);
}

/// Fails, and is rolled back if that is wanted. A rollback is not rolled back itself.
pub(super) fn fail(world: &mut World, deployment: &mut Deployment, code: &str, why: &str) {
    end(deployment, Status::Failed, world.now());
    deployment.error = Some((code.to_owned(), why.to_owned()));
    if deployment.rollback.of.is_none() && deployment.rolls_back_on("DEPLOYMENT_FAILURE") {
        roll_back(world, deployment, "failed");
    }
}

fn stopped(world: &mut World, deployment: &mut Deployment, back: bool) {
    end(deployment, Status::Stopped, world.now());
    if back && deployment.rollback.of.is_none() {
        roll_back(world, deployment, "terminated");
    }
}

/// An alarm of the group stops a deployment, whether it went off before or after this began.
fn stopped_by_alarms(world: &mut World, deployment: &mut Deployment) -> bool {
    let own = &deployment.settings["overrideAlarmConfiguration"];
    let config = if own.is_object() { own } else { &deployment.settings["alarmConfiguration"] };
    let going = deployment.started.is_some() && deployment.rollback.of.is_none();
    if !going || config["enabled"] != true {
        return false;
    }
    let names: Vec<&str> = list(config, "alarms").iter().filter_map(|alarm| text(alarm, "name")).collect();
    let asked = json!({ "AlarmNames": names, "StateValue": "ALARM" });
    let told = others::handle(world, "monitoring", "DescribeAlarms", &asked).unwrap_or_default();
    let active: Vec<String> = list(&told, "MetricAlarms")
        .iter()
        .filter(|alarm| alarm["StateValue"] == "ALARM")
        .filter_map(|alarm| text(alarm, "AlarmName"))
        .filter(|name| names.contains(name))
        .map(|name| format!("<{name}>"))
        .collect();
    if active.is_empty() {
        return false;
    }
    let why = format!(
        "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the \
         affected deployments have been stopped. Activated alarms: {}",
        active.join(" ")
    );
    deployment.error = Some(("ALARM_ACTIVE".to_owned(), why));
    let back = deployment.rolls_back_on("DEPLOYMENT_STOP_ON_ALARM");
    stopped(world, deployment, back);
    true
}

fn begin(world: &mut World, deployment: &mut Deployment) {
    let now = world.now();
    if deployment.status == Status::Created {
        deployment.status = Status::Queued;
        deployment.since = now;
        return;
    }
    deployment.status = Status::InProgress;
    deployment.started = Some(now);
    if deployment.rollback.of.is_some() {
        deployment.enter(Phase::Returning, now);
        deployment.succeeds(&["BeforeInstall"], now);
        deployment.succeeds(&BEFORE, now);
        return deployment.begins("AllowTraffic", now);
    }
    deployment.succeeds(&["BeforeInstall"], now);
    deployment.begins("Install", now);
    deployment.enter(Phase::Installing, now);
    if let Err(fault) = install(world, deployment) {
        let why = format!("The ECS service cannot be updated: {}", fault.message());
        fail(world, deployment, "ECS_UPDATE_ERROR", &why);
    }
}

/// Starts green beside blue, in the target group of the pair that blue has not.
fn install(world: &mut World, deployment: &mut Deployment) -> Result<(), Fault> {
    let (cluster, service) = (deployment.cluster.clone(), deployment.service.clone());
    let gone = || Fault::new("InvalidParameterException", "The service has no primary task set.");
    let sets = ecs::task_sets(world, &cluster, &service);
    let blue = sets.iter().find(|set| set.status == "PRIMARY").ok_or_else(gone)?;
    for left in sets.iter().filter(|set| set.status == "ACTIVE") {
        ecs::delete_task_set(world, &cluster, &service, &left.id);
    }
    let groups = listeners::groups(world, deployment);
    let first = groups.first().cloned().unwrap_or_default();
    let blue_group = blue.target_group.clone().unwrap_or(first);
    let green_group = groups.into_iter().find(|arn| *arn != blue_group).unwrap_or_default();
    deployment.blue = Some((blue.id.clone(), blue_group));
    let (id, definition) = (&deployment.id, &deployment.spec.task_definition);
    let green = ecs::create_task_set(world, &cluster, &service, definition, Some(&green_group), id)?;
    deployment.green = Some((green, green_group));
    Ok(())
}

/// The task set that is meant by its id and target group.
pub(super) fn one_of<'a>(sets: &'a [TaskSet], which: Option<&(String, String)>) -> Option<&'a TaskSet> {
    let (id, _) = which?;
    sets.iter().find(|set| set.id == *id)
}

fn installing(world: &mut World, deployment: &mut Deployment, passed: SignedDuration) {
    let now = world.now();
    let sets = ecs::task_sets(world, &deployment.cluster, &deployment.service);
    if one_of(&sets, deployment.green.as_ref()).is_none_or(|set| set.healthy < set.desired) {
        if passed >= INSTALLS {
            fail(world, deployment, "TIMEOUT", words("TIMEOUT"));
        }
        return;
    }
    listeners::shift_tests(world, deployment, 100);
    deployment.succeeds(&BEFORE, now);
    if deployment.blue_green("deploymentReadyOption", "actionOnTimeout") == "STOP_DEPLOYMENT" {
        deployment.status = Status::Ready;
        deployment.enter(Phase::AwaitingTraffic, now);
    } else {
        start_shifting(world, deployment);
    }
}

fn minutes(deployment: &Deployment, option: &str, key: &str) -> SignedDuration {
    SignedDuration::from_mins(deployment.blue_green(option, key).as_i64().unwrap_or(0))
}

fn awaiting_traffic(world: &mut World, deployment: &mut Deployment, passed: SignedDuration) {
    if deployment.go_on {
        deployment.status = Status::InProgress;
        start_shifting(world, deployment);
    } else if passed >= minutes(deployment, "deploymentReadyOption", "waitTimeInMinutes") {
        let back = deployment.rolls_back_on("DEPLOYMENT_FAILURE");
        stopped(world, deployment, back);
    }
}

fn start_shifting(world: &mut World, deployment: &mut Deployment) {
    let now = world.now();
    deployment.begins("AllowTraffic", now);
    deployment.enter(Phase::Shifting, now);
    shifting(world, deployment, SignedDuration::ZERO);
}

/// How much traffic green has after so long, by the names of AWS's configurations.
fn percent(config: &str, passed: SignedDuration) -> u16 {
    let minutes = u16::try_from(passed.as_secs() / 60).unwrap_or(u16::MAX);
    let steps = |every: u16| (10 + 10 * (minutes / every).min(9)).min(100);
    match config.strip_prefix("CodeDeployDefault.ECS") {
        Some("Linear10PercentEvery1Minutes") => steps(1),
        Some("Linear10PercentEvery3Minutes") => steps(3),
        Some("Canary10Percent5Minutes") if minutes < 5 => 10,
        Some("Canary10Percent15Minutes") if minutes < 15 => 10,
        _ => 100,
    }
}

fn shifting(world: &mut World, deployment: &mut Deployment, passed: SignedDuration) {
    let percent = percent(&deployment.config, passed);
    if percent != deployment.shifted {
        listeners::shift(world, deployment, percent);
    }
    if percent < 100 {
        return;
    }
    let now = world.now();
    if let Some((green, _)) = &deployment.green {
        ecs::make_primary(world, &deployment.cluster, &deployment.service, green);
    }
    deployment.succeeds(&["AllowTraffic", "AfterAllowTraffic"], now);
    deployment.enter(Phase::AwaitingTermination, now);
}

fn awaiting_termination(world: &mut World, deployment: &mut Deployment, passed: SignedDuration) {
    let option = "terminateBlueInstancesOnDeploymentSuccess";
    let kept = deployment.blue_green(option, "action") == "KEEP_ALIVE";
    let due = passed >= minutes(deployment, option, "terminationWaitTimeInMinutes");
    if !kept && !due && !deployment.go_on {
        return;
    }
    if let Some((blue, _)) = deployment.blue.as_ref().filter(|_| !kept) {
        ecs::delete_task_set(world, &deployment.cluster, &deployment.service, blue);
    }
    end(deployment, Status::Succeeded, world.now());
}

/// Of a rollback: all traffic goes to blue, which is the primary one again.
fn give_back(world: &mut World, deployment: &mut Deployment) {
    let now = world.now();
    if world.code_deploy.rollbacks_fail {
        return fail(world, deployment, "INTERNAL_ERROR", "There was an internal error.");
    }
    listeners::shift_tests(world, deployment, 0);
    listeners::shift(world, deployment, 0);
    if let Some((blue, _)) = &deployment.blue {
        ecs::make_primary(world, &deployment.cluster, &deployment.service, blue);
    }
    deployment.succeeds(&["AllowTraffic", "AfterAllowTraffic"], now);
    deployment.enter(Phase::Clearing, now);
}

/// Of a rollback: green is taken away.
fn clear(world: &mut World, deployment: &mut Deployment) {
    if let Some((green, _)) = &deployment.green {
        ecs::delete_task_set(world, &deployment.cluster, &deployment.service, green);
    }
    end(deployment, Status::Succeeded, world.now());
}
