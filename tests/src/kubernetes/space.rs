//! A namespace: what is asked of it, and what it comes to.

use std::path::Path;
use std::process::Command;
use std::sync::mpsc::RecvTimeoutError;

use rollback_core::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::access::ADMIN;
use super::{ControlPlane, collection, kubectl, manifest, namespace_named};
use crate::{LIMIT, Ran, Result, until};

/// A namespace of a control plane.
#[derive(Debug, Clone)]
pub struct Space<'a> {
    plane: &'a ControlPlane,
    name: String,
}

impl<'a> Space<'a> {
    /// Made, and ready for pods: those need the service account that a controller makes, and older versions its token.
    pub(super) fn make(plane: &'a ControlPlane, name: String) -> Result<Self> {
        plane.ask("POST", "/api/v1/namespaces", &namespace_named(&name))?;
        let space = Self { plane, name };
        let minor = plane.minor();
        space.until("its service account", "serviceaccounts", |all| {
            all.iter().any(|account| minor >= 24 || account["secrets"].is_array())
        })?;
        Ok(space)
    }

    /// Its control plane.
    #[must_use]
    pub fn plane(&self) -> &'a ControlPlane {
        self.plane
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of a collection, or of one object with a name: `deployments`, `web`.
    #[must_use]
    pub fn path(&self, resource: &str, name: &str) -> String {
        let all = collection(self.plane.minor(), &self.name, resource);
        if name.is_empty() { all } else { format!("{all}/{name}") }
    }

    /// One object.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn get(&self, resource: &str, name: &str) -> Result<Value> {
        self.plane.ask("GET", &self.path(resource, name), &Value::Null)
    }

    /// All objects of a kind.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub fn list(&self, resource: &str) -> Result<Vec<Value>> {
        let mut list = self.plane.ask("GET", &self.path(resource, ""), &Value::Null)?;
        Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    /// Makes an object, of whatever kind it says.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn create(&self, object: &Value) -> Result<Value> {
        let kind = object["kind"].as_str().ok_or("no kind")?.to_lowercase();
        self.plane.ask("POST", &self.path(&format!("{kind}s"), ""), object)
    }

    /// Changes an object by a JSON merge patch.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn patch(&self, resource: &str, name: &str, patch: &Value) -> Result<Value> {
        self.plane.ask("PATCH", &self.path(resource, name), patch)
    }

    /// Deletes an object, and what it owns after it.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn delete(&self, resource: &str, name: &str) -> Result<()> {
        self.plane.ask("DELETE", &self.path(resource, name), &Value::Null)?;
        Ok(())
    }

    /// Has a workload run another version. It does not wait.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn set_image(&self, resource: &str, name: &str, version: &str) -> Result<Value> {
        let container = json!({ "name": "web", "image": manifest::image(version) });
        let spec = json!({ "containers": [container], "terminationGracePeriodSeconds": 0 });
        self.patch(resource, name, &json!({ "spec": { "template": { "spec": spec } } }))
    }

    /// The version that a workload is to run.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn version(&self, resource: &str, name: &str) -> Result<String> {
        Ok(version_of(&self.get(resource, name)?["spec"]["template"]))
    }

    /// The versions of the pods of an application that are ready, in their order.
    ///
    /// # Errors
    ///
    /// When pods cannot be listed.
    pub fn ready_versions(&self, app: &str) -> Result<Vec<String>> {
        let pods = self.list("pods")?;
        let ours = pods.iter().filter(|pod| pod["metadata"]["labels"]["app"] == app && is_ready(pod));
        let mut versions: Vec<String> = ours.map(version_of).collect();
        versions.sort();
        Ok(versions)
    }

    /// Gives somebody a role here: the rules of an RBAC role, each with one API group, resource and verb at least. It holds when this
    /// comes back.
    ///
    /// # Errors
    ///
    /// When it is refused, or does not come to hold.
    pub fn allow(&self, who: &str, rules: &Value) -> Result<()> {
        let name = format!("{who}-{}", self.list("roles")?.len());
        let group = "rbac.authorization.k8s.io";
        let named = |kind: &str| json!({ "apiVersion": format!("{group}/v1"), "kind": kind, "metadata": { "name": name } });
        let (mut role, mut binding) = (named("Role"), named("RoleBinding"));
        role["rules"] = rules.clone();
        binding["roleRef"] = json!({ "apiGroup": group, "kind": "Role", "name": name });
        binding["subjects"] = json!([{ "apiGroup": group, "kind": "User", "name": who }]);
        self.create(&role)?;
        self.create(&binding)?;
        let rule = &rules[0];
        let attributes = json!({
            "namespace": self.name, "group": rule["apiGroups"][0], "resource": rule["resources"][0], "verb": rule["verbs"][0],
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": { "user": who, "resourceAttributes": attributes },
        });
        until("a role to hold", || {
            let told =
                self.plane.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", &review).ok()?;
            (told["status"]["allowed"] == true).then_some(())
        })
    }

    /// Waits until all objects of a kind are as wanted. It looks again when one of them changes.
    ///
    /// # Errors
    ///
    /// When that does not come, with what there is instead.
    pub fn until(&self, what: &str, resource: &str, holds: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        let following = self.plane.worker.follow(&self.plane.admin, &self.path(resource, ""), "");
        let (began, mut last) = (SystemClock.monotonic(), Vec::new());
        loop {
            let left = LIMIT.saturating_sub(SystemClock.monotonic().saturating_sub(began));
            match following.seen.recv_timeout(left) {
                Ok(all) if holds(&all) => return Ok(all),
                Ok(all) => last = all,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        let told: Vec<String> = last.iter().map(told).collect();
        Err(format!("waited for {what} in vain; {resource} of {}:\n{}", self.name, told.join("\n")).into())
    }

    /// Waits until one object is as wanted.
    ///
    /// # Errors
    ///
    /// When that does not come, with what there is instead.
    pub fn until_one(
        &self,
        what: &str,
        resource: &str,
        name: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let is = |object: &&Value| object["metadata"]["name"] == name && holds(object);
        let all = self.until(what, resource, |all| all.iter().any(|object| is(&object)))?;
        Ok(all.iter().find(is).cloned().unwrap_or_default())
    }

    /// Waits until a workload runs what it is to run, and nothing else.
    ///
    /// # Errors
    ///
    /// When that does not come, with what there is instead.
    pub fn until_rolled_out(&self, resource: &str, name: &str) -> Result<Value> {
        self.until_one(&format!("the rollout of {name}"), resource, name, is_rolled_out)
    }

    /// Waits until a container of an application waits for that reason: `CrashLoopBackOff`. The pod.
    ///
    /// # Errors
    ///
    /// When that does not come, with what there is instead.
    pub fn until_waiting(&self, app: &str, reason: &str) -> Result<Value> {
        let waits = |pod: &&Value| {
            let container = &pod["status"]["containerStatuses"][0];
            pod["metadata"]["labels"]["app"] == app && container["state"]["waiting"]["reason"] == reason
        };
        let all = self.until(reason, "pods", |all| all.iter().any(|pod| waits(&pod)))?;
        Ok(all.iter().find(waits).cloned().unwrap_or_default())
    }

    /// The command `kubectl` in this namespace, to add arguments to, with the kubeconfig of somebody or of a [`Front`](super::Front).
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn kubectl_by(&self, kubeconfig: &Path) -> Result<Command> {
        kubectl::command(self.plane, kubeconfig, &self.name)
    }

    /// Runs `kubectl` here as the administrator, to its end.
    ///
    /// # Errors
    ///
    /// When there is none, or when it does not end.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Ran> {
        kubectl::run(self.kubectl_by(&self.plane.kubeconfig(ADMIN)?)?, arguments)
    }
}

