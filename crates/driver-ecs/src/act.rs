//! Sending actions, and finding out what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join;
use rollback_core::{ActionContext, Effect, Error, ErrorKind, Landing, Receipt, Result, Token};
use serde_json::{Value, json};

use crate::action::{Destination, EcsAction};
use crate::arn::{Arn, TaskDefinitionArn};
use crate::circumstances::CodeDeployGroup;
use crate::client::Client;
use crate::look::{Look, Service, Task, line};
use crate::task_definition::Registration;

/// What a step that registers puts out under this name.
const REGISTERED: &str = "task-definition";
/// How long a look of the engine's is relied on.
const MOMENT: Duration = Duration::from_secs(2);
/// How many of a family's newest revisions are looked through for one that was registered.
const NEWEST: usize = 5;

/// Sends an action, once.
pub(crate) async fn apply(client: &Client, cx: &ActionContext, action: &EcsAction) -> Result<Landing> {
    match action {
        EcsAction::StopServiceDeployment { deployment } => {
            client.stop_deployment(deployment).await?;
            Ok(Landing::applied())
        }
        EcsAction::RollBackAtHook { deployment, hook } => {
            client.roll_back_at_hook(deployment, hook).await?;
            Ok(Landing::applied())
        }
        EcsAction::StopCodeDeploy { deployment } => stop_code_deploy(client, deployment).await,
        EcsAction::CreateCodeDeploy { group, to } => create(client, cx, group, to).await,
        EcsAction::UpdateService { service, to } => update(client, cx, service, to).await,
        EcsAction::Register { from, pin, environment_of } => {
            let wanted = client.for_registering(from, pin, environment_of.as_ref()).await.map_err(unsent)?;
            let made = client.register(&wanted).await?;
            Ok(Landing::Applied(registered(cx, &made)))
        }
        EcsAction::Deregister { revision } => {
            if let Some(user) = client.user_of(revision).await.map_err(unsent)? {
                return Err(in_use(revision, &user));
            }
            client.deregister(revision).await?;
            Ok(Landing::applied())
        }
        EcsAction::ShiftTraffic { listener, weights } => {
            if let Some(superseded) = moved(client, cx).await?.1 {
                return Ok(superseded);
            }
            client.shift_traffic(listener, weights).await?;
            Ok(Landing::Applied(cx.unmoved()))
        }
        EcsAction::Restart { service } => {
            if let Some(superseded) = ready(client, cx, service).await? {
                return Ok(superseded);
            }
            Ok(set(client.restart().await?))
        }
        EcsAction::SetTasks { service, tasks } => {
            if let Some(superseded) = ready(client, cx, service).await? {
                return Ok(superseded);
            }
            Ok(set(client.set_tasks(*tasks).await?))
        }
        EcsAction::RunTask { run, container, command } => {
            let run = destination(cx, run).map_err(unsent)?;
            let command = container.as_deref().map(|container| (container, command.as_slice()));
            let task = client.run_task(&run, cx.key.as_str(), command).await?;
            Ok(Landing::Running { what: format!("task {} was started", short(&task)) })
        }
    }
}

/// Finds out what became of an action.
pub(crate) async fn probe(client: &Client, cx: &ActionContext, action: &EcsAction) -> Result<Landing> {
    match action {
        EcsAction::StopServiceDeployment { deployment } | EcsAction::RollBackAtHook { deployment, .. } => {
            stopped(client, deployment).await
        }
        EcsAction::StopCodeDeploy { deployment } => code_deploy_stopped(client, deployment).await,
        EcsAction::CreateCodeDeploy { group, .. } => created(client, cx, group).await,
        EcsAction::UpdateService { to, .. } => {
            let to = destination(cx, to)?;
            let look = client.intent().await?;
            let token = look.token();
            if cx.expected.as_ref() == Some(&token) {
                return Ok(not_applied(format!("the service is still set to {}", place(&look))));
            }
            let there =
                look.service.primary().and_then(|primary| primary.task_definition.as_ref()) == Some(&to);
            Ok(match (there, &cx.expected) {
                (true, _) => presumed(Some(token)),
                (false, Some(_)) => {
                    Landing::Superseded { by: format!("the service was set to {}", place(&look)) }
                }
                (false, None) => not_applied(format!("the service is set to {}", place(&look))),
            })
        }
        EcsAction::Register { from, pin, environment_of } => {
            let wanted = client.for_registering(from, pin, environment_of.as_ref()).await?;
            let family = client.family(from.family(), NEWEST).await?;
            for revision in family.active.iter().filter(|revision| *revision != from) {
                // Whoever registered it: it is the revision that was wanted.
                if client.task_definition(revision).await?.for_registering() == wanted.for_registering() {
                    return Ok(Landing::Applied(registered(cx, revision).presumed()));
                }
            }
            Ok(not_applied(format!("{} has no such revision", from.family())))
        }
        EcsAction::Deregister { revision } => {
            Ok(match client.task_definition(revision).await?.registration() {
                Registration::Active => not_applied(format!("{} is ACTIVE", revision.short())),
                _ => presumed(None),
            })
        }
        EcsAction::Restart { .. } => {
            let look = client.intent().await?;
            let token = look.token();
            Ok(match &cx.expected {
                Some(expected) if *expected == token => not_applied("no new deployment was made".to_owned()),
                // A forced deployment leaves no mark of whose it is.
                Some(_) => presumed(Some(token)),
                None => Landing::Unknown { why: "which deployment ran before is not known".to_owned() },
            })
        }
        EcsAction::SetTasks { tasks, .. } => {
            let look = client.intent().await?;
            Ok(match look.service.desired_count {
                found if found == *tasks => presumed(Some(look.token())),
                found => not_applied(format!("the service is set to {found} tasks")),
            })
        }
        EcsAction::RunTask { .. } => Ok(match client.task_of(cx.key.as_str()).await? {
            Some(task) => ran(cx, &task),
            None => not_applied("ECS knows no task that was started by this step".to_owned()),
        }),
        EcsAction::ShiftTraffic { listener, weights } => {
            let now = client.weights(listener).await?;
            Ok(if now == *weights {
                Landing::Applied(cx.unmoved().presumed())
            } else {
                not_applied("the listener has other weights".to_owned())
            })
        }
    }
}

