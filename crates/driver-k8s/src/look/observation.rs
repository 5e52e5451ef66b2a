//! What a look says, in the words of the contract.

use std::collections::{BTreeMap, BTreeSet};

use rollback_core::target::{Certainty, Evidence, Health, PartState, Phase};
use rollback_core::{Digest, Identity, Incarnation, Observation, PartId, Reading, Result, Revision};

use super::{Counts, Look, Pod, Rest};
use crate::appliers;
use crate::circumstances::Circumstances;
use crate::snapshot::{K8sSnapshot, Source};
use crate::text::{entry, number, text};

impl Look {
    /// A state out of the history.
    pub(crate) fn state(&self, index: usize) -> Result<K8sSnapshot> {
        let entry = &self.entries[index];
        let source = Source::History { name: entry.name.clone(), uid: entry.uid.clone() };
        let revision = Revision::new(entry.number.to_string())?;
        let mut state = K8sSnapshot::new(self.workload.clone(), revision, source, entry.template.clone());
        state.made_at = entry.made_at;
        state.change_cause = entry.change_cause.clone();
        state.images = agreed(&self.pods_of(index));
        Ok(state)
    }

    /// What the workload is set to. While its controller has made no entry of that, it is called by its generation.
    pub(crate) fn desired_state(&self) -> Result<K8sSnapshot> {
        if let Some(index) = self.desired_index() {
            return self.state(index);
        }
        let revision = Revision::new(self.unrolled())?;
        Ok(K8sSnapshot::new(self.workload.clone(), revision, Source::Workload, self.desired.clone()))
    }

    fn unrolled(&self) -> String {
        format!("generation-{}", number(&self.object, "/metadata/generation"))
    }

    pub(crate) fn circumstances(&self) -> Circumstances {
        let at = |pointer: &str| text(&self.object, pointer);
        let counts = Counts::of(self.workload.kind, &self.object);
        Circumstances {
            uid: self.uid().to_owned(),
            paused: self.is_paused(),
            on_delete: at("/spec/updateStrategy/type") == Some("OnDelete"),
            recreates: at("/spec/strategy/type") == Some("Recreate"),
            partition: number(&self.object, "/spec/updateStrategy/rollingUpdate/partition"),
            replicas: counts.wanted,
            owner: self.owner(),
            applied: !appliers::managers(&self.object).is_empty()
                || entry(&self.object, "/metadata/annotations", appliers::LAST_APPLIED).is_some(),
            unready: self.unready(),
        }
    }

    /// The whole look. `complete` adds what only the caller knows to the states that are shown.
    pub(crate) fn observation(
        &self,
        complete: impl Fn(K8sSnapshot) -> K8sSnapshot,
    ) -> Result<Observation<K8sSnapshot>> {
        let course = self.course();
        let shown = |mut state: K8sSnapshot| {
            state.circumstances = Some(Box::new(self.circumstances()));
            complete(state)
        };
        let settled = match course.rest {
            Rest::Desired => Reading::Known(shown(self.desired_state()?)),
            Rest::Earlier(index) => Reading::Known(shown(self.state(index)?)),
            Rest::Nothing => Reading::Absent,
            Rest::Untold(why) => Reading::Unknown(why.to_owned()),
        };
        let mut observed = Observation::settled(settled, self.token().clone()).in_phase(course.phase);
        if course.rest != Rest::Desired {
            observed = observed.heading_to(shown(self.desired_state()?));
        }
        for part in self.parts(&BTreeMap::new())? {
            observed = observed.part(part);
        }
        Ok(observed)
    }

