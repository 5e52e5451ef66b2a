//! What a workload's controller keeps of its past: ReplicaSets and ControllerRevisions.

use jiff::Timestamp;
use rollback_core::{Digest, Identity};
use serde_json::Value;

use crate::template::Template;
use crate::text::{controller, entry, line, number, text};
use crate::workload::Kind;
use rollback_core::fingerprint::FingerprintKey;

/// Where the Deployment controller writes the number of a ReplicaSet.
pub(crate) const NUMBER: &str = "deployment.kubernetes.io/revision";
/// Where people and tools write why something was changed.
pub(crate) const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// One entry of a workload's history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) uid: String,
    /// The number that people type. It changes when the entry runs again.
    pub(crate) number: u64,
    pub(crate) template: Template,
    pub(crate) identity: Identity,
    /// With the marks of restarts: which of two entries with the same content.
    pub(crate) exact: Digest,
    pub(crate) made_at: Option<Timestamp>,
    pub(crate) change_cause: Option<String>,
    /// How many of its pods are available; only a ReplicaSet says so.
    pub(crate) available: u64,
}

impl Entry {
    /// Reads an entry that the workload with this UID controls. Labels alone do not make it one: another workload may have the same.
    pub(crate) fn read(kind: Kind, object: &Value, owner: &str, key: &FingerprintKey) -> Option<Self> {
        if text(controller(object)?, "/uid") != Some(owner) {
            return None;
        }
        let raw = raw_template(kind, object)?;
        let number = match kind {
            Kind::Deployment => entry(object, "/metadata/annotations", NUMBER)?.parse().ok()?,
            Kind::StatefulSet | Kind::DaemonSet => number(object, "/revision"),
        };
        let template = Template::of(raw, key);
        Some(Self {
            name: text(object, "/metadata/name")?.to_owned(),
            uid: text(object, "/metadata/uid")?.to_owned(),
            number,
            identity: template.identity(),
            exact: Template::exact(raw, key),
            template,
            made_at: text(object, "/metadata/creationTimestamp").and_then(|at| at.parse().ok()),
            change_cause: entry(object, "/metadata/annotations", CHANGE_CAUSE).map(line),
            available: crate::text::number(object, "/status/availableReplicas"),
        })
    }

    /// Whether a pod was made from it: by the UID of what controls the pod, or by the revision in its label. DaemonSets write the
    /// hash alone there, StatefulSets the whole name.
    pub(crate) fn made(&self, kind: Kind, owner: &str, revision: Option<&str>) -> bool {
        match kind {
            Kind::Deployment => self.uid == owner,
            Kind::StatefulSet | Kind::DaemonSet => revision.is_some_and(|revision| {
                self.name == revision
                    || self.name.strip_suffix(revision).is_some_and(|workload| workload.ends_with('-'))
            }),
        }
    }
}

/// The template in an entry, as the API has it.
pub(crate) fn raw_template(kind: Kind, object: &Value) -> Option<&Value> {
    match kind {
        Kind::Deployment => object.pointer("/spec/template"),
        Kind::StatefulSet | Kind::DaemonSet => object.pointer("/data/spec/template"),
    }
}
