//! Pods: what runs in them, and what is wrong with those that do not.

use std::collections::BTreeMap;

use rollback_core::Digest;
use serde_json::Value;

use crate::image;
use crate::text::{controller, entry, flag, line, list, number, text};

/// One pod, as far as it matters here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// The UID of what controls it.
    pub(crate) owner: String,
    /// Which revision it was made from, where its controller says so in a label.
    pub(crate) revision: Option<String>,
    pub(crate) ready: bool,
    /// Its containers' restarts, in all.
    pub(crate) restarts: u64,
    /// The digest of the image that each container runs, where the runtime tells it.
    pub(crate) images: BTreeMap<String, Digest>,
    pub(crate) trouble: Option<Trouble>,
    /// Who can tell more of a failure that is certain.
    pub(crate) witness: Option<Witness>,
}

/// Who can tell more of what is wrong with a pod than its status does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Witness {
    /// The log of the last instance of this container; how often it was started again tells instances apart.
    Log { container: String, restarts: u64 },
    /// The events about the pod: why its image could not be pulled.
    Events,
}

/// What keeps a pod from being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It will not become ready by waiting.
    Certain(String),
    /// It may.
    Perhaps(String),
}

impl Trouble {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Certain(text) | Self::Perhaps(text) => text,
        }
    }
}

impl Pod {
    /// A pod that counts: one that is being deleted, or has ended, is none.
    pub(crate) fn read(pod: &Value) -> Option<Self> {
        let ended = matches!(text(pod, "/status/phase"), Some("Failed" | "Succeeded"));
        if ended || pod.pointer("/metadata/deletionTimestamp").is_some() {
            return None;
        }
        let statuses = || list(pod, "/status/containerStatuses").iter();
        let running = |status: &Value| {
            let digest = image::running(text(status, "/imageID")?)?;
            Some((text(status, "/name")?.to_owned(), digest))
        };
        let ready = list(pod, "/status/conditions")
            .iter()
            .any(|one| text(one, "/type") == Some("Ready") && text(one, "/status") == Some("True"));
        let (trouble, witness) = trouble(pod, ready);
        Some(Self {
            name: text(pod, "/metadata/name")?.to_owned(),
            uid: text(pod, "/metadata/uid")?.to_owned(),
            owner: text(controller(pod)?, "/uid")?.to_owned(),
            revision: entry(pod, "/metadata/labels", "controller-revision-hash").map(str::to_owned),
            ready,
            restarts: statuses().map(|status| number(status, "/restartCount")).sum(),
            images: statuses().filter_map(running).collect(),
            trouble,
            witness,
        })
    }
}

fn trouble(pod: &Value, ready: bool) -> (Option<Trouble>, Option<Witness>) {
    let all = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let found: Vec<_> = all
        .iter()
        .flat_map(|at| list(pod, at))
        .filter_map(|status| Some((named(pod, container_trouble(status)?), status)))
        .collect();
    let certain = found.iter().find(|(one, _)| matches!(one, Trouble::Certain(_)));
    if let Some((certain, status)) = certain {
        return (Some(certain.clone()), witness(status));
    }
    if ready {
        return (None, None);
    }
    let unscheduled = list(pod, "/status/conditions").iter().find(|condition| {
        text(condition, "/type") == Some("PodScheduled")
            && text(condition, "/reason") == Some("Unschedulable")
    });
    // More nodes may be on their way: nobody can say that it will not be scheduled.
    let unscheduled = unscheduled.map(|condition| {
        let why = line(text(condition, "/message").unwrap_or("no reason is given"));
        named(pod, Trouble::Perhaps(format!("cannot be scheduled: {why}")))
    });
    let other = unscheduled.or_else(|| found.into_iter().next().map(|(trouble, _)| trouble));
    (other.or_else(|| unproven(pod)), None)
}

