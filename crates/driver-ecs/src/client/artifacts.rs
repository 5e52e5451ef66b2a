//! What ECR says of images, in the account and the region of each image's own registry.
//!
//! Images are asked for with `DescribeImages`, which changes nothing. A repository of another account often allows pulling
//! alone: then `BatchGetImage` tells at least whether an image is there. ECR counts that as a pull.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_ecr::operation::batch_get_image::{BatchGetImageError, BatchGetImageOutput};
use aws_sdk_ecr::operation::describe_images::DescribeImagesError;
use aws_sdk_ecr::types::{Image, ImageDetail, ImageFailure, ImageFailureCode, ImageIdentifier};
use rollback_aws_support::{Batcher, Batchers, Quota};
use rollback_core::time::Clock;
use rollback_core::{ErrorKind, Reading, Result};
use serde_json::Value;

use super::surroundings::{Asker, Surroundings, all, client, one, read, time};
use crate::inspect::{ImageId, Repository, Storage, StoredImage};

/// So many images go into one call.
const IMAGES: usize = 100;
/// A listing of a repository ends after so many pages of 1,000 images.
const PAGES: usize = 10;
/// An index of images for several platforms is at most this long; larger ones are not looked into.
const LONGEST_INDEX: usize = 1 << 20;

/// AWS documents 2,000 calls a second for pulls, and none for the rest: guesses, which throttle answers correct.
const READ: Quota = Quota::new("ecr", "DescribeImages", 100, 50.0);
const POLICY: Quota = Quota::new("ecr", "GetLifecyclePolicy", 100, 50.0);
const PULL: Quota = Quota::new("ecr", "BatchGetImage", 200, 200.0);

/// Look-ups that gather.
pub(super) struct Artifacts {
    images: Batchers<Repository, ImageId, Reading<StoredImage>>,
    policies: Batchers<Repository, (), Reading<String>>,
    listings: Batchers<Repository, (), Reading<Vec<StoredImage>>>,
}

pub(super) fn artifacts(asker: &Asker, clock: &Arc<dyn Clock>) -> Artifacts {
    let askers = (asker.clone(), asker.clone(), asker.clone());
    let clocks = (Arc::clone(clock), Arc::clone(clock), Arc::clone(clock));
    Artifacts {
        images: Batchers::new(move |of: &Repository| {
            let (asker, of) = (askers.0.clone(), of.clone());
            Batcher::new(Arc::clone(&clocks.0), IMAGES, super::surroundings::TOGETHER, move |ids| {
                images(asker.clone(), of.clone(), ids)
            })
        }),
        policies: Batchers::new(move |of: &Repository| {
            let (asker, of) = (askers.1.clone(), of.clone());
            one(&clocks.1, move || policy(asker.clone(), of.clone()))
        }),
        listings: Batchers::new(move |of: &Repository| {
            let (asker, of) = (askers.2.clone(), of.clone());
            one(&clocks.2, move || listing(asker.clone(), of.clone()))
        }),
    }
}

impl Surroundings {
    /// One image; `Absent` also where there is no such repository.
    pub(crate) async fn image(&self, of: &Repository, id: ImageId) -> Reading<StoredImage> {
        read(self.artifacts().images.of(of).get(id).await)
    }

    /// The text of a repository's lifecycle policy; `Absent` if it has none.
    pub(crate) async fn policy(&self, of: &Repository) -> Reading<String> {
        read(self.artifacts().policies.of(of).get(()).await)
    }

    /// All images of a repository; `Absent` if there is none of that name, `Unknown` if there are more than are read.
    pub(crate) async fn images(&self, of: &Repository) -> Reading<Vec<StoredImage>> {
        read(self.artifacts().listings.of(of).get(()).await)
    }

    /// Whether an index holds an image of this digest.
    pub(crate) async fn index_holds(&self, of: &Repository, index: &str, digest: &str) -> Reading<bool> {
        let asker = self.asker();
        let id = ImageIdentifier::builder().image_digest(index).build();
        let answer = match pulled(asker, of, vec![id]).await {
            Ok(answer) => answer,
            Err(error) => return Reading::Unknown(error.message().to_owned()),
        };
        let image = answer.into_iter().flat_map(|answer| answer.images.unwrap_or_default()).next();
        let Some(manifest) = image.and_then(|image| image.image_manifest) else { return Reading::Absent };
        if manifest.len() > LONGEST_INDEX {
            return Reading::Unknown("the index is too large".to_owned());
        }
        let Ok(manifest) = serde_json::from_str::<Value>(&manifest) else {
            return Reading::Unknown("the index is no JSON".to_owned());
        };
        let images = manifest["manifests"].as_array().into_iter().flatten();
        Reading::Known(images.into_iter().any(|image| image["digest"] == digest))
    }

    /// Where a repository takes images from when they are pulled; `Absent` if it does not.
    pub(crate) async fn upstream(&self, of: &Repository) -> Reading<String> {
        let asker = self.asker();
        let region = of.registry.region();
        let client = client!(asker, aws_sdk_ecr, region);
        let call = asker.session.reads(
            "ecr",
            "DescribePullThroughCacheRules",
            "see where the registry takes images from",
        );
        let send = || client.describe_pull_through_cache_rules().registry_id(of.registry.account()).send();
        let rules = match asker.ask(region, READ, &call, |_| false, send).await {
            Ok(answer) => answer.and_then(|answer| answer.pull_through_cache_rules).unwrap_or_default(),
            Err(error) => return Reading::Unknown(error.message().to_owned()),
        };
        let fits = |prefix: &str| {
            prefix == "ROOT" || of.name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
        };
        let rule = rules.into_iter().find(|rule| rule.ecr_repository_prefix.as_deref().is_some_and(fits));
        rule.map_or(Reading::Absent, |rule| Reading::Known(rule.upstream_registry_url.unwrap_or_default()))
    }
}

