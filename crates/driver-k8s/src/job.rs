//! A command that runs once, beside a workload: as its pods run, and under a name that is the same each time the step is sent.

use rollback_core::{Digest, IdempotencyKey};
use serde_json::{Map, Value, json};

use crate::patch::MARK;
use crate::text::{entry, list, text};

/// The label of the pods of such a job. None of the workload's own labels is on them: no Service may send them requests.
const LABEL: &str = "rollback-rs.github.io/job";
/// What of a pod's spec goes with the command: who it is, where it may run, and what it may read.
const KEPT: [&str; 12] = [
    "affinity",
    "hostAliases",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];
/// What of a container goes with the command. Probes, ports and hooks do not.
const KEPT_IN_CONTAINER: [&str; 10] = [
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "name",
    "resources",
    "securityContext",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

/// The most that Kubernetes keeps of what a container leaves in `/dev/termination-log`.
const LONGEST_RESULT: usize = 4096;

/// What became of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It is still on its way.
    Runs,
    /// It ended with 0.
    Done,
    /// It did not; the text says how, as far as the job itself does.
    Failed(String),
}

/// The name of a step's job: no name of a workload makes it longer than a name may be.
pub(crate) fn name(workload: &str, key: &IdempotencyKey) -> String {
    let short: String = workload.chars().take(40).collect();
    format!("{}-{}", short.trim_end_matches(['-', '.']), Digest::of_bytes(key.as_str().as_bytes()).short())
}

/// The job. `None` when the template has no such container.
pub(crate) fn job(
    name: &str,
    template: &Value,
    container: &str,
    command: &[String],
    key: &IdempotencyKey,
) -> Option<Value> {
    let containers = list(template, "/spec/containers");
    let found = containers.iter().find(|one| text(one, "/name") == Some(container))?;
    let mut runs = kept(found, &KEPT_IN_CONTAINER);
    runs.insert("command".to_owned(), json!(command));
    let mut spec = kept(template.get("spec")?, &KEPT);
    spec.insert("containers".to_owned(), json!([runs]));
    spec.insert("restartPolicy".to_owned(), json!("Never"));
    let pod = json!({ "metadata": { "labels": { LABEL: name } }, "spec": spec });
    Some(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "labels": { LABEL: name }, "annotations": { MARK: key.as_str() } },
        // Once: whether it may run again is for the engine to say.
        "spec": { "backoffLimit": 0, "template": pod },
    }))
}

fn kept(from: &Value, fields: &[&str]) -> Map<String, Value> {
    fields.iter().filter_map(|field| Some(((*field).to_owned(), from.get(*field)?.clone()))).collect()
}

/// Whether a job is that of this step.
pub(crate) fn is_of(job: &Value, key: &IdempotencyKey) -> bool {
    entry(job, "/metadata/annotations", MARK) == Some(key.as_str())
}

/// The selector of a job's pods.
pub(crate) fn pods(name: &str) -> String {
    format!("{LABEL}={name}")
}

/// What became of it.
pub(crate) fn end(job: &Value) -> End {
    let holds = |kind: &str| {
        list(job, "/status/conditions")
            .iter()
            .find(|one| text(one, "/type") == Some(kind) && text(one, "/status") == Some("True"))
    };
    if holds("Complete").is_some() {
        return End::Done;
    }
    match holds("Failed") {
        Some(condition) => {
            End::Failed(crate::text::line(text(condition, "/reason").unwrap_or("no reason is given")))
        }
        None => End::Runs,
    }
}

/// The exit codes of its containers, in words.
pub(crate) fn codes(pods: &[Value]) -> Vec<String> {
    let ended = |status: &Value| {
        let code = status.pointer("/state/terminated/exitCode").and_then(Value::as_i64)?;
        Some(format!("container {} ended with exit code {code}", text(status, "/name")?))
    };
    pods.iter().flat_map(|pod| list(pod, "/status/containerStatuses")).filter_map(ended).collect()
}

/// What the container left as its last word: nothing once its pod is gone. Kubernetes itself keeps no more than this of it.
pub(crate) fn result(pods: &[Value]) -> Option<String> {
    let ended = pods.iter().flat_map(|pod| list(pod, "/status/containerStatuses"));
    let mut words = ended.filter_map(|status| text(status, "/state/terminated/message"));
    words.next().map(|word| word.chars().take(LONGEST_RESULT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> IdempotencyKey {
        IdempotencyKey::new("key-1").unwrap()
    }

    #[test]
    fn it_runs_as_the_pods_do_and_gets_none_of_their_requests() {
        let template = json!({ "metadata": { "labels": { "app": "web" } }, "spec": {
            "serviceAccountName": "web", "volumes": [{ "name": "v" }], "restartPolicy": "Always", "initContainers": [{ "name": "i" }],
            "containers": [{ "name": "side", "image": "side:1" }, { "name": "web", "image": "web:1", "env": [{ "name": "A" }],
                "ports": [{ "containerPort": 80 }], "livenessProbe": {}, "lifecycle": {}, "command": ["serve"] }] } });
        let made = job("web-1", &template, "web", &["migrate".into(), "down".into()], &key()).unwrap();
        let pod = json!({ "metadata": { "labels": { LABEL: "web-1" } }, "spec": {
            "serviceAccountName": "web", "volumes": [{ "name": "v" }], "restartPolicy": "Never",
            "containers": [{ "name": "web", "image": "web:1", "env": [{ "name": "A" }], "command": ["migrate", "down"] }] } });
        assert_eq!(made["spec"], json!({ "backoffLimit": 0, "template": pod }));
        assert!(is_of(&made, &key()) && !is_of(&made, &IdempotencyKey::new("key-2").unwrap()));
        assert_eq!(job("web-1", &template, "gone", &[], &key()), None);
    }

    #[test]
    fn names_fit_and_are_the_same_each_time() {
        let long = name(&"a".repeat(253), &key());
        assert!(long.len() <= 63 && crate::text::is_name(&long), "{long}");
        assert_eq!(name("web", &key()), name("web", &key()));
        assert!(crate::text::is_name(&name(&format!("{}.b", "a".repeat(39)), &key())));
    }

    #[test]
    fn its_end_is_told_with_exit_codes() {
        let with = |kind: &str| json!({ "status": { "conditions": [{ "type": kind, "status": "True", "reason": "BackoffLimitExceeded" }] } });
        assert_eq!(end(&with("Complete")), End::Done);
        assert_eq!(end(&with("Failed")), End::Failed("BackoffLimitExceeded".into()));
        assert_eq!(end(&json!({})), End::Runs);
        let pod = json!({ "status": { "containerStatuses": [{ "name": "web", "state": { "terminated": { "exitCode": 3 } } }] } });
        assert_eq!(codes(std::slice::from_ref(&pod)), ["container web ended with exit code 3"]);
        assert_eq!(result(&[pod]), None);
        let word = "7".repeat(LONGEST_RESULT + 1);
        let pod = json!({ "status": { "containerStatuses": [{ "state": { "terminated": { "message": word } } }] } });
        assert_eq!(result(&[pod]).map(|word| word.len()), Some(LONGEST_RESULT));
    }
}
