//! States that no revision holds: what is registered now, with another image or another environment.

use rollback_aws_support::ImageRef;
use rollback_aws_support::ecr::{ImageId, Repository, StoredImage};
use rollback_core::target::{HistoryEntry, Standing};
use rollback_core::{Digest, Error, ErrorKind, Reading, Result, Revision, Version};

use crate::arn::TaskDefinitionArn;
use crate::inspect::newest_tags;
use crate::past::Past;
use crate::snapshot::EcsSnapshot;
use crate::task_definition::Registration;

/// `revision=second-latest-image`: what was pushed before the newest image. Nothing says that it ever ran, or that the newest is the
/// one that is bad: an explicit choice, for those who know.
pub(crate) const SECOND_LATEST: &str = "second-latest-image";

/// `revision=environment-of-41`: what runs now, with the variables, secrets and environment files of revision 41.
pub(crate) const ENVIRONMENT_OF: &str = "environment-of-";

const FIND: &str = "find the image";

/// The current settings with the main container's image of this tag, which no revision has.
pub(crate) async fn with_tag(
    past: &Past<'_>,
    current: &TaskDefinitionArn,
    version: &Version,
) -> Result<HistoryEntry<EcsSnapshot>> {
    let place = Place::of(past, current).await?;
    let ecr = past.client.surroundings().ecr();
    let tag = version.as_str();
    match ecr.image(&place.repository, ImageId::Tag(tag.to_owned())).await {
        Reading::Known(image) => place.composed(past, current, &image, Some(tag)).await,
        Reading::Unknown(why) => {
            let what = format!(
                "no revision of {} has tag {tag}, and {} could not be asked: {why}",
                current.family(),
                place.shown()
            );
            Err(Error::new(ErrorKind::NotFound, FIND, what)
                .next("rollback history shows the versions that revisions have"))
        }
        Reading::Absent => {
            let what = format!(
                "no revision of {} and no image of {} has tag {tag}",
                current.family(),
                place.shown()
            );
            let there = match ecr.images(&place.repository).await {
                Reading::Known(images) if images.is_empty() => "it has no images".to_owned(),
                Reading::Known(images) => {
                    format!("it has these, newest first: {}", newest_tags(&images).join(", "))
                }
                Reading::Absent => "there is no such repository".to_owned(),
                Reading::Unknown(why) => format!("which it has could not be read: {why}"),
            };
            Err(Error::new(ErrorKind::NotFound, FIND, what).next(there))
        }
    }
}

/// The current settings with the image that was pushed before the newest.
pub(crate) async fn second_latest(
    past: &Past<'_>,
    current: &TaskDefinitionArn,
) -> Result<HistoryEntry<EcsSnapshot>> {
    let place = Place::of(past, current).await?;
    let mut images = match past.client.surroundings().ecr().images(&place.repository).await {
        Reading::Known(images) => images,
        Reading::Absent => Vec::new(),
        Reading::Unknown(why) => {
            let what = format!("{} could not be asked: {why}", place.shown());
            return Err(Error::new(ErrorKind::Unavailable, FIND, what)
                .transient(false)
                .next("choose a revision or a version"));
        }
    };
    // Layers of other images, signatures and attestations have no tags.
    images.retain(|image| !image.tags.is_empty());
    let Some(second) = images.get(1) else {
        let what = format!("{} has no two images with tags", place.shown());
        return Err(Error::new(ErrorKind::NotFound, FIND, what)
            .next("choose a revision: rollback history shows them"));
    };
    let mut entry = place.composed(past, current, second, second.tags.first().map(String::as_str)).await?;
    entry.snapshot.called = Some(Revision::new(SECOND_LATEST)?);
    Ok(entry)
}

/// The current settings and images with the environment that the containers had in an earlier revision.
pub(crate) async fn with_environment(
    past: &Past<'_>,
    current: &TaskDefinitionArn,
    earlier: &EcsSnapshot,
) -> Result<HistoryEntry<EcsSnapshot>> {
    let before = past.client.task_definition(&earlier.task_definition).await?;
    let content = past.client.task_definition(current).await?.with_environments_of(&before)?;
    let definition = content.redacted(&past.client.key(current.arn().account()))?;
    let mut snapshot = past.client.snapshot(&past.seen.look, current, &definition)?;
    snapshot.registered_at = earlier.registered_at;
    snapshot.registration = Registration::Unregistered;
    snapshot.called = Some(Revision::new(format!("{ENVIRONMENT_OF}{}", earlier.task_definition.revision()))?);
    snapshot.environment_of = Some(earlier.task_definition.clone());
    Ok(HistoryEntry::new(snapshot, Standing::NeverRan))
}

/// The image that may be exchanged.
struct Place {
    container: String,
    image: ImageRef,
    repository: Repository,
}

impl Place {
    async fn of(past: &Past<'_>, current: &TaskDefinitionArn) -> Result<Self> {
        let definition = past.client.definition(current).await?;
        let Some(main) = definition.main_container(past.client.main_container()) else {
            let what =
                format!("{} has several essential containers, and none is the main one", current.short());
            return Err(
                Error::new(ErrorKind::Invalid, FIND, what).next("set main_container in the configuration")
            );
        };
        let Some(repository) = Repository::of(&main.image) else {
            let what = format!("{} is in no registry of ECR, so its tags cannot be asked for", main.image);
            return Err(Error::new(ErrorKind::NotFound, FIND, what)
                .next("rollback history shows the versions that revisions have"));
        };
        Ok(Self { container: main.name, image: main.image, repository })
    }

    fn shown(&self) -> &str {
        self.repository.name()
    }

    async fn composed(
        &self,
        past: &Past<'_>,
        current: &TaskDefinitionArn,
        image: &StoredImage,
        tag: Option<&str>,
    ) -> Result<HistoryEntry<EcsSnapshot>> {
        let digest: Digest = image.digest.parse()?;
        let written = match tag {
            Some(tag) => self.image.tagged(tag)?,
            None => self.image.pinned(digest),
        };
        let content = past.client.task_definition(current).await?.with_image(&self.container, &written)?;
        let definition = content.redacted(&past.client.key(current.arn().account()))?;
        let mut snapshot = EcsSnapshot::new(past.seen.look.service.arn.clone(), current.clone(), definition)?;
        snapshot.main_container = past.client.main_container().map(str::to_owned);
        // The other containers go on with the images that they have.
        snapshot.digests = past.client.snapshot(&past.seen.look, current, &snapshot.definition)?.digests;
        snapshot.digests.insert(self.container.clone(), digest);
        (snapshot.registered_at, snapshot.registration) = (image.pushed_at, Registration::Unregistered);
        Ok(HistoryEntry::new(snapshot, Standing::NeverRan))
    }
}
