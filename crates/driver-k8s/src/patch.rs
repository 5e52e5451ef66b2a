//! The one request by which a workload is changed.
//!
//! It carries the resource version and the UID of what was read, so that the API server itself refuses it if anything changed in
//! between; it leaves alone every annotation that it does not set; and it never holds a number of replicas unless that is what it is
//! for.

use std::collections::BTreeMap;

use rollback_core::{Error, ErrorKind, IdempotencyKey, Result};
use serde_json::{Map, Value, json};

use crate::look::CHANGE_CAUSE;
use crate::template::RESTARTED_BY;
use crate::text::{entry, list, text};

/// The annotation by which a request is found again: the key of the step that sent it.
pub(crate) const MARK: &str = "rollback-rs.github.io/step";

/// The annotation that keeps how many replicas there were before a step set another number.
pub(crate) const REPLICAS_BEFORE: &str = "rollback-rs.github.io/replicas-before";

/// What is changed.
#[derive(Debug, Clone)]
pub(crate) enum Change<'a> {
    /// The whole pod template, as the API has it.
    Template(&'a Value),
    /// Images, by container.
    Images(&'a BTreeMap<String, String>),
    /// A mark in the pod template.
    Restart,
    /// The number of replicas.
    Replicas(u32),
}

/// The operations of a JSON patch of `object`.
pub(crate) fn operations(
    object: &Value,
    change: &Change<'_>,
    resume: bool,
    cause: &str,
    key: &IdempotencyKey,
) -> Result<Value> {
    let mut operations = Vec::new();
    let before = replicas(object).to_string();
    let mut marks = vec![(CHANGE_CAUSE, cause), (MARK, key.as_str())];
    if matches!(change, Change::Replicas(_)) {
        marks.push((REPLICAS_BEFORE, &before));
    }
    operations.extend(annotate(object, "/metadata", &marks));
    match change {
        Change::Template(template) => {
            operations
                .push(json!({ "op": "replace", "path": "/spec/template", "value": sendable(template) }));
        }
        Change::Images(images) => operations.extend(set_images(object, images)?),
        Change::Restart => {
            operations.extend(annotate(object, "/spec/template/metadata", &[(RESTARTED_BY, key.as_str())]));
        }
        Change::Replicas(replicas) => {
            operations.push(json!({ "op": "add", "path": "/spec/replicas", "value": replicas }));
        }
    }
    if resume {
        operations.push(json!({ "op": "add", "path": "/spec/paused", "value": false }));
    }
    guarded(object, operations)
}

/// The operations, which the API server refuses if the object is not the one that was read.
pub(crate) fn guarded(object: &Value, operations: Vec<Value>) -> Result<Value> {
    let at = |pointer: &str| {
        text(object, pointer).ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                "change the workload",
                format!("the API server gives no {pointer}"),
            )
        })
    };
    let mut all = vec![
        json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": at("/metadata/resourceVersion")? }),
        json!({ "op": "replace", "path": "/metadata/uid", "value": at("/metadata/uid")? }),
    ];
    all.extend(operations);
    Ok(Value::Array(all))
}

/// The operations that set what a ConfigMap holds to what is kept of it, with the mark of the step.
pub(crate) fn configuration(now: &Value, kept: &Value, key: &IdempotencyKey) -> Result<Value> {
    let mut operations = annotate(now, "/metadata", &[(MARK, key.as_str())]);
    for field in ["data", "binaryData"] {
        let path = format!("/{field}");
        match (now.get(field), kept.get(field)) {
            (_, Some(kept)) => operations.push(json!({ "op": "add", "path": path, "value": kept })),
            (Some(_), None) => operations.push(json!({ "op": "remove", "path": path })),
            (None, None) => {}
        }
    }
    guarded(now, operations)
}

/// An object that is to be made, with the mark of the step.
pub(crate) fn marked(object: &Value, key: &IdempotencyKey) -> Value {
    annotated(object, MARK, key.as_str())
}

/// An object that is to be made, with why.
pub(crate) fn caused(object: &Value, cause: &str) -> Value {
    annotated(object, CHANGE_CAUSE, cause)
}

fn annotated(object: &Value, name: &str, value: &str) -> Value {
    let mut object = object.clone();
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let annotations = metadata.map(|metadata| metadata.entry("annotations").or_insert_with(|| json!({})));
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.insert(name.to_owned(), json!(value));
    }
    object
}

/// The template of a ReplicaSet or ControllerRevision as a workload has it: without the hash that its controller added, and without
/// what tells patches how to merge it.
pub(crate) fn sendable(template: &Value) -> Value {
    let mut sent = template.clone();
    if let Some(sent) = sent.as_object_mut() {
        sent.remove("$patch");
    }
    if let Some(labels) = sent.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    sent
}

