//! What a project can be put back to: the images that its hosts have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use rollback_aws_support::ecr::StoredImage;
use rollback_core::target::{HistoryEntry, HistoryQuery, Standing};
use rollback_core::{Digest, Error, ErrorKind, Reading, Result, Snapshot as _, Version};

use crate::client::aws::Aws;
use crate::client::{Beside, Client};
use crate::image::{ImageRef, LATEST, ServiceImage, Which, bare};
use crate::look::HostLook;
use crate::names::Service;
use crate::snapshot::ComposeSnapshot;

/// How many tags are told to somebody whose tag is not there.
const TOLD: usize = 10;

/// One image of one repository, as all hosts together know it.
#[derive(Debug, Clone, Default)]
struct Known {
    tags: BTreeSet<String>,
    built: Option<Timestamp>,
    deployed: Option<Timestamp>,
    ran: bool,
}

pub(crate) async fn read(
    client: &Client,
    aws: &Aws,
    query: &HistoryQuery,
) -> Result<Vec<HistoryEntry<ComposeSnapshot>>> {
    let now = if query.observed { client.last_look().await? } else { client.look(Beside::Its).await? };
    let repositories = repositories(&now, &client.services);
    let places: Vec<_> = repositories.values().cloned().collect::<BTreeSet<_>>().into_iter().collect();
    let is_listed = now.iter().all(|look| look.has_listed(&places));
    let looks = if is_listed { now } else { client.look(Beside::These(&places)).await? };
    // What ran before is known to hosts and records alone.
    let stored = if query.previous { Stored::default() } else { Stored::read(aws, &places).await };
    let mut entries = entries(client, &looks, &repositories, &stored, query.version.as_ref())?;
    if let Some(version) = &query.version {
        unambiguous(&looks, &repositories, &stored, version)?;
    }
    if let (Some(version), true) = (&query.version, query.revision.is_none()) {
        let known = entries.iter().any(|entry| query.wants(&entry.snapshot.info()));
        if let (false, Some(error)) = (known, stored.lacks(version)) {
            return Err(error);
        }
    }
    entries.retain(|entry| query.wants(&entry.snapshot.info()));
    entries.truncate(query.limit);
    Ok(entries)
}

/// Refuses a tag that is the name of more than one image: hosts, or a host and ECR, mean different ones by it.
fn unambiguous(
    looks: &[Arc<HostLook>],
    repositories: &BTreeMap<Service, ImageRef>,
    stored: &Stored,
    version: &Version,
) -> Result<()> {
    for place in repositories.values().collect::<BTreeSet<_>>() {
        let named = named(looks, place, stored);
        let Some(images) = named.get(version.as_str()).filter(|images| images.len() > 1) else { continue };
        let images: Vec<_> = images.values().map(Which::short).collect();
        let message = format!("{place}:{version} names different images: {}", images.join(", "));
        return Err(Error::new(ErrorKind::Conflict, format!("find version {version}"), message)
            .next("say which by its digest: --to revision=…"));
    }
    Ok(())
}

/// Which images each tag names: by their ids on hosts, as one may have several digests, or else by ECR's digest.
fn named(
    looks: &[Arc<HostLook>],
    place: &ImageRef,
    stored: &Stored,
) -> BTreeMap<String, BTreeMap<Digest, Which>> {
    let mut named: BTreeMap<String, BTreeMap<Digest, Which>> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for image in looks.iter().flat_map(|look| look.images.values()) {
        let here = |one: &&ImageRef| bare(one).same_place(place);
        let digests: Vec<_> = image.digests.iter().filter(here).filter_map(ImageRef::digest).collect();
        let which = digests.iter().min().map_or(Which::Id(image.id), |digest| Which::Digest(*digest));
        ids.extend(digests.into_iter().map(|digest| (digest, image.id)));
        for tag in image.tags.iter().filter(here).filter_map(ImageRef::tag).filter(|tag| *tag != LATEST) {
            named.entry(tag.to_owned()).or_default().entry(image.id).or_insert(which);
        }
    }
    for image in stored.of(place) {
        let Ok(digest) = image.digest.parse() else { continue };
        let id = ids.get(&digest).copied().unwrap_or(digest);
        for tag in image.tags.iter().filter(|tag| *tag != LATEST) {
            named.entry(tag.clone()).or_default().entry(id).or_insert(Which::Digest(digest));
        }
    }
    named
}

