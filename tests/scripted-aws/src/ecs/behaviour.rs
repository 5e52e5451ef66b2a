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
    /// It runs for so long and then exits with this code: what a task does that was run for a purpose.
    Exits(Duration, i32),
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
    /// Whether it is told of tasks alone that no service started.
    alone: bool,
}

/// The behaviours that were told.
#[derive(Debug, Default)]
pub(super) struct Behaviours(Vec<Rule>);

impl Behaviours {
    pub(super) fn tell(&mut self, images: &Images, image: &str, behaviour: Behaviour, alone: bool) {
        let digest = images.digest(image);
        self.0.retain(|rule| rule.image != image || rule.alone != alone);
        self.0.push(Rule { image: image.to_owned(), digest, behaviour, alone });
    }

    /// What was told of an image, under this name or, where it is the same one, under another.
    pub(super) fn of(&self, image: &str, digest: &str, alone: bool) -> Behaviour {
        let same = |rule: &&Rule| repository(&rule.image) == repository(image) && rule.digest == digest;
        let told = |alone: bool| {
            let rules = || self.0.iter().filter(move |rule| rule.alone == alone);
            rules().find(|rule| rule.image == image).or_else(|| rules().find(same))
        };
        let rule = told(true).filter(|_| alone).or_else(|| told(false));
        rule.map(|rule| rule.behaviour).unwrap_or_default()
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
        behaviours.tell(&images, "host:5000/app:bad", Behaviour::Crash, false);
        let digest = images.digest("host:5000/app:bad");
        assert_eq!(behaviours.of(&format!("host:5000/app@{digest}"), &digest, false), Behaviour::Crash);
        assert_eq!(behaviours.of(&format!("other/app@{digest}"), &digest, false), Behaviour::Healthy);
        assert_eq!(
            behaviours.of("host:5000/app:good", &images.digest("host:5000/app:good"), false),
            Behaviour::Healthy
        );
    }
}
