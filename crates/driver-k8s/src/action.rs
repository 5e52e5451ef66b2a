//! What can be done to a workload.

use std::collections::BTreeMap;

use rollback_core::document::decode_exact;
use rollback_core::error::quoted;
use rollback_core::fingerprint::is_keyed;
use rollback_core::{Action, Document, Error, ErrorKind, Identity, Result, StepId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::{Named, check_names, check_objects};
use crate::text::is_name;
use crate::workload::{Kind, Workload};

/// The most replicas that are asked for: more than any workload has.
const MOST: u32 = 100_000;

/// Which workload is changed: the name says where it is, the UID that it is still that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// Where it is.
    pub workload: Workload,
    /// Which one of that name.
    pub uid: String,
}

/// One request that changes something. Each names its objects, and none but [`Scale`](Self::Scale) touches the number of replicas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum K8sAction {
    /// `PATCH` of the workload with the pod template of a ReplicaSet or ControllerRevision, which is read when this is sent.
    SetTemplate {
        /// The workload.
        on: On,
        /// What the ReplicaSet or ControllerRevision is called.
        from: String,
        /// Which one of that name.
        from_uid: String,
        /// What its template must still be.
        identity: Identity,
        /// Whether a paused Deployment is resumed by the same request.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        resume: bool,
        /// What is written as the change cause.
        cause: String,
    },
    /// `PATCH` of the workload with the pod template that is kept of a recorded state.
    SetKept {
        /// The workload.
        on: On,
        /// What the template must be.
        identity: Identity,
        /// Whether a paused Deployment is resumed by the same request.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        resume: bool,
        /// What is written as the change cause.
        cause: String,
    },
    /// `POST` of the workload as it is kept of a recorded state: it is gone.
    MakeAgain {
        /// The workload; it has no UID yet.
        on: On,
        /// What is written as the change cause.
        cause: String,
    },
    /// `PATCH` of a ConfigMap with what is kept of it, or `POST` if it is gone. One that holds that already is left alone.
    PutConfigMap {
        /// The workload that refers to it. Without a UID if it is to be made again.
        on: On,
        /// The ConfigMap.
        name: String,
        /// What it was when the plan was made: if it is another one by then, somebody else changed it.
        #[serde(default, skip_serializing_if = "Was::is_unknown")]
        was: Was,
        /// The keyed digest of what it is to hold.
        content: String,
    },
    /// `PATCH` of the workload with other images, and nothing else.
    SetImages {
        /// The workload.
        on: On,
        /// The images, by container.
        images: BTreeMap<String, String>,
        /// What its template is then.
        identity: Identity,
        /// Whether a paused Deployment is resumed by the same request.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        resume: bool,
        /// What is written as the change cause.
        cause: String,
    },
    /// `DELETE` of one pod that is not ready, so that its StatefulSet makes it anew. A pod that is ready by then is left alone.
    DeletePod {
        /// The workload.
        on: On,
        /// The pod.
        pod: String,
        /// Which one of that name.
        pod_uid: String,
    },
    /// `PATCH` of the workload with a mark in its pod template: all pods are replaced.
    Restart {
        /// The workload.
        on: On,
    },
    /// `PATCH` of the workload with a number of replicas. Puts out the number from before under `replicas`.
    Scale {
        /// The workload.
        on: On,
        /// How many.
        to: Count,
    },
    /// `PATCH` of what tools remember that apply manifests, so that their next apply neither conflicts nor leaves behind what was
    /// put back: managed fields, and kubectl's last manifest. Nothing that runs is changed.
    TellAppliers {
        /// The workload.
        on: On,
        /// The ReplicaSet or ControllerRevision that was left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<String>,
    },
    /// `POST` of a Job that runs a command once, with the image, variables, volumes and account of the workload's pods. Applied when it
    /// has ended with 0; puts out its name under `job`. It stays there, for its logs.
    RunJob {
        /// The workload.
        on: On,
        /// The container whose image and variables it has.
        container: String,
        /// Its command. It shows in plans and in the cluster: no secrets.
        command: Vec<String>,
        /// Whether what it writes to `/dev/termination-log` is put out under `result`: at most four kilobytes, and no secrets, because
        /// journals keep it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        result: bool,
    },
    /// `PATCH` of objects of any kind in the workload's namespace by server-side apply, without force, marked as applied for this
    /// workload. What is there under one of the names and is not so marked is refused before anything is sent. For a
    /// [convergence](rollback_core::Step::convergence).
    ApplyManifest {
        /// The workload.
        on: On,
        /// What is applied, as in a file for `kubectl apply`. It shows in plans and in the cluster: no secrets.
        objects: Vec<Value>,
    },
    /// `DELETE` of objects that were applied for this workload, each by its UID. What is not so marked is left alone, and told. For a
    /// [convergence](rollback_core::Step::convergence).
    DeleteManifest {
        /// The workload.
        on: On,
        /// What is deleted.
        objects: Vec<Named>,
    },
}

