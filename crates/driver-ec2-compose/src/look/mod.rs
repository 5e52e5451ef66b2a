//! What is there of the project on one host, and what that means.

pub(crate) mod docker;
mod health;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rollback_core::target::{Health, PartState, Phase};
use rollback_core::{Digest, Error, ErrorKind, Identity, Incarnation, PartId, Result};
use rollback_ssh_support::RemotePath;

use self::docker::{Container, Image, Images};
use self::health::Complaint;
use crate::image::{ImageRef, ServiceImage, Which, bare};
use crate::names::Service;
use crate::snapshot::identity;

/// For how long something must run that was started again by itself before it counts as up, in seconds.
const SETTLES: i64 = 10;

/// What is there on one host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostLook {
    /// As it is configured.
    pub(crate) host: String,
    /// What it calls itself.
    pub(crate) name: String,
    /// Which machine it is, whatever it is called.
    pub(crate) machine: String,
    pub(crate) home: RemotePath,
    /// By its own clock, as its containers' times are.
    pub(crate) now: Option<Timestamp>,
    /// The containers of the services that are rolled back.
    pub(crate) containers: Vec<Container>,
    /// The project's other containers.
    pub(crate) neighbours: Vec<Container>,
    pub(crate) images: Images,
    /// The repositories all of whose images are among them.
    listed: Vec<ImageRef>,
    /// The containers whose health check was run and came to no end.
    hung: BTreeSet<String>,
}

