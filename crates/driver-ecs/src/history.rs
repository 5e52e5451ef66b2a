//! What became of earlier revisions, and in which order they ran.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rollback_core::target::Standing;
use rollback_core::{Reading, Version};

use crate::arn::TaskDefinitionArn;
use crate::look::{Look, ServiceDeployment, ServiceRevision, TaskSet};
use crate::task_definition::{Definition, Registration};

/// A revision of the family, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Candidate {
    /// Which.
    pub task_definition: TaskDefinitionArn,
    /// What became of it.
    pub standing: Standing,
    /// When it last began to run, where that is known.
    pub ran_at: Option<Timestamp>,
    /// Whether it can be used as it is, or has to be registered again.
    pub registration: Registration,
}

impl Candidate {
    /// A revision of which only that it exists is known.
    #[must_use]
    pub fn unknown(task_definition: TaskDefinitionArn, registration: Registration) -> Self {
        Self { task_definition, standing: Standing::Unknown, ran_at: None, registration }
    }
}

/// What was read of a family.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// Its exact name.
    pub name: String,
    /// Its ACTIVE revisions. `ListTaskDefinitions` takes an exact family; what its older relative takes is a prefix, so all
    /// others are left out here.
    pub active: Vec<TaskDefinitionArn>,
    /// Its INACTIVE revisions.
    pub inactive: Vec<TaskDefinitionArn>,
    /// When revisions were registered, as far as that was read.
    pub registered_at: BTreeMap<TaskDefinitionArn, Timestamp>,
}

impl Family {
    /// A family by its exact name.
    pub fn new(
        name: impl Into<String>,
        active: Vec<TaskDefinitionArn>,
        inactive: Vec<TaskDefinitionArn>,
    ) -> Self {
        Self { name: name.into(), active, inactive, registered_at: BTreeMap::new() }
    }
}

/// At most `limit` revisions of the family, each once, in the order in which they ran, the newest first. What is known to have run is
/// kept before what only was registered, so that a hundred failed builds do not push the last good one out. Revisions of
/// which no time is known stand before the current one if their number is higher, else at the end.
#[must_use]
pub fn candidates(look: &Look, family: &Family, limit: usize) -> Vec<Candidate> {
    let known = Past::of(look);
    let current = look.course().settled.known().filter(|arn| arn.family() == family.name).cloned();
    let mut all: BTreeMap<TaskDefinitionArn, Registration> = BTreeMap::new();
    let mut add = |arns: &mut dyn Iterator<Item = &TaskDefinitionArn>, registration| {
        for arn in arns.filter(|arn| arn.family() == family.name) {
            all.entry(arn.clone()).or_insert(registration);
        }
    };
    add(&mut family.active.iter(), Registration::Active);
    add(&mut family.inactive.iter(), Registration::Inactive);
    add(&mut known.seen.iter().chain(current.as_ref()), Registration::Unknown);
    let mut found: Vec<_> = all
        .into_iter()
        .map(|(arn, registration)| known.candidate(arn, registration, current.as_ref(), family))
        .collect();
    found.sort_by_key(|candidate| std::cmp::Reverse(worth(candidate)));
    found.truncate(limit);
    in_order(found, current.as_ref())
}

/// What is kept first when there are too many.
fn worth(candidate: &Candidate) -> (u8, Option<Timestamp>, u32) {
    let rank = match candidate.standing {
        Standing::Current => 4,
        Standing::Ran => 3,
        Standing::Unknown => 2,
        Standing::Failed => 1,
        _ => 0,
    };
    (rank, candidate.ran_at, candidate.task_definition.revision())
}

fn in_order(found: Vec<Candidate>, current: Option<&TaskDefinitionArn>) -> Vec<Candidate> {
    let newer = |candidate: &Candidate| current.is_none_or(|current| candidate.task_definition > *current);
    let (mut dated, rest): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|candidate| candidate.ran_at.is_some() || Some(&candidate.task_definition) == current);
    let (mut before, mut after): (Vec<_>, Vec<_>) = rest.into_iter().partition(newer);
    for part in [&mut before, &mut after] {
        part.sort_by(|a, b| b.task_definition.cmp(&a.task_definition));
    }
    dated.sort_by_key(|candidate| {
        let is_current = Some(&candidate.task_definition) == current;
        std::cmp::Reverse((is_current, candidate.ran_at, candidate.task_definition.revision()))
    });
    before.into_iter().chain(dated).chain(after).collect()
}

