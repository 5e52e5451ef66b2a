//! Telling tools that apply manifests.

use rollback_core::{ActionContext, ErrorKind, Landing, Result};
use serde_json::Value;

use super::{SENDINGS, superseded, unsent};
use crate::action::On;
use crate::appliers;
use crate::client::Client;
use crate::look::raw_template;
use crate::patch;

/// Writes down what tools would have written that apply manifests. Repeatable: what is written already is left alone.
pub(super) async fn tell_appliers(
    client: &Client,
    cx: &ActionContext,
    on: &On,
    left: Option<&str>,
) -> Result<Landing> {
    for _ in 0..SENDINGS {
        let object = client.object().await.map_err(unsent)?;
        if let Some(superseded) = superseded(client, cx, on, &object).await? {
            return Ok(superseded);
        }
        let operations = to_mend(client, &object, left).await.map_err(unsent)?;
        if operations.is_empty() {
            return Ok(Landing::Applied(cx.unmoved()));
        }
        let operations = patch::guarded(&object, operations).map_err(unsent)?;
        match client.patch(&operations, false).await {
            Ok(_) => return Ok(Landing::Applied(cx.unmoved())),
            Err(error) if error.kind() == ErrorKind::Stale => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Landing::NotApplied {
        why: "the workload changed again and again between reading and writing".to_owned(),
    })
}

/// What is left to be written down. Of a revision that is gone nobody knows what it had.
pub(super) async fn to_mend(client: &Client, object: &Value, left: Option<&str>) -> Result<Vec<Value>> {
    let left = match left {
        None => None,
        Some(name) => match client.entry(name).await {
            Ok(entry) => raw_template(client.workload().kind, &entry).map(patch::sendable),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        },
    };
    Ok(appliers::mended(object, left.as_ref()))
}
