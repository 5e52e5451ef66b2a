//! Whether a workload rests, where it comes from, where it goes, and whether it will get there.

use rollback_core::target::Phase;
use serde_json::Value;

use super::{Look, Pod, Trouble, Witness};
use crate::text::{flag, line, list, number, text};
use crate::workload::Kind;

/// What a workload has come to rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// What it is set to.
    Desired,
    /// An earlier entry of the history, by its index: what it is set to is still on its way.
    Earlier(usize),
    /// Nothing yet.
    Nothing,
    /// It cannot be told.
    Untold(&'static str),
}

/// Where a workload is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) rest: Rest,
    pub(crate) phase: Phase,
}

/// The counts that a controller keeps, by one name for all kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) wanted: u64,
    /// How many there are, of whatever revision.
    pub(crate) all: u64,
    pub(crate) updated: u64,
    pub(crate) available: u64,
}

impl Counts {
    pub(crate) fn of(kind: Kind, object: &Value) -> Self {
        let status = |field: &str| number(object, &format!("/status/{field}"));
        // What is left out is one.
        let replicas = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
        match kind {
            Kind::Deployment => Self {
                wanted: replicas,
                all: status("replicas"),
                updated: status("updatedReplicas"),
                available: status("availableReplicas"),
            },
            // Ready, not available: the latter is missing in older versions, and the same without `minReadySeconds`.
            Kind::StatefulSet => Self {
                wanted: replicas,
                all: status("replicas"),
                updated: status("updatedReplicas"),
                available: status("readyReplicas"),
            },
            Kind::DaemonSet => Self {
                wanted: status("desiredNumberScheduled"),
                all: status("currentNumberScheduled"),
                updated: status("updatedNumberScheduled"),
                available: status("numberAvailable"),
            },
        }
    }
}

impl Look {
    /// Whether the controller has seen what the workload is set to. Until then its counts are those of the past.
    pub(crate) fn is_observed(&self) -> bool {
        number(&self.object, "/status/observedGeneration") >= number(&self.object, "/metadata/generation")
    }

    fn is_complete(&self, counts: Counts) -> bool {
        let Counts { wanted, all, updated, available } = counts;
        match self.workload.kind {
            // While it is paused, the counts may be those of what it was set to before.
            Kind::Deployment => {
                self.desired_index().is_some() && updated >= wanted && all <= updated && available >= updated
            }
            Kind::StatefulSet => self.has_one_revision() && all == wanted && available >= wanted,
            Kind::DaemonSet => updated >= wanted && available >= wanted,
        }
    }

    /// Whether a StatefulSet's controller says that its rollout was completed.
    fn has_one_revision(&self) -> bool {
        let at = |field: &str| text(&self.object, &format!("/status/{field}"));
        at("updateRevision").is_some() && at("updateRevision") == at("currentRevision")
    }

    /// Whether what it is set to was available on all replicas once, though it may not be now.
    fn was_complete(&self, counts: Counts) -> bool {
        match self.workload.kind {
            // The condition may still be that of an earlier rollout: it names the ReplicaSet.
            Kind::Deployment => {
                let desired = self.desired_entry().map(|entry| format!("\"{}\"", entry.name));
                counts.all == counts.updated
                    && desired.is_some_and(|name| {
                        self.condition("Progressing").is_some_and(|condition| {
                            text(condition, "/reason") == Some("NewReplicaSetAvailable")
                                && text(condition, "/message").is_some_and(|text| text.contains(&name))
                        })
                    })
            }
            Kind::StatefulSet => self.has_one_revision(),
            Kind::DaemonSet => false,
        }
    }

    fn condition(&self, kind: &str) -> Option<&Value> {
        list(&self.object, "/status/conditions").iter().find(|one| text(one, "/type") == Some(kind))
    }

