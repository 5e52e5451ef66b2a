//! Objects as people write them.

use serde_json::{Value, json};

/// The image of a version of all that runs here.
#[must_use]
pub fn image(version: &str) -> String {
    format!("registry.example/shop/web:{version}")
}

/// A Deployment that keeps what it has while new pods are not ready.
#[must_use]
pub fn deployment(name: &str, version: &str, replicas: u32) -> Value {
    let mut made = workload("Deployment", name, version);
    made["spec"]["replicas"] = json!(replicas);
    let pace = json!({ "maxSurge": 1, "maxUnavailable": 0 });
    made["spec"]["strategy"] = json!({ "type": "RollingUpdate", "rollingUpdate": pace });
    made
}

/// A StatefulSet that makes its pods one after the other.
#[must_use]
pub fn stateful_set(name: &str, version: &str, replicas: u32) -> Value {
    let mut made = workload("StatefulSet", name, version);
    made["spec"]["replicas"] = json!(replicas);
    made["spec"]["serviceName"] = json!(name);
    made["spec"]["podManagementPolicy"] = json!("OrderedReady");
    made
}

/// A DaemonSet: a pod on each node.
#[must_use]
pub fn daemon_set(name: &str, version: &str) -> Value {
    workload("DaemonSet", name, version)
}

/// A pod that runs once, and is not started again.
#[must_use]
pub fn job(name: &str, version: &str) -> Value {
    let spec = json!({ "restartPolicy": "Never", "containers": [container(version)] });
    let job = json!({ "backoffLimit": 0, "template": { "spec": spec } });
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name }, "spec": job })
}

fn container(version: &str) -> Value {
    json!({ "name": "web", "image": image(version) })
}

fn workload(kind: &str, name: &str, version: &str) -> Value {
    let labels = json!({ "app": name });
    // Gone at once when it is told to end: nothing runs that would need time.
    let spec = json!({ "containers": [container(version)], "terminationGracePeriodSeconds": 0 });
    let template = json!({ "metadata": { "labels": labels }, "spec": spec });
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": { "name": name, "labels": labels },
        "spec": { "selector": { "matchLabels": labels }, "template": template },
    })
}
