//! Sending actions, and finding out what became of them.
//!
//! Every change of the workload leaves the key of its step as an annotation. That is how a request is found again whose answer was
//! lost, and why none is sent twice.

mod configuration;
mod jobs;
mod manifest;
mod tell;

use rollback_core::{ActionContext, Effect, Error, ErrorKind, Landing, Receipt, Result};
use serde_json::{Value, json};

use self::jobs::{ran, run_job};
use self::tell::{tell_appliers, to_mend};
use crate::action::{Count, K8sAction, On};
use crate::client::Client;
use crate::contents::K8sContents;
use crate::job;
use crate::look::{self, Pod, raw_template};
use crate::patch::{self, Change, mark};
use crate::template::{RESTARTED_BY, Template};
use crate::text::{controller, entry, flag, line, number, text};
use rollback_core::fingerprint::FingerprintKey;

/// How often a change is sent that the API server refused because something else about the workload had changed, like its status.
const SENDINGS: usize = 4;
/// What a step that scales puts out under this name.
const REPLICAS: &str = "replicas";

/// Sends an action, once; again only after a clean refusal, and if the workload is still set to the same.
pub(crate) async fn apply(client: &Client, cx: &ActionContext, action: &K8sAction) -> Result<Landing> {
    match action {
        K8sAction::DeletePod { on, pod, pod_uid } => return delete(client, cx, on, pod, pod_uid).await,
        K8sAction::RunJob { on, container, command, result } => {
            return run_job(client, cx, on, container, command, *result).await;
        }
        K8sAction::PutConfigMap { on, name, was, content } => {
            return configuration::put(client, cx, on, (name, was, content)).await;
        }
        K8sAction::MakeAgain { cause, .. } => return configuration::make_again(client, cx, cause).await,
        K8sAction::TellAppliers { on, left } => return tell_appliers(client, cx, on, left.as_deref()).await,
        K8sAction::ApplyManifest { on, objects } => return manifest::apply(client, cx, on, objects).await,
        K8sAction::DeleteManifest { on, objects } => return manifest::delete(client, cx, on, objects).await,
        _ => {}
    }
    let kept = match action {
        K8sAction::SetKept { .. } => Some(configuration::opened(cx).map_err(unsent)?),
        _ => None,
    };
    let (mut refused, mut first) = (None, cx.expected.clone());
    for _ in 0..SENDINGS {
        let (object, history) = read(client, action).await.map_err(unsent)?;
        let key = &client.home().await.map_err(unsent)?.key;
        if let Some(landing) = before_sending(cx, action, &object, key).map_err(unsent)? {
            return Ok(landing);
        }
        // Read again after a refusal, it must still be set to what it was, whether or not the engine said what that is.
        let token = look::token(&object, key);
        if *first.get_or_insert_with(|| token.clone()) != token {
            return Ok(Landing::Superseded { by: place(&object) });
        }
        let replicas = replicas(cx, action).map_err(unsent)?;
        let template = kept
            .as_ref()
            .map(K8sContents::template)
            .or_else(|| history.as_ref().and_then(|history| raw_template(client.workload().kind, history)));
        let change = change(client, action, template, key, replicas).map_err(unsent)?;
        let resume = resumes(action) && flag(&object, "/spec/paused");
        let operations =
            patch::operations(&object, &change, resume, &cause(action), &cx.key).map_err(unsent)?;
        match client.patch(&operations, false).await {
            Ok(changed) => return Ok(Landing::Applied(receipt(action, &changed, key))),
            Err(error) if error.kind() == ErrorKind::Stale => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    let why = "it changed again and again between reading and writing";
    let error = Error::new(ErrorKind::Conflict, format!("change {}", client.workload()), why).transient(true);
    Err(match refused {
        Some(cause) => error.with_source(cause),
        None => error,
    })
}

/// Finds out what became of an action.
pub(crate) async fn probe(client: &Client, cx: &ActionContext, action: &K8sAction) -> Result<Landing> {
    match action {
        K8sAction::DeletePod { pod, pod_uid, .. } => {
            return Ok(match standing(client, pod, pod_uid).await? {
                None => Landing::Applied(cx.unmoved().presumed()),
                Some(_) => Landing::NotApplied { why: format!("pod {pod} is still there") },
            });
        }
        K8sAction::TellAppliers { left, .. } => {
            return Ok(match to_mend(client, &client.object().await?, left.as_deref()).await?.is_empty() {
                true => Landing::Applied(cx.unmoved().presumed()),
                false => Landing::NotApplied { why: "what tools remember is as it was".to_owned() },
            });
        }
        K8sAction::PutConfigMap { name, content, .. } => {
            return configuration::stands(client, cx, name, content).await;
        }
        K8sAction::MakeAgain { .. } => return configuration::made_again(client, cx).await,
        K8sAction::RunJob { on, result, .. } => {
            return ran(client, cx, &job::name(&on.workload.name, &cx.key), *result).await;
        }
        K8sAction::ApplyManifest { objects, .. } => return manifest::applied(client, cx, objects).await,
        K8sAction::DeleteManifest { on, objects } => {
            return manifest::deleted(client, cx, on, objects).await;
        }
        _ => {}
    }
    let object = match client.object().await {
        Ok(object) => object,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Landing::Superseded { by: format!("{} was deleted", client.workload()) });
        }
        Err(error) => return Err(error),
    };
    let key = &client.home().await?.key;
    if let Some(landing) = after_sending(cx, action, &object, key) {
        return Ok(landing);
    }
    let token = look::token(&object, key);
    Ok(match &cx.expected {
        Some(expected) if *expected == token => {
            Landing::NotApplied { why: "the workload is still set to what it was".to_owned() }
        }
        Some(_) => Landing::Superseded { by: place(&object) },
        None if mark(&object).is_none() => {
            Landing::NotApplied { why: "the workload has no mark of this step".to_owned() }
        }
        None => Landing::Unknown {
            why: "another step changed it meanwhile, and may have overwritten its mark".to_owned(),
        },
    })
}

