//! Single images, gathered into calls.

use std::collections::HashMap;

use aws_sdk_ecr::Client;
use aws_sdk_ecr::operation::batch_get_image::{BatchGetImageError, BatchGetImageOutput};
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::types::{Image, ImageDetail, ImageFailure, ImageFailureCode, ImageIdentifier, ImageStatus};
use rollback_core::{ErrorKind, Reading, Result};

use super::{ImageId, READ, Repository, Storage, StoredImage};
use crate::asking::{Asker, alike, time};
use crate::pacing::Quota;

const PULL: Quota = Quota::new("ecr", "BatchGetImage", 200, 200.0);

/// One image that is not there makes ECR refuse all that were asked for with it: they are asked for in halves then.
pub(super) async fn images(
    asker: Asker,
    of: Repository,
    ids: Vec<ImageId>,
) -> Result<HashMap<ImageId, Reading<StoredImage>>> {
    let mut found = HashMap::new();
    let mut left = vec![ids];
    // Each round halves a list or ends one: there are fewer than twice as many rounds as images.
    while let Some(mut ids) = left.pop() {
        match described(&asker, &of, &ids).await {
            Ok(Described::There(images)) => {
                found.extend(ids.into_iter().filter_map(|id| {
                    let image = images.iter().find(|image| id.names(image))?;
                    Some((id, Reading::Known(image.clone())))
                }));
            }
            Ok(Described::OneIsNot) if ids.len() > 1 => {
                left.push(ids.split_off(ids.len() / 2));
                left.push(ids);
            }
            Ok(Described::OneIsNot | Described::NoRepository) => {}
            Err(error) if error.kind() == ErrorKind::Denied => {
                found.extend(by_pulling(&asker, &of, ids, error.message()).await);
            }
            Err(error) => found.extend(alike(ids, &Reading::Unknown(error.message().to_owned()))),
        }
    }
    Ok(found)
}

enum Described {
    There(Vec<StoredImage>),
    OneIsNot,
    NoRepository,
}

async fn described(asker: &Asker, of: &Repository, ids: &[ImageId]) -> Result<Described> {
    let region = of.registry().region();
    let client = Client::new(&asker.session().sending_in(region));
    let call = asker.session().reads(
        "ecr",
        "DescribeImages",
        format!("see whether images of {} are there", of.name()),
    );
    let wanted: Vec<_> = ids.iter().map(identifier).collect();
    let no_repository = std::sync::atomic::AtomicBool::new(false);
    let absent = |error: &DescribeImagesError| {
        no_repository.store(error.is_repository_not_found_exception(), std::sync::atomic::Ordering::Relaxed);
        error.is_image_not_found_exception() || error.is_repository_not_found_exception()
    };
    let send = || {
        client
            .describe_images()
            .registry_id(of.registry().account())
            .repository_name(of.name())
            .set_image_ids(Some(wanted.clone()))
            .send()
    };
    let answer = asker.ask(region, READ, &call, absent, send).await?;
    Ok(match answer {
        Some(answer) => {
            Described::There(answer.image_details.unwrap_or_default().iter().filter_map(stored).collect())
        }
        None if no_repository.into_inner() => Described::NoRepository,
        None => Described::OneIsNot,
    })
}

fn identifier(id: &ImageId) -> ImageIdentifier {
    match id {
        ImageId::Digest(digest) => ImageIdentifier::builder().image_digest(digest).build(),
        ImageId::Tag(tag) => ImageIdentifier::builder().image_tag(tag).build(),
    }
}

/// Whether a failure is about this image.
fn is_about(failure: &ImageFailure, id: &ImageId) -> bool {
    let of = failure.image_id.as_ref();
    let (digest, tag) = (of.and_then(|of| of.image_digest()), of.and_then(|of| of.image_tag()));
    match id {
        ImageId::Digest(own) => digest == Some(own) && tag.is_none(),
        ImageId::Tag(own) => tag == Some(own),
    }
}

pub(super) fn stored(image: &ImageDetail) -> Option<StoredImage> {
    let media = image.image_manifest_media_type.as_deref().unwrap_or_default();
    Some(StoredImage {
        digest: image.image_digest.clone()?,
        size: image.image_size_in_bytes.and_then(|size| u64::try_from(size).ok()),
        tags: image.image_tags.iter().flatten().cloned().collect(),
        pushed_at: time(image.image_pushed_at.as_ref()),
        pulled_at: time(image.last_recorded_pull_time.as_ref()),
        activated_at: time(image.last_activated_at.as_ref()),
        storage: match image.image_status.as_ref().map(ImageStatus::as_str) {
            Some("ARCHIVED") => Storage::Archived,
            Some("ACTIVATING") => Storage::Activating,
            _ => Storage::Standard,
        },
        index: is_index(media),
    })
}

fn is_index(media: &str) -> bool {
    media.contains("manifest.list") || media.contains("image.index")
}

pub(super) async fn pulled(
    asker: &Asker,
    of: &Repository,
    ids: Vec<ImageIdentifier>,
) -> Result<Option<BatchGetImageOutput>> {
    let region = of.registry().region();
    let client = Client::new(&asker.session().sending_in(region));
    let call = asker.session().reads(
        "ecr",
        "BatchGetImage",
        format!("see whether images of {} are there", of.name()),
    );
    let send = || {
        client
            .batch_get_image()
            .registry_id(of.registry().account())
            .repository_name(of.name())
            .set_image_ids(Some(ids.clone()))
            .send()
    };
    asker.ask(region, PULL, &call, BatchGetImageError::is_repository_not_found_exception, send).await
}

/// Whether images are there, told by the permission to pull them.
async fn by_pulling(
    asker: &Asker,
    of: &Repository,
    ids: Vec<ImageId>,
    denied: &str,
) -> HashMap<ImageId, Reading<StoredImage>> {
    let wanted = ids.iter().map(identifier).collect();
    let answer = match pulled(asker, of, wanted).await {
        // What the first call lacked is what there should be.
        Err(_) => return alike(ids, &Reading::Unknown(denied.to_owned())),
        Ok(None) => return HashMap::new(),
        Ok(Some(answer)) => answer,
    };
    let there = there(answer.images.unwrap_or_default());
    let failures = answer.failures.unwrap_or_default();
    let why = |id: &ImageId| failures.iter().find(|failure| is_about(failure, id))?.failure_code.clone();
    let reading = |id: &ImageId| match (there.values().find(|image| id.names(image)), why(id)) {
        (Some(image), _) => Reading::Known(image.clone()),
        // Only a failure that says so means that an image is not there.
        (None, Some(ImageFailureCode::ImageNotFound)) => Reading::Absent,
        (None, Some(why)) => Reading::Unknown(format!("ecr:BatchGetImage says {}", why.as_str())),
        (None, None) => Reading::Unknown("ecr:BatchGetImage does not say whether it is there".to_owned()),
    };
    ids.iter().map(|id| (id.clone(), reading(id))).collect()
}

/// What is known of images by their digests when only pulling tells of them.
fn there(images: Vec<Image>) -> HashMap<String, StoredImage> {
    let mut there: HashMap<String, StoredImage> = HashMap::new();
    for image in images {
        let Some(id) = image.image_id else { continue };
        let Some(digest) = id.image_digest else { continue };
        let media = image.image_manifest_media_type.as_deref().unwrap_or_default();
        let known = there.entry(digest.clone()).or_insert_with(|| StoredImage {
            digest,
            index: is_index(media),
            ..StoredImage::default()
        });
        known.tags.extend(id.image_tag);
    }
    there
}
