//! Putting back what is kept: ConfigMaps, and workloads that are gone.

use rollback_core::{ActionContext, Error, ErrorKind, Landing, Receipt, Result};
use serde_json::{Value, json};

use super::{SENDINGS, superseded, unsent};
use crate::action::{On, Was};
use crate::client::Client;
use crate::contents::K8sContents;
use crate::coupled::{Coupled, map_place};
use crate::patch::{self, mark};
use crate::text::flag;

/// Sets a ConfigMap to the content that is kept of it, or makes it again.
pub(super) async fn put(
    client: &Client,
    cx: &ActionContext,
    on: &On,
    (name, was, content): (&str, &Was, &str),
) -> Result<Landing> {
    let contents = opened(cx).map_err(unsent)?;
    let key = &client.home().await.map_err(unsent)?.key;
    let kept = contents.config_map(name, content, key).map_err(unsent)?;
    for _ in 0..SENDINGS {
        // A workload that is to be made again does not exist yet.
        if !on.uid.is_empty() {
            let object = client.object().await.map_err(unsent)?;
            if let Some(superseded) = superseded(client, cx, on, &object).await? {
                return Ok(superseded);
            }
        }
        let sent = match client.config_map(name).await {
            Ok(now) if is_ours(&now, cx) => return Ok(Landing::Applied(cx.unmoved())),
            Ok(now) => {
                let found = Coupled::content(&map_place(name), &now, key);
                if found == content {
                    let output = json!({ "config-map": "was so already" });
                    return Ok(Landing::Applied(cx.unmoved().with_output(output)));
                }
                if !was.fits(Some(&found)) {
                    return Ok(Landing::Superseded { by: format!("somebody changed ConfigMap {name}") });
                }
                refuse_immutable(name, &now).map_err(unsent)?;
                let operations = patch::configuration(&now, kept, &cx.key).map_err(unsent)?;
                client.patch_config_map(name, &operations).await
            }
            Err(error) if error.kind() == ErrorKind::NotFound && was.fits(None) => {
                client.create_config_map(&patch::marked(kept, &cx.key)).await
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Landing::Superseded { by: format!("somebody deleted ConfigMap {name}") });
            }
            Err(error) => return Err(unsent(error)),
        };
        match sent {
            Ok(_) => return Ok(Landing::Applied(cx.unmoved())),
            // It changed between reading and writing, or somebody made it: look again.
            Err(error) if matches!(error.kind(), ErrorKind::Stale | ErrorKind::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Landing::NotApplied {
        why: format!("ConfigMap {name} changed again and again between reading and writing"),
    })
}

/// What became of it.
pub(super) async fn stands(
    client: &Client,
    cx: &ActionContext,
    name: &str,
    content: &str,
) -> Result<Landing> {
    let key = &client.home().await?.key;
    Ok(match client.config_map(name).await {
        Ok(now) if is_ours(&now, cx) => Landing::Applied(cx.unmoved()),
        Ok(now) if Coupled::content(&map_place(name), &now, key) == content => {
            Landing::Applied(cx.unmoved().presumed())
        }
        Ok(_) => Landing::NotApplied { why: format!("ConfigMap {name} has another content") },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Landing::NotApplied { why: format!("ConfigMap {name} does not exist") }
        }
        Err(error) => return Err(error),
    })
}

/// Makes a workload again that is gone.
pub(super) async fn make_again(client: &Client, cx: &ActionContext, cause: &str) -> Result<Landing> {
    let contents = opened(cx).map_err(unsent)?;
    match made_again(client, cx).await.map_err(unsent)? {
        Landing::NotApplied { .. } => {}
        landing => return Ok(landing),
    }
    match client.create(&patch::caused(&patch::marked(contents.workload(), &cx.key), cause)).await {
        Ok(made) => token(client, &made).await.map(Landing::Applied),
        Err(error) if error.kind() == ErrorKind::Conflict => made_again(client, cx).await,
        Err(error) => Err(error),
    }
}

/// What became of it.
pub(super) async fn made_again(client: &Client, cx: &ActionContext) -> Result<Landing> {
    match client.object().await {
        Ok(object) if is_ours(&object, cx) => token(client, &object).await.map(Landing::Applied),
        Ok(_) => Ok(Landing::Superseded { by: format!("somebody made {} again", client.workload()) }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(Landing::NotApplied { why: format!("{} does not exist", client.workload()) })
        }
        Err(error) => Err(error),
    }
}

async fn token(client: &Client, object: &Value) -> Result<Receipt> {
    Ok(Receipt::default().with_token(crate::look::token(object, &client.home().await?.key)))
}

fn is_ours(object: &Value, cx: &ActionContext) -> bool {
    mark(object) == Some(cx.key.as_str())
}

/// The contents that a step is sent with.
pub(super) fn opened(cx: &ActionContext) -> Result<K8sContents> {
    cx.contents.as_ref().map(rollback_core::Contents::open).transpose()?.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "put back what is kept", "the step is sent without contents")
            .next("this is a fault of the tool: report it")
    })
}

/// The API server would refuse it as well, and say less.
fn refuse_immutable(name: &str, now: &Value) -> Result<()> {
    if !flag(now, "/immutable") {
        return Ok(());
    }
    let why = format!("ConfigMap {name} is immutable, and was deleted and made anew since");
    Err(Error::new(ErrorKind::Refused, "put a ConfigMap back", why)
        .next("delete it if nothing else needs what it holds now, and plan again: it is made again then"))
}
