//! Objects that a plan puts into the namespace for a while, like what switches an application to maintenance, and takes away again.
//!
//! They are applied as their author wrote them, with two annotations: which step did it, and for which workload. By the second one they are
//! known again: nothing else is ever changed or deleted.

use std::collections::BTreeSet;

use rollback_core::IdempotencyKey;
use rollback_core::error::quoted;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::patch::MARK;
use crate::text::{entry, is_name, text};
use crate::workload::Workload;

/// Says for which workload an object was applied.
const OF: &str = "rollback-rs.github.io/applied-for";
/// The most objects of one action, and the most bytes of all of them: a plan holds them.
const MOST: usize = 16;
const LARGEST: usize = 64 * 1024;

/// An object by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Named {
    /// `networking.k8s.io/v1`, or `v1`.
    pub api_version: String,
    /// `Ingress`.
    pub kind: String,
    /// What it is called.
    pub name: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

impl Named {
    /// A name, which is looked at when its action is.
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into(), name: name.into() }
    }

    /// The name of a whole object, if it has one.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let at = |pointer: &str| text(object, pointer).map(str::to_owned);
        Some(Self { api_version: at("/apiVersion")?, kind: at("/kind")?, name: at("/metadata/name")? })
    }

    /// The group, which is empty for the core, and the version.
    pub(crate) fn group_and_version(&self) -> (&str, &str) {
        self.api_version.split_once('/').unwrap_or(("", &self.api_version))
    }

    /// Names end up in paths.
    fn check(&self) -> Result<(), String> {
        let (group, version) = self.group_and_version();
        let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let sound = (group.is_empty() || is_name(group))
            && is_word(version)
            && version.len() <= 63
            && self.api_version.matches('/').count() == usize::from(!group.is_empty());
        if !sound {
            return Err(format!("{} is no apiVersion", quoted(&self.api_version)));
        }
        if !is_word(&self.kind) || self.kind.len() > 63 {
            return Err(format!("{} is no kind", quoted(&self.kind)));
        }
        if self.kind == "Secret" {
            return Err("a Secret would stand in the plan for everybody to read: refer to one that is there"
                .to_owned());
        }
        if !is_name(&self.name) {
            return Err(format!("{} is no name that Kubernetes takes", quoted(&self.name)));
        }
        Ok(())
    }
}

/// Looks at the names of an action's objects.
pub(crate) fn check_names(names: &[Named]) -> Result<(), String> {
    if names.is_empty() || names.len() > MOST {
        return Err(format!("it has {} objects, and may have 1 to {MOST}", names.len()));
    }
    names.iter().try_for_each(Named::check)?;
    match names.iter().collect::<BTreeSet<_>>().len() == names.len() {
        true => Ok(()),
        false => Err("it has the same object twice".to_owned()),
    }
}

/// Looks at whole objects: each with a name, in the workload's namespace, and with nothing that only the API server writes.
pub(crate) fn check_objects(workload: &Workload, objects: &[Value]) -> Result<(), String> {
    let names: Option<Vec<_>> = objects.iter().map(Named::of).collect();
    check_names(&names.ok_or("an object has no apiVersion, kind or name")?)?;
    for object in objects {
        if text(object, "/metadata/namespace").is_some_and(|namespace| namespace != workload.namespace) {
            return Err(format!("an object is not in namespace {}", workload.namespace));
        }
        let written = ["uid", "resourceVersion", "managedFields", "generation", "ownerReferences"];
        let metadata = object.pointer("/metadata").and_then(Value::as_object);
        if let Some(field) =
            written.iter().find(|field| metadata.is_some_and(|all| all.contains_key(**field)))
        {
            return Err(format!("an object has metadata.{field}, which is not for a manifest to say"));
        }
        let marks = object.pointer("/metadata/annotations");
        if marks.is_some_and(|marks| !marks.is_object()) {
            return Err("an object has annotations that are none".to_owned());
        }
    }
    let size: usize = objects.iter().map(|object| object.to_string().len()).sum();
    if size > LARGEST {
        Err(format!("its objects have {size} bytes, and {LARGEST} are the most"))
    } else {
        Ok(())
    }
}

/// What is sent: the object, marked. With the UID of what is there already, so that another one of that name is refused.
pub(crate) fn marked(object: &Value, workload: &Workload, key: &IdempotencyKey, uid: Option<&str>) -> Value {
    let mut sent = object.clone();
    let metadata = &mut sent["metadata"];
    metadata["namespace"] = json!(workload.namespace);
    metadata["annotations"][OF] = json!(owner(workload));
    metadata["annotations"][MARK] = json!(key.as_str());
    if let Some(uid) = uid {
        metadata["uid"] = json!(uid);
    }
    sent
}

/// Whether an object was applied for this workload.
pub(crate) fn is_for(object: &Value, workload: &Workload) -> bool {
    entry(object, "/metadata/annotations", OF) == Some(&owner(workload))
}

/// Whether an object is as this step left it.
pub(crate) fn is_by(object: &Value, key: &IdempotencyKey) -> bool {
    entry(object, "/metadata/annotations", MARK) == Some(key.as_str())
}

fn owner(workload: &Workload) -> String {
    format!("{}/{}", workload.kind.resource(), workload.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Kind;

    fn web() -> Workload {
        Workload::new(Kind::Deployment, "shop", "web").unwrap()
    }

    fn page() -> Value {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "page", "annotations": { "a": "b" } },
            "data": { "index.html": "back soon" } })
    }

    #[test]
    fn what_is_sent_says_for_whom_and_by_which_step() {
        let key = IdempotencyKey::new("key-1").unwrap();
        let sent = marked(&page(), &web(), &key, Some("u1"));
        assert!(is_for(&sent, &web()) && is_by(&sent, &key));
        assert!(!is_for(&page(), &web()) && !is_by(&page(), &key));
        let other = Workload::new(Kind::StatefulSet, "shop", "web").unwrap();
        assert!(!is_for(&sent, &other));
        assert_eq!(sent["metadata"]["annotations"]["a"], "b");
        assert_eq!(
            (&sent["metadata"]["uid"], &sent["metadata"]["namespace"]),
            (&json!("u1"), &json!("shop"))
        );
        let bare = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "page" } });
        assert!(is_for(&marked(&bare, &web(), &key, None), &web()));
    }

    #[test]
    fn hostile_objects_are_refused() {
        assert!(check_objects(&web(), &[page()]).is_ok());
        for (pointer, value) in [
            ("/apiVersion", json!("v1/../..")),
            ("/apiVersion", json!("a/b/v1")),
            ("/apiVersion", json!("/v1")),
            ("/apiVersion", json!("apps/")),
            ("/apiVersion", json!(1)),
            ("/kind", json!("Config/Map")),
            ("/kind", json!("Secret")),
            ("/metadata/name", json!("../page")),
            ("/metadata/annotations", json!("x")),
            ("/data", json!("x".repeat(LARGEST))),
        ] {
            let mut object = page();
            *object.pointer_mut(pointer).unwrap() = value;
            assert!(check_objects(&web(), &[object]).is_err(), "{pointer}");
        }
        for (field, value) in [("namespace", "kube-system"), ("uid", "u"), ("resourceVersion", "1")] {
            let mut object = page();
            object["metadata"][field] = json!(value);
            assert!(check_objects(&web(), &[object]).is_err(), "{field}");
        }
        assert!(check_objects(&web(), &[]).is_err());
        assert!(check_objects(&web(), &[page(), page()]).is_err());
        assert!(check_objects(&web(), &[json!("x")]).is_err());
    }
}
