//! One look: what is asked, in as few rounds as what depends on what allows.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{join, join3, join4};
use jiff::{SignedDuration, Timestamp};
use rollback_core::{Error, ErrorKind, Reading, Result};
use serde_json::{Map, Value};

use super::code_deploy::GroupName;
use super::deployments::{self, named};
use super::service::Described;
use super::{Client, Depth, Seen, balancer, text};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::CodeDeployGroup;
use crate::look::{Deployment, Look, Service, ServiceDeployment, Task};

/// How many of the newest deployments are read in full while something is awaited: the last one for its reason, and the one
/// before for where it went back to.
const TELLING: usize = 2;
/// How many of the newest deployments are read in full to tell what became of revisions: as many as one call takes.
const PAST: usize = 20;
/// For how long ECS lists a task that stopped.
const STOPPED_ARE_LISTED: SignedDuration = SignedDuration::from_hours(1);
/// For how long tasks may take to start before somebody wants to know why.
const SLOW: SignedDuration = SignedDuration::from_secs(30);

impl Client {
    /// Looks at the service, in two rounds: what needs only its name, then what the first answers name. What only the second
    /// names, which is rare, takes a third. The tasks take two rounds by themselves, beside the others.
    pub(crate) async fn see(&self, depth: Depth) -> Result<Seen> {
        self.at_home().await?;
        let tasks = async { if depth == Depth::Course { None } else { Some(self.running_tasks().await) } };
        let (tasks, rest) = join(tasks, Box::pin(self.without_tasks(depth))).await;
        let (mut look, entry, second) = rest?;
        look.tasks = match tasks.or(second.tasks) {
            Some(tasks) => reading(tasks)?,
            None => Reading::Unknown("they were not asked for: nothing speaks of trouble".to_owned()),
        };
        if let (Some(stopped), Reading::Known(tasks)) = (second.stopped, &mut look.tasks) {
            tasks.extend(stopped);
        }
        self.late(&mut look, &entry, second.revisions, second.definitions, depth).await?;
        if look.service.deployment_controller.kind == "CODE_DEPLOY" {
            // Service deployments are ECS's own alone.
            look.deployments = Reading::Absent;
            self.name_images(&mut look).await;
        } else if depth == Depth::Plan && !second.groups.is_empty() {
            look.traffic = self.traffic_of(&look, &second.groups).await;
        }
        Ok(Seen { look, described: entry })
    }

    async fn without_tasks(&self, depth: Depth) -> Result<(Look, Map<String, Value>, Second)> {
        // Where they were listed before, the service itself tells whether there are others.
        let list = async { if self.was_listed() { None } else { Some(self.listed_deployments().await) } };
        let (service, listed) = join(self.service(), list).await;
        let (service, Described { entry, at }) = service?;
        let mut look = Look::new(service);
        look.at = at;
        let listed_before = if listed.is_none() { self.listed_before(&entry) } else { None };
        let before = listed_before.is_some();
        look.deployments = match (listed, listed_before) {
            (Some(listed), _) => reading(listed)?,
            (None, Some(before)) => Reading::Known(before),
            (None, None) => reading(self.listed_deployments().await)?,
        };
        let second = Box::pin(self.fill(&mut look, &entry, before, depth)).await?;
        if let Reading::Known(deployments) = &look.deployments {
            self.remember(&entry, deployments);
        }
        Ok((look, entry, second))
    }

    /// What the service is set to, and nothing else: what a token is made of.
    pub(crate) async fn intent(&self) -> Result<Look> {
        self.intent_of(None).await
    }

    /// The same of a service that this group moves, whether or not its task sets tell so.
    pub(crate) async fn intent_through(&self, group: &CodeDeployGroup) -> Result<Look> {
        self.intent_of(Some((group.application.clone(), group.group.clone()))).await
    }

    async fn intent_of(&self, group: Option<GroupName>) -> Result<Look> {
        let (service, described) = self.service().await?;
        let by_others = service.deployment_controller.kind == "CODE_DEPLOY";
        let mut look = Look::new(service);
        if by_others {
            let moved = self.code_deploy(&described.entry, group, Depth::Course).await?;
            look.code_deploy = Reading::Known(moved.deployments);
        }
        Ok(look)
    }

