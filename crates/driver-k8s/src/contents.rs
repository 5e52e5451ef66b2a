//! What it takes to make a state again: the workload's manifest, and the ConfigMaps that it refers to. Never a Secret.

use std::collections::BTreeMap;

use rollback_core::document::decode_exact;
use rollback_core::fingerprint::FingerprintKey;
use rollback_core::{Document, Error, ErrorKind, Result, Snapshot as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::coupled::{Coupled, map_place};
use crate::patch::{MARK, REPLICAS_BEFORE};
use crate::snapshot::K8sSnapshot;
use crate::template::{Referenced, Template};
use crate::text::text;

/// What controllers and this driver write for themselves: another object of the name has its own.
const NOT_KEPT: [&str; 3] = ["deployment.kubernetes.io/revision", MARK, REPLICAS_BEFORE];

/// A state in full, values and all. Core keeps it encrypted, and only where an installation chose that.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct K8sContents {
    /// The workload, as it can be sent.
    workload: Value,
    /// The ConfigMaps, by name, as they can be sent.
    config_maps: BTreeMap<String, Value>,
}

impl std::fmt::Debug for K8sContents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("K8sContents").field("config_maps", &self.config_maps.keys()).finish_non_exhaustive()
    }
}

impl Document for K8sContents {
    const SCHEMA: &'static str = "k8s-contents/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl K8sContents {
    /// Reads what is there now, which must be the state that is asked for.
    pub(crate) async fn read(client: &Client, snapshot: &K8sSnapshot) -> Result<Self> {
        let object = client.object().await?;
        let key = &client.home().await?.key;
        let template = Template::of(object.pointer("/spec/template").unwrap_or(&Value::Null), key);
        if template.identity() != snapshot.info().identity {
            let why = "it is set to something else by now";
            return Err(Error::new(ErrorKind::Stale, format!("keep {}", snapshot.workload), why)
                .next("record it once it rests"));
        }
        let mut config_maps = BTreeMap::new();
        for (reference, answer) in client.references(&template).await {
            if reference.kind != Referenced::ConfigMap {
                continue;
            }
            match answer {
                Ok(object) => drop(config_maps.insert(reference.name, sendable(&object, CONFIG_MAP))),
                // It was not there, and that is what it was.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { workload: sendable(&object, &["spec"]), config_maps })
    }

    /// The pod template, as the API has it.
    pub(crate) fn template(&self) -> &Value {
        self.workload.pointer("/spec/template").unwrap_or(&Value::Null)
    }

    /// The workload, as it is sent to make it again.
    pub(crate) fn workload(&self) -> &Value {
        &self.workload
    }

    /// A ConfigMap whose content has this digest.
    pub(crate) fn config_map(&self, name: &str, digest: &str, key: &FingerprintKey) -> Result<&Value> {
        let found = self.config_maps.get(name);
        found.filter(|found| Coupled::content(&map_place(name), found, key) == digest).ok_or_else(|| {
            let why = format!("what is kept holds no ConfigMap {name} with the content that was planned");
            Error::new(ErrorKind::Conflict, "put a ConfigMap back", why)
                .next("make a new plan, with the same fingerprint key")
        })
    }
}

/// What of a ConfigMap is its own.
const CONFIG_MAP: &[&str] = &["data", "binaryData", "immutable"];

/// An object without what the API server and controllers say of it.
fn sendable(object: &Value, fields: &[&str]) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(text(object, "/metadata/name").unwrap_or_default()));
    for map in ["labels", "annotations"] {
        let entries = object.pointer(&format!("/metadata/{map}")).and_then(Value::as_object);
        let mut entries = entries.cloned().unwrap_or_default();
        entries.retain(|name, _| !NOT_KEPT.contains(&name.as_str()));
        if !entries.is_empty() {
            metadata.insert(map.to_owned(), Value::Object(entries));
        }
    }
    let mut sent = Map::new();
    for field in ["apiVersion", "kind"] {
        sent.extend(object.get(field).map(|value| (field.to_owned(), value.clone())));
    }
    sent.insert("metadata".to_owned(), Value::Object(metadata));
    for field in fields {
        sent.extend(object.get(*field).map(|value| ((*field).to_owned(), value.clone())));
    }
    Value::Object(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_of_an_object_is_not_kept() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "uid": "u", "resourceVersion": "7", "managedFields": [], "labels": { "app": "web" },
                "annotations": { "theirs": "kept", MARK: "key", "deployment.kubernetes.io/revision": "3" } },
            "spec": { "replicas": 2 }, "status": { "replicas": 2 },
        });
        let wanted = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "web", "labels": { "app": "web" }, "annotations": { "theirs": "kept" } },
            "spec": { "replicas": 2 },
        });
        assert_eq!(sendable(&object, &["spec"]), wanted);
    }

    #[test]
    fn contents_do_not_show() {
        let map = json!({ "data": { "password": "hunter2" } });
        let contents = K8sContents {
            workload: json!({ "spec": { "template": { "env": "hunter2" } } }),
            config_maps: BTreeMap::from([("web".to_owned(), map.clone())]),
        };
        assert!(!format!("{contents:?}").contains("hunter2"));
        let key = FingerprintKey::public(crate::NAME, "ns");
        let digest = Coupled::content("config-map/web", &map, &key);
        assert_eq!(contents.config_map("web", &digest, &key).unwrap(), &map);
        let other = Coupled::content("config-map/web", &json!({ "data": {} }), &key);
        for (name, digest) in [("web", &other), ("db", &digest)] {
            assert_eq!(contents.config_map(name, digest, &key).unwrap_err().kind(), ErrorKind::Conflict);
        }
    }
}
