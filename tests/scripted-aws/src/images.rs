//! Which digest an image's tag stands for: what the registry knows, and ECS resolves when it deploys.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// Tags and the digests that they stand for.
#[derive(Debug, Clone, Default)]
pub struct Images {
    tags: BTreeMap<String, String>,
}

impl Images {
    /// Makes `registry/app:tag` stand for a digest (`sha256:…`) from now on.
    pub fn tag(&mut self, image: impl Into<String>, digest: impl Into<String>) {
        self.tags.insert(image.into(), digest.into());
    }

    /// Takes a tag away.
    pub fn untag(&mut self, image: &str) {
        self.tags.remove(image);
    }

    /// All tags with their digests.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().map(|(image, digest)| (image.as_str(), digest.as_str()))
    }

    /// The digest of an image: of the reference itself, of its tag, or else one that is made up from the reference, always the same.
    #[must_use]
    pub fn digest(&self, image: &str) -> String {
        if let Some((_, digest)) = image.split_once('@') {
            return digest.to_owned();
        }
        self.tags.get(image).cloned().unwrap_or_else(|| made_up(image))
    }

    /// The digest that was set for a tag, and none that is made up.
    #[must_use]
    pub fn known(&self, image: &str) -> Option<&str> {
        self.tags.get(image).map(String::as_str)
    }
}

fn made_up(image: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(image.as_bytes()))
}
