//! Why something does not run or did not stay, in the platform's own words.

use rollback_core::Reading;
use rollback_core::target::Finding;

use super::{Look, Task};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::Controller;

/// How many reasons are given, and how long each may be.
const MOST: usize = 8;
const LONGEST: usize = 300;
/// How many stopped tasks are told of.
const TASKS: usize = 3;

/// What of an event's text says that something is wrong, lower case.
const TELLING: [&str; 9] = [
    "unable to place a task",
    "unable to consistently start tasks",
    "failed container health checks",
    "failed elb health checks",
    "is unhealthy in",
    "unable to assume",
    "deployment failed",
    "rolling back to deployment",
    "was unable to",
];

/// One line that is harmless to show: words from outside without what steers a terminal, and not too many.
pub(crate) fn line(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') { ' ' } else { c })
        .take(LONGEST)
        .collect();
    clean.trim().to_owned()
}

pub(super) fn reasons(look: &Look) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(native_rollback(look));
    found.extend(circuit_breaker(look));
    found.extend(code_deploy(look));
    found.extend(stopped_tasks(look));
    found.extend(telling_event(look));
    found.truncate(MOST);
    found
}

pub(super) fn findings(look: &Look) -> Vec<Finding> {
    let newest = look.deployments.known().and_then(|all| all.first());
    let returned = newest.is_some_and(|newest| newest.status == "ROLLBACK_SUCCESSFUL");
    let mut found = Vec::new();
    if let Some(message) = native_rollback(look).filter(|_| returned) {
        found.push(
            Finding::warning("already-rolled-back", message)
                .next("what runs is the earlier release already; `previous` would go back further"),
        );
    }
    if look.service.status == "DRAINING" || look.service.status == "INACTIVE" {
        found.push(Finding::blocker("service-deleted", "the service is being deleted or was deleted"));
    }
    found.extend(unread(look));
    if look.circumstances().controller == Controller::External {
        found.push(
            Finding::blocker("external-controller", "somebody else moves the service through task sets")
                .next("roll back with the tool that made the task sets"),
        );
    }
    found
}