/// What a ConfigMap was when a plan was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Was {
    /// Nobody looked.
    #[default]
    Unknown,
    /// It did not exist.
    Missing,
    /// It held something with this keyed digest.
    Holding(String),
}

impl Was {
    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    /// Whether it is still that: `now` is the digest of what it holds, if it exists.
    pub(crate) fn fits(&self, now: Option<&str>) -> bool {
        match self {
            Self::Unknown => true,
            Self::Missing => now.is_none(),
            Self::Holding(was) => now == Some(was),
        }
    }
}

/// How many replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Count {
    /// So many.
    Exactly(u32),
    /// As many as there were before this step of the same proposal.
    AsBefore(StepId),
}

impl K8sAction {
    /// The workload that it is about.
    #[must_use]
    pub fn on(&self) -> &On {
        match self {
            Self::SetTemplate { on, .. }
            | Self::SetKept { on, .. }
            | Self::MakeAgain { on, .. }
            | Self::PutConfigMap { on, .. }
            | Self::SetImages { on, .. }
            | Self::DeletePod { on, .. }
            | Self::Restart { on }
            | Self::Scale { on, .. }
            | Self::TellAppliers { on, .. }
            | Self::RunJob { on, .. }
            | Self::ApplyManifest { on, .. }
            | Self::DeleteManifest { on, .. } => on,
        }
    }

