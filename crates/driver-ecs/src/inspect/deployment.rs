//! How the service's own settings would carry out a rollback: room for a second copy, alarms, whoever would undo it half way.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use rollback_core::Reading;
use rollback_core::target::Finding;
use serde_json::{Map, Value};

use super::listed;
use crate::circumstances::Controller;
use crate::look::{Look, line};

/// After so long, a deployment of CodeDeploy counts as stuck.
const STUCK: SignedDuration = SignedDuration::from_mins(30);

/// What `autoRollbackConfiguration` of a deployment group says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AutoRollback {
    pub(crate) enabled: bool,
    /// `DEPLOYMENT_FAILURE`, …
    pub(crate) events: Vec<String>,
}

/// The parts of a service's description that decide how it is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rollout {
    /// `ROLLING`, `BLUE_GREEN`, `LINEAR` or `CANARY`.
    pub(crate) strategy: String,
    pub(crate) daemon: bool,
    pub(crate) least: u32,
    pub(crate) most: u32,
    /// The circuit breaker is on, and whether it goes back.
    pub(crate) breaker: Option<bool>,
    /// The alarms that count, and whether one of them makes ECS go back.
    pub(crate) alarms: Vec<String>,
    pub(crate) alarms_roll_back: bool,
    /// Where tasks are placed is for somebody else to have room.
    pub(crate) on_instances: bool,
}

