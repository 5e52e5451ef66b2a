//! What a tool that applies manifests remembers of a workload, and how it learns of a rollback.
//!
//! Server-side apply keeps who set which field: a rollback takes the image away from whoever deploys, and the next apply of that
//! conflicts. Client-side apply keeps the last manifest in an annotation and removes only what that had: what a rollback brought back
//! stays for ever. Both are mended by writing down what the tool would have written.

use serde_json::{Map, Value, json};

use crate::client::MANAGER;
use crate::text::{entry, list, text};

/// Where `kubectl apply` keeps the last manifest.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The managers that apply the pod template from the server's side.
pub(crate) fn managers(object: &Value) -> Vec<&str> {
    let applies = |field: &&Value| {
        text(field, "/operation") == Some("Apply") && field.pointer("/fieldsV1/f:spec/f:template").is_some()
    };
    list(object, "/metadata/managedFields")
        .iter()
        .filter(applies)
        .filter_map(|field| text(field, "/manager"))
        .collect()
}

/// The operations that mend both, as far as there is something to mend. `left` is the pod template that was left.
pub(crate) fn mended(object: &Value, left: Option<&Value>) -> Vec<Value> {
    let mut operations = Vec::new();
    if let Some(fields) = handed_back(object) {
        operations.push(json!({ "op": "replace", "path": "/metadata/managedFields", "value": fields }));
    }
    if let Some(manifest) = left.and_then(|left| remembered(object, left)) {
        let path = format!("/metadata/annotations/{}", LAST_APPLIED.replace('/', "~1"));
        operations.push(json!({ "op": "replace", "path": path, "value": manifest }));
    }
    operations
}