/// Reads what the decision to send depends on.
async fn read(client: &Client, action: &K8sAction) -> Result<(Value, Option<Value>)> {
    let K8sAction::SetTemplate { from, from_uid, .. } = action else {
        client.home().await?;
        return Ok((client.object().await?, None));
    };
    let (object, history) = client.object_and_entry(from).await?;
    let kind = client.workload().kind.history_name();
    let gone = |why: String| {
        Error::new(ErrorKind::NotFound, format!("put {} back", client.workload()), why)
            .next("make a new plan: the history of the workload was pruned since this one was made")
    };
    let history = history.map_err(|error| match error.kind() {
        ErrorKind::NotFound => gone(format!("{kind} {from} does not exist any more")),
        _ => error,
    })?;
    if text(&history, "/metadata/uid") != Some(from_uid) {
        return Err(gone(format!("{kind} {from} is another one now")));
    }
    Ok((object, Some(history)))
}

/// What is known before anything is sent: that it landed already, or must not be sent any more.
fn before_sending(
    cx: &ActionContext,
    action: &K8sAction,
    object: &Value,
    key: &FingerprintKey,
) -> Result<Option<Landing>> {
    let on = action.on();
    if text(object, "/metadata/uid") != Some(&on.uid) {
        return Ok(Some(Landing::Superseded { by: format!("{} was deleted and made anew", on.workload) }));
    }
    if let Some(landing) = after_sending(cx, action, object, key) {
        return Ok(Some(landing));
    }
    if let Some(owner) = controller(object) {
        let (kind, name) = (text(owner, "/kind").unwrap_or("?"), text(owner, "/name").unwrap_or("?"));
        let why = line(&format!("it belongs to {kind} {name}, which would change it back"));
        return Err(Error::new(ErrorKind::Refused, format!("change {}", on.workload), why)
            .next("put its owner back instead"));
    }
    if cx.expected.as_ref().is_some_and(|expected| *expected != look::token(object, key)) {
        return Ok(Some(Landing::Superseded { by: place(object) }));
    }
    let rolls_out = !matches!(action, K8sAction::Scale { .. });
    if rolls_out && flag(object, "/spec/paused") && !resumes(action) {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("change {}", on.workload),
            "its rollouts are paused",
        )
        .next("resume it, or set `resume_paused` and make a new plan"));
    }
    Ok(None)
}

/// What the mark on the workload says of this step, if it is this step's.
fn after_sending(
    cx: &ActionContext,
    action: &K8sAction,
    object: &Value,
    key: &FingerprintKey,
) -> Option<Landing> {
    if mark(object) != Some(cx.key.as_str()) {
        return None;
    }
    let raw = object.pointer("/spec/template").unwrap_or(&Value::Null);
    let stands = match action {
        K8sAction::SetTemplate { identity, .. }
        | K8sAction::SetKept { identity, .. }
        | K8sAction::SetImages { identity, .. } => Template::of(raw, key).identity() == *identity,
        K8sAction::Restart { .. } => {
            entry(raw, "/metadata/annotations", RESTARTED_BY) == Some(cx.key.as_str())
        }
        // An autoscaler may have changed it since: that is its business.
        _ => true,
    };
    Some(match stands {
        true => Landing::Applied(receipt(action, object, key)),
        false => Landing::Superseded { by: format!("it landed, and since then {}", place(object)) },
    })
}