    /// The second round; `before` tells that the deployments are those of an earlier look.
    async fn fill(
        &self,
        look: &mut Look,
        entry: &Map<String, Value>,
        before: bool,
        depth: Depth,
    ) -> Result<Second> {
        let full = if depth == Depth::Plan { PAST } else { TELLING };
        let listed = look.deployments.known().cloned().unwrap_or_default();
        let early_revisions = revisions_wanted(&listed, entry, depth);
        let early_definitions = definitions_wanted(look);
        let code_deploy = look.service.deployment_controller.kind == "CODE_DEPLOY";
        let troubled = is_troubled(look, &listed);
        let stopped = troubled || (depth != Depth::Course && is_restless(&look.service));
        let groups = groups(entry);
        let service = join4(
            async { if code_deploy { Some(self.code_deploy(entry, None, depth).await) } else { None } },
            async {
                // The list was read in full before, and what is on its way tells its course in the service.
                if before && depth == Depth::Course && !troubled && deployments::is_plainly_rolling(entry) {
                    return Ok(Vec::new());
                }
                self.described_among(&listed, full).await
            },
            self.revisions(early_revisions.clone()),
            self.definitions(early_definitions.iter().cloned()),
        );
        let running = join3(
            async {
                if troubled && depth == Depth::Course { Some(self.running_tasks().await) } else { None }
            },
            async { if stopped { self.stopped_tasks().await.ok() } else { None } },
            self.healthy_targets(&groups),
        );
        let ((moved, deployments, revisions, definitions), (tasks, stopped, healthy)) =
            join(service, running).await;
        (look.definitions, look.healthy_targets) = (definitions, healthy);
        if let Reading::Known(listed) = &mut look.deployments {
            deployments::complete(
                listed,
                reading(deployments)?.known().map(Vec::as_slice).unwrap_or_default(),
            );
        }
        match reading(moved.transpose())? {
            Reading::Known(Some(moved)) => {
                (look.group, look.code_deploy) = (moved.group, Reading::Known(moved.deployments));
            }
            Reading::Unknown(why) => look.code_deploy = Reading::Unknown(why),
            Reading::Known(None) | Reading::Absent => {}
        }
        let revisions = (reading(revisions)?, early_revisions);
        Ok(Second { tasks, stopped, revisions, definitions: early_definitions, groups })
    }

    /// What only the second round named.
    async fn late(
        &self,
        look: &mut Look,
        entry: &Map<String, Value>,
        (revisions, asked): (Reading<Vec<Arc<Value>>>, BTreeSet<String>),
        read: BTreeSet<TaskDefinitionArn>,
        depth: Depth,
    ) -> Result<()> {
        look.revisions = match revisions {
            Reading::Known(mut found) => {
                let named =
                    revisions_wanted(look.deployments.known().map_or(&[], Vec::as_slice), entry, depth);
                let late: BTreeSet<_> = named.difference(&asked).cloned().collect();
                if !late.is_empty() {
                    found.extend(self.revisions(late).await?);
                }
                Reading::Known(found.iter().filter_map(|one| deployments::read(one)).collect())
            }
            Reading::Absent => Reading::Absent,
            Reading::Unknown(why) => Reading::Unknown(why),
        };
        let late: BTreeSet<_> = definitions_wanted(look).difference(&read).cloned().collect();
        if !late.is_empty() {
            look.definitions.extend(self.definitions(late).await);
        }
        Ok(())
    }
}

/// What the second round found, and was asked for.
struct Second {
    /// `None` where they were not wanted, or are asked for beside it.
    tasks: Option<Result<Vec<Task>>>,
    stopped: Option<Vec<Task>>,
    revisions: (Reading<Vec<Arc<Value>>>, BTreeSet<String>),
    definitions: BTreeSet<TaskDefinitionArn>,
    groups: BTreeSet<String>,
}

/// What may not be read or cannot be answered is unknown; what would be the same for the next call is an error: it is worth
/// asking again.
fn reading<T>(answer: Result<T>) -> Result<Reading<T>> {
    match answer {
        Ok(value) => Ok(Reading::Known(value)),
        Err(error) if is_asked_again(&error) => Err(error),
        Err(error) => Ok(Reading::Unknown(error.to_string())),
    }
}

fn is_asked_again(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Throttled | ErrorKind::Timeout) || error.is_transient()
}

/// Whether the tasks may tell why something does not get there, or went back: what goes well tells nothing, and is asked once
/// it says that it is there.
fn is_troubled(look: &Look, listed: &[ServiceDeployment]) -> bool {
    let service = &look.service;
    if service.deployment_controller.kind != "ECS" && !service.task_sets.is_empty() {
        return true;
    }
    let slow = |deployment: &Deployment| {
        let since = deployment.created_at.zip(look.at).map(|(made, now)| now.duration_since(made));
        let going = deployment.rollout_state.as_deref() == Some("IN_PROGRESS");
        !going || since.is_none_or(|since| since > SLOW)
    };
    has_just_gone_back(listed, look.at)
        || service.deployments.iter().any(|deployment| {
            deployment.rollout_state.as_deref() == Some("FAILED")
                || deployment.failed_tasks > 0
                || (deployment.running_count < deployment.desired_count && slow(deployment))
        })
}