/// The revisions whose main container has this image tag, in the order given.
#[must_use]
pub fn with_version<'a>(
    candidates: &'a [Candidate],
    definitions: &BTreeMap<TaskDefinitionArn, Definition>,
    main_container: Option<&str>,
    version: &Version,
) -> Vec<&'a Candidate> {
    let tag = |arn: &TaskDefinitionArn| definitions.get(arn)?.main_container(main_container)?.image.version();
    candidates.iter().filter(|candidate| tag(&candidate.task_definition).as_ref() == Some(version)).collect()
}

/// What service deployments and revisions tell.
struct Past {
    seen: BTreeSet<TaskDefinitionArn>,
    ran: BTreeMap<TaskDefinitionArn, Option<Timestamp>>,
    failed: BTreeSet<TaskDefinitionArn>,
    /// Whether what is not in here was certainly never deployed, at least as long as records are kept.
    complete: bool,
    /// When the records begin.
    since: Option<Timestamp>,
}

impl Past {
    fn of(look: &Look) -> Self {
        let mut past = Self {
            seen: BTreeSet::new(),
            ran: BTreeMap::new(),
            failed: BTreeSet::new(),
            complete: false,
            since: None,
        };
        // ECS itself says so, also where its records cannot be read.
        let deployed = look.service.deployments.iter();
        let failed = deployed.filter(|deployment| deployment.rollout_state.as_deref() == Some("FAILED"));
        past.failed.extend(failed.filter_map(|deployment| deployment.task_definition.clone()));
        past.learn_of_code_deploy(look);
        let (Reading::Known(deployments), Reading::Known(revisions)) = (&look.deployments, &look.revisions)
        else {
            return past;
        };
        // CodeDeploy's deployments are none of ECS's, and only the newest were read.
        past.complete = matches!(look.code_deploy, Reading::Absent);
        past.since = deployments.iter().filter_map(|deployment| deployment.created_at).min();
        for deployment in deployments {
            past.learn(deployment, revisions);
        }
        past
    }

    fn learn(&mut self, deployment: &ServiceDeployment, revisions: &[ServiceRevision]) {
        let find = |arn: &str| revisions.iter().find(|revision| revision.arn == arn)?.task_definition.clone();
        let target = deployment.target_service_revision.as_ref().and_then(|target| find(&target.arn));
        let began = deployment.started_at.or(deployment.created_at);
        // A revision that was not read leaves a gap: it may be any of the family.
        self.complete &= target.is_some();
        if let Some(target) = target {
            self.seen.insert(target.clone());
            match deployment.status.as_str() {
                "SUCCESSFUL" => self.ran_at(target, began),
                "ROLLBACK_SUCCESSFUL" | "ROLLBACK_FAILED" | "STOPPED" => drop(self.failed.insert(target)),
                _ => {}
            }
        }
        // What ECS went back to had run before, and ran again from then on.
        if let Some(back) = deployment.rollback.as_ref()
            && deployment.status == "ROLLBACK_SUCCESSFUL"
            && let Some(arn) = back.service_revision_arn.as_deref().and_then(find)
        {
            self.ran_at(arn, back.started_at);
        }
        // What was replaced ran, though nobody says since when.
        for source in deployment.source_service_revisions.iter().filter_map(|source| find(&source.arn)) {
            self.seen.insert(source);
        }
    }

    /// The deployments that CodeDeploy made. Where it went back to ran before, and ran again from then on.
    fn learn_of_code_deploy(&mut self, look: &Look) {
        let deployments = look.code_deploy.known().map(Vec::as_slice).unwrap_or_default();
        for deployment in deployments {
            let Some(arn) = deployment.task_definition.clone() else { continue };
            let bad =
                deployments.iter().find(|one| Some(one.deployment_id.as_str()) == deployment.rolls_back());
            if bad.is_some_and(|bad| bad.task_definition.as_ref() == Some(&arn)) {
                // A rollback never went to what it rolled back.
                continue;
            }
            self.seen.insert(arn.clone());
            match deployment.status.as_str() {
                "Succeeded" => self.ran_at(arn, deployment.start_time.or(deployment.create_time)),
                "Failed" | "Stopped" if !deployment.is_rollback() => drop(self.failed.insert(arn)),
                _ => {}
            }
        }
        // The one that the service was made with, and those of deployments that are not read any more.
        let unfinished = |set: &TaskSet| {
            let made = deployments.iter().find(|one| Some(&one.deployment_id) == set.external_id.as_ref());
            made.is_some_and(|made| made.status != "Succeeded")
        };
        for set in look.service.task_sets.iter().filter(|set| set.running_count > 0 && !unfinished(set)) {
            if let Some(arn) = &set.task_definition {
                self.ran_at(arn.clone(), set.created_at);
            }
        }
    }