/// What is changed, after a last look at what it comes from.
fn change<'a>(
    client: &Client,
    action: &'a K8sAction,
    template: Option<&'a Value>,
    key: &FingerprintKey,
    replicas: u32,
) -> Result<Change<'a>> {
    Ok(match action {
        K8sAction::SetTemplate { identity, .. } | K8sAction::SetKept { identity, .. } => {
            let raw = template.filter(|raw| Template::of(raw, key).identity() == *identity);
            let raw = raw.ok_or_else(|| {
                let from = match action {
                    K8sAction::SetTemplate { from, .. } => from,
                    _ => "what is kept",
                };
                let why = format!("{from} has another content than when the plan was made");
                Error::new(ErrorKind::Conflict, format!("put {} back", client.workload()), why)
                    .next("make a new plan, with the same fingerprint key")
            })?;
            Change::Template(raw)
        }
        K8sAction::SetImages { images, .. } => Change::Images(images),
        K8sAction::Scale { .. } => Change::Replicas(replicas),
        _ => Change::Restart,
    })
}

/// How many replicas a step asks for.
fn replicas(cx: &ActionContext, action: &K8sAction) -> Result<u32> {
    match action {
        K8sAction::Scale { to: Count::Exactly(replicas), .. } => Ok(*replicas),
        K8sAction::Scale { to: Count::AsBefore(step), .. } => {
            let before = cx.outputs.get(step).and_then(|output| output.get(REPLICAS)).and_then(Value::as_u64);
            before.and_then(|before| u32::try_from(before).ok()).ok_or_else(|| {
                Error::new(
                    ErrorKind::Corrupt,
                    "find how many replicas there were",
                    format!("step {step} put out none"),
                )
            })
        }
        _ => Ok(0),
    }
}

fn resumes(action: &K8sAction) -> bool {
    matches!(
        action,
        K8sAction::SetTemplate { resume: true, .. }
            | K8sAction::SetKept { resume: true, .. }
            | K8sAction::SetImages { resume: true, .. }
    )
}

/// What is written as the change cause.
fn cause(action: &K8sAction) -> String {
    match action {
        K8sAction::SetTemplate { cause, .. }
        | K8sAction::SetKept { cause, .. }
        | K8sAction::SetImages { cause, .. } => cause.clone(),
        K8sAction::Scale { .. } => "rollback: scaled".to_owned(),
        _ => "rollback: restarted".to_owned(),
    }
}

fn receipt(action: &K8sAction, changed: &Value, key: &FingerprintKey) -> Receipt {
    let receipt = Receipt::default().with_token(look::token(changed, key));
    if matches!(action, K8sAction::Scale { .. }) { receipt.with_output(kept(changed)) } else { receipt }
}

/// The number from before, as it was kept with the change.
fn kept(changed: &Value) -> Value {
    json!({ REPLICAS: patch::replicas_before(changed) })
}

/// Deletes a pod that is still that one and still not ready.
async fn delete(client: &Client, cx: &ActionContext, on: &On, pod: &str, uid: &str) -> Result<Landing> {
    let object = client.object().await.map_err(unsent)?;
    if let Some(superseded) = superseded(client, cx, on, &object).await? {
        return Ok(superseded);
    }
    let Some(found) = standing(client, pod, uid).await.map_err(unsent)? else {
        return Ok(Landing::Applied(cx.unmoved().with_output(json!({ "pod": "was gone already" }))));
    };
    if Pod::read(&found).is_some_and(|pod| pod.ready) {
        // Its controller replaces it by itself now.
        return Ok(Landing::Applied(cx.unmoved().with_output(json!({ "pod": "was ready by then" }))));
    }
    match client.delete_pod(pod, uid).await {
        // Refused because of its UID: that pod is gone, and this is the next one.
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Stale) => Err(error),
        _ => Ok(Landing::Applied(cx.unmoved())),
    }
}

/// Whether it is another workload, or set to something else than the engine expects.
async fn superseded(client: &Client, cx: &ActionContext, on: &On, object: &Value) -> Result<Option<Landing>> {
    let token = look::token(object, &client.home().await.map_err(unsent)?.key);
    let is_another = text(object, "/metadata/uid") != Some(&on.uid);
    let moved = is_another || cx.expected.as_ref().is_some_and(|expected| *expected != token);
    Ok(moved.then(|| Landing::Superseded { by: place(object) }))
}

/// The pod with this UID, unless it is gone or going.
async fn standing(client: &Client, pod: &str, uid: &str) -> Result<Option<Value>> {
    match client.pod(pod).await {
        Ok(found) => {
            let going = found.pointer("/metadata/deletionTimestamp").is_some();
            Ok((text(&found, "/metadata/uid") == Some(uid) && !going).then_some(found))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A failure before anything was sent.
fn unsent(error: Error) -> Error {
    error.with_effect(Effect::None)
}

fn place(object: &Value) -> String {
    let cause = entry(object, "/metadata/annotations", look::CHANGE_CAUSE).map(line);
    let generation = number(object, "/metadata/generation");
    match cause {
        Some(cause) => format!("somebody changed it: generation {generation}, change cause {cause:?}"),
        None => format!("somebody changed it: generation {generation}"),
    }
}