/// The version that a pod or a template runs.
fn version_of(pod: &Value) -> String {
    let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    image.rsplit_once(':').map_or(image, |(_, version)| version).to_owned()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let ends = pod["metadata"]["deletionTimestamp"].is_string();
    !ends
        && conditions
            .into_iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether the controller has seen what is wanted, and all of it runs and nothing else does.
fn is_rolled_out(workload: &Value) -> bool {
    let (spec, status) = (&workload["spec"], &workload["status"]);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let seen = status["observedGeneration"] == workload["metadata"]["generation"];
    seen && match workload["kind"].as_str().unwrap_or_else(|| kind_by_status(status)) {
        "DaemonSet" => {
            let wanted = number(&status["desiredNumberScheduled"]);
            wanted > 0
                && number(&status["updatedNumberScheduled"]) == wanted
                && number(&status["numberAvailable"]) == wanted
        }
        "StatefulSet" => {
            let wanted = number(&spec["replicas"]);
            let same = status["currentRevision"] == status["updateRevision"];
            same && number(&status["readyReplicas"]) == wanted && number(&status["replicas"]) == wanted
        }
        _ => {
            let wanted = number(&spec["replicas"]);
            let all = ["replicas", "updatedReplicas", "availableReplicas"];
            all.iter().all(|name| number(&status[*name]) == wanted)
        }
    }
}

/// Objects of a list do not say of which kind they are.
fn kind_by_status(status: &Value) -> &'static str {
    match () {
        () if status.get("desiredNumberScheduled").is_some() => "DaemonSet",
        () if status.get("updateRevision").is_some() => "StatefulSet",
        () => "Deployment",
    }
}

/// An object for whoever waited for something else.
fn told(object: &Value) -> String {
    format!("{} {}", object["metadata"]["name"], object["status"])
}
