//! What a compose project can be put back to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::document::decode_exact;
use rollback_core::{
    Artifact, Digest, Document, Error, ErrorKind, Identity, Result, Revision, Snapshot, SnapshotInfo,
};
use serde::{Deserialize, Serialize};

use crate::image::{ServiceImage, Which};
use crate::names::{Project, Service};

/// One state of a compose project: which image each of the services runs that are rolled back together.
///
/// Its identity covers exactly these images. The rendered configuration has a digest of its own: it is compared and reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ComposeSnapshot {
    /// The project.
    pub project: Project,
    /// What a person calls it: the beginning of its image's digest; of several images, that of all.
    pub revision: Revision,
    /// The service whose tag is the version.
    pub main: Service,
    /// The image of each service.
    pub images: BTreeMap<Service, ServiceImage>,
    /// When the main image was pushed or built, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
    /// A digest of the rendered configuration without its images, as it was on each host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Digest>,
    /// The parameters that its commands were given, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
}

impl ComposeSnapshot {
    /// A state of these images.
    pub(crate) fn new(
        project: Project,
        main: Service,
        images: BTreeMap<Service, ServiceImage>,
    ) -> Result<Self> {
        let revision = Revision::new(called(&main, &images))?;
        let parameters = Vec::new();
        Ok(Self { project, revision, main, images, made_at: None, configuration: None, parameters })
    }

    /// The image of the service whose tag is the version.
    #[must_use]
    pub fn main_image(&self) -> Option<&ServiceImage> {
        self.images.get(&self.main)
    }

    /// The identity of these images.
    #[must_use]
    pub fn identity(&self) -> Identity {
        identity(self.images.iter().map(|(service, image)| (service, image.which)))
    }

    fn check(&self) -> Result<()> {
        let why = if self.main_image().is_none() {
            format!("it has no image of {}", self.main)
        } else if self.revision.as_str() != called(&self.main, &self.images) {
            format!("its images are not {}", self.revision)
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Corrupt, "read a compose snapshot", why))
    }
}

/// One image is called by its digest, as registries and `docker images` do.
fn called(main: &Service, images: &BTreeMap<Service, ServiceImage>) -> String {
    match images.get(main).filter(|_| images.len() == 1) {
        Some(image) => image.which.short(),
        None => identity(images.iter().map(|(service, image)| (service, image.which))).short(),
    }
}

/// What runs, as one digest.
pub(crate) fn identity<'a>(images: impl Iterator<Item = (&'a Service, Which)>) -> Identity {
    let mut text = String::new();
    for (service, which) in images {
        let (kind, digest) = match which {
            Which::Digest(digest) => ("", digest),
            Which::Id(id) => ("id ", id),
        };
        text.push_str(&format!("{service} {kind}{digest}\n"));
    }
    Identity(Digest::of_bytes(text.as_bytes()))
}

impl Document for ComposeSnapshot {
    const SCHEMA: &'static str = "compose-project/1";

    fn decode(schema: &str, body: serde_json::Value) -> Result<Self> {
        let snapshot: Self = decode_exact(schema, body)?;
        snapshot.check()?;
        Ok(snapshot)
    }
}

impl Snapshot for ComposeSnapshot {
    fn info(&self) -> SnapshotInfo {
        let mut info = SnapshotInfo::new(self.revision.clone(), self.identity());
        info.version = self.main_image().and_then(ServiceImage::version);
        info.made_at = self.made_at;
        info.coupled = self.configuration;
        let mut images: Vec<_> = self.images.values().map(ServiceImage::exact).collect();
        images.dedup();
        info.artifacts = images.into_iter().map(|image| Artifact::new("image", image)).collect();
        info
    }

    /// Tags move, and a host that pulled by digest knows none; the configuration of then is known to the record alone.
    fn recall(&mut self, recorded: &Self) {
        for (service, image) in &mut self.images {
            if let Some(known) = recorded.images.get(service).filter(|known| known.which == image.which) {
                image.tag = image.tag.take().or_else(|| known.tag.clone());
            }
        }
        self.made_at = self.made_at.or(recorded.made_at);
        self.configuration = recorded.configuration.or(self.configuration);
        if self.parameters.is_empty() {
            self.parameters.clone_from(&recorded.parameters);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn state(digest: &[u8], tag: Option<&str>) -> ComposeSnapshot {
        let repository = "127.0.0.1:5000/shop/web".parse().unwrap();
        let image = ServiceImage::new(&repository, Which::Digest(Digest::of_bytes(digest)));
        let main = Service::new("web").unwrap();
        let images = BTreeMap::from([(main.clone(), image.tagged(tag.map(str::to_owned)))]);
        ComposeSnapshot::new(Project::new("shop").unwrap(), main, images).unwrap()
    }

    #[test]
    fn the_identity_is_that_of_the_images_and_of_nothing_else() {
        let v1 = state(b"v1", Some("v1"));
        let mut same = state(b"v1", Some("stable"));
        same.configuration = Some(Digest::of_bytes(b"other"));
        assert_eq!(v1.info().identity, same.info().identity);
        assert_ne!(v1.info().identity, state(b"v2", Some("v1")).info().identity);
        let mut built = v1.clone();
        let image = built.images.values_mut().next().unwrap();
        image.which = Which::Id(Digest::of_bytes(b"v1"));
        assert_ne!(v1.info().identity, built.info().identity);
    }

    #[test]
    fn what_only_a_record_knows_is_taken_over() {
        let mut seen = state(b"v1", None);
        let mut recorded = state(b"v1", Some("v1"));
        recorded.configuration = Some(Digest::of_bytes(b"then"));
        seen.recall(&recorded);
        assert_eq!(seen.info().version, recorded.info().version);
        assert_eq!(seen.info().coupled, recorded.info().coupled);
        assert_eq!(seen.info().revision, recorded.info().revision);
    }

    #[test]
    fn documents_that_were_altered_are_refused() {
        let written = serde_json::to_value(state(b"v1", Some("v1"))).unwrap();
        assert_eq!(
            ComposeSnapshot::decode(ComposeSnapshot::SCHEMA, written.clone()).unwrap(),
            state(b"v1", Some("v1"))
        );
        for (at, value) in [
            ("/main", json!("other")),
            ("/revision", json!("0123456789ab")),
            ("/project", json!("$(x)")),
            ("/images/web/which", json!({ "digest": "sha256:short" })),
            ("/images/web/repository", json!("a b")),
        ] {
            let mut wrong = written.clone();
            *wrong.pointer_mut(at).unwrap() = value;
            assert!(ComposeSnapshot::decode(ComposeSnapshot::SCHEMA, wrong).is_err(), "{at}");
        }
    }
}