    /// Where it is on its way.
    pub(crate) fn course(&self) -> Course {
        let counts = Counts::of(self.workload.kind, &self.object);
        let complete = self.is_observed() && self.is_complete(counts);
        let rest = match complete || (self.is_observed() && self.was_complete(counts)) {
            true => Rest::Desired,
            false => self.earlier(),
        };
        Course { rest, phase: self.phase(counts, complete) }
    }

    /// What runs while something else is on its way.
    fn earlier(&self) -> Rest {
        let desired = self.desired_index();
        if self.workload.kind == Kind::StatefulSet {
            let current = text(&self.object, "/status/currentRevision").filter(|current| !current.is_empty());
            let found = self.entries.iter().position(|entry| Some(entry.name.as_str()) == current);
            return match found.filter(|index| Some(*index) != desired) {
                Some(index) => Rest::Earlier(index),
                None => Rest::Nothing,
            };
        }
        let ready = |index: usize| {
            let pods = self.pods_of(index);
            (pods.iter().filter(|pod| pod.ready).count(), pods.len())
        };
        let others = (0..self.entries.len()).filter(|index| Some(*index) != desired);
        // The newest of those that have as many: entries are newest first.
        let best = others.rev().max_by_key(|index| ready(*index)).filter(|index| ready(*index).1 > 0);
        match (best, self.workload.kind) {
            (Some(index), _) => Rest::Earlier(index),
            (None, Kind::DaemonSet) if !self.pods.is_empty() => {
                Rest::Untold("a DaemonSet does not say whether what it is set to was ever available")
            }
            // Without pods there is nothing to rest on, except that the controller may not have begun.
            (None, _) if !self.is_observed() => {
                match self.entries.iter().enumerate().find(|(at, _)| Some(*at) != desired) {
                    Some((index, _)) => Rest::Earlier(index),
                    None => Rest::Nothing,
                }
            }
            (None, _) => Rest::Nothing,
        }
    }

    fn phase(&self, counts: Counts, complete: bool) -> Phase {
        if self.is_paused() {
            return Phase::Paused("spec.paused is set: nothing is rolled out until it is resumed".to_owned());
        }
        if !self.is_observed() {
            let generation = number(&self.object, "/metadata/generation");
            return Phase::Progressing(format!("its controller has not seen generation {generation} yet"));
        }
        if complete {
            return Phase::Settled;
        }
        if let Some(why) = self.certain_failure() {
            return Phase::Failed(why);
        }
        if let Some(why) = self.held(counts) {
            return Phase::Paused(why);
        }
        Phase::Progressing(self.progress(counts))
    }

    pub(crate) fn is_paused(&self) -> bool {
        flag(&self.object, "/spec/paused")
    }

    /// The pod that will not become ready by waiting, and whether it is one that only stands in the way.
    fn culprit(&self) -> Option<(&Pod, bool)> {
        let pods = self.desired_index().map(|index| self.pods_of(index)).unwrap_or_default();
        let is_certain = |pod: &&&Pod| matches!(pod.trouble, Some(Trouble::Certain(_)));
        if let Some(pod) = pods.iter().find(is_certain) {
            return Some((pod, false));
        }
        let wanted = self.desired_identity();
        let blocking = self.unready().into_iter().find(|one| one.certain && one.identity != wanted)?;
        let pod = self.pods.iter().find(|pod| pod.uid == blocking.uid)?;
        Some((pod, true))
    }

    /// What will not change by waiting.
    fn certain_failure(&self) -> Option<String> {
        if let Some((pod, in_the_way)) = self.culprit() {
            let mut why = pod.trouble.as_ref().map(|trouble| trouble.text().to_owned()).unwrap_or_default();
            if let Some(testimony) = &self.testimony {
                why.push_str(&format!("; {testimony}"));
            }
            if in_the_way {
                why.push_str(
                    "; it is of another revision, and OrderedReady waits until it is ready: delete it",
                );
            }
            return Some(why);
        }
        let stalled = self.stalled()?;
        let why = self.refused().or_else(|| text(stalled, "/message"));
        let mut why =
            format!("ProgressDeadlineExceeded: {}", line(why.unwrap_or("no progress within the deadline")));
        // Nothing certain, and the best guess there is.
        if let Some(trouble) = self.trouble() {
            why.push_str(&format!("; {trouble}"));
        }
        Some(why)
    }