/// All its containers run, and it is not ready: a probe that has not passed yet, and may pass any time.
fn unproven(pod: &Value) -> Option<Trouble> {
    let waits = |status: &&Value| status.pointer("/state/running").is_some() && !flag(status, "/ready");
    let status = list(pod, "/status/containerStatuses").iter().find(waits)?;
    let name = text(status, "/name").unwrap_or("?");
    let probe = match status.pointer("/started").and_then(Value::as_bool) {
        Some(false) => "startup probe",
        _ => "readiness probe",
    };
    Some(named(pod, Trouble::Perhaps(format!("container {name} runs, and its {probe} has not passed"))))
}

fn witness(status: &Value) -> Option<Witness> {
    let container = text(status, "/name")?.to_owned();
    match text(status, "/state/waiting/reason")? {
        // Without an instance that ended there is no log of one.
        "CrashLoopBackOff" if status.pointer("/lastState/terminated").is_some() => {
            Some(Witness::Log { container, restarts: number(status, "/restartCount") })
        }
        // Newer kubelets repeat what the registry said after the back-off.
        "ImagePullBackOff" => {
            let message = text(status, "/state/waiting/message").unwrap_or_default();
            (!message.contains("ErrImagePull")).then_some(Witness::Events)
        }
        _ => None,
    }
}

fn named(pod: &Value, trouble: Trouble) -> Trouble {
    let name = text(pod, "/metadata/name").unwrap_or("?");
    match trouble {
        Trouble::Certain(text) => Trouble::Certain(format!("pod {name}: {text}")),
        Trouble::Perhaps(text) => Trouble::Perhaps(format!("pod {name}: {text}")),
    }
}

fn container_trouble(status: &Value) -> Option<Trouble> {
    let name = text(status, "/name").unwrap_or("?");
    if let Some(ended) = status.pointer("/state/terminated")
        && !flag(status, "/ready")
    {
        let code = ended.pointer("/exitCode").and_then(Value::as_i64)?;
        return (code != 0)
            .then(|| Trouble::Perhaps(format!("container {name} ended with {}", ending(ended, code))));
    }
    let reason = text(status, "/state/waiting/reason")?;
    let message = || match text(status, "/state/waiting/message") {
        Some(message) => format!(": {}", line(message)),
        None => String::new(),
    };
    match reason {
        // What it says of itself is left out: the message of a waiting container repeats the back-off, and that of the ended one
        // is the application's own text.
        "CrashLoopBackOff" => {
            let ended = status.pointer("/lastState/terminated");
            let code = ended.and_then(|ended| Some((ended, ended.pointer("/exitCode")?.as_i64()?)));
            let how = code.map_or("an unknown exit code".to_owned(), |(ended, code)| ending(ended, code));
            let restarts = number(status, "/restartCount");
            Some(Trouble::Certain(format!(
                "CrashLoopBackOff: container {name} ends with {how}, {restarts} restarts so far"
            )))
        }
        "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError" => {
            let image = text(status, "/image").map(|image| format!(" ({})", line(image))).unwrap_or_default();
            Some(Trouble::Certain(format!("{reason}: container {name}{image}{}", message())))
        }
        "ContainerCreating" | "PodInitializing" => None,
        other => Some(Trouble::Perhaps(format!("{}: container {name}{}", line(other), message()))),
    }
}