/// Where each service's images are.
fn repositories(looks: &[Arc<HostLook>], services: &[Service]) -> BTreeMap<Service, ImageRef> {
    let running = looks.iter().flat_map(|look| look.running(services));
    running.map(|(service, image)| (service, image.repository)).collect()
}

fn entries(
    client: &Client,
    looks: &[Arc<HostLook>],
    repositories: &BTreeMap<Service, ImageRef>,
    stored: &Stored,
    asked: Option<&Version>,
) -> Result<Vec<HistoryEntry<ComposeSnapshot>>> {
    let Some((main, place)) = client.services.first().and_then(|main| Some((main, repositories.get(main)?)))
    else {
        return Ok(Vec::new());
    };
    let known: BTreeMap<_, _> = repositories
        .values()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|place| (place.clone(), images_of(looks, place, stored)))
        .collect();
    let current = current(client, looks)?;
    // What ends again and again may never have run.
    let down = looks.iter().any(|look| look.is_down());
    let mut entries = Vec::new();
    let mine: Vec<_> = known.get(place).into_iter().flatten().collect();
    for (which, found) in mine {
        // An image may have several tags: the one that is asked for is the one to show.
        let asked = asked.map(Version::as_str).filter(|asked| found.tags.contains(*asked));
        let tag = asked.or(found.tags.iter().next_back().map(String::as_str)).map(str::to_owned);
        let mut images = BTreeMap::new();
        for service in &client.services {
            let Some(repository) = repositories.get(service) else { continue };
            let of =
                if repository == place { Some(*which) } else { same_tag(&known[repository], &found.tags) };
            let Some(of) = of else { continue };
            images.insert(service.clone(), ServiceImage::new(repository, of).tagged(tag.clone()));
        }
        // A version that one of them does not have is none of the project.
        if images.len() < client.services.len() {
            continue;
        }
        let mut state = ComposeSnapshot::new(client.project.clone(), main.clone(), images)?;
        state.made_at = found.built;
        let is_current = current.as_ref().is_some_and(|current| current.identity() == state.identity());
        let standing = match (is_current, found.ran) {
            (true, _) if down => Standing::Failed,
            (true, _) => Standing::Current,
            (false, true) => Standing::Ran,
            (false, false) => Standing::Unknown,
        };
        // When a tag was moved to it here says when it was deployed, better than when it was built.
        let at = found.deployed.or(state.made_at);
        entries.push(((is_current, at), HistoryEntry::new(state, standing)));
    }
    entries.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// What all hosts run, if it is the same everywhere.
pub(crate) fn current(client: &Client, looks: &[Arc<HostLook>]) -> Result<Option<ComposeSnapshot>> {
    let (Some(main), Some((first, others))) = (client.services.first(), looks.split_first()) else {
        return Ok(None);
    };
    let images = first.running(&client.services);
    let same = images.len() == client.services.len() && others.iter().all(|look| look.runs_all(&images));
    same.then(|| ComposeSnapshot::new(client.project.clone(), main.clone(), images)).transpose()
}

/// The images of a repository on all hosts, by the name that is preferred.
fn images_of(looks: &[Arc<HostLook>], place: &ImageRef, stored: &Stored) -> BTreeMap<Which, Known> {
    let mut all: BTreeMap<Which, Known> = BTreeMap::new();
    for look in looks {
        let ran: BTreeSet<Digest> = look.containers.iter().map(|container| container.image).collect();
        for image in look.images.values() {
            let here = |one: &&ImageRef| bare(one).same_place(place);
            let digest = image.digests.iter().filter(here).min().and_then(ImageRef::digest);
            let tags: Vec<&ImageRef> = image.tags.iter().filter(here).collect();
            let which = match digest {
                Some(digest) => Which::Digest(digest),
                None if !tags.is_empty() => Which::Id(image.id),
                None => continue,
            };
            let known = all.entry(which).or_default();
            known.tags.extend(
                tags.iter().filter_map(|tag| tag.tag()).filter(|tag| *tag != LATEST).map(str::to_owned),
            );
            known.built = known.built.max(image.built);
            known.deployed = known.deployed.max(image.tagged);
            known.ran |= ran.contains(&image.id);
        }
    }
    for image in stored.of(place) {
        let Ok(digest) = image.digest.parse() else { continue };
        let known = all.entry(Which::Digest(digest)).or_default();
        known.tags.extend(image.tags.iter().filter(|tag| *tag != LATEST).cloned());
        // When it was pushed says more of a release than when it was built, which may be the same for all.
        known.built = image.pushed_at.or(known.built);
    }
    // A tag of more than one image is nobody's version.
    let named = named(looks, place, stored);
    for known in all.values_mut() {
        known.tags.retain(|tag| named.get(tag).is_none_or(|images| images.len() == 1));
    }
    all
}

