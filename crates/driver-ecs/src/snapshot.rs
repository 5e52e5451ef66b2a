//! What a service can be put back to.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rollback_aws_support::ImageRef;
use rollback_core::digest::canonical;
use rollback_core::document::decode_exact;
use rollback_core::error::quoted;
use rollback_core::target::{DiffEntry, Shown};
use rollback_core::{
    Artifact, Digest, Document, Error, ErrorKind, Identity, Result, Revision, Snapshot, SnapshotInfo, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arn::{Arn, TaskDefinitionArn};
use crate::circumstances::Circumstances;
use crate::coupled::Coupled;
use crate::task_definition::{Definition, Registration, is_deeper};

/// The largest snapshot that is taken: a plan holds several.
const LARGEST: usize = 512 * 1024;
const DEEPEST: usize = 32;

/// One state of an ECS service: a task definition with the images that it runs, and what belongs to it.
///
/// Its identity covers the content of the task definition and the digests of the images, where these are known: that is what
/// moving the service to a revision puts back. Load balancers, network and the rest have a digest of their own. How the service
/// was found ([`Circumstances`]) is no part of either.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct EcsSnapshot {
    /// The service that it is a state of.
    pub service: Arn,
    /// The revision that was seen with this content.
    pub task_definition: TaskDefinitionArn,
    /// Its content.
    pub definition: Definition,
    /// The digest that each container's image was resolved to when it was deployed, by container.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, Digest>,
    /// The container whose image tag is the version; left out, the only essential one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main_container: Option<String>,
    /// When the revision was registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_at: Option<Timestamp>,
    /// Whether the revision could be used when this was read. It changes without notice.
    #[serde(default)]
    pub registration: Registration,
    /// What a person calls it, where no revision has this content yet: `environment-of-41`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<Revision>,
    /// The revision whose environment it has, where that is not the revision's own: then no revision has this content yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_of: Option<TaskDefinitionArn>,
    /// What belongs to it and is not put back with the task definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupled: Option<Coupled>,
    /// What was going on when a running state was read. Never part of an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circumstances: Option<Box<Circumstances>>,
}

impl EcsSnapshot {
    /// A state with what every state has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when the ARN is no service's, or the definition is of another family.
    pub fn new(service: Arn, task_definition: TaskDefinitionArn, definition: Definition) -> Result<Self> {
        let snapshot = Self {
            service,
            task_definition,
            definition,
            digests: BTreeMap::new(),
            main_container: None,
            registered_at: None,
            registration: Registration::Unknown,
            called: None,
            environment_of: None,
            coupled: None,
            circumstances: None,
        };
        snapshot.check()?;
        Ok(snapshot)
    }

    fn check(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::new(ErrorKind::Invalid, "use an ECS snapshot", why));
        if self.service.service() != "ecs" || !self.service.resource().starts_with("service/") {
            return wrong(format!("{} is no ECS service", self.service));
        }
        let place =
            |arn: &Arn| (arn.partition().to_owned(), arn.region().to_owned(), arn.account().to_owned());
        if place(&self.service) != place(self.task_definition.arn()) {
            return wrong(format!("{} is not where the service is", self.task_definition));
        }
        if self.environment_of.as_ref().is_some_and(|of| of.family() != self.task_definition.family()) {
            return wrong("it has the environment of another family".to_owned());
        }
        if self.task_definition.family() != self.definition.family() {
            return wrong(format!("{} is not of family {}", self.task_definition, self.definition.family()));
        }
        if let Some(setting) = self.coupled.as_ref().and_then(Coupled::in_the_clear) {
            return wrong(format!("{} holds a value that should not be stored", quoted(setting)));
        }
        let names: BTreeSet<_> =
            self.definition.containers().into_iter().map(|container| container.name).collect();
        if let Some(stranger) = self.digests.keys().find(|name| !names.contains(*name)) {
            return wrong(format!("it has a digest for {stranger:?} and no such container"));
        }
        Ok(())
    }

    /// Each container with the exact image it runs, as far as that is known.
    #[must_use]
    pub fn images(&self) -> BTreeMap<String, ImageRef> {
        let image = |name: &str, image: &ImageRef| match self.digests.get(name) {
            Some(digest) => image.pinned(*digest),
            None => image.clone(),
        };
        self.definition.containers().iter().map(|c| (c.name.clone(), image(&c.name, &c.image))).collect()
    }

    /// The image tag of the main container.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.definition.main_container(self.main_container.as_deref())?.image.version()
    }

    /// What restoring `to` would change, without values that may be secret.
    #[must_use]
    pub fn diff(&self, to: &Self) -> Vec<DiffEntry> {
        let mut entries = self.definition.diff(&to.definition);
        let shown = |digest: Option<&Digest>| digest.map(|digest| Shown::Plain(digest.to_string()));
        for name in self.digests.keys().chain(to.digests.keys()).collect::<BTreeSet<_>>() {
            let (from, to) = (self.digests.get(name), to.digests.get(name));
            if from != to {
                let path = format!("containers.{name}.image-digest");
                entries.push(DiffEntry { path, from: shown(from), to: shown(to) });
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    fn identity(&self) -> Identity {
        // Writing a JSON value as JSON cannot fail; were it to, no other snapshot has this identity.
        self.definition
            .identity(&self.digests)
            .unwrap_or_else(|_| Identity(Digest::of_bytes(self.task_definition.arn().as_str().as_bytes())))
    }
}

impl Document for EcsSnapshot {
    const SCHEMA: &'static str = "ecs-service/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        if is_deeper(&body, DEEPEST) || canonical(&body).len() > LARGEST {
            return Err(Error::new(
                ErrorKind::Corrupt,
                "read an ECS snapshot",
                "it is larger or deeper than any",
            ));
        }
        let snapshot: Self = decode_exact(schema, body)?;
        snapshot.check().map_err(|error| {
            Error::new(ErrorKind::Corrupt, "read an ECS snapshot", error.message().to_owned())
        })?;
        Ok(snapshot)
    }
}

