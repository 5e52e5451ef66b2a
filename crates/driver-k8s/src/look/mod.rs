//! What a workload looks like, and what that means. Nothing here asks anybody.

mod course;
mod observation;
mod pods;
mod revisions;
#[cfg(test)]
pub(crate) mod tests;

use rollback_core::digest::canonical;
use rollback_core::{Digest, Error, ErrorKind, Identity, Result, Token};
use serde_json::Value;

pub(crate) use self::course::{Counts, Rest};
pub(crate) use self::pods::{Pod, Trouble, Witness};
pub(crate) use self::revisions::{CHANGE_CAUSE, Entry, raw_template};
use crate::circumstances::Blocking;
use crate::template::Template;
use crate::text::{controller, line, text};
use crate::workload::{Kind, Workload};
use rollback_core::fingerprint::FingerprintKey;

/// How many pods are named that block. An OrderedReady StatefulSet changes one at a time.
const MOST_BLOCKING: usize = 8;

/// A workload with its history and its pods, as they were read.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) workload: Workload,
    pub(crate) object: Value,
    /// Newest first, each controlled by the workload.
    pub(crate) entries: Vec<Entry>,
    pub(crate) pods: Vec<Pod>,
    /// Pods of it are stopping: the next ones wait for that.
    pub(crate) stops: bool,
    /// What it is set to.
    pub(crate) desired: Template,
    /// What somebody else said of what is wrong: a container's log, events.
    pub(crate) testimony: Option<String>,
    exact: Digest,
    token: Token,
}

/// The concurrency token of a workload: its UID and what it is set to. The number of replicas is left out, because an autoscaler
/// changes that at any time; so is the generation, which counts such changes too.
pub(crate) fn token(object: &Value, key: &FingerprintKey) -> Token {
    let mut spec = object.get("spec").cloned().unwrap_or_default();
    if let Some(spec) = spec.as_object_mut() {
        spec.remove("replicas");
    }
    let uid = text(object, "/metadata/uid").unwrap_or("?");
    Token::new(format!("{uid}/{}", key.digest("spec", &canonical(&spec))))
}

impl Look {
    pub(crate) fn new(
        workload: &Workload,
        key: &FingerprintKey,
        object: Value,
        history: &[Value],
        pods: &[Value],
    ) -> Result<Self> {
        let unreadable = |what: &str| {
            Error::new(ErrorKind::Corrupt, format!("read {workload}"), format!("the answer has no {what}"))
        };
        let uid = text(&object, "/metadata/uid").ok_or_else(|| unreadable("UID"))?.to_owned();
        let raw = object.pointer("/spec/template").ok_or_else(|| unreadable("pod template"))?;
        let (desired, exact) = (Template::of(raw, key), Template::exact(raw, key));
        let entries = history.iter().filter_map(|entry| Entry::read(workload.kind, entry, &uid, key));
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by(|a, b| (b.number, &b.name).cmp(&(a.number, &a.name)));
        let is_stopping = |pod: &Value| {
            let owner = controller(pod).and_then(|owner| text(owner, "/uid"));
            pod.pointer("/metadata/deletionTimestamp").is_some() && owner == Some(uid.as_str())
        };
        let stops = pods.iter().any(is_stopping);
        let mut pods: Vec<_> = pods.iter().filter_map(Pod::read).collect();
        let ours = |pod: &Pod| match workload.kind {
            Kind::Deployment => entries.iter().any(|entry| entry.uid == pod.owner),
            Kind::StatefulSet | Kind::DaemonSet => pod.owner == uid,
        };
        pods.retain(ours);
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        let token = token(&object, key);
        let (workload, testimony) = (workload.clone(), None);
        Ok(Self { workload, object, entries, pods, stops, desired, testimony, exact, token })
    }

    pub(crate) fn uid(&self) -> &str {
        text(&self.object, "/metadata/uid").unwrap_or("?")
    }

    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// The entry of the history that is what the workload is set to, if its controller has made one.
    pub(crate) fn desired_index(&self) -> Option<usize> {
        let exact = || self.entries.iter().position(|entry| entry.exact == self.exact);
        match self.workload.kind {
            Kind::Deployment => exact(),
            // Its controller says which, as soon as it has seen what the workload is set to.
            Kind::StatefulSet if self.is_observed() => {
                let named = text(&self.object, "/status/updateRevision");
                self.entries.iter().position(|entry| Some(entry.name.as_str()) == named).or_else(exact)
            }
            // The newest is what it is set to: its controller counts an entry anew that is used again.
            Kind::DaemonSet if self.is_observed() && !self.entries.is_empty() => Some(0),
            Kind::StatefulSet | Kind::DaemonSet => exact(),
        }
    }

    pub(crate) fn desired_entry(&self) -> Option<&Entry> {
        self.desired_index().map(|index| &self.entries[index])
    }

    pub(crate) fn desired_identity(&self) -> Identity {
        self.desired.identity()
    }

    /// The pods that were made from an entry.
    pub(crate) fn pods_of(&self, index: usize) -> Vec<&Pod> {
        let (kind, entry) = (self.workload.kind, &self.entries[index]);
        self.pods.iter().filter(|pod| entry.made(kind, &pod.owner, pod.revision.as_deref())).collect()
    }

    /// Whether its controller waits for each pod to be ready before it goes on to the next, also with a revision that is to go.
    pub(crate) fn is_ordered(&self) -> bool {
        let policy = text(&self.object, "/spec/podManagementPolicy");
        self.workload.kind == Kind::StatefulSet && policy.is_none_or(|policy| policy == "OrderedReady")
    }

    /// The pods of an OrderedReady StatefulSet that are not ready: it would wait for those of any other revision than the one it is
    /// set to, for ever if they never become ready.
    pub(crate) fn unready(&self) -> Vec<Blocking> {
        if !self.is_ordered() {
            return Vec::new();
        }
        let of = |index: usize| {
            let identity = self.entries[index].identity;
            let unready = self.pods_of(index).into_iter().filter(|pod| !pod.ready);
            unready.map(move |pod| Blocking {
                pod: pod.name.clone(),
                uid: pod.uid.clone(),
                identity,
                why: pod
                    .trouble
                    .as_ref()
                    .map_or("it is not ready".to_owned(), |trouble| trouble.text().to_owned()),
                certain: matches!(pod.trouble, Some(Trouble::Certain(_))),
            })
        };
        (0..self.entries.len()).flat_map(of).take(MOST_BLOCKING).collect()
    }

    /// Who controls the workload itself: it is not ours to change then.
    pub(crate) fn owner(&self) -> Option<String> {
        let owner = controller(&self.object)?;
        Some(line(&format!("{} {}", text(owner, "/kind")?, text(owner, "/name")?)))
    }
}