fn ending(ended: &Value, code: i64) -> String {
    match text(ended, "/reason").filter(|reason| *reason != "Error") {
        Some(reason) => format!("exit code {code} ({})", line(reason)),
        None => format!("exit code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &Value) -> Value {
        let owner = json!([{ "controller": true, "uid": "rs-1", "kind": "ReplicaSet" }]);
        json!({ "metadata": { "name": "web-1", "uid": "u1", "ownerReferences": owner }, "status": status })
    }

    fn told(status: &Value) -> Option<Trouble> {
        Pod::read(&pod(status)).unwrap().trouble
    }

    #[test]
    fn certain_failures_say_why() {
        let crash = json!({ "containerStatuses": [{ "name": "web", "restartCount": 3, "state": { "waiting": {
            "reason": "CrashLoopBackOff", "message": "back-off 40s" } }, "lastState": { "terminated": {
            "exitCode": 137, "reason": "OOMKilled", "message": "hunter2" } } }] });
        let wanted = "pod web-1: CrashLoopBackOff: container web ends with exit code 137 (OOMKilled), 3 restarts so far";
        assert_eq!(told(&crash), Some(Trouble::Certain(wanted.to_owned())));
        let pull = json!({ "containerStatuses": [{ "name": "web", "image": "r/web:v9", "state": { "waiting": {
            "reason": "ImagePullBackOff", "message": "r/web:v9: not found" } } }] });
        let wanted = "pod web-1: ImagePullBackOff: container web (r/web:v9): r/web:v9: not found";
        assert_eq!(told(&pull), Some(Trouble::Certain(wanted.to_owned())));
        let config = json!({ "initContainerStatuses": [{ "name": "init", "state": { "waiting": {
            "reason": "CreateContainerConfigError", "message": "configmap \"x\" not found" } } }] });
        assert!(
            matches!(told(&config), Some(Trouble::Certain(text)) if text.contains("configmap \"x\" not found"))
        );
    }

    #[test]
    fn whoever_can_tell_more_is_known() {
        let witness = |reason: &str, message: &str, last: &Value| {
            let status = json!({ "initContainerStatuses": [{ "name": "migrate", "restartCount": 3, "lastState": last,
                "state": { "waiting": { "reason": reason, "message": message } } }] });
            Pod::read(&pod(&status)).unwrap().witness
        };
        let ended = json!({ "terminated": { "exitCode": 1 } });
        let log = Witness::Log { container: "migrate".into(), restarts: 3 };
        assert_eq!(witness("CrashLoopBackOff", "back-off 40s", &ended), Some(log));
        assert_eq!(witness("CrashLoopBackOff", "back-off 40s", &json!({})), None);
        assert_eq!(witness("ImagePullBackOff", "Back-off pulling image", &json!({})), Some(Witness::Events));
        let newer = "Back-off pulling image: ErrImagePull: not found";
        assert_eq!(witness("ImagePullBackOff", newer, &json!({})), None);
        assert_eq!(witness("CreateContainerConfigError", "no configmap", &json!({})), None);
    }

    #[test]
    fn a_probe_that_has_not_passed_may_pass() {
        let running = |started: bool| json!({ "containerStatuses": [{ "name": "web", "ready": false, "started": started, "state": { "running": {} } }] });
        let wanted = |probe: &str| {
            let said = format!("pod web-1: container web runs, and its {probe} probe has not passed");
            Some(Trouble::Perhaps(said))
        };
        assert_eq!(told(&running(true)), wanted("readiness"));
        assert_eq!(told(&running(false)), wanted("startup"));
        let mut ready = running(true);
        ready["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
        assert_eq!(told(&ready), None);
    }

    #[test]
    fn what_may_pass_is_not_certain() {
        let nodes = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient cpu." }] });
        assert!(matches!(told(&nodes), Some(Trouble::Perhaps(text)) if text.ends_with("Insufficient cpu.")));
        let pull = json!({ "containerStatuses": [{ "name": "web", "state": { "waiting": { "reason": "ErrImagePull" } } }] });
        assert!(matches!(told(&pull), Some(Trouble::Perhaps(_))));
        let starting = json!({ "containerStatuses": [{ "name": "web", "state": { "waiting": { "reason": "ContainerCreating" } } }] });
        assert_eq!(told(&starting), None);
        let done = json!({ "initContainerStatuses": [{ "name": "i", "ready": true, "state": { "terminated": { "exitCode": 0 } } }] });
        assert_eq!(told(&done), None);
    }

    #[test]
    fn what_stops_or_has_ended_is_no_pod() {
        let mut leaving = pod(&json!({}));
        leaving["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
        assert_eq!(Pod::read(&leaving), None);
        assert_eq!(Pod::read(&pod(&json!({ "phase": "Failed", "reason": "Evicted" }))), None);
        let mut nobodys = pod(&json!({}));
        nobodys["metadata"]["ownerReferences"] = json!([]);
        assert_eq!(Pod::read(&nobodys), None);
    }
}