/// The managed fields with our share of the pod template handed to the one manager that applies it. Where several do, nobody can say
/// whose a field was.
fn handed_back(object: &Value) -> Option<Value> {
    let managers = managers(object);
    let [manager] = managers.as_slice() else { return None };
    let mut fields = object.pointer("/metadata/managedFields")?.as_array()?.clone();
    let is = |field: &Value, manager: &str, operation: &str| {
        text(field, "/manager") == Some(manager)
            && text(field, "/operation") == Some(operation)
            && text(field, "/subresource").is_none_or(str::is_empty)
    };
    let ours = fields.iter().position(|field| is(field, MANAGER, "Update"))?;
    let theirs = fields.iter().position(|field| is(field, manager, "Apply"))?;
    let spec = fields[ours].pointer_mut("/fieldsV1/f:spec")?.as_object_mut()?;
    let share = spec.remove("f:template")?;
    if spec.is_empty() {
        fields[ours].pointer_mut("/fieldsV1")?.as_object_mut()?.remove("f:spec");
    }
    merge(fields[theirs].pointer_mut("/fieldsV1/f:spec/f:template")?, share);
    Some(Value::Array(fields))
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The last manifest, with what the rollback changed in the pod template.
fn remembered(object: &Value, left: &Value) -> Option<String> {
    let text = entry(object, "/metadata/annotations", LAST_APPLIED)?;
    let mut manifest: Value = serde_json::from_str(text).ok()?;
    let now = object.pointer("/spec/template")?;
    let before = manifest.clone();
    carry(left, now, manifest.pointer_mut("/spec/template")?);
    (manifest != before).then(|| format!("{manifest}\n"))
}

/// Carries what differs between `left` and `now` over to `applied`. What is the same in both is left as it is.
fn carry(left: &Value, now: &Value, applied: &mut Value) {
    match (left, now) {
        (Value::Object(left), Value::Object(now)) => {
            if !applied.is_object() {
                *applied = Value::Object(Map::new());
            }
            let Some(applied) = applied.as_object_mut() else { return };
            let gone = left.keys().filter(|key| !now.contains_key(*key));
            gone.for_each(|key| drop(applied.remove(key)));
            for (key, value) in now.iter().filter(|(key, value)| left.get(*key) != Some(value)) {
                let before = left.get(key).unwrap_or(&Value::Null);
                carry(before, value, applied.entry(key.clone()).or_insert(Value::Null));
            }
        }
        (Value::Array(left), Value::Array(now)) if is_named(left) && is_named(now) => {
            if !applied.is_array() {
                *applied = Value::Array(Vec::new());
            }
            let Some(applied) = applied.as_array_mut() else { return };
            applied.retain(|one| find(now, one).is_some() || find(left, one).is_none());
            for one in now {
                let before = find(left, one).unwrap_or(&Value::Null);
                if before == one {
                    continue;
                }
                match applied.iter().position(|there| there["name"] == one["name"]) {
                    Some(at) => carry(before, one, &mut applied[at]),
                    None => applied.push(one.clone()),
                }
            }
        }
        (_, now) => *applied = now.clone(),
    }
}

fn is_named(all: &[Value]) -> bool {
    all.iter().all(|one| one["name"].is_string())
}

fn find<'a>(all: &'a [Value], like: &Value) -> Option<&'a Value> {
    all.iter().find(|one| one["name"] == like["name"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(image: &str, env: &Value) -> Value {
        // What the API server fills in is in both.
        let container =
            json!({ "name": "web", "image": image, "env": env, "imagePullPolicy": "IfNotPresent" });
        json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [container], "dnsPolicy": "ClusterFirst" } })
    }

    #[test]
    fn the_last_manifest_learns_what_was_put_back_and_nothing_else() {
        let (left, now) =
            (template("web:2", &json!([])), template("web:1", &json!([{ "name": "DEBUG", "value": "1" }])));
        let manifest = json!({ "spec": { "replicas": 2, "template": { "spec": { "containers": [{ "name": "web", "image": "web:2" }] } } } });
        let object = json!({ "metadata": { "annotations": { LAST_APPLIED: manifest.to_string() } }, "spec": { "template": now } });
        let operations = mended(&object, Some(&left));
        assert_eq!(
            operations[0]["path"],
            "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"
        );
        let mended: Value = serde_json::from_str(operations[0]["value"].as_str().unwrap()).unwrap();
        let container =
            json!({ "name": "web", "image": "web:1", "env": [{ "name": "DEBUG", "value": "1" }] });
        assert_eq!(
            mended,
            json!({ "spec": { "replicas": 2, "template": { "spec": { "containers": [container] } } } })
        );
        // The other way round: what the rollback took away is forgotten.
        let object = json!({ "metadata": { "annotations": { LAST_APPLIED: mended.to_string() } }, "spec": { "template": left } });
        let operations = super::mended(&object, Some(&now));
        let mended: Value = serde_json::from_str(operations[0]["value"].as_str().unwrap()).unwrap();
        let container = json!({ "name": "web", "image": "web:2", "env": [] });
        assert_eq!(mended["spec"]["template"]["spec"]["containers"], json!([container]));
        assert_eq!(super::mended(&object, Some(&left)), Vec::<Value>::new());
    }

    #[test]
    fn our_share_goes_to_the_one_who_applies() {
        let field = |manager: &str, operation: &str, fields: Value| json!({ "manager": manager, "operation": operation, "fieldsV1": fields });
        let image = json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"web\"}": { "f:image": {} } } } } } });
        let rest = json!({ "f:spec": { "f:replicas": {}, "f:template": { "f:spec": { "f:containers": { "k:{\"name\":\"web\"}": { ".": {} } } } } } });
        let mut ours = image.clone();
        ours["f:metadata"] = json!({ "f:annotations": {} });
        let with = |fields: Vec<Value>| json!({ "metadata": { "managedFields": fields } });
        let object = with(vec![field("ci", "Apply", rest.clone()), field(MANAGER, "Update", ours.clone())]);
        let operations = mended(&object, None);
        let mut whole = rest.clone();
        whole["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"web\"}"] =
            json!({ ".": {}, "f:image": {} });
        let left = json!({ "f:metadata": { "f:annotations": {} } });
        assert_eq!(
            operations[0]["value"],
            json!([field("ci", "Apply", whole.clone()), field(MANAGER, "Update", left)])
        );
        // Done, or nobody's business.
        let done = with(vec![field("ci", "Apply", whole), field(MANAGER, "Update", json!({}))]);
        assert_eq!(mended(&done, None), Vec::<Value>::new());
        let two = with(vec![
            field("ci", "Apply", rest.clone()),
            field("cd", "Apply", rest),
            field(MANAGER, "Update", ours),
        ]);
        assert_eq!(mended(&two, None), Vec::<Value>::new());
    }
}
