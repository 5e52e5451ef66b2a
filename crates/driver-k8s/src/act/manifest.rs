//! Applying objects, and deleting them again.

use futures_util::future::try_join_all;
use rollback_core::{ActionContext, Effect, Error, ErrorKind, Landing, Result};
use serde_json::Value;

use super::{superseded, unsent};
use crate::action::On;
use crate::client::{Client, Place};
use crate::manifest::{Named, is_by, is_for, marked};
use crate::text::{list, text};

/// An object with what is there under its name.
type Found = (Named, Place, Option<Value>);

/// Applies objects, one after the other. Repeatable: what is there already, and ours, is applied again.
pub(super) async fn apply(
    client: &Client,
    cx: &ActionContext,
    on: &On,
    objects: &[Value],
) -> Result<Landing> {
    let workload = client.object().await.map_err(unsent)?;
    if let Some(superseded) = superseded(client, cx, on, &workload).await? {
        return Ok(superseded);
    }
    let names: Vec<_> = objects.iter().filter_map(Named::of).collect();
    let found = look(client, &names).await.map_err(unsent)?;
    // Of all of them, before the first is changed.
    if let Some((name, ..)) = found.iter().find(|(_, _, there)| is_somebody_elses(there.as_ref(), on)) {
        let why = format!("{name} is there already, and was not applied by a rollback of {}", on.workload);
        return Err(Error::new(ErrorKind::Refused, format!("apply {name}"), why)
            .next("give the object of the plan another name"));
    }
    let mut done = Vec::new();
    for ((name, place, there), object) in found.iter().zip(objects) {
        let uid = there.as_ref().and_then(|there| text(there, "/metadata/uid"));
        let sent = marked(object, &on.workload, &cx.key, uid);
        match client.apply_object(place, &name.name, &sent).await {
            Ok(_) => done.push(name.to_string()),
            // A clean refusal, after others were applied: nothing is unclear, and it is not undone.
            Err(error) if error.effect() == Effect::None && !error.is_transient() && !done.is_empty() => {
                let why = format!("{name}: {}; applied before it: {}", error.message(), done.join(", "));
                return Ok(Landing::Failed { why });
            }
            Err(error) => return Err(error),
        }
        cx.progress(done.len() as u64, objects.len() as u64, &name.to_string());
    }
    Ok(Landing::Applied(cx.unmoved()))
}

/// Whether all of them are there as this step left them.
pub(super) async fn applied(client: &Client, cx: &ActionContext, objects: &[Value]) -> Result<Landing> {
    let names: Vec<_> = objects.iter().filter_map(Named::of).collect();
    let found = look(client, &names).await?;
    let missing =
        found.iter().find(|(_, _, there)| !there.as_ref().is_some_and(|there| is_by(there, &cx.key)));
    Ok(match missing {
        None => Landing::Applied(cx.unmoved()),
        Some((name, ..)) => {
            Landing::NotApplied { why: format!("{name} is not there as this step applies it") }
        }
    })
}

/// Deletes objects that were applied for this workload, and no others.
pub(super) async fn delete(client: &Client, cx: &ActionContext, on: &On, names: &[Named]) -> Result<Landing> {
    let workload = client.object().await.map_err(unsent)?;
    if let Some(superseded) = superseded(client, cx, on, &workload).await? {
        return Ok(superseded);
    }
    let found = look(client, names).await.map_err(unsent)?;
    for (name, place, there) in &found {
        let Some(there) = there.as_ref().filter(|there| is_for(there, &on.workload)) else { continue };
        let uid = text(there, "/metadata/uid").unwrap_or_default();
        match client.delete_object(place, &name.name, uid).await {
            // Refused because of its UID: that one is gone, and the next one is not ours to judge by what was read.
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Stale) => {
                return Err(error);
            }
            _ => {}
        }
    }
    deleted(client, cx, on, names).await
}

/// Whether none of them is there any more.
pub(super) async fn deleted(
    client: &Client,
    cx: &ActionContext,
    on: &On,
    names: &[Named],
) -> Result<Landing> {
    for (name, _, there) in look(client, names).await? {
        let Some(there) = there else { continue };
        if !is_for(&there, &on.workload) {
            let why = format!(
                "{name} is there, and was not applied by a rollback of {}: it was left alone",
                on.workload
            );
            return Ok(Landing::Failed { why });
        }
        let finalizers = list(&there, "/metadata/finalizers");
        return Ok(match there.pointer("/metadata/deletionTimestamp") {
            Some(_) => {
                let waits: Vec<_> = finalizers.iter().filter_map(Value::as_str).collect();
                let what = format!("{name} is being deleted, and waits for {}", waits.join(", "));
                Landing::Running { what: crate::text::line(&what) }
            }
            None => Landing::NotApplied { why: format!("{name} is still there") },
        });
    }
    Ok(Landing::Applied(cx.unmoved()))
}

fn is_somebody_elses(there: Option<&Value>, on: &On) -> bool {
    there.is_some_and(|there| !is_for(there, &on.workload))
}

async fn look(client: &Client, names: &[Named]) -> Result<Vec<Found>> {
    try_join_all(names.iter().map(|name| async move {
        let place = client.place(name).await?;
        let there = client.find(&place, &name.name).await?;
        Ok((name.clone(), place, there))
    }))
    .await
}