    /// The condition that says that the deadline of this very rollout is over.
    fn stalled(&self) -> Option<&Value> {
        let condition = self.condition("Progressing")?;
        let is_over = text(condition, "/status") == Some("False")
            && text(condition, "/reason") == Some("ProgressDeadlineExceeded");
        // That of a release that was left stays, under its name, until there is progress: also after its controller has seen the change.
        let message = text(condition, "/message").unwrap_or_default();
        let desired = self.desired_entry().map(|entry| format!("\"{}\"", entry.name));
        let is_this =
            !message.contains("ReplicaSet \"") || desired.is_some_and(|name| message.contains(&name));
        (is_over && is_this).then_some(condition)
    }

    /// Why pods cannot be made, as a Deployment's status has it: a quota, a policy.
    fn refused(&self) -> Option<&str> {
        let failure = self.condition("ReplicaFailure")?;
        let holds = text(failure, "/status") == Some("True");
        if holds { text(failure, "/message") } else { None }
    }

    /// What is wrong with a pod, of those that it is set to first.
    fn trouble(&self) -> Option<&str> {
        let desired = self.desired_index().map(|index| self.pods_of(index)).unwrap_or_default();
        let mut all = desired.into_iter().chain(&self.pods);
        all.find_map(|pod| pod.trouble.as_ref()).map(Trouble::text)
    }

    /// Who can tell more of why it failed.
    pub(crate) fn witness(&self) -> Option<(&Pod, &Witness)> {
        if !matches!(self.course().phase, Phase::Failed(_)) {
            return None;
        }
        let (pod, _) = self.culprit()?;
        Some((pod, pod.witness.as_ref()?))
    }

    /// How many pods there are, and how many updated ones, where too few are there and no status says why: StatefulSets and DaemonSets
    /// tell that in events only. Their own counts may be those from before they could not make one.
    pub(crate) fn shortage(&self) -> Option<(u64, u64)> {
        let Counts { wanted, updated, .. } = Counts::of(self.workload.kind, &self.object);
        let all = self.pods.len() as u64;
        let silent = self.workload.kind != Kind::Deployment && self.trouble().is_none() && !self.stops;
        let acts = self.is_observed() && !self.is_paused();
        (silent && acts && all < wanted).then_some((all, updated))
    }

    /// A rollout that waits for a person.
    fn held(&self, counts: Counts) -> Option<String> {
        if text(&self.object, "/spec/updateStrategy/type") == Some("OnDelete")
            && counts.updated < counts.wanted
        {
            return Some(
                "its update strategy is OnDelete: pods are replaced when somebody deletes them".to_owned(),
            );
        }
        let partition = number(&self.object, "/spec/updateStrategy/rollingUpdate/partition");
        let done =
            counts.updated >= counts.wanted.saturating_sub(partition) && counts.available >= counts.wanted;
        (self.workload.kind == Kind::StatefulSet && partition > 0 && done)
            .then(|| format!("its partition holds back the pods below {partition}"))
    }

    fn progress(&self, counts: Counts) -> String {
        let Counts { wanted, all, updated, available } = counts;
        let mut told = format!("{updated} of {wanted} are updated, {available} are available");
        let old = all.saturating_sub(updated);
        if old > 0 && self.workload.kind != Kind::DaemonSet {
            told.push_str(&format!(", {old} of earlier revisions are left"));
        }
        let refused = self.refused().map(line);
        let testimony = || self.testimony.clone().filter(|_| self.shortage().is_some());
        if let Some(why) = refused.or_else(testimony) {
            told.push_str(&format!("; pods cannot be made: {why}"));
        }
        if let Some(trouble) = self.trouble() {
            told.push_str(&format!("; {trouble}"));
        }
        told
    }
}
