//! What the registry says of the destination's images, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rollback_aws_support::ImageRef;
use rollback_aws_support::ecr::{ImageId, Repository, Storage, StoredImage, newest_first};
use rollback_core::target::{Finding, Inspection};
use rollback_core::{Artifact, Digest, Reading};

use super::lifecycle::{Fate, Policy};
use super::{NAMED, listed};
use crate::look::line;
use crate::snapshot::EcsSnapshot;
use crate::strategy::finding;

/// So few pushes before an image goes are worth a warning.
const FEW_PUSHES: usize = 3;

/// What is asked of the registry about one image of the destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// Its name among the destination's artifacts.
    pub(crate) artifact: String,
    /// As the task definition has it.
    pub(crate) written: ImageRef,
    /// The digest that ran, or that is written.
    pub(crate) digest: Option<Digest>,
}

/// Each image of the destination once.
pub(crate) fn questions(to: &EcsSnapshot) -> Vec<Question> {
    let mut found: BTreeMap<(String, ImageRef), Question> = BTreeMap::new();
    for container in to.definition.containers() {
        let ran = to.digests.get(&container.name).copied();
        let artifact = match ran {
            Some(digest) => container.image.pinned(digest).to_string(),
            None => container.image.to_string(),
        };
        let question = Question {
            artifact: artifact.clone(),
            written: container.image.clone(),
            digest: ran.or(container.image.digest()),
        };
        found.insert((artifact, container.image), question);
    }
    found.into_values().collect()
}

impl Question {
    /// The repository to ask; `None` for another kind of registry.
    pub(crate) fn repository(&self) -> Option<Repository> {
        Repository::of(&self.written)
    }

    /// The tag by which ECS would pull it.
    pub(crate) fn tag(&self) -> Option<&str> {
        match (self.written.tag(), self.written.digest()) {
            (_, Some(_)) => None,
            (tag, None) => Some(tag.unwrap_or("latest")),
        }
    }

    /// What decides whether it is there.
    pub(crate) fn id(&self) -> ImageId {
        match self.digest {
            Some(digest) => ImageId::Digest(digest.to_string()),
            None => ImageId::Tag(self.tag().unwrap_or("latest").to_owned()),
        }
    }

    /// The tag that is to name the digest that ran, where both are known.
    pub(crate) fn moved_id(&self) -> Option<ImageId> {
        self.digest?;
        self.tag().map(|tag| ImageId::Tag(tag.to_owned()))
    }
}

/// What was found out about one image.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ImageFacts {
    pub(crate) question: Question,
    /// Whether it is there.
    pub(crate) found: Reading<StoredImage>,
    /// What its tag names now; `Absent` too where there is no tag to be asked for.
    pub(crate) tagged: Reading<StoredImage>,
    /// Whether what the tag names is an index with the digest that ran in it: the same image by another digest.
    pub(crate) same_index: bool,
    /// The text of the lifecycle policy; `Absent` if the repository has none.
    pub(crate) policy: Reading<String>,
    /// The images of the repository, where they had to be known.
    pub(crate) others: Reading<Vec<StoredImage>>,
}

impl ImageFacts {
    /// An image that was not asked for.
    pub(crate) fn unasked(question: Question, why: &str) -> Self {
        Self {
            question,
            found: Reading::Unknown(why.to_owned()),
            tagged: Reading::Absent,
            same_index: false,
            policy: Reading::Absent,
            others: Reading::Absent,
        }
    }

    /// Whether the repository's images have to be listed to answer.
    pub(crate) fn needs_listing(&self) -> bool {
        let counts = || {
            let (Reading::Known(image), Reading::Known(policy)) = (&self.found, &self.policy) else {
                return false;
            };
            Policy::read(policy).is_ok_and(|policy| policy.needs_listing(image))
        };
        self.found == Reading::Absent || counts()
    }

    /// Whether the digest that ran may be inside what the tag names.
    pub(crate) fn may_be_inside(&self) -> bool {
        self.tagged.known().is_some_and(|tagged| tagged.index && !self.names(tagged))
    }

    fn names(&self, image: &StoredImage) -> bool {
        self.question.digest.is_some_and(|digest| digest.to_string() == image.digest)
    }

    fn fate(&self, now: Option<Timestamp>) -> Fate {
        let Some(image) = self.found.known() else { return Fate::Stays };
        let policy = match &self.policy {
            Reading::Known(text) => Policy::read(text),
            Reading::Absent => return Fate::Stays,
            Reading::Unknown(why) => Err(format!("the lifecycle policy could not be read: {why}")),
        };
        let all = match &self.others {
            Reading::Known(all) => Ok(all.as_slice()),
            Reading::Absent => Err("they were not listed"),
            Reading::Unknown(why) => Err(why.as_str()),
        };
        policy.map_or_else(Fate::Unknown, |policy| policy.fate(image, all, now))
    }
}