impl HostLook {
    /// Reads the answer of the look script.
    pub(crate) fn read(host: &str, services: &[Service], text: &str) -> Result<Self> {
        let mut facts = BTreeMap::new();
        let (mut containers, mut images, mut listed) = (Vec::<Container>::new(), Images::new(), Vec::new());
        let (mut passed, mut hung) = (BTreeSet::new(), BTreeSet::new());
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("container", line)) => containers.extend(Container::read(line)),
                Some(("passed", id)) => drop(passed.insert(id.trim().to_owned())),
                Some(("hung", id)) => drop(hung.insert(id.trim().to_owned())),
                Some(("listed", line)) => listed.extend(line.trim().parse::<ImageRef>().ok()),
                Some(("image", line)) => images.extend(Image::read(line).map(|image| (image.id, image))),
                Some((fact, value)) => drop(facts.insert(fact.to_owned(), value.trim().to_owned())),
                None => {}
            }
        }
        for container in &mut containers {
            container.passed = passed.contains(&container.id);
        }
        let (mut containers, neighbours): (Vec<_>, Vec<_>) =
            containers.into_iter().partition(|container| services.contains(&container.service));
        containers.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        let mut fact = |name: &str| {
            let text = facts.remove(name).unwrap_or_default();
            let clean = text.chars().filter(|c| !c.is_control()).take(128).collect::<String>();
            (!clean.is_empty()).then_some(clean)
        };
        let missing = |what: &str| {
            Error::new(ErrorKind::Other, format!("look at {host}"), format!("it did not say {what}"))
                .next("run `docker ps` there by hand: what is printed before it may come from the shell's start-up files")
        };
        Ok(Self {
            host: host.to_owned(),
            name: fact("host").ok_or_else(|| missing("what it is called"))?,
            machine: fact("machine").unwrap_or_default(),
            now: fact("now").and_then(|now| now.parse().ok()),
            home: RemotePath::new(fact("home").ok_or_else(|| missing("where its user's home is"))?)?,
            containers,
            neighbours,
            images,
            listed,
            hung,
        })
    }

    /// Takes over what health checks said before: one that passed has passed until its container is started again.
    pub(crate) fn remember(&mut self, before: &Self) {
        self.hung.extend(before.hung.iter().cloned());
        for one in &mut self.containers {
            let same = |other: &&Container| {
                other.passed && other.id == one.id && other.state.started_at == one.state.started_at
            };
            one.passed |= before.containers.iter().any(|other| same(&other));
        }
    }

    /// The containers whose health check was run, and need not be again.
    pub(crate) fn asked(&self) -> impl Iterator<Item = &str> {
        let passed = self.containers.iter().filter(|one| one.passed).map(|one| one.id.as_str());
        self.hung.iter().map(String::as_str).chain(passed)
    }

    /// Whether all images of these repositories that the host has were told.
    pub(crate) fn has_listed(&self, repositories: &[ImageRef]) -> bool {
        repositories.iter().all(|one| self.listed.iter().any(|listed| listed.same_place(one)))
    }

    /// Whether the look showed this very image. That it did not show one says nothing.
    pub(crate) fn has(&self, image: &ServiceImage) -> bool {
        match image.which {
            Which::Id(id) => self.images.contains_key(&id),
            Which::Digest(digest) => {
                let is_it =
                    |one: &ImageRef| one.digest() == Some(digest) && one.same_place(&image.repository);
                self.images.values().any(|one| one.digests.iter().any(is_it))
            }
        }
    }

    /// Whether there is no container of the project at all.
    pub(crate) fn has_nothing(&self) -> bool {
        self.containers.is_empty() && self.neighbours.is_empty()
    }

    pub(crate) fn of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |container| container.service == *service)
    }

    /// Everything that is known to be this image: the digests that registries have it under, and its id.
    fn known_as(&self, id: Digest) -> BTreeSet<Which> {
        let digests = self.images.get(&id).map_or(&[][..], |image| image.digests.as_slice());
        let digests = digests.iter().filter_map(ImageRef::digest).map(Which::Digest);
        digests.chain([Which::Id(id)]).collect()
    }

    /// The image of a container, by the one name that is preferred of those it has.
    fn image_of(&self, container: &Container) -> Option<ServiceImage> {
        let image = self.images.get(&container.image);
        let reference = container.reference.as_ref();
        let digests = image.map_or(&[][..], |image| image.digests.as_slice());
        let asked = reference.and_then(ImageRef::digest);
        let place = reference.map(bare);
        let here = |one: &&ImageRef| place.as_ref().is_none_or(|place| one.same_place(place));
        let pinned = digests.iter().find(|one| asked.is_some() && one.digest() == asked);
        // An image that was pulled by several digests has no one name; the first is the same on each look.
        let chosen = pinned.or_else(|| digests.iter().filter(here).min()).or_else(|| digests.iter().min());
        let (repository, which) = match chosen {
            Some(one) => (bare(one), one.digest().map(Which::Digest)?),
            None => (place.clone()?, Which::Id(container.image)),
        };
        let tags = image.map_or(&[][..], |image| image.tags.as_slice());
        let written = reference.and_then(ImageRef::tag).filter(|tag| *tag != crate::image::LATEST);
        let mut others: Vec<&str> = tags
            .iter()
            .filter(|tag| tag.same_place(&repository))
            .filter_map(ImageRef::tag)
            .filter(|tag| *tag != crate::image::LATEST)
            .collect();
        others.sort_unstable();
        let tag = written.or(others.last().copied()).map(str::to_owned);
        Some(ServiceImage::new(&repository, which).tagged(tag))
    }

    /// What each service runs here; nothing for a service without containers, or whose containers differ.
    pub(crate) fn running(&self, services: &[Service]) -> BTreeMap<Service, ServiceImage> {
        let one = |service: &Service| {
            let mut all = self.of(service).map(|container| (container.image, container));
            let (id, first) = all.next()?;
            if all.any(|(other, _)| other != id) {
                return None;
            }
            Some((service.clone(), self.image_of(first)?))
        };
        services.iter().filter_map(one).collect()
    }

    /// Whether every container of every service runs what is wanted of it.
    pub(crate) fn runs_all(&self, wanted: &BTreeMap<Service, ServiceImage>) -> bool {
        wanted.iter().all(|(service, image)| {
            let mut all = self.of(service).peekable();
            all.peek().is_some() && all.all(|container| self.known_as(container.image).contains(&image.which))
        })
    }

    /// Whether every container was started at least: what `up` was interrupted in is made and not started.
    pub(crate) fn is_started(&self) -> bool {
        self.containers
            .iter()
            .all(|container| !matches!(container.state.status.as_str(), "created" | "exited" | "dead"))
    }

    /// Whether a container ended, or ends again and again.
    pub(crate) fn is_down(&self) -> bool {
        let down = |one: &Container| matches!(one.state.status.as_str(), "restarting" | "exited" | "dead");
        self.containers.iter().any(|one| down(one) || self.came_back(one))
    }

    /// What runs here as one identity: the wanted one, if each container runs what is wanted of it by any of its names.
    pub(crate) fn identity(
        &self,
        services: &[Service],
        wanted: Option<&BTreeMap<Service, ServiceImage>>,
    ) -> Option<Identity> {
        if let Some(wanted) = wanted.filter(|wanted| self.runs_all(wanted)) {
            return Some(identity(wanted.iter().map(|(service, image)| (service, image.which))));
        }
        let running = self.running(services);
        if running.len() == services.len() {
            return Some(identity(running.iter().map(|(service, image)| (service, image.which))));
        }
        if self.containers.is_empty() {
            return None;
        }
        // Some of it, or different images of one service: nothing that was ever wanted.
        let odd: Vec<_> =
            self.containers.iter().map(|one| format!("{} {}", one.service, one.image)).collect();
        Some(Identity(Digest::of_bytes(format!("partly\n{}", odd.join("\n")).as_bytes())))
    }

    /// The host as a part.
    pub(crate) fn part(
        &self,
        services: &[Service],
        wanted: Option<&BTreeMap<Service, ServiceImage>>,
    ) -> Result<PartState> {
        let missing = services.iter().filter(|service| self.of(service).next().is_none()).count();
        let expected = self.containers.len() + missing;
        let ready = self.containers.iter().filter(|one| one.is_ready() && !self.came_back(one)).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let restarts = self.containers.iter().map(|container| container.restarts).sum();
        Ok(PartState::verified(PartId::new(self.host.clone())?, self.identity(services, wanted))
            .with_replicas(count(expected), count(ready))
            .with_incarnation(Some(self.incarnation()?))
            .with_restarts(restarts)
            .with_health(self.health()))
    }

    /// Changes when a container is made anew or started again.
    fn incarnation(&self) -> Result<Incarnation> {
        let all: Vec<_> =
            self.containers.iter().map(|one| format!("{} {}", one.id, one.state.started_at)).collect();
        let digest = Digest::of_bytes(all.join("\n").as_bytes());
        Incarnation::new(format!("{} containers {}", all.len(), digest.short()))
    }

    /// Changes when a container is made anew or removed, and with nothing else.
    pub(crate) fn mark(&self) -> String {
        let all: Vec<_> = self.containers.iter().map(|one| format!("{} {}", one.id, one.image)).collect();
        format!("{} {}", self.machine, Digest::of_bytes(all.join("\n").as_bytes()).short())
    }

    /// Whether it ended, and runs again for a moment: it may well end again. Docker itself forgets a restart after ten seconds.
    fn came_back(&self, container: &Container) -> bool {
        let since = || Some(self.now?.duration_since(container.state.started_at.parse().ok()?));
        container.runs() && container.restarts > 0 && since().is_some_and(|since| since.as_secs() < SETTLES)
    }

    /// What is wrong with a container. That it ended before says more than that its health check has not passed since.
    fn complaint(&self, container: &Container) -> Option<Complaint> {
        let own = container.complaint();
        if own.as_ref().is_some_and(Complaint::is_certain) || !self.came_back(container) {
            return own;
        }
        let (service, name, restarts) = (&container.service, &container.name, container.restarts);
        Some(Complaint::Perhaps(format!("{service} ({name}) was started again, {restarts} times so far")))
    }

    fn health(&self) -> Health {
        match self.containers.iter().find_map(|one| self.complaint(one)) {
            Some(complaint) => Health::Unhealthy(complaint.text().to_owned()),
            None if self.containers.is_empty() => Health::Unhealthy("no container of the project".to_owned()),
            None => Health::Healthy,
        }
    }

    /// Whether something moves here, or has failed for certain.
    pub(crate) fn phase(&self) -> Phase {
        let complaints: Vec<_> = self.containers.iter().filter_map(|one| self.complaint(one)).collect();
        let at = |text: &str| format!("{}: {text}", self.host);
        if let Some(certain) = complaints.iter().find(|complaint| complaint.is_certain()) {
            return Phase::Failed(at(certain.text()));
        }
        complaints.first().map_or(Phase::Settled, |first| Phase::Progressing(at(first.text())))
    }

    /// The first container that ended and stays so, or ends again and again, even if it runs at this moment.
    pub(crate) fn ended(&self) -> Option<&Container> {
        let ended = |one: &&Container| matches!(one.state.status.as_str(), "restarting" | "exited" | "dead");
        let certain = |one: &&Container| self.complaint(one).is_some_and(|one| one.is_certain());
        match self.containers.iter().find(certain) {
            Some(one) => Some(one).filter(ended),
            None => self.containers.iter().find(|one| self.came_back(one)),
        }
    }

    /// The compose that deployed it, and with which files: the newest container says it, or else a neighbour.
    pub(crate) fn deployed_by(&self) -> Option<&docker::MadeBy> {
        let newest = newest(&self.containers).or_else(|| newest(&self.neighbours))?;
        Some(&newest.made_by).filter(|made| !made.version.is_empty())
    }
}

fn newest(all: &[Container]) -> Option<&Container> {
    all.iter().max_by(|a, b| a.state.started_at.cmp(&b.state.started_at))
}