fn set_images(object: &Value, images: &BTreeMap<String, String>) -> Result<Vec<Value>> {
    let mut operations = Vec::new();
    for at in ["containers", "initContainers"] {
        for (index, container) in list(object, &format!("/spec/template/spec/{at}")).iter().enumerate() {
            if let Some(image) = text(container, "/name").and_then(|name| images.get(name)) {
                let path = format!("/spec/template/spec/{at}/{index}/image");
                operations.push(json!({ "op": "replace", "path": path, "value": image }));
            }
        }
    }
    if operations.len() == images.len() {
        return Ok(operations);
    }
    let wanted: Vec<_> = images.keys().map(String::as_str).collect();
    let why = format!("not all of these containers are there: {}", wanted.join(", "));
    Err(Error::new(ErrorKind::Stale, "set images", why).next("make a new plan"))
}

/// Sets annotations one by one, so that all others stay.
fn annotate(object: &Value, place: &str, annotations: &[(&str, &str)]) -> Vec<Value> {
    let map = format!("{place}/annotations");
    if object.pointer(&map).is_some_and(Value::is_object) {
        let one = |(name, value): &(&str, &str)| {
            let path = format!("{map}/{}", name.replace('~', "~0").replace('/', "~1"));
            json!({ "op": "add", "path": path, "value": value })
        };
        return annotations.iter().map(one).collect();
    }
    let all: Map<_, _> = annotations.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let mut operations = Vec::new();
    if !object.pointer(place).is_some_and(Value::is_object) {
        operations.push(json!({ "op": "add", "path": place, "value": {} }));
    }
    operations.push(json!({ "op": "add", "path": map, "value": all }));
    operations
}

/// How many replicas there should be. What is left out is one.
fn replicas(object: &Value) -> u64 {
    object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1)
}

/// How many replicas there were before the step that is marked. Where its answer was lost, only this still tells.
pub(crate) fn replicas_before(object: &Value) -> Option<u64> {
    entry(object, "/metadata/annotations", REPLICAS_BEFORE)?.parse().ok()
}

/// The key of the step that changed the workload last, as far as this driver did.
pub(crate) fn mark(object: &Value) -> Option<&str> {
    entry(object, "/metadata/annotations", MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> Value {
        json!({
            "metadata": { "uid": "u", "resourceVersion": "7", "annotations": { "theirs": "kept" } },
            "spec": { "replicas": 3, "template": { "spec": { "containers": [
                { "name": "side", "image": "side:1" }, { "name": "web", "image": "web:2" } ] } } },
        })
    }

    fn sent(change: &Change<'_>, resume: bool) -> Value {
        let key = IdempotencyKey::new("key-1").unwrap();
        operations(&object(), change, resume, "back", &key).unwrap()
    }

    /// What every request begins with.
    fn head() -> Vec<Value> {
        vec![
            json!({ "op": "replace", "path": "/metadata/resourceVersion", "value": "7" }),
            json!({ "op": "replace", "path": "/metadata/uid", "value": "u" }),
            json!({ "op": "add", "path": "/metadata/annotations/kubernetes.io~1change-cause", "value": "back" }),
            json!({ "op": "add", "path": "/metadata/annotations/rollback-rs.github.io~1step", "value": "key-1" }),
        ]
    }

    #[test]
    fn a_template_is_replaced_and_nothing_else() {
        let template = json!({ "$patch": "replace", "metadata": { "labels": { "app": "web", "pod-template-hash": "x" } }, "spec": {} });
        let mut wanted = head();
        let value = json!({ "metadata": { "labels": { "app": "web" } }, "spec": {} });
        wanted.push(json!({ "op": "replace", "path": "/spec/template", "value": value }));
        assert_eq!(sent(&Change::Template(&template), false), Value::Array(wanted.clone()));
        wanted.push(json!({ "op": "add", "path": "/spec/paused", "value": false }));
        assert_eq!(sent(&Change::Template(&template), true), Value::Array(wanted));
    }

    #[test]
    fn images_are_set_where_their_containers_are() {
        let images = BTreeMap::from([("web".to_owned(), "web:1".to_owned())]);
        let mut wanted = head();
        wanted.push(
            json!({ "op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "web:1" }),
        );
        assert_eq!(sent(&Change::Images(&images), false), Value::Array(wanted));
        let strange = BTreeMap::from([("gone".to_owned(), "web:1".to_owned())]);
        let key = IdempotencyKey::new("key-1").unwrap();
        let error = operations(&object(), &Change::Images(&strange), false, "c", &key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Stale);
    }

    #[test]
    fn maps_that_are_not_there_are_made() {
        let mut wanted = head();
        wanted.push(json!({ "op": "add", "path": "/spec/template/metadata", "value": {} }));
        wanted.push(json!({ "op": "add", "path": "/spec/template/metadata/annotations", "value": { RESTARTED_BY: "key-1" } }));
        assert_eq!(sent(&Change::Restart, false), Value::Array(wanted));
        let mut wanted = head();
        let kept = "/metadata/annotations/rollback-rs.github.io~1replicas-before";
        wanted.push(json!({ "op": "add", "path": kept, "value": "3" }));
        wanted.push(json!({ "op": "add", "path": "/spec/replicas", "value": 0 }));
        assert_eq!(sent(&Change::Replicas(0), false), Value::Array(wanted));
    }
}