impl Snapshot for EcsSnapshot {
    fn info(&self) -> SnapshotInfo {
        let number = || {
            let number = self.task_definition.revision().to_string();
            Revision::new(number).unwrap_or_else(|_| unreachable!("a number is a revision"))
        };
        let revision = self.called.clone().unwrap_or_else(number);
        let mut info = SnapshotInfo::new(revision, self.identity());
        let images: BTreeSet<_> = self.images().into_values().collect();
        info.artifacts.extend(images.iter().map(|image| Artifact::new("image", image.to_string())));
        let secrets = self.definition.secret_references();
        info.artifacts.extend(secrets.into_iter().map(|name| Artifact::new("secret", name)));
        info.version = self.version();
        info.made_at = self.registered_at;
        info.coupled = self.coupled.as_ref().map(Coupled::digest);
        info
    }
}

#[cfg(test)]
mod tests {
    use rollback_testkit::driver::altered;
    use serde_json::json;

    use super::*;
    use crate::fixtures::{self, snapshot};

    #[test]
    fn it_says_what_people_and_core_need() {
        let digest = Digest::of_bytes(b"v1");
        let mut one = snapshot(42, "v1");
        one.digests.insert("web".into(), digest);
        let info = one.info();
        assert_eq!(info.label(), "42 (v1)");
        let names: Vec<_> = info.artifacts.iter().map(|artifact| artifact.name.clone()).collect();
        assert_eq!(names, [format!("{}@{digest}", fixtures::REPOSITORY), fixtures::PARAMETER.to_owned()]);
    }

    #[test]
    fn identity_is_content_and_nothing_else() {
        let one = snapshot(42, "v1");
        let mut again = snapshot(43, "v1");
        again.registration = Registration::Inactive;
        again.registered_at = Some(Timestamp::UNIX_EPOCH);
        again.circumstances = Some(Box::default());
        again.coupled = Some(Coupled::default());
        assert_eq!(one.info().identity, again.info().identity);
        assert_ne!(one.info().identity, snapshot(42, "v2").info().identity);
        let mut runs = one.clone();
        runs.digests.insert("web".into(), Digest::of_bytes(b"v1"));
        assert_ne!(one.info().identity, runs.info().identity);
        let paths: Vec<_> = one.diff(&runs).into_iter().map(|entry| entry.path).collect();
        assert_eq!(paths, ["containers.web.image-digest"]);
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let mut one = snapshot(42, "v1");
        one.digests.insert("web".into(), Digest::of_bytes(b"v1"));
        one.registered_at = Some(Timestamp::UNIX_EPOCH);
        one.registration = Registration::Active;
        one.coupled = Some(fixtures::coupled());
        one.circumstances = Some(Box::new(fixtures::rolling_out()));
        let golden: Value = serde_json::from_str(include_str!("../golden/ecs-service-1.json")).unwrap();
        assert_eq!(
            serde_json::to_value(&one).unwrap(),
            golden,
            "{}",
            serde_json::to_string_pretty(&one).unwrap()
        );
        assert_eq!(EcsSnapshot::decode(EcsSnapshot::SCHEMA, golden).unwrap(), one);
        let identity = include_str!("../golden/ecs-service-1.identity").trim();
        assert_eq!(one.info().identity.to_string(), identity);
    }

    #[test]
    fn hostile_documents_are_refused() {
        let good = serde_json::to_value(snapshot(42, "v1")).unwrap();
        assert!(EcsSnapshot::decode("ecs-service/2", good.clone()).is_err());
        let mut deep = json!(1);
        for _ in 0..90 {
            deep = json!([deep]);
        }
        for (field, value) in [
            ("extra", json!(1)),
            ("service", json!("arn:aws:ecs:eu-west-1:123456789012:cluster/web")),
            ("service", json!("arn:aws:ecs:eu-west-1:999999999999:service/prod/web")),
            ("task-definition", json!("arn:aws:ecs:eu-west-1:123456789012:task-definition/web-other:42")),
            ("task-definition", json!("web:42")),
            ("digests", json!({ "nobody": Digest::of_bytes(b"x") })),
            ("digests", json!({ "web": "sha256:12" })),
            ("definition", json!({ "key": "k", "body": {} })),
            ("main-container", json!("x".repeat(LARGEST))),
            ("coupled", json!({ "settings": { "loadBalancers": deep } })),
            (
                "coupled",
                json!({ "settings": { "serviceConnectConfiguration": { "token": "in the clear" } } }),
            ),
        ] {
            let mut altered = good.clone();
            altered[field] = value;
            assert!(EcsSnapshot::decode(EcsSnapshot::SCHEMA, altered).is_err(), "{field}");
        }
    }

    proptest::proptest! {
        /// One changed place in a stored snapshot is refused, or still is a snapshot that can be stored; nothing panics.
        #[test]
        fn altered_documents_are_refused_or_sound(place in 0usize..64, with in "[ -~]{0,12}") {
            let golden: Value = serde_json::from_str(include_str!("../golden/ecs-service-1.json")).unwrap();
            let altered = altered(golden, place, &with);
            if let Ok(snapshot) = EcsSnapshot::decode(EcsSnapshot::SCHEMA, altered) {
                let stored = serde_json::to_value(&snapshot).unwrap();
                let again = EcsSnapshot::decode(EcsSnapshot::SCHEMA, stored).unwrap();
                proptest::prop_assert_eq!(again.info(), snapshot.info());
            }
        }
    }
}