/// What could not be read and is missed once the rollback has been sent: nobody should find that out then.
fn unread(look: &Look) -> Vec<Finding> {
    let why = |reading: Option<&String>, code: &str, what: &str| {
        reading.map(|why| Finding::warning(code, format!("{what}: {}", line(why))))
    };
    let tasks = "the tasks could not be read, so that a rollback cannot be proven";
    let deployments = "ECS's own deployments could not be read, so that none can be stopped, and what ECS does by itself has no reason";
    let targets =
        "the load balancer's targets could not be read, so that a rollback cannot be proven healthy";
    // Others tell of a service that others move.
    let of_ecs = unknown(&look.deployments)
        .or(unknown(&look.revisions))
        .filter(|_| look.circumstances().controller == Controller::Ecs);
    [
        why(unknown(&look.tasks), "tasks-unknown", tasks),
        why(of_ecs, "deployments-unknown", deployments),
        why(unknown(&look.healthy_targets), "targets-unknown", targets),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn unknown<T>(reading: &Reading<T>) -> Option<&String> {
    if let Reading::Unknown(why) = reading { Some(why) } else { None }
}

/// The deployment that ECS gave up and put the earlier revision back, without anybody being told.
fn native_rollback(look: &Look) -> Option<String> {
    let newest = look.deployments.known()?.first()?;
    let back = newest.rollback.as_ref()?;
    let short = |arn: Option<&TaskDefinitionArn>| {
        arn.map_or_else(|| "an unknown revision".to_owned(), TaskDefinitionArn::short)
    };
    let from =
        newest.target_service_revision.as_ref().and_then(|target| look.task_definition_of(&target.arn));
    let to = back.service_revision_arn.as_deref().and_then(|revision| look.task_definition_of(revision));
    let done = match newest.status.as_str() {
        "ROLLBACK_SUCCESSFUL" => "rolled",
        "ROLLBACK_FAILED" => "failed to roll",
        _ => "is rolling",
    };
    let reason = back.reason.as_deref().or(newest.status_reason.as_deref()).unwrap_or("it gives no reason");
    Some(format!("ECS {done} {} back to {} by itself: {}", short(from), short(to), line(reason)))
}

fn circuit_breaker(look: &Look) -> Option<String> {
    let breaker = look.deployments.known()?.first()?.deployment_circuit_breaker.as_ref()?;
    (breaker.status.as_deref() == Some("TRIGGERED")).then(|| {
        // Once it goes back, the tasks of that may be counted.
        match breaker.failure_count {
            0 => format!("the circuit breaker gave up (limit {})", breaker.threshold),
            failed => {
                format!(
                    "the circuit breaker gave up after {failed} failed tasks (limit {})",
                    breaker.threshold
                )
            }
        }
    })
}

fn code_deploy(look: &Look) -> Option<String> {
    let newest = look.code_deploy.known()?.first().filter(|newest| newest.is_given_up())?;
    let (id, words) = (line(&newest.deployment_id), newest.words());
    Some(format!("deployment {id} of CodeDeploy is {}: {words}", newest.status))
}

/// How the tasks ended that should run, the last ones first.
pub(super) fn stopped_tasks(look: &Look) -> Vec<String> {
    lost(look).into_iter().take(TASKS).map(stopped_task).collect()
}

/// The tasks that ended although they should run, the last one first.
pub(super) fn lost(look: &Look) -> Vec<&Task> {
    let tasks = look.tasks.known().into_iter().flatten();
    // Only what ECS meant to run: of an old deployment, tasks stop because they should.
    let meant = look.service.primary().and_then(|primary| primary.task_definition.as_ref());
    let failed_target = look
        .deployments
        .known()
        .and_then(|all| all.first())
        .and_then(|newest| look.task_definition_of(&newest.target_service_revision.as_ref()?.arn));
    let brought = super::code_deploy::brought(look);
    // ECS tells of stopped tasks for an hour: what the same revision did in an earlier deployment is another story.
    let began = |task: &Task| {
        let of = look.service.deployments.iter().filter(|one| one.task_definition == task.task_definition);
        of.filter_map(|deployment| deployment.created_at).max()
    };
    let counts = |task: &&Task| {
        task.last_status == "STOPPED"
            && task.task_definition.is_some()
            && task.stopped_at.zip(began(task)).is_none_or(|(stopped, began)| stopped >= began)
            && [meant, failed_target, brought.as_ref()].contains(&task.task_definition.as_ref())
            && !task
                .stopped_reason
                .as_deref()
                .is_some_and(|reason| reason.starts_with("Scaling activity initiated by"))
    };
    let mut stopped: Vec<_> = tasks.filter(counts).collect();
    stopped.sort_by(|a, b| b.stopped_at.cmp(&a.stopped_at).then_with(|| a.arn.cmp(&b.arn)));
    stopped
}

fn stopped_task(task: &Task) -> String {
    let what = task.task_definition.as_ref().map(TaskDefinitionArn::short).unwrap_or_default();
    let reason = line(task.stopped_reason.as_deref().unwrap_or("no reason given"));
    let containers =
        task.containers.iter().filter(|c| c.reason.is_some() || c.exit_code.is_some_and(|code| code != 0));
    let containers: Vec<_> = containers
        .take(TASKS)
        .map(|container| {
            let name = line(&container.name);
            match (container.exit_code, container.reason.as_deref()) {
                (Some(code), Some(reason)) => format!("{name} ended with {code}: {}", line(reason)),
                (Some(code), None) => format!("{name} ended with {code}"),
                (None, reason) => format!("{name}: {}", line(reason.unwrap_or_default())),
            }
        })
        .collect();
    let containers =
        if containers.is_empty() { String::new() } else { format!(" ({})", containers.join("; ")) };
    format!("task {} of {what} stopped: {reason}{containers}", line(task.id()))
}

/// The newest event since the deployment began that says what is wrong.
fn telling_event(look: &Look) -> Option<String> {
    let since = look.service.primary().and_then(|primary| primary.created_at);
    let event = look.service.events.iter().find(|event| {
        let lower = event.message.to_lowercase();
        // An event without a date is not held against a deployment with one.
        let recent = since.is_none_or(|since| event.created_at.is_some_and(|at| at >= since));
        recent && TELLING.iter().any(|telling| lower.contains(telling))
    })?;
    Some(format!("ECS says: {}", line(&event.message)))
}