    /// What runs, by revision. With the digests that containers should have, a part with others is another one.
    fn parts(&self, wanted: &BTreeMap<String, Digest>) -> Result<Vec<PartState>> {
        let counts = Counts::of(self.workload.kind, &self.object);
        let desired = self.desired_index();
        let mut parts = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let pods = self.pods_of(index);
            let is_desired = Some(index) == desired;
            if pods.is_empty() && !is_desired {
                continue;
            }
            // None of the others is wanted; what is there of them still counts.
            let replicas = if is_desired { counts.wanted } else { pods.len() as u64 };
            let name = PartId::new(entry.name.clone())?;
            parts.push(part(name, entry.identity, &pods, replicas, wanted)?);
        }
        if desired.is_none() {
            let name = PartId::new(self.unrolled())?;
            parts.push(part(name, self.desired_identity(), &[], counts.wanted, wanted)?);
        }
        let strangers: Vec<_> = self.pods.iter().filter(|pod| !self.is_known(pod)).collect();
        if !strangers.is_empty() {
            let name = PartId::new("pods of a revision that is no longer kept")?;
            let mut lost = part(name, self.desired_identity(), &strangers, strangers.len() as u64, wanted)?;
            lost.identity = None;
            parts.push(lost);
        }
        Ok(parts)
    }

    fn is_known(&self, pod: &Pod) -> bool {
        let kind = self.workload.kind;
        self.entries.iter().any(|entry| entry.made(kind, &pod.owner, pod.revision.as_deref()))
    }

    /// Everything that speaks for or against the goal.
    pub(crate) fn evidence(&self, goal: &K8sSnapshot) -> Result<Evidence> {
        let mut evidence = Evidence::default();
        if !self.is_observed() {
            evidence = evidence.unread("what runs: its controller has not seen what it is set to yet");
        }
        for part in self.parts(&goal.images)? {
            evidence = evidence.part(part);
        }
        let counts = Counts::of(self.workload.kind, &self.object);
        let generation = number(&self.object, "/metadata/generation");
        evidence = evidence
            .compared(format!("the pod template of {}, generation {generation}", self.workload))
            .compared(format!("{} pods by the revision that they were made from", self.pods.len()))
            .compared(format!("{} of {} available", counts.available, counts.wanted));
        for (container, digest) in &goal.images {
            evidence =
                evidence.compared(format!("the image of container {container} with {}", digest.short()));
        }
        // Counts that its controller keeps must agree with the pods that were read.
        let phase = self.course().phase;
        if let (true, Phase::Progressing(what)) = (counts.wanted > 0, phase) {
            evidence = evidence.unread(format!("the end of the rollout: {what}"));
        }
        Ok(evidence)
    }
}

fn part(
    name: PartId,
    identity: Identity,
    pods: &[&Pod],
    wanted: u64,
    images: &BTreeMap<String, Digest>,
) -> Result<PartState> {
    let ready = pods.iter().filter(|pod| pod.ready).count();
    let identity = match foreign(pods, images) {
        None => identity,
        // The same template with another image behind its tag: not what was wanted.
        Some(found) => Identity(Digest::of_bytes(format!("{identity} {found}").as_bytes())),
    };
    let mut part = PartState::verified(name, Some(identity));
    if pods.is_empty() {
        part.certainty = Certainty::Claimed;
    }
    Ok(part
        .with_replicas(u32::try_from(wanted).unwrap_or(u32::MAX), u32::try_from(ready).unwrap_or(u32::MAX))
        .with_incarnation(Some(incarnation(pods)?))
        .with_restarts(pods.iter().map(|pod| pod.restarts).sum())
        .with_health(health(pods)))
}

/// A digest that runs and is not the one that should.
fn foreign(pods: &[&Pod], wanted: &BTreeMap<String, Digest>) -> Option<String> {
    let all = pods.iter().flat_map(|pod| &pod.images);
    let mut other =
        all.filter(|(container, found)| wanted.get(*container).is_some_and(|wanted| wanted != *found));
    other.next().map(|(container, found)| format!("{container} {found}"))
}

/// Changes with every pod that is replaced and every container that is restarted.
fn incarnation(pods: &[&Pod]) -> Result<Incarnation> {
    let all: BTreeSet<_> = pods.iter().map(|pod| format!("{} {}", pod.uid, pod.restarts)).collect();
    let text = all.into_iter().collect::<Vec<_>>().join("\n");
    Incarnation::new(format!("{} pods {}", pods.len(), Digest::of_bytes(text.as_bytes()).short()))
}

fn health(pods: &[&Pod]) -> Health {
    if let Some(trouble) = pods.iter().find_map(|pod| pod.trouble.as_ref()) {
        return Health::Unhealthy(trouble.text().to_owned());
    }
    if let Some(container) = disputed(pods) {
        return Health::Unhealthy(format!(
            "its pods run different images in container {container}: its tag was moved"
        ));
    }
    match pods.iter().find(|pod| !pod.ready) {
        Some(pod) => Health::Unhealthy(format!("pod {} is not ready", pod.name)),
        None if pods.is_empty() => Health::Unknown,
        None => Health::Healthy,
    }
}

/// The digests that pods run, by container, as far as all of them run the same.
fn agreed(pods: &[&Pod]) -> BTreeMap<String, Digest> {
    let mut found: BTreeMap<String, Option<Digest>> = BTreeMap::new();
    for (container, digest) in pods.iter().flat_map(|pod| &pod.images) {
        let known = found.entry(container.clone()).or_insert(Some(*digest));
        *known = known.filter(|known| known == digest);
    }
    found.into_iter().filter_map(|(container, digest)| Some((container, digest?))).collect()
}

/// A container that does not run the same image in all pods.
fn disputed(pods: &[&Pod]) -> Option<String> {
    let agreed = agreed(pods);
    let mut all = pods.iter().flat_map(|pod| pod.images.keys());
    all.find(|container| !agreed.contains_key(*container)).cloned()
}