/// Whether reasons are wanted: something is on its way, or did not get there.
fn is_restless(service: &Service) -> bool {
    let moves = |state: Option<&str>| state.is_some_and(|state| state != "COMPLETED");
    service.deployments.len() > 1
        || service.deployments.iter().any(|deployment| {
            moves(deployment.rollout_state.as_deref()) || deployment.running_count < deployment.desired_count
        })
        || service.task_sets.iter().any(|set| set.stability_status.as_deref() == Some("STABILIZING"))
}

/// Whether ECS went back so short a while ago that it still lists the tasks that made it.
fn has_just_gone_back(deployments: &[ServiceDeployment], now: Option<Timestamp>) -> bool {
    let Some(newest) = deployments.first().filter(|newest| newest.status.starts_with("ROLLBACK")) else {
        return false;
    };
    let since = newest.finished_at.zip(now).map(|(ended, now)| now.duration_since(ended));
    since.is_none_or(|since| since < STOPPED_ARE_LISTED)
}

/// The revisions of the service that have to be known: those that run, and those that deployments name.
fn revisions_wanted(
    deployments: &[ServiceDeployment],
    entry: &Map<String, Value>,
    depth: Depth,
) -> BTreeSet<String> {
    let current = entry.get("currentServiceRevisions").and_then(Value::as_array).into_iter().flatten();
    let current = current.filter_map(|revision| text(revision, "arn")).map(str::to_owned);
    let newest = match depth {
        Depth::Plan => deployments.get(..PAST).unwrap_or(deployments),
        Depth::Course | Depth::Proof => deployments.get(..1).unwrap_or_default(),
    };
    let moving = deployments.iter().filter(|deployment| deployment.is_in_flight());
    current.chain(named(newest)).chain(moving.flat_map(|one| named(std::slice::from_ref(one)))).collect()
}

/// Everything in a look that runs or is meant to run.
fn definitions_wanted(look: &Look) -> BTreeSet<TaskDefinitionArn> {
    let service = &look.service;
    let deployed = service.deployments.iter().filter_map(|deployment| deployment.task_definition.clone());
    let sets = service.task_sets.iter().filter_map(|set| set.task_definition.clone());
    let tasks = look.tasks.known().into_iter().flatten();
    let tasks =
        tasks.filter(|task| task.last_status == "RUNNING").filter_map(|task| task.task_definition.clone());
    let moving =
        look.deployments.known().into_iter().flatten().filter(|deployment| deployment.is_in_flight());
    let moving: Vec<_> = moving.cloned().collect();
    let named = named(&moving);
    let revisions = look.revisions.known().into_iter().flatten();
    let revisions = revisions.filter(|revision| named.contains(&revision.arn));
    let revisions = revisions.filter_map(|revision| revision.task_definition.clone());
    let code_deploy = look.code_deploy.known().into_iter().flatten().filter(|info| info.is_in_flight());
    let code_deploy = code_deploy.filter_map(|info| info.task_definition.clone());
    deployed.chain(sets).chain(tasks).chain(revisions).chain(code_deploy).collect()
}

/// The target groups before the service: those of the task set that takes requests, where one does. The other task set may be as sick
/// as it likes.
fn groups(entry: &Map<String, Value>) -> BTreeSet<String> {
    let sets = entry.get("taskSets").and_then(Value::as_array).into_iter().flatten();
    let primary = sets.filter(|set| text(set, "status") == Some("PRIMARY")).filter_map(Value::as_object);
    let found: BTreeSet<_> = primary.flat_map(balancer::target_groups).collect();
    if found.is_empty() { balancer::target_groups(entry) } else { found }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_task_set_that_takes_requests_decides_whose_health_counts() {
        let named = |group: &str| json!([{ "targetGroupArn": group }]);
        let mut entry = json!({ "loadBalancers": named("blue"), "taskSets": [
            { "status": "ACTIVE", "loadBalancers": named("blue") },
            { "status": "PRIMARY", "loadBalancers": named("green") },
        ] });
        let of = |entry: &Value| groups(entry.as_object().unwrap()).into_iter().collect::<Vec<_>>();
        assert_eq!(of(&entry), ["green"]);
        entry["taskSets"] = json!([]);
        assert_eq!(of(&entry), ["blue"]);
    }
}
