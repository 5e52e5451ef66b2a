//! What tasks of an image do.

use std::time::Duration;

use crate::images::Images;

/// What becomes of a task, by the images of its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Behaviour {
    /// It starts, becomes healthy and stays so.
    #[default]
    Healthy,
    /// Its container exits with 1 soon after it began to run.
    Crash,
    /// It runs for so long, is healthy meanwhile, and then exits with 1.
    CrashAfter(Duration),
    /// Its image cannot be pulled: there is none with that tag.
    MissingImage,
    /// It runs, and its health checks fail.
    Unhealthy,
    /// It takes so long until it runs.
    SlowStart(Duration),
    /// There is no room for it anywhere.
    NoCapacity,
}

#[derive(Debug)]
struct Rule {
    image: String,
    digest: String,
    behaviour: Behaviour,
}

/// The behaviours that were told.
#[derive(Debug, Default)]
pub(super) struct Behaviours(Vec<Rule>);

impl Behaviours {
    pub(super) fn tell(&mut self, images: &Images, image: &str, behaviour: Behaviour) {
        let digest = images.digest(image);
        self.0.retain(|rule| rule.image != image);
        self.0.push(Rule { image: image.to_owned(), digest, behaviour });
    }

    /// What was told of an image, under this name or, where it is the same one, under another.
    pub(super) fn of(&self, image: &str, digest: &str) -> Behaviour {
        let same = |rule: &&Rule| repository(&rule.image) == repository(image) && rule.digest == digest;
        let named = self.0.iter().find(|rule| rule.image == image);
        named.or_else(|| self.0.iter().find(same)).map(|rule| rule.behaviour).unwrap_or_default()
    }
}

/// The part of a reference before the tag or the digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        // A colon before a slash belongs to a port.
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_digest_too() {
        let (images, mut behaviours) = (Images::default(), Behaviours::default());
        behaviours.tell(&images, "host:5000/app:bad", Behaviour::Crash);
        let digest = images.digest("host:5000/app:bad");
        assert_eq!(behaviours.of(&format!("host:5000/app@{digest}"), &digest), Behaviour::Crash);
        assert_eq!(behaviours.of(&format!("other/app@{digest}"), &digest), Behaviour::Healthy);
        assert_eq!(
            behaviours.of("host:5000/app:good", &images.digest("host:5000/app:good")),
            Behaviour::Healthy
        );
    }
}