async fn update(client: &Client, cx: &ActionContext, service: &Arn, to: &Destination) -> Result<Landing> {
    let to = destination(cx, to).map_err(unsent)?;
    if let Some(superseded) = ready(client, cx, service).await? {
        return Ok(superseded);
    }
    Ok(set(client.update_service(&to).await?))
}

/// Looks once more before the service is changed: that it is this one, and that nobody changed it since. Not when the engine
/// did so a moment ago: in an outage that moment counts, and ECS has no way to send what is expected along.
async fn ready(client: &Client, cx: &ActionContext, service: &Arn) -> Result<Option<Landing>> {
    let named = service.resource().rsplit('/').next();
    if cx.seen.is_some_and(|ago| ago.as_duration() <= MOMENT) && named == Some(client.name()) {
        return Ok(None);
    }
    let (look, superseded) = moved(client, cx).await?;
    if look.service.arn != *service {
        let what = format!("this is {}", look.service.arn);
        return Err(
            Error::new(ErrorKind::Refused, format!("change {service}"), what).with_effect(Effect::None)
        );
    }
    Ok(superseded)
}

fn in_use(revision: &TaskDefinitionArn, user: &str) -> Error {
    let (doing, what) = (format!("deregister {}", revision.short()), format!("{user} still uses it"));
    Error::new(ErrorKind::Refused, doing, what).with_effect(Effect::None).next(format!(
        "once nothing does: aws ecs deregister-task-definition --task-definition {}",
        revision.short()
    ))
}

/// The service as ECS answered, with the deployment that was just made.
fn set(changed: Option<Service>) -> Landing {
    let receipt = Receipt::default();
    Landing::Applied(match changed.map(|service| Look::new(service).token()) {
        Some(token) => receipt.with_token(token),
        None => receipt,
    })
}

/// What a task that was run came to.
fn ran(cx: &ActionContext, task: &Task) -> Landing {
    let name = short(&task.arn);
    if task.last_status != "STOPPED" {
        return Landing::Running { what: format!("task {name} is {}", task.last_status) };
    }
    let codes: BTreeMap<_, _> =
        task.containers.iter().map(|one| (one.name.as_str(), one.exit_code)).collect();
    if codes.values().all(|code| *code == Some(0)) {
        return Landing::Applied(cx.unmoved().with_output(json!({ "task": task.arn, "exit-codes": codes })));
    }
    let told: Vec<_> = codes
        .iter()
        .map(|(name, code)| match code {
            Some(code) => format!("{name} ended with {code}"),
            None => format!("{name} never ran"),
        })
        .collect();
    let reason = task.stopped_reason.as_deref().unwrap_or("ECS gives no reason");
    Landing::Failed { why: format!("task {name}: {}; {}", told.join(", "), line(reason)) }
}

