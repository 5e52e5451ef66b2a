//! What a workload can be put back to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rollback_core::digest::canonical;
use rollback_core::document::decode_exact;
use rollback_core::error::quoted;
use rollback_core::{
    Artifact, Digest, Document, Error, ErrorKind, Result, Revision, Snapshot, SnapshotInfo, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::circumstances::Circumstances;
use crate::coupled::Coupled;
use crate::template::Template;
use crate::text::is_name;
use crate::workload::Workload;

/// The largest snapshot that is taken: a plan holds several.
const LARGEST: usize = 512 * 1024;

/// Where the content of a state can be read, values and all, when it is put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Source {
    /// In a ReplicaSet or ControllerRevision.
    History {
        /// What it is called.
        name: String,
        /// Which of that name.
        uid: String,
    },
    /// In the workload itself: its controller has made no entry of it.
    Workload,
    /// Nowhere yet: what the workload is set to, with other images.
    Images,
}

/// One state of a workload: its pod template, and what belongs to it.
///
/// Its identity covers the pod template without defaults, restarts and hashes: that is what is put back. ConfigMaps and Secrets that
/// it refers to have a digest of their own. The number of replicas is no part of it, and neither is how the workload was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct K8sSnapshot {
    /// The workload that it is a state of.
    pub workload: Workload,
    /// What a person calls it: the number of the revision.
    pub revision: Revision,
    /// Where its content is.
    pub source: Source,
    /// What it is.
    pub template: Template,
    /// The container whose image tag is the version, where one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// When it was first set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
    /// Why, as the workload was annotated then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_cause: Option<String>,
    /// The digest of the image that each container ran, where its pods could be asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, Digest>,
    /// What belongs to it and is not put back with the pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupled: Option<Coupled>,
    /// What was going on when a running state was read. Never part of an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circumstances: Option<Box<Circumstances>>,
}

impl K8sSnapshot {
    /// A state with what every state has.
    pub(crate) fn new(workload: Workload, revision: Revision, source: Source, template: Template) -> Self {
        Self {
            workload,
            revision,
            source,
            template,
            container: None,
            made_at: None,
            change_cause: None,
            images: BTreeMap::new(),
            coupled: None,
            circumstances: None,
        }
    }

    fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::new(ErrorKind::Invalid, "use a Kubernetes snapshot", why));
        self.workload.check()?;
        self.template.check()?;
        if let Source::History { name, .. } = &self.source
            && !is_name(name)
        {
            return wrong(format!("{} is no name of a revision", quoted(name)));
        }
        if let Some(place) = self.coupled.as_ref().and_then(Coupled::in_the_clear) {
            return wrong(format!("{} holds a value that should not be stored", quoted(place)));
        }
        let pods = self.circumstances.iter().flat_map(|found| &found.unready);
        match pods.into_iter().find(|blocking| !is_name(&blocking.pod)) {
            Some(pod) => wrong(format!("{} is no name of a pod", quoted(&pod.pod))),
            None => Ok(()),
        }
    }

    /// The ReplicaSet or ControllerRevision that holds it, if one should.
    pub(crate) fn held_by(&self) -> Option<Artifact> {
        match &self.source {
            Source::History { name, .. } => Some(Artifact::new(self.workload.kind.history_name(), name)),
            Source::Workload | Source::Images => None,
        }
    }

    /// The image tag of the main container.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.template.version(self.container.as_deref(), &self.workload.name)
    }
}

impl Document for K8sSnapshot {
    const SCHEMA: &'static str = "k8s-workload/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        let corrupt = |why: String| Error::new(ErrorKind::Corrupt, "read a Kubernetes snapshot", why);
        if canonical(&body).len() > LARGEST {
            return Err(corrupt("it is larger than any".to_owned()));
        }
        let snapshot: Self = decode_exact(schema, body)?;
        snapshot.check().map_err(|error| corrupt(error.message().to_owned()))?;
        Ok(snapshot)
    }
}

impl Snapshot for K8sSnapshot {
    fn info(&self) -> SnapshotInfo {
        let mut info = SnapshotInfo::new(self.revision.clone(), self.template.identity());
        let images: BTreeSet<_> = self.template.images().into_iter().map(|(_, image)| image).collect();
        info.artifacts.extend(images.into_iter().map(|image| Artifact::new("image", image)));
        let needed = self.template.references().into_iter().filter(|reference| !reference.optional);
        info.artifacts.extend(needed.map(|reference| Artifact::new(reference.kind.name(), reference.name)));
        info.version = self.version();
        info.made_at = self.made_at;
        info.artifacts.extend(self.held_by());
        info.coupled = self.coupled.as_ref().and_then(Coupled::digest);
        info
    }

    /// What belonged to it then is known to the record alone, and so are the digests of images whose pods are gone.
    fn recall(&mut self, recorded: &Self) {
        if recorded.coupled.is_some() {
            self.coupled.clone_from(&recorded.coupled);
        }
        if self.images.is_empty() {
            self.images.clone_from(&recorded.images);
        }
    }
}

