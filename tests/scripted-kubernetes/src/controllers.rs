//! What the controllers of workloads do, one step at a time.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::World;
use crate::kubelet::{Behaviour, is_ready};

/// Annotations of a Deployment that its ReplicaSets do not get.
const KEPT: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/revision"];

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn hash(template: &Value) -> String {
    Sha256::digest(template.to_string()).iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

fn owned_by(object: &Value, uid: &str) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    owners.into_iter().flatten().any(|owner| owner["uid"] == uid && owner["controller"] == true)
}

fn owner(object: &Value) -> Value {
    json!([{ "kind": object["kind"], "name": object["metadata"]["name"], "uid": object["metadata"]["uid"], "controller": true }])
}

impl World {
    /// One step of everything.
    pub(crate) fn tick(&mut self) {
        if !self.controllers_stopped {
            for (namespace, object) in self.store.everywhere("deployments") {
                self.deployment(&namespace, object);
            }
            for (namespace, object) in self.store.everywhere("statefulsets") {
                self.stateful_set(&namespace, object);
            }
            for (namespace, object) in self.store.everywhere("daemonsets") {
                self.daemon_set(&namespace, object);
            }
        }
        self.run_pods();
        self.end_jobs();
    }

    /// A job ends in the step after it was made, as its image says.
    fn end_jobs(&mut self) {
        for (namespace, mut job) in self.store.everywhere("jobs") {
            let image = text(&job, "/spec/template/spec/containers/0/image").to_owned();
            let failed = self.behaviours.get(&image) == Some(&Behaviour::Crash);
            let (kind, code) = if failed { ("Failed", 1) } else { ("Complete", 0) };
            if job["status"]["conditions"][0]["type"] == kind {
                continue;
            }
            job["status"] = json!({ "conditions": [{ "type": kind, "status": "True" }] });
            let name = text(&job, "/metadata/name").to_owned();
            let labels = job["spec"]["template"]["metadata"]["labels"].clone();
            let ended = json!([{ "name": "web", "state": { "terminated": { "exitCode": code } } }]);
            self.store.create(
                "pods",
                &namespace,
                json!({ "kind": "Pod", "spec": {},
                "metadata": { "name": format!("{name}-x"), "labels": labels, "annotations": {} },
                "status": { "phase": "Succeeded", "containerStatuses": ended } }),
            );
            self.store.update("jobs", &namespace, job);
        }
    }

    fn owned(&self, plural: &str, namespace: &str, uid: &str) -> Vec<Value> {
        self.store.matching(plural, namespace, |one| owned_by(one, uid))
    }

    /// What somebody says of an object, once.
    pub(crate) fn event(&mut self, namespace: &str, about: &Value, reason: &str, message: &str) {
        let uid = text(about, "/metadata/uid");
        let name = format!("{uid}.{}", reason.to_lowercase());
        if self.store.get("events", namespace, &name).is_none() {
            let event = json!({ "kind": "Event", "metadata": { "name": name }, "involvedObject": { "uid": uid }, "type": "Warning",
                "reason": reason, "message": message, "lastTimestamp": "2026-11-21T10:00:00Z" });
            self.store.create("events", namespace, event);
        }
    }

    fn pod(&mut self, namespace: &str, name: &str, owned: &Value, template: &Value, label: (&str, &str)) {
        if let Some(why) = self.refused.clone() {
            let about = json!({ "metadata": { "uid": owned[0]["uid"] } });
            return self.event(namespace, &about, "FailedCreate", &why);
        }
        let mut metadata = json!({ "name": name, "ownerReferences": owned, "annotations": {} });
        metadata["labels"] = template["metadata"]["labels"].clone();
        metadata["labels"][label.0] = json!(label.1);
        self.store.create(
            "pods",
            namespace,
            json!({ "kind": "Pod", "metadata": metadata, "spec": template["spec"] }),
        );
    }