fn short(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// A second request, after the answer to the first was lost, is refused once the deployment has stopped.
async fn stop_code_deploy(client: &Client, deployment: &str) -> Result<Landing> {
    match client.stop_code_deployment(deployment).await {
        Ok(()) => Ok(Landing::applied()),
        Err(error) if error.kind() == ErrorKind::Conflict => {
            match code_deploy_stopped(client, deployment).await {
                Ok(landed @ Landing::Applied(_)) => Ok(landed),
                _ => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// CodeDeploy does not say who stopped a deployment.
async fn code_deploy_stopped(client: &Client, deployment: &str) -> Result<Landing> {
    let found = client.code_deployment(deployment).await?;
    let asked = found.status == "Stopped" || found.rolled_back_by().is_some();
    Ok(if asked {
        presumed(None)
    } else {
        not_applied(format!("deployment {deployment} of CodeDeploy is {}", line(&found.status)))
    })
}

async fn create(
    client: &Client,
    cx: &ActionContext,
    group: &CodeDeployGroup,
    to: &Destination,
) -> Result<Landing> {
    let to = destination(cx, to).map_err(unsent)?;
    let found = try_join(client.intent_through(group), client.task_definition(&to));
    let (look, definition) = found.await.map_err(unsent)?;
    if let Some(superseded) = superseded(cx, &look) {
        return Ok(superseded);
    }
    // CodeDeploy would take it, and fail it later.
    if definition.registration() != Registration::Active {
        let what = format!("{} is not ACTIVE any more", to.short());
        let doing = format!("deploy {} through {}/{}", to.short(), group.application, group.group);
        return Err(Error::new(ErrorKind::NotFound, doing, what)
            .with_effect(Effect::None)
            .next("make a new plan: what is INACTIVE has to be registered again first"));
    }
    let app_spec = client.app_spec_to(group, &to, &look).await;
    // CodeDeploy keeps it: this is how the deployment is found again when its answer is lost.
    let id = client.create_code_deployment(group, &to, &app_spec, &mark(cx)).await?;
    Ok(made(&look, &id))
}

/// The receipt of a deployment of CodeDeploy that we made.
fn made(look: &Look, id: &str) -> Landing {
    let receipt = Receipt::default().with_token(look.token_of_code_deploy(id));
    Landing::Applied(receipt.with_output(json!({ "deployment": id })))
}

/// CodeDeploy keeps the description, so this is certain; unless somebody deployed since: then it no longer counts.
async fn created(client: &Client, cx: &ActionContext, group: &CodeDeployGroup) -> Result<Landing> {
    let look = client.intent_through(group).await?;
    let newest = look.code_deploy.known().map(Vec::as_slice).unwrap_or_default();
    let mine = newest.iter().position(|deployment| {
        !deployment.is_rollback() && deployment.description.as_deref() == Some(&mark(cx))
    });
    let by = |id: &str| Landing::Superseded { by: format!("deployment {} of CodeDeploy was made", line(id)) };
    let Some(at) = mine else {
        return Ok(match newest.first() {
            Some(other) if cx.expected.as_ref().is_some_and(|expected| *expected != look.token()) => {
                by(&other.deployment_id)
            }
            _ => not_applied("CodeDeploy has no deployment of this run".to_owned()),
        });
    };
    let id = newest[at].deployment_id.as_str();
    Ok(match newest[..at].iter().find(|later| later.rolls_back() != Some(id)) {
        Some(later) => by(&later.deployment_id),
        None => made(&look, id),
    })
}

/// What a deployment of CodeDeploy is described with.
fn mark(cx: &ActionContext) -> String {
    format!("rollback {}", cx.key)
}

/// ECS does not say who stopped a deployment.
async fn stopped(client: &Client, deployment: &Arn) -> Result<Landing> {
    let found = client.described_deployment(deployment).await?;
    Ok(match found {
        Some(found) if found.is_returning() || found.status.starts_with("ROLLBACK") => presumed(None),
        Some(found) => not_applied(format!("the deployment is {}", found.status)),
        None => not_applied("ECS has no such deployment".to_owned()),
    })
}

/// What the service is set to, and whether that is no longer what the engine expects.
async fn moved(client: &Client, cx: &ActionContext) -> Result<(Look, Option<Landing>)> {
    let look = client.intent().await.map_err(unsent)?;
    let superseded = superseded(cx, &look);
    Ok((look, superseded))
}

/// Whether the service is set to something else than the engine expects.
fn superseded(cx: &ActionContext, look: &Look) -> Option<Landing> {
    let moved = cx.expected.as_ref().is_some_and(|expected| *expected != look.token());
    moved
        .then(|| Landing::Superseded { by: format!("the service was changed: it is set to {}", place(look)) })
}

/// A failure before anything was sent.
fn unsent(error: Error) -> Error {
    error.with_effect(Effect::None)
}

fn presumed(token: Option<Token>) -> Landing {
    let receipt = Receipt::default().presumed();
    Landing::Applied(match token {
        Some(token) => receipt.with_token(token),
        None => receipt,
    })
}

fn not_applied(why: String) -> Landing {
    Landing::NotApplied { why }
}

fn place(look: &Look) -> String {
    let primary = look.service.primary().and_then(|primary| primary.task_definition.as_ref());
    let set = || look.service.task_sets.iter().find(|set| set.status == "PRIMARY")?.task_definition.as_ref();
    primary.or_else(set).map_or_else(|| "an unknown revision".to_owned(), TaskDefinitionArn::short)
}

/// Registering leaves the service as it is.
fn registered(cx: &ActionContext, made: &TaskDefinitionArn) -> Receipt {
    cx.unmoved().with_output(json!({ REGISTERED: made }))
}

/// The revision that is meant.
fn destination(cx: &ActionContext, to: &Destination) -> Result<TaskDefinitionArn> {
    match to {
        Destination::Revision(arn) => Ok(arn.clone()),
        Destination::RegisteredBy(step) => {
            let put_out =
                cx.outputs.get(step).and_then(|output| output.get(REGISTERED)).and_then(Value::as_str);
            put_out.and_then(|arn| arn.parse().ok()).ok_or_else(|| {
                let what = format!("step {step} put out no revision");
                Error::new(ErrorKind::Corrupt, "find the revision that was registered", what)
            })
        }
    }
}