    fn ran_at(&mut self, arn: TaskDefinitionArn, at: Option<Timestamp>) {
        self.seen.insert(arn.clone());
        let last = self.ran.entry(arn).or_default();
        *last = (*last).max(at);
    }

    fn candidate(
        &self,
        task_definition: TaskDefinitionArn,
        registration: Registration,
        current: Option<&TaskDefinitionArn>,
        family: &Family,
    ) -> Candidate {
        let ran = self.ran.get(&task_definition);
        let standing = if Some(&task_definition) == current {
            Standing::Current
        } else if ran.is_some() {
            Standing::Ran
        } else if self.failed.contains(&task_definition) {
            Standing::Failed
        } else if self.was_never_deployed(&task_definition, family) {
            Standing::NeverRan
        } else {
            Standing::Unknown
        };
        Candidate { standing, ran_at: ran.copied().flatten(), registration, task_definition }
    }

    /// Certain only for a revision that was registered after the records begin: ECS keeps those of 90 days.
    fn was_never_deployed(&self, arn: &TaskDefinitionArn, family: &Family) -> bool {
        let registered = family.registered_at.get(arn);
        let recorded = self.since.zip(registered).is_some_and(|(since, registered)| *registered >= since);
        self.complete && recorded && !self.seen.contains(arn)
    }
}

#[cfg(test)]
mod tests {
    use rollback_core::Reading;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::{SERVICE, arn, key, known, revision, task_definition};

    fn at(minute: u32) -> String {
        format!("2026-11-21T10:{minute:02}:00Z")
    }

    fn deployed(number: u32, minute: u32, status: &str) -> Value {
        json!({
            "serviceDeploymentArn": arn("ecs", &format!("service-deployment/prod/web/{number}-{minute}")), "status": status,
            "targetServiceRevision": { "arn": format!("rev/{number}") }, "createdAt": at(minute), "startedAt": at(minute),
        })
    }

    fn look(runs: u32, deployments: Vec<Value>) -> Look {
        let service = json!({ "serviceArn": SERVICE, "status": "ACTIVE", "desiredCount": 1, "deployments": [{
            "id": "ecs-svc/1", "status": "PRIMARY", "taskDefinition": revision(runs), "rolloutState": "COMPLETED", "runningCount": 1,
        }] });
        let mut look = Look::new(serde_json::from_value(service).unwrap());
        look.deployments =
            known(deployments.into_iter().map(|d| serde_json::from_value(d).unwrap()).collect());
        let described = |number: u32| json!({ "serviceRevisionArn": format!("rev/{number}"), "taskDefinition": revision(number) });
        look.revisions =
            known((1..60).map(|number| serde_json::from_value(described(number)).unwrap()).collect());
        look
    }

    fn family(active: impl IntoIterator<Item = u32>, inactive: impl IntoIterator<Item = u32>) -> Family {
        Family::new(
            "web",
            active.into_iter().map(revision).collect(),
            inactive.into_iter().map(revision).collect(),
        )
    }

    fn shown(found: &[Candidate]) -> Vec<(u32, Standing)> {
        found.iter().map(|candidate| (candidate.task_definition.revision(), candidate.standing)).collect()
    }

    #[test]
    fn each_is_told_apart_in_the_order_in_which_it_ran() {
        let look = look(
            41,
            vec![
                deployed(41, 40, "SUCCESSFUL"), // a rollback by hand: 41 ran again
                deployed(43, 30, "ROLLBACK_SUCCESSFUL"),
                deployed(42, 20, "SUCCESSFUL"),
                deployed(41, 10, "SUCCESSFUL"),
            ],
        );
        let mut family = family([44, 43, 42, 41], [39]);
        family.registered_at.insert(revision(44), at(35).parse().unwrap());
        let found = candidates(&look, &family, 20);
        assert_eq!(
            shown(&found),
            [
                (44, Standing::NeverRan),
                (43, Standing::Failed),
                (41, Standing::Current),
                (42, Standing::Ran),
                (39, Standing::Unknown),
            ]
        );
        assert_eq!(found[4].registration, Registration::Inactive);
        assert_eq!(found[2].ran_at, at(40).parse().ok());
    }

