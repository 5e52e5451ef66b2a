//! Which image a service runs, and how it is called.

use std::fmt;

pub(crate) use rollback_aws_support::ImageRef;
use rollback_core::{Digest, Version};
use serde::{Deserialize, Serialize};

/// The tag that says nothing about a version.
pub(crate) const LATEST: &str = "latest";

/// Exactly one image.
///
/// What a registry has is called by the digest of its manifest, which is the same on each host. What was built on a host, and has never
/// been in a registry, by the id that it has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// By the digest that a registry has it under.
    Digest(Digest),
    /// By its id on a host.
    Id(Digest),
}

impl Which {
    /// Twelve digits for people.
    #[must_use]
    pub fn short(&self) -> String {
        match self {
            Self::Digest(digest) | Self::Id(digest) => digest.short(),
        }
    }
}

/// The image of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ServiceImage {
    /// Where it is, without tag and digest.
    pub repository: ImageRef,
    /// Which one it is.
    pub which: Which,
    /// What it was tagged with when it was seen. Tags move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

impl ServiceImage {
    /// An image of a repository.
    #[must_use]
    pub fn new(repository: &ImageRef, which: Which) -> Self {
        Self { repository: bare(repository), which, tag: None }
    }

    /// Adds what it is tagged with.
    #[must_use]
    pub fn tagged(mut self, tag: Option<String>) -> Self {
        self.tag = tag.filter(|tag| tag != LATEST);
        self
    }

    /// Its tag as a version.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Version::new(self.tag.as_deref()?).ok()
    }

    /// How docker finds exactly this image on a host.
    #[must_use]
    pub fn exact(&self) -> String {
        match self.which {
            Which::Digest(digest) => format!("{}@{digest}", self.repository),
            Which::Id(id) => id.to_string(),
        }
    }
}

impl fmt::Display for ServiceImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag} ({})", self.repository, self.which.short()),
            None => write!(f, "{}@{}", self.repository, self.which.short()),
        }
    }
}

/// The place alone.
pub(crate) fn bare(image: &ImageRef) -> ImageRef {
    let text = image.to_string();
    let without_digest = text.split_once('@').map_or(text.as_str(), |(rest, _)| rest);
    let tag = image.tag().map_or(0, |tag| tag.len() + 1);
    // What is left of a reference is one.
    without_digest[..without_digest.len() - tag].parse().unwrap_or_else(|_| image.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_neither_tag_nor_digest() {
        let digest = Digest::of_bytes(b"x");
        for text in [
            "127.0.0.1:5000/web:v1",
            &format!("127.0.0.1:5000/web@{digest}"),
            &format!("127.0.0.1:5000/web:v1@{digest}"),
        ] {
            assert_eq!(bare(&text.parse().unwrap()).to_string(), "127.0.0.1:5000/web");
        }
        let image = ServiceImage::new(&"shop/web:latest".parse().unwrap(), Which::Digest(digest));
        assert_eq!(image.exact(), format!("shop/web@{digest}"));
        assert_eq!(image.clone().tagged(Some("latest".into())).version(), None);
        assert_eq!(image.tagged(Some("v1".into())).to_string(), format!("shop/web:v1 ({})", digest.short()));
    }
}