/// Adds what the images' facts mean.
pub(super) fn inspect(
    mut inspection: Inspection,
    facts: &[ImageFacts],
    now: Option<Timestamp>,
) -> Inspection {
    let (mut unclear, mut by_tag, mut told) = (Vec::new(), Vec::new(), BTreeSet::new());
    for image in facts {
        let (fate, name) = (image.fate(now), &image.question.artifact);
        // Two containers may write one image in two ways: it is one artifact.
        if told.insert(name) {
            inspection = inspection.artifact(Artifact::new("image", name.clone()), presence(image, &fate));
            inspection.findings.extend(fate_finding(image, &fate));
            inspection.findings.extend(archived(image));
            inspection.findings.extend(what_is_there(image));
        }
        inspection.findings.extend(moved(image));
        if let Fate::Unknown(why) = fate {
            unclear.push(format!("{name}: {why}"));
        }
        if let Reading::Unknown(why) = &image.tagged {
            unclear.push(format!("what the tag of {} names now: {why}", image.question.written));
        }
        if image.question.digest.is_none() {
            by_tag.push(name.clone());
        }
    }
    let mut note = |code: &str, what: &str, names: &[String]| {
        if !names.is_empty() {
            inspection.findings.push(Finding::info(code, format!("{what}: {}", listed(names))));
        }
    };
    let what = "which image ran is not known, only by which tag, and a tag may name another image now";
    note("image-by-tag", what, &by_tag);
    note("image-details-unknown", "how long images stay, or what their tags name, is not known", &unclear);
    inspection
}

fn presence(image: &ImageFacts, fate: &Fate) -> Reading<Option<Timestamp>> {
    match (&image.found, fate) {
        (Reading::Known(_), Fate::Removed(at)) => Reading::Known(Some(*at)),
        (Reading::Known(_), _) => Reading::Known(None),
        (Reading::Absent, _) => Reading::Absent,
        (Reading::Unknown(why), _) => Reading::Unknown(why.clone()),
    }
}

fn fate_finding(image: &ImageFacts, fate: &Fate) -> Option<Finding> {
    let name = &image.question.artifact;
    match fate {
        Fate::Archived(at) => Some(
            Finding::warning("image-will-be-archived", format!("{name} is moved to ECR's archive at {at:.0} at the earliest, and cannot be pulled from there"))
                .next("restore before then, or change the lifecycle policy"),
        ),
        Fate::After { pushes, archived } => {
            let what = if *archived { "archived" } else { "removed" };
            let message = format!("{name} is {what} by the lifecycle policy once {pushes} more images were pushed");
            Some(if *pushes <= FEW_PUSHES {
                Finding::warning("image-expires-soon", message).next("protect it with another tag, or change the lifecycle policy")
            } else {
                Finding::info("image-expires-by-count", message)
            })
        }
        Fate::Stays | Fate::Removed(_) | Fate::Unknown(_) => None,
    }
}

fn archived(image: &ImageFacts) -> Option<Finding> {
    let name = &image.question.artifact;
    match image.found.known()?.storage {
        Storage::Standard => None,
        Storage::Archived => Some(
            Finding::blocker("image-archived", format!("{name} is in ECR's archive: tasks cannot pull it"))
                .next(
                    "bring it back with: aws ecr update-image-storage-class --target-storage-class STANDARD",
                ),
        ),
        Storage::Activating => Some(
            Finding::warning("image-archived", format!("{name} is on its way back from ECR's archive"))
                .next("wait until it can be pulled"),
        ),
    }
}

/// A tag that names another image than the one that ran, or none.
fn moved(image: &ImageFacts) -> Option<Finding> {
    let (tag, ran) = (image.question.tag()?, image.question.digest?);
    let place = line(image.question.written.repository());
    let what = match &image.tagged {
        Reading::Known(now) if image.names(now) || image.same_index => return None,
        Reading::Known(now) => {
            let at = now.pushed_at.map(|at| format!(", pushed at {at:.0}")).unwrap_or_default();
            format!("tag {tag} of {place} names {} now{at}, and {ran} ran", line(&now.digest))
        }
        // Were the whole repository gone, its absence says enough.
        Reading::Absent if image.found.known().is_some() => {
            format!("tag {tag} is not in {place} any more; {ran}, which ran, still is")
        }
        Reading::Absent | Reading::Unknown(_) => return None,
    };
    Some(
        Finding::warning(finding::IMAGE_MOVED, what)
            .next("going back needs the exact image: the destination is registered again with its digest"),
    )
}

/// The tags of a repository that lacks an image.
fn what_is_there(image: &ImageFacts) -> Option<Finding> {
    if image.found != Reading::Absent {
        return None;
    }
    let place = line(image.question.written.repository());
    let there = match &image.others {
        Reading::Known(all) => newest_tags(all),
        Reading::Absent => {
            return Some(Finding::info("image-tags", format!("there is no repository {place}")));
        }
        Reading::Unknown(why) => {
            let message = format!("which tags {place} has could not be read: {why}");
            return Some(Finding::info("image-tags", message));
        }
    };
    Some(Finding::info(
        "image-tags",
        match there.as_slice() {
            [] => format!("{place} has no tags"),
            tags => format!("{place} has these tags, newest first: {}", tags.join(", ")),
        },
    ))
}

/// The newest tags with the time of their push, at most ten.
pub(crate) fn newest_tags(images: &[StoredImage]) -> Vec<String> {
    let mut images = images.to_vec();
    newest_first(&mut images);
    let tags = images.iter().flat_map(|image| image.tags.iter().map(|tag| (tag, image.pushed_at)));
    tags.take(NAMED)
        .map(|(tag, at)| match at {
            Some(at) => format!("{} ({at:.0})", line(tag)),
            None => line(tag),
        })
        .collect()
}
