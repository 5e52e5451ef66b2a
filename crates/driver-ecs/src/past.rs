//! What a service could be put back to.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use rollback_core::target::{HistoryEntry, HistoryQuery, Phase, Standing};
use rollback_core::{Digest, Error, ErrorKind, Reading, Result, Snapshot as _};

use crate::arn::TaskDefinitionArn;
use crate::client::{Client, Registered, Seen};
use crate::compose;
use crate::history::{Candidate, Family, candidates};
use crate::look::Course;
use crate::snapshot::EcsSnapshot;
use crate::task_definition::Registration;

/// How many revisions of a family are looked through for a version.
const SEARCHED: usize = 100;
/// How many of them are read before the next are: the version that is looked for is rarely old.
const CHUNK: usize = 20;

/// One question about the past, with the look that it belongs to.
pub(crate) struct Past<'a> {
    pub(crate) client: &'a Client,
    pub(crate) seen: &'a Seen,
}

impl Past<'_> {
    /// Of a service that is gone there is nothing to choose from, and that is what has to be told.
    fn nothing(&self, course: &Course) -> Result<Vec<HistoryEntry<EcsSnapshot>>> {
        let service = &self.seen.look.service;
        match &course.phase {
            Phase::Failed(why) if service.status != "ACTIVE" => {
                let doing = format!("find what {} could be put back to", self.client.name());
                Err(Error::new(ErrorKind::Refused, doing, why.clone()).next(
                    "no rollback brings a deleted service back: make it again, and find out what deletes it",
                ))
            }
            _ => Ok(Vec::new()),
        }
    }

    pub(crate) async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<EcsSnapshot>>> {
        let course = self.seen.look.course();
        let Some(current) = course.heading.as_ref().or(course.settled.known()) else {
            return self.nothing(&course);
        };
        if query.previous
            && let Some(entry) = self.previous(current).await?
        {
            return Ok(vec![entry]);
        }
        if let Some(revision) = &query.revision {
            let family = current.family();
            return match (revision.as_str(), revision.as_str().strip_prefix(compose::ENVIRONMENT_OF)) {
                (compose::SECOND_LATEST, _) => Ok(vec![compose::second_latest(self, current).await?]),
                (_, Some(number)) => match self.exactly(family, number).await? {
                    Some(earlier) => {
                        Ok(vec![compose::with_environment(self, current, &earlier.snapshot).await?])
                    }
                    None => Ok(Vec::new()),
                },
                (number, None) => Ok(self.exactly(family, number).await?.into_iter().collect()),
            };
        }
        let most = if query.version.is_some() { SEARCHED } else { query.limit };
        let family = self.client.family(current.family(), most).await?;
        let mut entries = Vec::new();
        for chunk in candidates(&self.seen.look, &family, most).chunks(CHUNK) {
            let found = self.read(chunk, &family).await?.into_iter();
            entries.extend(found.filter(|entry| query.wants(&entry.snapshot.info())));
            if query.version.is_some() && !entries.is_empty() {
                break;
            }
        }
        if let (true, Some(version)) = (entries.is_empty(), &query.version) {
            entries.push(compose::with_tag(self, current, version).await?);
        }
        entries.truncate(query.limit);
        Ok(entries)
    }

    /// What ran before, where ECS's own records tell: then nothing else of the family has to be listed or read.
    async fn previous(&self, current: &TaskDefinitionArn) -> Result<Option<HistoryEntry<EcsSnapshot>>> {
        let family = Family::new(current.family(), Vec::new(), Vec::new());
        let ran = candidates(&self.seen.look, &family, SEARCHED).into_iter().filter(|candidate| {
            candidate.task_definition != *current
                && matches!(candidate.standing, Standing::Ran | Standing::Current)
                && candidate.ran_at.is_some()
        });
        let Some(newest) = ran.max_by_key(|candidate| candidate.ran_at) else { return Ok(None) };
        Ok(self.read(&[newest], &family).await?.into_iter().next())
    }

    /// One revision by its number, however old it is.
    async fn exactly(&self, family: &str, number: &str) -> Result<Option<HistoryEntry<EcsSnapshot>>> {
        let Ok(number) = number.parse::<u32>() else { return Ok(None) };
        let place = &self.seen.look.service.arn;
        let (partition, region, account) = (place.partition(), place.region(), place.account());
        let arn = format!("arn:{partition}:ecs:{region}:{account}:task-definition/{family}:{number}");
        // ECS counts from 1.
        let Ok(arn) = arn.parse::<TaskDefinitionArn>() else { return Ok(None) };
        let family = Family::new(family, vec![arn.clone()], Vec::new());
        let known = candidates(&self.seen.look, &family, SEARCHED);
        let Some(candidate) = known.into_iter().find(|candidate| candidate.task_definition == arn) else {
            return Ok(None);
        };
        Ok(self.read(&[candidate], &family).await?.into_iter().next())
    }

    /// Reads these revisions; those that are gone are left out.
    async fn read(&self, wanted: &[Candidate], family: &Family) -> Result<Vec<HistoryEntry<EcsSnapshot>>> {
        let read = self.client.read_all(wanted.iter().map(|one| one.task_definition.clone())).await?;
        let mut family = family.clone();
        let times = read.iter().filter_map(|(arn, one)| Some((arn.clone(), one.registered_at?)));
        family.registered_at.extend(times);
        // Once more, now that it is known when each was registered: that tells what was never deployed.
        let standing = candidates(&self.seen.look, &family, usize::MAX);
        let named = self.named_now(&read).await;
        let entries = wanted.iter().filter_map(|candidate| {
            let one = read.get(&candidate.task_definition)?;
            let again = standing.iter().find(|other| other.task_definition == candidate.task_definition);
            let entry = self.entry(again.unwrap_or(candidate), one);
            Some(entry.map(|mut entry| {
                if let Some(digests) = named.get(&candidate.task_definition) {
                    entry.snapshot.digests.clone_from(digests);
                }
                entry
            }))
        });
        entries.collect()
    }

    /// Which images revisions would run now, where ECS keeps no record of what they ran.
    async fn named_now(
        &self,
        read: &BTreeMap<TaskDefinitionArn, Registered>,
    ) -> BTreeMap<TaskDefinitionArn, BTreeMap<String, Digest>> {
        let look = &self.seen.look;
        if look.deployments != Reading::Absent {
            return BTreeMap::new();
        }
        let unknown = read.iter().filter(|(arn, _)| look.resolved(arn).is_empty());
        let asked = unknown
            .map(|(arn, one)| async move { (arn.clone(), self.client.named_now(&one.definition).await) });
        join_all(asked).await.into_iter().collect()
    }

    fn entry(&self, candidate: &Candidate, one: &Registered) -> Result<HistoryEntry<EcsSnapshot>> {
        let look = &self.seen.look;
        let mut snapshot = self.client.snapshot(look, &candidate.task_definition, &one.definition)?;
        (snapshot.registered_at, snapshot.registration) = (one.registered_at, one.registration);
        snapshot.coupled = self.client.coupled_of(&candidate.task_definition, look);
        let going = one.registration == Registration::DeleteInProgress;
        let mut entry = HistoryEntry::new(snapshot, candidate.standing);
        if let Some(at) = candidate.ran_at {
            entry = entry.with_ran_at(at);
        }
        if going && candidate.standing == Standing::NeverRan {
            return Ok(entry.unrestorable("it is being deleted and never ran"));
        }
        Ok(entry)
    }
}
