use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::image::{EcrRegistry, ImageRef, Registry};

/// A repository of ECR: whom to ask.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    registry: EcrRegistry,
    name: String,
}

impl Repository {
    /// Where an image is, if it is in ECR.
    ///
    /// ```
    /// use rollback_aws_support::ecr::Repository;
    /// let image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/web:abc123d".parse()?;
    /// let web = Repository::of(&image).expect("it is in ECR");
    /// assert_eq!((web.registry().region(), web.name()), ("eu-west-1", "shop/web"));
    /// assert_eq!(Repository::of(&"nginx:1.27".parse()?), None);
    /// # Ok::<(), rollback_core::Error>(())
    /// ```
    #[must_use]
    pub fn of(image: &ImageRef) -> Option<Self> {
        match image.registry() {
            Some(Registry::Ecr(registry)) => {
                Some(Self { registry: registry.clone(), name: image.repository().to_owned() })
            }
            _ => None,
        }
    }

    /// The registry that it is in.
    #[must_use]
    pub fn registry(&self) -> &EcrRegistry {
        &self.registry
    }

    /// Its name in the registry: `shop/web`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageId {
    /// That with this digest: `sha256:…`.
    Digest(String),
    /// That which this tag names at the moment.
    Tag(String),
}

impl ImageId {
    pub(super) fn names(&self, image: &StoredImage) -> bool {
        match self {
            Self::Digest(digest) => *digest == image.digest,
            Self::Tag(tag) => image.tags.contains(tag),
        }
    }
}

/// An image as ECR describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredImage {
    /// `sha256:…`
    pub digest: String,
    /// The tags that name it. Of an image that could only be pulled, those that were asked for.
    pub tags: BTreeSet<String>,
    /// Its size in bytes in the registry, compressed; of an index, that of its largest image. Unknown where only its presence
    /// could be read.
    pub size: Option<u64>,
    /// When it was pushed. Unknown where only its presence could be read.
    pub pushed_at: Option<Timestamp>,
    /// When it was last pulled; ECR notes that at least once a day.
    pub pulled_at: Option<Timestamp>,
    /// When it was last brought back from the archive.
    pub activated_at: Option<Timestamp>,
    /// Where ECR keeps it.
    pub storage: Storage,
    /// Whether it is an index of images for several platforms.
    pub index: bool,
}

impl StoredImage {
    /// An image of which nothing but its digest is known.
    #[must_use]
    pub fn new(digest: impl Into<String>) -> Self {
        Self { digest: digest.into(), ..Self::default() }
    }
}

/// Where ECR keeps an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Storage {
    /// Where it can be pulled.
    #[default]
    Standard,
    /// Where it cannot be pulled until somebody brings it back.
    Archived,
    /// On its way back.
    Activating,
}

/// Sorts images with the newest first; those without a date come last.
pub fn newest_first(images: &mut [StoredImage]) {
    images.sort_by(|a, b| match (a.pushed_at, b.pushed_at) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.digest.cmp(&b.digest),
    });
}