impl From<&ImageId> for ImageIdentifier {
    fn from(id: &ImageId) -> Self {
        match id {
            ImageId::Digest(digest) => Self::builder().image_digest(digest).build(),
            ImageId::Tag(tag) => Self::builder().image_tag(tag).build(),
        }
    }
}

/// One image that is not there makes ECR refuse all that were asked for with it: they are asked for in halves then.
async fn images(
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
            Err(error) => found.extend(all(ids, &Reading::Unknown(error.message().to_owned()))),
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
    let region = of.registry.region();
    let client = client!(asker, aws_sdk_ecr, region);
    let call =
        asker.session.reads("ecr", "DescribeImages", format!("see whether images of {} are there", of.name));
    let wanted: Vec<_> = ids.iter().map(ImageIdentifier::from).collect();
    let no_repository = std::sync::atomic::AtomicBool::new(false);
    let absent = |error: &DescribeImagesError| {
        no_repository.store(error.is_repository_not_found_exception(), std::sync::atomic::Ordering::Relaxed);
        error.is_image_not_found_exception() || error.is_repository_not_found_exception()
    };
    let send = || {
        client
            .describe_images()
            .registry_id(of.registry.account())
            .repository_name(&of.name)
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

impl ImageId {
    fn names(&self, image: &StoredImage) -> bool {
        match self {
            Self::Digest(digest) => *digest == image.digest,
            Self::Tag(tag) => image.tags.contains(tag),
        }
    }

    fn is_meant_by(&self, failure: &ImageFailure) -> bool {
        let id = failure.image_id.as_ref();
        let (digest, tag) = (id.and_then(|id| id.image_digest()), id.and_then(|id| id.image_tag()));
        match self {
            Self::Digest(own) => digest == Some(own) && tag.is_none(),
            Self::Tag(own) => tag == Some(own),
        }
    }
}

fn stored(image: &ImageDetail) -> Option<StoredImage> {
    let media = image.image_manifest_media_type.as_deref().unwrap_or_default();
    Some(StoredImage {
        digest: image.image_digest.clone()?,
        tags: image.image_tags.iter().flatten().cloned().collect(),
        pushed_at: time(image.image_pushed_at.as_ref()),
        pulled_at: time(image.last_recorded_pull_time.as_ref()),
        activated_at: time(image.last_activated_at.as_ref()),
        storage: match image.image_status.as_ref().map(aws_sdk_ecr::types::ImageStatus::as_str) {
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

async fn pulled(
    asker: &Asker,
    of: &Repository,
    ids: Vec<ImageIdentifier>,
) -> Result<Option<BatchGetImageOutput>> {
    let region = of.registry.region();
    let client = client!(asker, aws_sdk_ecr, region);
    let call =
        asker.session.reads("ecr", "BatchGetImage", format!("see whether images of {} are there", of.name));
    let send = || {
        client
            .batch_get_image()
            .registry_id(of.registry.account())
            .repository_name(&of.name)
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
    let wanted = ids.iter().map(ImageIdentifier::from).collect();
    let answer = match pulled(asker, of, wanted).await {
        // What the first call lacked is what there should be.
        Err(_) => return all(ids, &Reading::Unknown(denied.to_owned())),
        Ok(None) => return HashMap::new(),
        Ok(Some(answer)) => answer,
    };
    let there = there(answer.images.unwrap_or_default());
    let failures = answer.failures.unwrap_or_default();
    let why = |id: &ImageId| failures.iter().find(|failure| id.is_meant_by(failure))?.failure_code.clone();
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

async fn policy(asker: Asker, of: Repository) -> Reading<String> {
    let region = of.registry.region();
    let client = client!(asker, aws_sdk_ecr, region);
    let call =
        asker.session.reads("ecr", "GetLifecyclePolicy", format!("read the lifecycle policy of {}", of.name));
    let send =
        || client.get_lifecycle_policy().registry_id(of.registry.account()).repository_name(&of.name).send();
    let none = |error: &aws_sdk_ecr::operation::get_lifecycle_policy::GetLifecyclePolicyError| {
        error.is_lifecycle_policy_not_found_exception() || error.is_repository_not_found_exception()
    };
    let answer = asker.ask(region, POLICY, &call, none, send).await;
    read(answer.map(|answer| answer?.lifecycle_policy_text))
}

async fn listing(asker: Asker, of: Repository) -> Reading<Vec<StoredImage>> {
    let region = of.registry.region();
    let client = client!(asker, aws_sdk_ecr, region);
    let call = asker.session.reads("ecr", "DescribeImages", format!("list the images of {}", of.name));
    let mut found = Vec::new();
    let mut next = None;
    for _ in 0..PAGES {
        let send = || {
            client
                .describe_images()
                .registry_id(of.registry.account())
                .repository_name(&of.name)
                .max_results(1000)
                .set_next_token(next.clone())
                .send()
        };
        let none = |error: &DescribeImagesError| error.is_repository_not_found_exception();
        match asker.ask(region, READ, &call, none, send).await {
            Err(error) => return Reading::Unknown(error.message().to_owned()),
            Ok(None) => return Reading::Absent,
            Ok(Some(answer)) => {
                found.extend(answer.image_details.unwrap_or_default().iter().filter_map(stored));
                next = answer.next_token.filter(|token| !token.is_empty());
            }
        }
        if next.is_none() {
            return Reading::Known(found);
        }
    }
    Reading::Unknown(format!("{} has more than {} images", of.name, PAGES * 1000))
}
