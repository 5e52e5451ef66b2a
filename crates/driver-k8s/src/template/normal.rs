//! Two templates that mean the same are written in the same way.
//!
//! A revision may have been recorded by an older API server, which filled in fewer defaults than the one of today. Compared byte by
//! byte, such a revision differs from a workload that runs it.

use serde_json::{Map, Value, json};

use super::{RESTARTED_AT, RESTARTED_BY, object};
use crate::image::Image;
use crate::text::{list, text};

/// What controllers add to the labels of templates.
const HASHES: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

/// Fields that mean the same when they are empty as when they are left out. Others do not: a selector that is empty selects all, and
/// one that is left out none.
const EMPTY_IS_NONE: [&str; 31] = [
    "add",
    "affinity",
    "annotations",
    "args",
    "capabilities",
    "command",
    "dnsConfig",
    "drop",
    "env",
    "envFrom",
    "ephemeralContainers",
    "hostAliases",
    "imagePullSecrets",
    "initContainers",
    "items",
    "labels",
    "limits",
    "nodeAffinity",
    "nodeSelector",
    "podAffinity",
    "podAntiAffinity",
    "ports",
    "readinessGates",
    "requests",
    "resources",
    "securityContext",
    "tolerations",
    "topologySpreadConstraints",
    "volumeDevices",
    "volumeMounts",
    "volumes",
];

/// A template without what says nothing.
pub(super) fn normal(raw: &Value) -> Value {
    let mut metadata = Map::new();
    for map in ["labels", "annotations"] {
        if let Some(entries) = raw.pointer(&format!("/metadata/{map}")) {
            metadata.insert(map.to_owned(), entries.clone());
        }
    }
    let mut body = json!({ "metadata": metadata, "spec": raw.get("spec").cloned().unwrap_or(json!({})) });
    if let Some(labels) = object(&mut body, "/metadata/labels") {
        HASHES.iter().for_each(|hash| drop(labels.remove(*hash)));
    }
    tidy("", &mut body);
    pod_defaults(&mut body);
    // What defaults were left out of may be empty now.
    tidy("", &mut body);
    body
}

/// Leaves out that the pods were to be restarted: the same content, once more.
pub(super) fn forget_restarts(body: &mut Value) {
    if let Some(annotations) = object(body, "/metadata/annotations") {
        annotations.remove(RESTARTED_AT);
        annotations.remove(RESTARTED_BY);
    }
    tidy("", body);
}

/// Leaves out nulls, marks of patches, and what is empty where that means nothing.
fn tidy(key: &str, value: &mut Value) {
    match value {
        Value::Object(map) => {
            // The keys of these are free: one of them may be called as a field.
            let free = matches!(key, "labels" | "annotations" | "matchLabels" | "nodeSelector");
            map.remove("$patch");
            for (key, value) in map.iter_mut() {
                tidy(if free { "" } else { key }, value);
            }
            map.retain(|key, value| {
                !(value.is_null() || (!free && EMPTY_IS_NONE.contains(&key.as_str()) && is_empty(value)))
            });
        }
        Value::Array(items) => items.iter_mut().for_each(|item| tidy("", item)),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// Leaves a field out if it has the value that the API server would fill in.
fn default(map: &mut Map<String, Value>, key: &str, value: &Value) {
    if map.get(key) == Some(value) {
        map.remove(key);
    }
}

fn pod_defaults(body: &mut Value) {
    let Some(spec) = object(body, "/spec") else { return };
    default(spec, "dnsPolicy", &json!("ClusterFirst"));
    default(spec, "restartPolicy", &json!("Always"));
    default(spec, "schedulerName", &json!("default-scheduler"));
    default(spec, "terminationGracePeriodSeconds", &json!(30));
    default(spec, "enableServiceLinks", &json!(true));
    // The older name of the same field, which the server keeps in step.
    if spec.contains_key("serviceAccountName") || spec.get("serviceAccount") == Some(&json!("")) {
        spec.remove("serviceAccount");
    } else if let Some(name) = spec.remove("serviceAccount") {
        spec.insert("serviceAccountName".to_owned(), name);
    }
    for containers in ["containers", "initContainers"] {
        let containers = spec.get_mut(containers).and_then(Value::as_array_mut);
        containers.into_iter().flatten().filter_map(Value::as_object_mut).for_each(container_defaults);
    }
    let volumes = spec.get_mut("volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten().filter_map(Value::as_object_mut) {
        volume_defaults(volume);
    }
}

fn container_defaults(container: &mut Map<String, Value>) {
    default(container, "terminationMessagePath", &json!("/dev/termination-log"));
    default(container, "terminationMessagePolicy", &json!("File"));
    let image = container.get("image").and_then(Value::as_str).map(Image::parse);
    let moving =
        image.is_some_and(|image| image.digest.is_none() && matches!(image.tag, None | Some("latest")));
    default(container, "imagePullPolicy", &json!(if moving { "Always" } else { "IfNotPresent" }));
    let ports = container.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        default(port, "protocol", &json!("TCP"));
    }
    let variables = container.get_mut("env").and_then(Value::as_array_mut);
    for variable in variables.into_iter().flatten() {
        // A variable without a value is one with an empty value.
        if variable.get("valueFrom").is_none() && text(variable, "/value").is_none_or(str::is_empty) {
            variable.as_object_mut().map(|variable| variable.remove("value"));
        }
        if let Some(field) = object(variable, "/valueFrom/fieldRef") {
            default(field, "apiVersion", &json!("v1"));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).and_then(Value::as_object_mut) {
            probe_defaults(probe);
        }
    }
}

fn probe_defaults(probe: &mut Map<String, Value>) {
    for (key, value) in [
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
        ("initialDelaySeconds", 0),
    ] {
        default(probe, key, &json!(value));
    }
    if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
        default(get, "scheme", &json!("HTTP"));
        default(get, "path", &json!("/"));
    }
}

fn volume_defaults(volume: &mut Map<String, Value>) {
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
        if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
            default(source, "defaultMode", &json!(420));
        }
    }
    if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
        default(path, "type", &json!(""));
    }
    let projected = volume.get("projected").map_or(0, |projected| list(projected, "/sources").len());
    for index in 0..projected {
        let token = format!("/projected/sources/{index}/serviceAccountToken");
        let mut whole = Value::Object(std::mem::take(volume));
        if let Some(token) = object(&mut whole, &token) {
            default(token, "expirationSeconds", &json!(3600));
        }
        if let Value::Object(back) = whole {
            *volume = back;
        }
    }
    // A volume of no kind is an empty folder.
    if volume.get("emptyDir") == Some(&json!({})) {
        volume.remove("emptyDir");
    }
}
