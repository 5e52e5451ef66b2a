//! Single questions about the way back.

use jiff::Timestamp;
use rollback_core::target::{Finding, Reading};
use rollback_core::{ErrorKind, Result};
use serde_json::Value;

use super::is_still;
use crate::client::Client;
use crate::look::{Look, raw_template};
use crate::snapshot::K8sSnapshot;
use crate::template::Template;
use crate::text::{line, text};

/// Why there is no entry of the history to go back to.
pub(super) enum Missing {
    /// It was pruned.
    Gone,
    /// There is one of that name, which is another one, or holds another content.
    Another(String),
    /// Nobody can tell.
    Unknown(String),
}

/// The ReplicaSet or ControllerRevision that holds the destination, if it still does.
pub(super) async fn entry(
    client: &Client,
    to: &K8sSnapshot,
    name: &str,
    uid: &str,
) -> Result<Value, Missing> {
    let kind = to.workload.kind.history_name();
    let found = match client.entry(name).await {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Missing::Gone),
        Err(error) => return Err(Missing::Unknown(error.message().to_owned())),
    };
    if text(&found, "/metadata/uid") != Some(uid) {
        return Err(Missing::Another(format!("{kind} {name} is another one now")));
    }
    let home = client.home().await.map_err(|error| Missing::Unknown(error.message().to_owned()))?;
    match raw_template(to.workload.kind, &found) {
        Some(raw) if is_still(raw, to, &home.key) => Ok(found),
        _ => Err(Missing::Another(format!("{kind} {name} has another content now"))),
    }
}

/// Whether it is there.
pub(super) fn presence(entry: &Result<Value, Missing>) -> Reading<Option<Timestamp>> {
    match entry {
        Ok(_) => Reading::Known(None),
        Err(Missing::Gone | Missing::Another(_)) => Reading::Absent,
        Err(Missing::Unknown(why)) => Reading::Unknown(why.clone()),
    }
}

/// What is there instead.
pub(super) fn another(missing: &Missing) -> Option<Finding> {
    match missing {
        Missing::Another(what) => Some(Finding::warning("revision-missing", what)),
        Missing::Gone | Missing::Unknown(_) => None,
    }
}

/// What the API server said to the request that would be sent, and whether it would make of it what is wanted.
pub(super) async fn rehearsed(answer: Result<Value>, wanted: &Template, client: &Client) -> Vec<Finding> {
    let error =
        match answer {
            Ok(object) => {
                let Ok(home) = client.home().await else { return Vec::new() };
                let made = Template::of(object.pointer("/spec/template").unwrap_or(&Value::Null), &home.key);
                let changed: Vec<_> = made.diff(wanted).into_iter().map(|entry| entry.path).take(5).collect();
                if changed.is_empty() {
                    return Vec::new();
                }
                let message = format!(
                    "something in the cluster changes the pod template on its way in: {}",
                    changed.join(", ")
                );
                return vec![Finding::warning("template-altered", message).next(
                    "an admission webhook does that; the result cannot be proven to be what ran before",
                )];
            }
            Err(error) => error,
        };
    let next = error.next_step().unwrap_or("make a new plan").to_owned();
    vec![match error.kind() {
        ErrorKind::Denied => Finding::blocker("denied", error.message()).next(next),
        ErrorKind::Refused | ErrorKind::Invalid => Finding::blocker("refused", error.message()).next(next),
        // It was changed since it was read; the run looks again.
        ErrorKind::Stale => return Vec::new(),
        _ => Finding::warning("dry-run", format!("the request could not be rehearsed: {}", error.message())),
    }]
}

/// Who decides on the number of replicas.
pub(super) fn autoscalers(look: &Look, read: Result<Vec<Value>>) -> Option<Finding> {
    let unknown = |why: &str| {
        let message = format!("whether an autoscaler is there could not be read: {why}");
        Some(Finding::info("autoscaler-unknown", message))
    };
    let all = match read {
        Ok(all) => all,
        Err(error) => return unknown(error.message()),
    };
    let is_ours = |one: &&Value| {
        text(one, "/spec/scaleTargetRef/kind") == Some(look.workload.kind.name())
            && text(one, "/spec/scaleTargetRef/name") == Some(look.workload.name.as_str())
    };
    let found = all.iter().find(is_ours)?;
    let name = line(text(found, "/metadata/name").unwrap_or("?"));
    Some(Finding::info(
        "autoscaler",
        format!("HorizontalPodAutoscaler {name} sets the number of replicas; it is left alone"),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::look::tests::deployment;

    #[test]
    fn only_its_own_autoscaler_counts() {
        let look = deployment(4).look();
        let scaler = |kind: &str, name: &str| json!({ "metadata": { "name": "hpa" }, "spec": { "scaleTargetRef": { "kind": kind, "name": name } } });
        assert!(
            autoscalers(&look, Ok(vec![scaler("Deployment", "web")])).unwrap().message.contains("left alone")
        );
        assert_eq!(
            autoscalers(&look, Ok(vec![scaler("Deployment", "other"), scaler("StatefulSet", "web")])),
            None
        );
    }
}
