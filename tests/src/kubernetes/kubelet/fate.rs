//! What becomes of a container: its image says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

/// What becomes of a container. The tag of its image begins with the word that says it; with any other tag it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Ready as soon as it runs.
    Good,
    /// `bad`: ends a moment after its start, before it is ready, each time.
    Crashing,
    /// `nopull`: no registry has it.
    Missing,
    /// `slow`: runs at once, and takes [`SLOW`](super::SLOW) to be ready.
    Slow,
    /// `decay`: ready as soon as it runs, and ends after [`DECAY`](super::DECAY); then as one that crashes.
    Decaying,
}

impl Fate {
    /// The fate of an image: `registry.example/shop/web:bad2` crashes.
    #[must_use]
    pub fn of(image: &str) -> Self {
        let tag = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let tag = tag.split_once(':').map_or("", |(_, tag)| tag);
        let words = [
            ("bad", Self::Crashing),
            ("nopull", Self::Missing),
            ("slow", Self::Slow),
            ("decay", Self::Decaying),
        ];
        words.into_iter().find(|(word, _)| tag.starts_with(word)).map_or(Self::Good, |(_, fate)| fate)
    }
}

/// What the tags of all images mean: a digest each, and another one after a push.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pushes: Mutex<BTreeMap<String, u32>>,
}

impl Registry {
    /// Moves a tag to another image.
    pub(crate) fn push(&self, image: &str) {
        *self.pushes.lock().unwrap_or_else(PoisonError::into_inner).entry(image.to_owned()).or_default() += 1;
    }

    /// The image as a container names it that runs it: by digest.
    pub(crate) fn id(&self, image: &str) -> String {
        let (name, told) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
        let folder = name.rfind('/').map_or(0, |slash| slash + 1);
        let repository =
            name[folder..].split_once(':').map_or(name, |(last, _)| &name[..folder + last.len()]);
        if let Some(digest) = told {
            return format!("{repository}@{digest}");
        }
        let pushes =
            self.pushes.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or_default();
        let digest = Sha256::digest(format!("{name} {pushes}"));
        let hex = digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        format!("{repository}@sha256:{hex}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_says_the_fate_and_nothing_else_does() {
        assert_eq!(Fate::of("registry.example/shop/web:bad2"), Fate::Crashing);
        assert_eq!(Fate::of("registry.example:5000/bad/web:v1"), Fate::Good);
        assert_eq!(Fate::of("registry.example:5000/shop/nopull"), Fate::Good);
        assert_eq!(Fate::of("web:nopull"), Fate::Missing);
        assert_eq!(Fate::of("web:slow@sha256:00"), Fate::Slow);
        assert_eq!(Fate::of("web:decay"), Fate::Decaying);
    }

    #[test]
    fn a_digest_belongs_to_a_tag_until_another_image_is_pushed() {
        let registry = Registry::default();
        let before = registry.id("registry.example:5000/shop/web:v1");
        assert!(before.starts_with("registry.example:5000/shop/web@sha256:"), "{before}");
        assert_eq!(registry.id("registry.example:5000/shop/web:v1"), before);
        assert_ne!(registry.id("registry.example:5000/shop/web:v2"), before);
        registry.push("registry.example:5000/shop/web:v1");
        assert_ne!(registry.id("registry.example:5000/shop/web:v1"), before);
        assert_eq!(registry.id("web:v1@sha256:00"), "web@sha256:00");
        assert!(registry.id("web").starts_with("web@sha256:"));
    }
}