    fn deployment(&mut self, namespace: &str, mut object: Value) {
        let uid = text(&object, "/metadata/uid").to_owned();
        let template = object["spec"]["template"].clone();
        let name = format!("{}-{}", text(&object, "/metadata/name"), hash(&template));
        let paused = object["spec"]["paused"] == true;
        let exists = self.store.get("replicasets", namespace, &name).is_some();
        if !paused || exists {
            self.replica_set(namespace, &mut object, &name, &template);
        }
        if !paused {
            self.roll(namespace, &object, &name, &template);
        }
        let sets = self.owned("replicasets", namespace, &uid);
        let (mut all, mut ready, mut updated, mut updated_ready) = (0, 0, 0, 0);
        for mut set in sets {
            let pods = self.owned("pods", namespace, text(&set, "/metadata/uid"));
            let available = pods.iter().filter(|pod| is_ready(pod)).count();
            (all, ready) = (all + pods.len(), ready + available);
            if text(&set, "/metadata/name") == name {
                (updated, updated_ready) = (pods.len(), available);
            }
            set["status"] = json!({ "replicas": pods.len(), "availableReplicas": available });
            self.store.update("replicasets", namespace, set);
        }
        let wanted = usize::try_from(object["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap_or(1);
        let conditions = match updated == wanted && all == updated && updated_ready == updated && !paused {
            true => json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                "message": format!("ReplicaSet \"{name}\" has successfully progressed.") }]),
            false => object["status"]["conditions"].clone(),
        };
        let conditions = match &self.refused {
            Some(why) if updated < wanted => {
                json!([{ "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                "message": why }])
            }
            _ => conditions,
        };
        object["status"] = json!({ "observedGeneration": object["metadata"]["generation"], "replicas": all, "readyReplicas": ready,
            "availableReplicas": ready, "updatedReplicas": updated, "conditions": conditions });
        self.store.update("deployments", namespace, object);
    }

    /// The ReplicaSet of what a Deployment is set to, with the newest number.
    fn replica_set(&mut self, namespace: &str, object: &mut Value, name: &str, template: &Value) {
        let uid = text(object, "/metadata/uid").to_owned();
        let number = |set: &Value| {
            set["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
                .as_str()
                .and_then(|n| n.parse::<u64>().ok())
                .unwrap_or(0)
        };
        let sets = self.owned("replicasets", namespace, &uid);
        let newest =
            sets.iter().filter(|set| text(set, "/metadata/name") != name).map(number).max().unwrap_or(0);
        let mut annotations = object["metadata"]["annotations"].clone();
        if let Some(annotations) = annotations.as_object_mut() {
            KEPT.iter().for_each(|kept| drop(annotations.remove(*kept)));
        } else {
            annotations = json!({});
        }
        let existing = self.store.get("replicasets", namespace, name).cloned();
        let mine = existing.as_ref().map_or(0, number);
        let revision = if mine > newest { mine } else { newest + 1 };
        annotations["deployment.kubernetes.io/revision"] = json!(revision.to_string());
        object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!(revision.to_string());
        if let Some(mut set) = existing {
            set["metadata"]["annotations"] = annotations;
            self.store.update("replicasets", namespace, set);
            return;
        }
        let hash = hash(template);
        let mut inner = template.clone();
        inner["metadata"]["labels"]["pod-template-hash"] = json!(hash);
        let metadata = json!({ "name": name, "ownerReferences": owner(object), "annotations": annotations,
            "labels": inner["metadata"]["labels"] });
        let set = json!({ "kind": "ReplicaSet", "metadata": metadata, "spec": { "template": inner } });
        self.store.create("replicasets", namespace, set);
    }

    /// One pod more than wanted at most, and never fewer that are ready.
    fn roll(&mut self, namespace: &str, object: &Value, name: &str, template: &Value) {
        let wanted = usize::try_from(object["spec"]["replicas"].as_u64().unwrap_or(1)).unwrap_or(1);
        let Some(set) = self.store.get("replicasets", namespace, name).cloned() else { return };
        let mut pods = Vec::new();
        for one in self.owned("replicasets", namespace, text(object, "/metadata/uid")) {
            let is_new = text(&one, "/metadata/name") == name;
            let own = self.owned("pods", namespace, text(&one, "/metadata/uid"));
            pods.extend(own.into_iter().map(|pod| (is_new, pod)));
        }
        let new = pods.iter().filter(|(is_new, _)| *is_new).count();
        let ready = pods.iter().filter(|(_, pod)| is_ready(pod)).count();
        let surplus = pods.iter().find(|(is_new, pod)| match is_new {
            true => new > wanted,
            false => !is_ready(pod) || ready > wanted || wanted == 0,
        });
        if let Some((_, pod)) = surplus {
            self.store.remove("pods", namespace, text(pod, "/metadata/name"));
        } else if new < wanted && pods.len() <= wanted {
            let hash = hash(template);
            let pod = format!("{name}-{}", self.store.version());
            self.pod(namespace, &pod, &owner(&set), template, ("pod-template-hash", &hash));
        }
    }

    /// The ControllerRevision of what a workload is set to, with the newest number.
    fn revision(&mut self, namespace: &str, object: &Value) -> String {
        let template = object["spec"]["template"].clone();
        let name = format!("{}-{}", text(object, "/metadata/name"), hash(&template));
        let all = self.owned("controllerrevisions", namespace, text(object, "/metadata/uid"));
        let others = all.iter().filter(|one| text(one, "/metadata/name") != name);
        let newest = others.map(|one| one["revision"].as_u64().unwrap_or(0)).max().unwrap_or(0);
        match self.store.get("controllerrevisions", namespace, &name).cloned() {
            Some(mut found) => {
                if found["revision"].as_u64().unwrap_or(0) < newest {
                    found["revision"] = json!(newest + 1);
                    self.store.update("controllerrevisions", namespace, found);
                }
            }
            None => {
                let mut inner = template;
                inner["$patch"] = json!("replace");
                let metadata = json!({ "name": name, "ownerReferences": owner(object),
                    "labels": object["spec"]["template"]["metadata"]["labels"] });
                self.store.create(
                    "controllerrevisions",
                    namespace,
                    json!({ "kind": "ControllerRevision", "metadata": metadata,
                    "revision": newest + 1, "data": { "spec": { "template": inner } } }),
                );
            }
        }
        name
    }

    fn stateful_set(&mut self, namespace: &str, mut object: Value) {
        let update = self.revision(namespace, &object);
        let (uid, name) =
            (text(&object, "/metadata/uid").to_owned(), text(&object, "/metadata/name").to_owned());
        let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
        self.roll_in_order(namespace, &object, &update, wanted);
        let pods = self.owned("pods", namespace, &uid);
        let is_updated =
            |pod: &&Value| pod["metadata"]["labels"]["controller-revision-hash"] == json!(update);
        let updated = pods.iter().filter(is_updated).count() as u64;
        let ready = pods.iter().filter(|pod| is_ready(pod)).count() as u64;
        let done = updated == wanted && ready == wanted && pods.len() as u64 == wanted;
        let before = text(&object, "/status/currentRevision").to_owned();
        let current = if done || before.is_empty() { update.clone() } else { before };
        object["status"] = json!({ "observedGeneration": object["metadata"]["generation"], "replicas": pods.len(), "readyReplicas": ready,
            "updatedReplicas": updated, "currentRevision": current, "updateRevision": update });
        self.store.update("statefulsets", namespace, object);
        let _ = name;
    }

    /// Pods one after the other; an ordered one waits for each to be ready, whatever it runs.
    fn roll_in_order(&mut self, namespace: &str, object: &Value, update: &str, wanted: u64) {
        let (uid, name) = (text(object, "/metadata/uid"), text(object, "/metadata/name"));
        let ordered = object["spec"]["podManagementPolicy"] != "Parallel";
        let pods = self.owned("pods", namespace, uid);
        let find =
            |ordinal: u64| pods.iter().find(|pod| text(pod, "/metadata/name") == format!("{name}-{ordinal}"));
        for ordinal in 0..wanted {
            match find(ordinal) {
                None => {
                    let pod = format!("{name}-{ordinal}");
                    let label = ("controller-revision-hash", update);
                    return self.pod(namespace, &pod, &owner(object), &object["spec"]["template"], label);
                }
                Some(pod) if ordered && !is_ready(pod) => return,
                Some(_) => {}
            }
        }
        let surplus = pods.iter().map(|pod| text(pod, "/metadata/name")).find(|pod| {
            pod.rsplit_once('-')
                .and_then(|(_, ordinal)| ordinal.parse::<u64>().ok())
                .is_some_and(|ordinal| ordinal >= wanted)
        });
        let old = || {
            for ordinal in (0..wanted).rev() {
                let pod = find(ordinal)?;
                if pod["metadata"]["labels"]["controller-revision-hash"] != json!(update) {
                    return Some(text(pod, "/metadata/name"));
                }
                if !is_ready(pod) {
                    return None;
                }
            }
            None
        };
        if let Some(gone) = surplus.or_else(old) {
            self.store.remove("pods", namespace, gone);
        }
    }

    fn daemon_set(&mut self, namespace: &str, mut object: Value) {
        let update = self.revision(namespace, &object);
        let (uid, name) =
            (text(&object, "/metadata/uid").to_owned(), text(&object, "/metadata/name").to_owned());
        let hash = hash(&object["spec"]["template"]);
        let nodes = text(&object, "/metadata/labels/nodes").parse::<u64>().unwrap_or(1);
        let pods = self.owned("pods", namespace, &uid);
        let missing = (0..nodes).find(|node| {
            let prefix = format!("{name}-node{node}-");
            !pods.iter().any(|pod| text(pod, "/metadata/name").starts_with(&prefix))
        });
        let is_old = |pod: &&Value| pod["metadata"]["labels"]["controller-revision-hash"] != json!(hash);
        let unready = pods.iter().filter(|pod| !is_ready(pod)).count();
        let old = pods.iter().filter(is_old).find(|pod| !is_ready(pod) || unready == 0);
        if let Some(node) = missing {
            let pod = format!("{name}-node{node}-{}", self.store.version());
            let template = object["spec"]["template"].clone();
            self.pod(namespace, &pod, &owner(&object), &template, ("controller-revision-hash", &hash));
        } else if let Some(old) = old {
            self.store.remove("pods", namespace, text(old, "/metadata/name"));
        }
        let pods = self.owned("pods", namespace, &uid);
        object["status"] = json!({ "observedGeneration": object["metadata"]["generation"], "desiredNumberScheduled": nodes,
            "currentNumberScheduled": pods.len(), "updatedNumberScheduled": pods.iter().filter(|pod| !is_old(pod)).count(),
            "numberAvailable": pods.iter().filter(|pod| is_ready(pod)).count() });
        self.store.update("daemonsets", namespace, object);
        let _ = update;
    }
}
