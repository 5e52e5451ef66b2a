//! Objects with UIDs, resource versions and generations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Every object by its kind, namespace and name.
#[derive(Default)]
pub(crate) struct Store {
    objects: BTreeMap<(String, String, String), Value>,
    version: u64,
    /// What happened since somebody asked last.
    happened: Vec<Event>,
    made: u64,
}

/// Something that a watch tells.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) plural: String,
    pub(crate) namespace: String,
    /// As it goes over the line, without the content of the object.
    pub(crate) line: String,
}

impl Event {
    pub(crate) fn new(kind: &str, plural: &str, namespace: &str, object: &Value) -> Self {
        let object = json!({ "kind": "PartialObjectMetadata", "metadata": object["metadata"] });
        let line = format!("{}\n", json!({ "type": kind, "object": object }));
        Self { plural: plural.to_owned(), namespace: namespace.to_owned(), line }
    }
}

const KINDS: [(&str, &str); 13] = [
    ("Job", "jobs"),
    ("Deployment", "deployments"),
    ("StatefulSet", "statefulsets"),
    ("DaemonSet", "daemonsets"),
    ("ReplicaSet", "replicasets"),
    ("ControllerRevision", "controllerrevisions"),
    ("Pod", "pods"),
    ("ConfigMap", "configmaps"),
    ("Secret", "secrets"),
    ("HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("ResourceQuota", "resourcequotas"),
    ("ServiceAccount", "serviceaccounts"),
    ("Ingress", "ingresses"),
];

pub(crate) fn plural(kind: &str) -> String {
    let found = KINDS.iter().find(|(one, _)| *one == kind);
    found.map_or_else(|| format!("{}s", kind.to_lowercase()), |(_, plural)| (*plural).to_owned())
}

pub(crate) fn kind(plural: &str) -> &'static str {
    KINDS.iter().find(|(_, one)| *one == plural).map_or("Unknown", |(kind, _)| kind)
}

impl Store {
    /// Changes with every change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// What happened since this was asked last.
    pub(crate) fn happened(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.happened)
    }

    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub(crate) fn namespace(&mut self, name: &str) {
        if self.get("namespaces", "", name).is_none() {
            self.create("namespaces", "", json!({ "kind": "Namespace", "metadata": { "name": name } }));
        }
    }

    pub(crate) fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(plural.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn list(&self, plural: &str, namespace: &str) -> Vec<Value> {
        self.matching(plural, namespace, |_| true)
    }

    /// Those that are wanted: only they are copied, and only their own kind is looked at.
    pub(crate) fn matching(
        &self,
        plural: &str,
        namespace: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let from = (plural.to_owned(), namespace.to_owned(), String::new());
        let all = self.objects.range(from..).take_while(|((one, at, _), _)| one == plural && at == namespace);
        all.map(|(_, object)| object).filter(|object| wanted(object)).cloned().collect()
    }

    /// Every namespace with its objects of a kind.
    pub(crate) fn everywhere(&self, plural: &str) -> Vec<(String, Value)> {
        let all = self.objects.iter().filter(|((one, _, _), _)| one == plural);
        all.map(|((_, namespace, _), object)| (namespace.clone(), object.clone())).collect()
    }

    pub(crate) fn create(&mut self, plural: &str, namespace: &str, mut object: Value) -> Value {
        self.made += 1;
        fill_in(&mut object);
        object["metadata"]["uid"] = json!(format!("uid-{}-{}", plural, self.made));
        object["metadata"]["generation"] = json!(1);
        object["metadata"]["creationTimestamp"] = json!(format!(
            "2026-11-21T{:02}:{:02}:{:02}Z",
            self.made / 3600,
            self.made / 60 % 60,
            self.made % 60
        ));
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        self.put(plural, namespace, object)
    }

    fn put(&mut self, plural: &str, namespace: &str, mut object: Value) -> Value {
        object["metadata"]["resourceVersion"] = json!(self.next());
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let before = self.objects.insert((plural.to_owned(), namespace.to_owned(), name), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.happened.push(Event::new(kind, plural, namespace, &object));
        object
    }

    /// What an update would come to, without making it.
    pub(crate) fn updated(&self, plural: &str, namespace: &str, mut object: Value) -> Value {
        fill_in(&mut object);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if let Some(before) = self.get(plural, namespace, &name)
            && before.get("spec") != object.get("spec")
        {
            let generation = before["metadata"]["generation"].as_u64().unwrap_or(1);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        object
    }

    /// Stores a changed object; nothing happens if it is the same.
    pub(crate) fn update(&mut self, plural: &str, namespace: &str, object: Value) -> Value {
        let object = self.updated(plural, namespace, object);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if self.get(plural, namespace, name) == Some(&object) {
            return object;
        }
        self.put(plural, namespace, object)
    }

    pub(crate) fn remove(&mut self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let gone = self.objects.remove(&(plural.to_owned(), namespace.to_owned(), name.to_owned()));
        if let Some(object) = &gone {
            self.next();
            self.happened.push(Event::new("DELETED", plural, namespace, object));
        }
        gone
    }
}

/// The defaults that the API server fills in, as far as they matter here.
fn fill_in(object: &mut Value) {
    let Some(spec) = object.pointer_mut("/spec/template/spec") else { return };
    let mut default = |key: &str, value: Value| {
        if spec.get(key).is_none() {
            spec[key] = value;
        }
    };
    default("restartPolicy", json!("Always"));
    default("dnsPolicy", json!("ClusterFirst"));
    default("schedulerName", json!("default-scheduler"));
    default("terminationGracePeriodSeconds", json!(30));
    default("securityContext", json!({}));
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        for (key, value) in [
            ("imagePullPolicy", json!("IfNotPresent")),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
            ("resources", json!({})),
        ] {
            if container.get(key).is_none() {
                container[key] = value;
            }
        }
    }
}
