//! One look: what is asked, in as few rounds as what depends on what allows.

use std::collections::BTreeSet;

use futures_util::future::{join, join3};
use rollback_core::{Error, ErrorKind, Reading, Result};
use serde_json::{Map, Value};

use super::code_deploy::GroupName;
use super::deployments::{self, named};
use super::service::Described;
use super::{Client, Depth, Seen, balancer, items, text};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::CodeDeployGroup;
use crate::look::{Look, Service, ServiceDeployment};

/// How many of the newest deployments are read in full: the last one for its reason, and the one before for where it went back to.
const TELLING: usize = 2;
/// How many of the newest deployments are read in full to tell what became of revisions.
const PAST: usize = 20;

impl Client {
    /// Looks at the service. First everything that needs only its name, then what the answers name.
    pub(crate) async fn see(&self, depth: Depth) -> Result<Seen> {
        let full = if depth == Depth::Past { PAST } else { TELLING };
        let first = join3(self.service(), self.running_tasks(), self.deployments(full)).await;
        let (service, tasks, deployments) = first;
        let (service, Described { entry, at }) = service?;
        let mut look = Look::new(service);
        look.at = at;
        look.tasks = reading(tasks)?;
        look.deployments = reading(deployments)?;
        Box::pin(self.fill(&mut look, &entry, depth)).await?;
        Ok(Seen { look, described: entry })
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

    /// What the first answers name.
    async fn fill(&self, look: &mut Look, entry: &Map<String, Value>, depth: Depth) -> Result<()> {
        let wanted = revisions_wanted(look, entry, depth);
        let by_others = look.service.deployment_controller.kind == "CODE_DEPLOY";
        let restless = is_restless(&look.service);
        let moved = async { if by_others { Some(self.code_deploy(entry, None, depth).await) } else { None } };
        let stopped = async { if restless { Some(self.stopped_tasks().await) } else { None } };
        let known = definitions_wanted(look);
        let groups = groups(entry);
        let early = self.definitions(known.iter().cloned());
        let ways = depth == Depth::Ways && !by_others;
        let balanced = async {
            if depth == Depth::Past {
                (Reading::Absent, Reading::Absent)
            } else {
                self.balanced(look, &groups, ways).await
            }
        };
        let ((revisions, moved), (stopped, early, (healthy, traffic))) =
            join(join(self.revisions(wanted), moved), join3(stopped, early, balanced)).await;
        look.revisions =
            reading(revisions.map(|all| all.iter().filter_map(|one| deployments::read(one)).collect()))?;
        (look.healthy_targets, look.traffic) = (healthy, traffic);
        if let Some(moved) = moved {
            look.code_deploy = match moved {
                Ok(moved) => {
                    look.group = moved.group;
                    Reading::Known(moved.deployments)
                }
                Err(error) => reading(Err(error))?,
            };
        }
        if let (Some(Ok(stopped)), Reading::Known(tasks)) = (stopped, &mut look.tasks) {
            tasks.extend(stopped);
        }
        look.definitions = early;
        // Those that only revisions and CodeDeploy's deployments name.
        let late: BTreeSet<_> = definitions_wanted(look).difference(&known).cloned().collect();
        look.definitions.extend(self.definitions(late).await);
        if by_others {
            // Service deployments are ECS's own alone.
            look.deployments = Reading::Absent;
            self.name_images(look).await;
        }
        Ok(())
    }
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

/// Whether reasons are wanted: something is on its way, or did not get there.
fn is_restless(service: &Service) -> bool {
    let moves = |state: Option<&str>| state.is_some_and(|state| state != "COMPLETED");
    service.deployments.len() > 1
        || service.deployments.iter().any(|deployment| {
            moves(deployment.rollout_state.as_deref()) || deployment.running_count < deployment.desired_count
        })
        || service.task_sets.iter().any(|set| set.stability_status.as_deref() == Some("STABILIZING"))
}

/// The revisions of the service that have to be known: those that run, and those that deployments name.
fn revisions_wanted(look: &Look, entry: &Map<String, Value>, depth: Depth) -> BTreeSet<String> {
    let current = entry.get("currentServiceRevisions").and_then(Value::as_array).into_iter().flatten();
    let mut wanted: BTreeSet<_> =
        current.filter_map(|revision| text(revision, "arn")).map(str::to_owned).collect();
    let deployments = look.deployments.known().map(Vec::as_slice).unwrap_or_default();
    let telling = |deployment: &&ServiceDeployment| deployment.is_in_flight();
    match depth {
        Depth::Past => wanted.extend(named(deployments.get(..PAST).unwrap_or(deployments))),
        _ => {
            let moving: Vec<_> = deployments.iter().filter(telling).cloned().collect();
            wanted.extend(named(&moving));
            wanted.extend(named(deployments.get(..1).unwrap_or_default()));
        }
    }
    wanted
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

/// The target groups before the service, wherever they are written.
fn groups(entry: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = balancer::target_groups(entry);
    let sets = entry.get("taskSets").and_then(Value::as_array).into_iter().flatten();
    for set in sets.filter(|set| text(set, "status") == Some("PRIMARY")) {
        found.extend(
            items(set, "loadBalancers").filter_map(|one| text(one, "targetGroupArn")).map(str::to_owned),
        );
    }
    found
}