    #[test]
    fn what_ecs_went_back_to_ran_again() {
        let mut back = deployed(42, 20, "ROLLBACK_SUCCESSFUL");
        back["rollback"] = json!({ "serviceRevisionArn": "rev/40", "startedAt": at(25) });
        let look = look(40, vec![back, deployed(41, 10, "SUCCESSFUL"), deployed(40, 5, "SUCCESSFUL")]);
        let found = candidates(&look, &family([42, 41, 40], []), 20);
        assert_eq!(shown(&found), [(42, Standing::Failed), (40, Standing::Current), (41, Standing::Ran)]);
        assert_eq!(found[1].ran_at, at(25).parse().ok());
    }

    #[test]
    fn a_family_is_exact() {
        let other = arn("ecs", "task-definition/web-other:7").as_str().parse().unwrap();
        let mut family = family([2, 1], []);
        family.active.insert(0, other);
        assert_eq!(shown(&candidates(&look(2, Vec::new()), &family, 20)).len(), 2);
    }

    #[test]
    fn without_records_nothing_is_claimed() {
        let mut look = look(41, Vec::new());
        look.deployments = Reading::Unknown("ecs:ListServiceDeployments is denied".into());
        let mut family = family([42, 41, 40], []);
        family.registered_at.insert(revision(42), at(1).parse().unwrap());
        assert_eq!(
            shown(&candidates(&look, &family, 20)),
            [(42, Standing::Unknown), (41, Standing::Current), (40, Standing::Unknown)]
        );
    }

    #[test]
    fn what_failed_in_the_service_is_known_without_records() {
        let mut look = look(41, Vec::new());
        look.deployments = Reading::Unknown("ecs:ListServiceDeployments is denied".into());
        let mut failed = look.service.deployments[0].clone();
        failed.id = "ecs-svc/2".into();
        failed.status = "ACTIVE".into();
        failed.rollout_state = Some("FAILED".into());
        failed.task_definition = Some(revision(42));
        look.service.deployments.push(failed);
        assert_eq!(
            shown(&candidates(&look, &family([42, 41], []), 20)),
            [(42, Standing::Failed), (41, Standing::Current)]
        );
    }

    #[test]
    fn a_gap_in_the_records_claims_nothing() {
        // What deployment 99 brought could not be read: it may have been any revision.
        let look = look(41, vec![deployed(99, 30, "SUCCESSFUL"), deployed(41, 10, "SUCCESSFUL")]);
        let mut family = family([42, 41], []);
        family.registered_at.insert(revision(42), at(20).parse().unwrap());
        assert_eq!(shown(&candidates(&look, &family, 20))[0], (42, Standing::Unknown));
    }

    #[test]
    fn failed_builds_do_not_push_out_what_ran() {
        let look = look(10, vec![deployed(10, 20, "SUCCESSFUL"), deployed(3, 10, "SUCCESSFUL")]);
        let found = candidates(&look, &family((1..=50).rev(), []), 5);
        assert_eq!(found.len(), 5);
        let all = shown(&found);
        assert!(all.contains(&(3, Standing::Ran)) && all.contains(&(10, Standing::Current)), "{all:?}");
        assert!(candidates(&look, &family([10], []), 0).is_empty());
    }

    #[test]
    fn versions_are_found_by_the_main_containers_tag() {
        let found = candidates(&look(42, Vec::new()), &family([42, 41], []), 20);
        let definition =
            |number, tag| (revision(number), task_definition(number, tag).redacted(&key()).unwrap());
        let definitions = BTreeMap::from([definition(42, "v2"), definition(41, "v1")]);
        let version = |tag| Version::new(tag).unwrap();
        let hits = with_version(&found, &definitions, None, &version("v1"));
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].task_definition, revision(41));
        assert!(with_version(&found, &definitions, None, &version("v")).is_empty());
    }
}