impl Rollout {
    pub(crate) fn of(described: &Map<String, Value>) -> Self {
        let config = described.get("deploymentConfiguration").unwrap_or(&Value::Null);
        let daemon = described.get("schedulingStrategy").and_then(Value::as_str) == Some("DAEMON");
        let percent = |name: &str, default| {
            config[name].as_u64().and_then(|percent| u32::try_from(percent).ok()).unwrap_or(default)
        };
        let (breaker, alarms) = (&config["deploymentCircuitBreaker"], &config["alarms"]);
        let on = |value: &Value, name: &str| value[name] == Value::Bool(true);
        let names = alarms["alarmNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let alarms_on = on(alarms, "enable");
        Self {
            strategy: config["strategy"].as_str().unwrap_or("ROLLING").to_owned(),
            daemon,
            least: percent("minimumHealthyPercent", if daemon { 0 } else { 100 }),
            most: percent("maximumPercent", if daemon { 100 } else { 200 }),
            breaker: on(breaker, "enable").then(|| on(breaker, "rollback")),
            alarms: if alarms_on { names.map(str::to_owned).collect() } else { Vec::new() },
            alarms_roll_back: alarms_on && on(alarms, "rollback"),
            on_instances: runs_on_instances(described),
        }
    }
}

fn runs_on_instances(described: &Map<String, Value>) -> bool {
    let providers = described.get("capacityProviderStrategy").and_then(Value::as_array);
    match providers.filter(|providers| !providers.is_empty()) {
        Some(providers) => providers
            .iter()
            .filter_map(|provider| provider["capacityProvider"].as_str())
            .any(|name| !matches!(name, "FARGATE" | "FARGATE_SPOT")),
        None => matches!(
            described.get("launchType").and_then(Value::as_str),
            Some("EC2" | "EXTERNAL" | "MANAGED_INSTANCES")
        ),
    }
}

/// Whether there is room for the destination's tasks beside those that run.
pub(super) fn capacity(look: &Look, rollout: &Rollout) -> Vec<Finding> {
    let mut found = Vec::new();
    let desired = look.service.desired_count;
    if desired == 0 {
        return found;
    }
    let blue_green =
        rollout.strategy != "ROLLING" || look.circumstances().controller == Controller::CodeDeploy;
    let extra = if blue_green {
        desired
    } else {
        let (found_here, extra) = rolling(desired, rollout);
        found.extend(found_here);
        extra
    };
    if rollout.on_instances && extra > 0 {
        let what = format!(
            "up to {extra} more tasks run during the rollback, and whether the instances have room for them is not known"
        );
        found.push(
            Finding::info("instance-capacity-unknown", what)
                .next("look at the capacity of the cluster's instances"),
        );
    }
    found
}

/// What a rolling replacement does to this many tasks, and how many more it may start.
fn rolling(desired: u32, rollout: &Rollout) -> (Option<Finding>, u32) {
    let wide = |percent: u32| u64::from(desired) * u64::from(percent);
    let count = |tasks: u64| u32::try_from(tasks).unwrap_or(u32::MAX);
    // ECS rounds the lower limit up and the upper one down.
    let (lower, upper) = (count(wide(rollout.least).div_ceil(100)), count(wide(rollout.most) / 100));
    let extra = upper.saturating_sub(desired);
    let limits = format!(
        "minimumHealthyPercent {} and maximumPercent {} of {desired} tasks",
        rollout.least, rollout.most
    );
    let warning = |code: &str, what: &str, next: &str| {
        Some(Finding::warning(code, format!("{limits}: {what}")).next(next))
    };
    let fewest = format!("as few as {lower} may run during the rollback");
    let finding = match (extra > 0, lower) {
        _ if rollout.daemon => {
            let what = "each instance stops its task before it starts the destination's: capacity is lower during the rollback";
            Some(Finding::info("stops-first", what))
        }
        (false, _) if lower >= desired => {
            let what = "there is no room to replace any, for ECS can neither start nor stop one";
            warning("no-room-to-replace", what, "raise maximumPercent, or lower minimumHealthyPercent")
        }
        (false, 0) => {
            let what = "all tasks may stop before the destination's start, so the rollback has downtime";
            warning("downtime", what, "raise maximumPercent for a rollback without downtime")
        }
        (false, _) => {
            let what = format!("tasks stop before others start, and {fewest}");
            warning("stops-first", &what, "raise maximumPercent to keep all of them running")
        }
        (true, 0) => {
            let what = "ECS may stop all tasks while the destination's start";
            warning("downtime", what, "raise minimumHealthyPercent for a rollback without downtime")
        }
        (true, _) if lower < desired => Some(Finding::info("capacity-falls", format!("{limits}: {fewest}"))),
        (true, _) => None,
    };
    (finding, extra)
}

/// What ECS would do by itself while the rollback is on its way.
pub(super) fn ecs_on_its_own(look: &Look, rollout: &Rollout) -> Option<Finding> {
    if look.circumstances().controller != Controller::Ecs {
        return None;
    }
    let breaker_returns = rollout.breaker == Some(true);
    let who = match (breaker_returns, rollout.alarms_roll_back && !rollout.alarms.is_empty()) {
        (true, true) => "the circuit breaker or an alarm",
        (true, false) => "the circuit breaker",
        (false, true) => "an alarm",
        (false, false) if rollout.breaker.is_none() && rollout.strategy == "ROLLING" => {
            let what = "the circuit breaker is off: should the destination's tasks not start, ECS goes on trying without end";
            return Some(Finding::info("circuit-breaker-off", what));
        }
        (false, false) => return None,
    };
    let what = format!(
        "should {who} stop the destination, ECS goes by itself to the last deployment that completed, which may be what is being left"
    );
    Some(Finding::info("native-rollback-armed", what))
}

/// What the service's alarms mean for a deployment that begins now.
pub(super) fn alarms(names: &[String], states: &Reading<BTreeMap<String, String>>) -> Vec<Finding> {
    if names.is_empty() {
        return Vec::new();
    }
    let states = match states {
        Reading::Known(states) => states,
        Reading::Absent => return Vec::new(),
        Reading::Unknown(why) => {
            let what = format!("the state of the deployment's alarms could not be read: {why}");
            return vec![Finding::warning("alarms-unknown", what)];
        }
    };
    let in_state = |wanted: Option<&str>| -> Vec<String> {
        let those = names.iter().filter(|name| states.get(*name).map(String::as_str) == wanted);
        those.map(|name| line(name)).collect()
    };
    [firing(&in_state(Some("ALARM"))), missing(&in_state(None)), unsure(&in_state(Some("INSUFFICIENT_DATA")))]
        .into_iter()
        .flatten()
        .collect()
}

fn firing(alarms: &[String]) -> Option<Finding> {
    (!alarms.is_empty()).then(|| {
        let what = format!(
            "already in ALARM: {}; ECS does not look at the deployment's alarms for a deployment that begins like that",
            listed(alarms)
        );
        Finding::warning("alarm-firing", what).next("watch the rollback by other means")
    })
}

fn missing(alarms: &[String]) -> Option<Finding> {
    (!alarms.is_empty()).then(|| {
        let what = format!("the deployment configuration names alarms that do not exist: {}", listed(alarms));
        Finding::warning("alarm-missing", what).next("correct the alarms of the deployment configuration")
    })
}

fn unsure(alarms: &[String]) -> Option<Finding> {
    (!alarms.is_empty()).then(|| {
        let what = format!("in INSUFFICIENT_DATA, so they tell nothing yet: {}", listed(alarms));
        Finding::info("alarm-without-data", what)
    })
}

/// What CodeDeploy does by itself, and a deployment of it that does not get anywhere.
pub(super) fn code_deploy(look: &Look, auto: &Reading<AutoRollback>) -> Vec<Finding> {
    let mut found = Vec::new();
    if look.circumstances().controller == Controller::CodeDeploy {
        found.extend(auto_rollback(look, auto));
    }
    let moving = look.code_deploy.known().into_iter().flatten().find(|info| info.is_in_flight());
    let began = moving.and_then(|info| info.start_time.or(info.create_time));
    if let (Some(info), Some(now), Some(began)) = (moving, look.at, began)
        && now.duration_since(began) > STUCK
    {
        let waits = if info.status == "Ready" { ", and waits for somebody to let it go on" } else { "" };
        let what = format!(
            "deployment {} of CodeDeploy is {} since {began:.0}, for over {} minutes{waits}",
            line(&info.deployment_id),
            line(&info.status),
            STUCK.as_mins()
        );
        found.push(
            Finding::warning("codedeploy-stuck", what)
                .next("stop it with its own rollback: strategy codedeploy-stop"),
        );
    }
    found
}

fn auto_rollback(look: &Look, auto: &Reading<AutoRollback>) -> Option<Finding> {
    let group = look
        .group
        .as_ref()
        .map_or_else(|| "the deployment group".to_owned(), |group| format!("group {}", line(&group.group)));
    match auto {
        Reading::Known(auto) if auto.enabled => {
            let events: Vec<_> = auto.events.iter().map(|event| line(event)).collect();
            let on = if events.is_empty() { String::new() } else { format!(" on {}", listed(&events)) };
            let what = format!(
                "{group} rolls back by itself{on}: also a rollback that fails, to what is being left"
            );
            Some(Finding::info("codedeploy-auto-rollback", what))
        }
        Reading::Known(_) => Some(
            Finding::warning(
                "codedeploy-no-auto-rollback",
                format!("{group} does not roll back by itself: a deployment that fails stays where it is"),
            )
            .next("turn on autoRollbackConfiguration for DEPLOYMENT_FAILURE"),
        ),
        Reading::Absent => None,
        Reading::Unknown(why) => {
            let what = format!("whether {group} rolls back by itself could not be read: {why}");
            Some(Finding::info("codedeploy-auto-rollback-unknown", what))
        }
    }
}