    /// Names end up in paths: an action out of a file is no exception.
    fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::new(ErrorKind::Corrupt, "read a Kubernetes action", why));
        self.on().workload.check().or_else(|error| wrong(error.message().to_owned()))?;
        let printable =
            |text: &str| !text.is_empty() && text.len() <= 400 && !text.chars().any(char::is_control);
        match self {
            Self::SetTemplate { from: name, .. }
            | Self::PutConfigMap { name, .. }
            | Self::DeletePod { pod: name, .. }
            | Self::TellAppliers { left: Some(name), .. }
            | Self::RunJob { container: name, .. }
                if !is_name(name) =>
            {
                wrong(format!("{} is no name that Kubernetes takes", quoted(name)))
            }
            Self::SetTemplate { cause, .. }
            | Self::SetImages { cause, .. }
            | Self::SetKept { cause, .. }
            | Self::MakeAgain { cause, .. }
                if !printable(cause) =>
            {
                wrong("its change cause is not one line".to_owned())
            }
            Self::PutConfigMap { was: Was::Holding(digest), .. } if !is_keyed(digest) => {
                wrong("a digest of it is none".to_owned())
            }
            Self::PutConfigMap { content, .. } if !is_keyed(content) => {
                wrong("a digest of it is none".to_owned())
            }
            Self::SetTemplate { on, resume: true, .. }
            | Self::SetImages { on, resume: true, .. }
            | Self::SetKept { on, resume: true, .. }
                if on.workload.kind != Kind::Deployment =>
            {
                wrong(format!("{} cannot be paused", on.workload))
            }
            Self::SetImages { images, .. }
                if images.is_empty() || !images.values().all(|image| printable(image)) =>
            {
                wrong("it has no images that could be".to_owned())
            }
            Self::ApplyManifest { on, objects } => check_objects(&on.workload, objects).or_else(wrong),
            Self::DeleteManifest { objects, .. } => check_names(objects).or_else(wrong),
            Self::RunJob { command, .. } if command.is_empty() => wrong("it has no command".to_owned()),
            Self::Scale { on, .. } if on.workload.kind == Kind::DaemonSet => {
                wrong(format!("{} has as many pods as nodes", on.workload))
            }
            Self::Scale { to: Count::Exactly(replicas), .. } if *replicas > MOST => {
                wrong("it asks for more replicas than there can be".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl Document for K8sAction {
    const SCHEMA: &'static str = "k8s-action/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        let action: Self = decode_exact(schema, body)?;
        action.check()?;
        Ok(action)
    }
}

impl Action for K8sAction {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn on(kind: &str) -> Value {
        json!({ "workload": { "kind": kind, "namespace": "shop", "name": "web" }, "uid": "u" })
    }

    fn identity() -> Value {
        json!(format!("sha256:{}", "0".repeat(64)))
    }

    fn keyed() -> String {
        format!("keyed:{}", "0".repeat(32))
    }

    fn all() -> Vec<Value> {
        let web = on("deployment");
        vec![
            json!({ "do": "set-template", "on": web, "from": "web-1", "from-uid": "r", "identity": identity(), "resume": true, "cause": "c" }),
            json!({ "do": "set-kept", "on": web, "identity": identity(), "resume": true, "cause": "c" }),
            json!({ "do": "make-again", "on": web, "cause": "c" }),
            json!({ "do": "put-config-map", "on": web, "name": "web", "was": "missing", "content": keyed() }),
            json!({ "do": "put-config-map", "on": web, "name": "web", "was": { "holding": keyed() }, "content": keyed() }),
            json!({ "do": "set-images", "on": web, "images": { "web": "r/web:v1" }, "identity": identity(), "cause": "c" }),
            json!({ "do": "delete-pod", "on": on("statefulset"), "pod": "web-1", "pod-uid": "p" }),
            json!({ "do": "restart", "on": web }),
            json!({ "do": "scale", "on": web, "to": { "exactly": 0 } }),
            json!({ "do": "scale", "on": web, "to": { "as-before": "stop" } }),
            json!({ "do": "tell-appliers", "on": web, "left": "web-2" }),
            json!({ "do": "run-job", "on": web, "container": "web", "command": ["migrate", "down"] }),
            json!({ "do": "apply-manifest", "on": web, "objects": [
                { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "page" }, "data": { "a": "b" } } ] }),
            json!({ "do": "delete-manifest", "on": web, "objects": [
                { "api-version": "networking.k8s.io/v1", "kind": "Ingress", "name": "page" } ] }),
            json!({ "do": "run-job", "on": web, "container": "web", "command": ["count"], "result": true }),
        ]
    }

    #[test]
    fn actions_survive_storage() {
        for body in all() {
            let action = K8sAction::decode("k8s-action/1", body.clone()).unwrap();
            assert_eq!(serde_json::to_value(&action).unwrap(), body);
        }
        assert!(K8sAction::decode("k8s-action/2", all().remove(0)).is_err());
    }

    #[test]
    fn hostile_actions_are_refused() {
        let altered = |index: usize, pointer: &str, value: Value| {
            let mut body = all().remove(index);
            *body.pointer_mut(pointer).unwrap() = value;
            body
        };
        for body in [
            json!({ "do": "delete-namespace" }),
            altered(0, "/on/workload/name", json!("../web")),
            altered(0, "/on/workload/namespace", json!("kube-system/pods")),
            altered(0, "/on/workload/kind", json!("statefulset")),
            altered(0, "/from", json!("web?x=1")),
            altered(0, "/cause", json!("a\nb")),
            altered(1, "/cause", json!("")),
            altered(1, "/on/workload/kind", json!("daemonset")),
            altered(2, "/cause", json!("a\nb")),
            altered(3, "/name", json!("../secrets/web")),
            altered(3, "/content", json!("in the clear")),
            altered(4, "/was/holding", json!("in the clear")),
            altered(5, "/images", json!({})),
            altered(5, "/images/web", json!("")),
            altered(6, "/pod", json!("../../nodes/x")),
            altered(8, "/on/workload/kind", json!("daemonset")),
            altered(8, "/to", json!({ "exactly": 100_001 })),
            altered(10, "/left", json!("../x")),
            altered(11, "/container", json!("a b")),
            altered(11, "/command", json!([])),
            altered(12, "/objects/0/metadata/name", json!("../page")),
            altered(12, "/objects/0/kind", json!("Secret")),
            altered(13, "/objects/0/api-version", json!("../v1")),
            altered(13, "/objects", json!([])),
            json!({ "do": "restart", "on": on("deployment"), "replicas": 0 }),
        ] {
            assert!(K8sAction::decode("k8s-action/1", body.clone()).is_err(), "{body}");
        }
    }
}