/// What ECR has, by repository.
#[derive(Default)]
struct Stored {
    images: BTreeMap<ImageRef, Vec<StoredImage>>,
    unread: Vec<String>,
}

impl Stored {
    async fn read(aws: &Aws, places: &[ImageRef]) -> Self {
        let mut stored = Self::default();
        let answers = join_all(places.iter().map(|place| aws.images(place))).await;
        for (place, answer) in places.iter().zip(answers) {
            match answer {
                Reading::Known(images) => drop(stored.images.insert(place.clone(), images)),
                Reading::Absent => {}
                Reading::Unknown(why) => {
                    tracing::warn!(%place, why, "ECR could not be asked: only what hosts have is known");
                    stored.unread.push(why);
                }
            }
        }
        stored
    }

    fn of(&self, place: &ImageRef) -> &[StoredImage] {
        self.images.get(place).map_or(&[], Vec::as_slice)
    }

    /// What to say of a version that nobody has; nothing where no registry was asked.
    fn lacks(&self, version: &Version) -> Option<Error> {
        let operation = format!("find version {version}");
        if let Some(why) = self.unread.first() {
            let message = format!("no host has it, and ECR could not be asked: {why}");
            return Some(
                Error::new(ErrorKind::NotFound, operation, message).next("sign in to AWS, and try again"),
            );
        }
        let (place, images) = self.images.iter().next()?;
        let tags = |image: &StoredImage| -> Option<String> {
            let tag = image.tags.iter().find(|tag| *tag != LATEST)?;
            Some(image.pushed_at.map_or(tag.clone(), |at| format!("{tag} ({at:.0})")))
        };
        let newest: Vec<_> = images.iter().filter_map(tags).take(TOLD).collect();
        let next = if newest.is_empty() {
            "it has no tags".to_owned()
        } else {
            format!("the newest are: {}", newest.join(", "))
        };
        Some(
            Error::new(ErrorKind::NotFound, operation, format!("neither a host nor {place} has it"))
                .next(next),
        )
    }
}

/// The image of another repository that has one of these tags.
fn same_tag(known: &BTreeMap<Which, Known>, tags: &BTreeSet<String>) -> Option<Which> {
    known.iter().find(|(_, found)| !found.tags.is_disjoint(tags)).map(|(which, _)| *which)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A host with these images: id, tags, digests.
    fn host(images: &[(&str, &[&str], &[&str])]) -> Arc<HostLook> {
        let digest = |text: &&str| format!("127.0.0.1:5000/web@{}", Digest::of_bytes(text.as_bytes()));
        let lines = images.iter().map(|(id, tags, digests)| {
            let tags: Vec<_> = tags.iter().map(|tag| format!("127.0.0.1:5000/web:{tag}")).collect();
            let digests: Vec<_> = digests.iter().map(digest).collect();
            format!("image {}\n", json!([Digest::of_bytes(id.as_bytes()), tags, digests, null, null]))
        });
        let text = format!("host a\nhome /root\n{}", lines.collect::<String>());
        Arc::new(HostLook::read("a", &[], &text).unwrap())
    }

    #[test]
    fn a_tag_of_two_images_is_nobodys_version() {
        let place: ImageRef = "127.0.0.1:5000/web".parse().unwrap();
        let repositories = BTreeMap::from([(Service::new("web").unwrap(), place.clone())]);
        let (stored, v1) = (Stored::default(), Version::new("v1").unwrap());
        let check = |looks: &[Arc<HostLook>]| {
            let known = images_of(looks, &place, &stored);
            let tagged = known.values().filter(|known| known.tags.contains("v1")).count();
            (unambiguous(looks, &repositories, &stored, &v1).map_err(|error| error.kind()), tagged)
        };
        let one = host(&[("i1", &["v1", "latest"], &["m1"]), ("i2", &["v2"], &["m2"])]);
        assert_eq!(check(&[Arc::clone(&one)]), (Ok(()), 1));
        // Elsewhere the same image has one more digest: it is the same.
        let same = host(&[("i1", &["v1"], &["m1", "index of m1"])]);
        assert_eq!(check(&[Arc::clone(&one), same]).0, Ok(()));
        let other = host(&[("i2", &["v1", "latest"], &["m2"])]);
        assert_eq!(check(&[one, other]), (Err(ErrorKind::Conflict), 0));
    }
}