#[cfg(test)]
mod tests {
    use rollback_testkit::driver::altered;
    use serde_json::json;

    use super::*;
    use crate::look::tests::at_rest;
    use crate::template::{Reference, Referenced};
    use crate::workload::Kind;

    fn golden() -> Value {
        serde_json::from_str(include_str!("../golden/k8s-workload-1.json")).unwrap()
    }

    /// A state with everything that a state can have.
    fn full() -> K8sSnapshot {
        let mut template = crate::look::tests::template("v2");
        template["spec"]["containers"][0]["env"] = json!([{ "name": "PASSWORD", "value": "hunter2" }]);
        let look =
            at_rest(Kind::StatefulSet).set("/spec/template", template.clone()).entry(4, &template).look();
        let mut state = look.state(0).unwrap();
        state.change_cause = Some("deploy of v2".into());
        state.container = Some("web".into());
        state.images.insert("web".into(), Digest::of_bytes(b"v2"));
        let mut coupled = Coupled::default();
        let reference = Reference { kind: Referenced::ConfigMap, name: "web".into(), optional: false };
        let object =
            json!({ "metadata": { "uid": "c", "resourceVersion": "4" }, "data": { "a": "hunter2" } });
        coupled.add(
            &reference,
            &object,
            &rollback_core::fingerprint::FingerprintKey::public(crate::NAME, "ns"),
        );
        coupled.missing(&Reference { kind: Referenced::Secret, ..reference });
        state.coupled = Some(coupled);
        let mut circumstances = look.circumstances();
        circumstances.unready =
            crate::look::tests::in_flight(Kind::StatefulSet, &crate::look::tests::crashing())
                .look()
                .unready();
        state.circumstances = Some(Box::new(circumstances));
        state
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let one = full();
        let stored = serde_json::to_value(&one).unwrap();
        assert_eq!(stored, golden(), "{}", serde_json::to_string_pretty(&one).unwrap());
        assert!(!stored.to_string().contains("hunter2"));
        assert_eq!(K8sSnapshot::decode(K8sSnapshot::SCHEMA, golden()).unwrap(), one);
        let identity = include_str!("../golden/k8s-workload-1.identity").trim();
        assert_eq!(one.info().identity.to_string(), identity);
    }

    #[test]
    fn identity_is_the_template_and_nothing_else() {
        let one = full();
        let mut again = one.clone();
        again.revision = Revision::new("9").unwrap();
        again.source = Source::Workload;
        again.images.clear();
        again.coupled = None;
        again.circumstances = None;
        assert_eq!(one.info().identity, again.info().identity);
        assert_eq!(one.info().label(), "4 (v2)");
    }

    #[test]
    fn hostile_documents_are_refused() {
        assert!(K8sSnapshot::decode("k8s-workload/2", golden()).is_err());
        for (pointer, value) in [
            ("/workload/name", json!("../web")),
            ("/source/history/name", json!("a/b")),
            ("/template/body/spec/containers/0/env/0/value", json!("in the clear")),
            ("/template/body", json!({})),
            ("/coupled/objects/config-map~1web/digest", json!("in the clear")),
            ("/circumstances/unready/0/pod", json!("../nodes")),
            ("/images/web", json!("sha256:12")),
            ("/change-cause", json!("x".repeat(LARGEST))),
            ("/workload", json!({ "kind": "deployment", "namespace": "a", "name": "b", "extra": 1 })),
        ] {
            let mut altered = golden();
            *altered.pointer_mut(pointer).expect(pointer) = value;
            assert!(K8sSnapshot::decode(K8sSnapshot::SCHEMA, altered).is_err(), "{pointer}");
        }
    }

    proptest::proptest! {
        /// One changed place in a stored snapshot is refused, or still is a snapshot that can be stored; nothing panics.
        #[test]
        fn altered_documents_are_refused_or_sound(place in 0usize..64, with in "[ -~]{0,12}") {
            let altered = altered(golden(), place, &with);
            if let Ok(snapshot) = K8sSnapshot::decode(K8sSnapshot::SCHEMA, altered) {
                let stored = serde_json::to_value(&snapshot).unwrap();
                let again = K8sSnapshot::decode(K8sSnapshot::SCHEMA, stored).unwrap();
                proptest::prop_assert_eq!(again.info(), snapshot.info());
            }
        }

        /// Whatever a template holds: reading it does not panic, and its values do not show.
        #[test]
        fn no_value_of_a_variable_shows(value in "[a-zA-Z0-9]{12,40}") {
            let raw = json!({ "metadata": { "annotations": { "x": value } }, "spec": { "containers": [{ "name": "web",
                "image": "web:v1", "args": [value], "env": [{ "name": "A", "value": value }], "new-field": { "deep": [value] } }] } });
            let template = Template::of(&raw, &rollback_core::fingerprint::FingerprintKey::public(crate::NAME, "ns"));
            proptest::prop_assert!(!serde_json::to_string(&template).unwrap().contains(&value));
            proptest::prop_assert!(template.check().is_ok());
        }
    }
}
