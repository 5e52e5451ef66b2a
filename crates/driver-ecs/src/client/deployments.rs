//! ECS's own deployments of the service, and the revisions of the service that they name.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;
use rollback_core::Result;
use serde_json::{Map, Value, json};

use super::api::Caller;
use super::{Client, items, text};
use crate::arn::{Arn, TaskDefinitionArn};
use crate::coupled::Coupled;
use crate::look::{Look, ServiceDeployment, ServiceRevision};

/// How many deployments of one service are read in full at most.
const IN_FULL: usize = 20;
/// How many deployments are listed. ECS keeps those of 90 days.
const LISTED: i32 = 100;

impl Client {
    /// The newest deployments, newest first, as ECS lists them.
    pub(super) async fn listed_deployments(&self) -> Result<Vec<ServiceDeployment>> {
        let request = self.api.ecs.list_service_deployments();
        let request = request.service(&self.place.service).cluster(&self.place.cluster).max_results(LISTED);
        let doing = format!("list the deployments of {}", self.shown());
        let answer = self.api.read("ListServiceDeployments", doing, request.send()).await?;
        let mut listed: Vec<_> = items(&answer.body, "serviceDeployments").filter_map(brief).collect();
        // ECS lists them in this order; its documentation does not promise it.
        listed.sort_by_key(|deployment| std::cmp::Reverse(deployment.created_at.or(deployment.started_at)));
        Ok(listed)
    }

    /// Of those that were listed: in full as many of the newest, and those that are on their way.
    pub(super) async fn described_among(
        &self,
        listed: &[ServiceDeployment],
        newest: usize,
    ) -> Result<Vec<ServiceDeployment>> {
        let wanted = listed.iter().enumerate();
        let wanted = wanted.filter(|(at, deployment)| *at < newest || deployment.is_in_flight());
        let arns: Vec<_> = wanted.map(|(_, deployment)| deployment.arn.clone()).take(IN_FULL).collect();
        self.described_deployments(&arns).await
    }

    /// One deployment as it is now.
    pub(crate) async fn described_deployment(&self, arn: &Arn) -> Result<Option<ServiceDeployment>> {
        Ok(self.described_deployments(std::slice::from_ref(arn)).await?.into_iter().next())
    }

    /// These deployments, as far as they are there. Those that came to their end are remembered.
    pub(super) async fn described_deployments(&self, arns: &[Arn]) -> Result<Vec<ServiceDeployment>> {
        let reads = arns.iter().map(|arn| async {
            let arn = arn.to_string();
            match self.api.ended.get(&arn) {
                Some(ended) => Ok(Some(ended)),
                None => self.api.deployments.get(arn).await,
            }
        });
        let found = try_join_all(reads).await?;
        for one in found.iter().flatten().filter(|one| !one.is_in_flight()) {
            self.api.ended.keep(one.arn.to_string(), Arc::clone(one));
        }
        Ok(found.into_iter().flatten().map(|one| ServiceDeployment::clone(&one)).collect())
    }

    /// These revisions of the service, word for word: remembered, because they never change.
    pub(super) async fn revisions(&self, arns: BTreeSet<String>) -> Result<Vec<Arc<Value>>> {
        let reads = arns.into_iter().map(|arn| async move {
            if let Some(known) = self.api.revisions.get(&arn) {
                return Ok(Some(known));
            }
            let found = self.api.described_revisions.get(arn.clone()).await?;
            if let Some(revision) = found.as_ref().filter(|revision| is_complete(revision)) {
                self.api.revisions.keep(arn, Arc::clone(revision));
            }
            Ok(found)
        });
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }

    /// The deployments that were listed before, if the service tells that there are no others.
    ///
    /// Each deployment makes an entry of its own in the service, and a rollback is part of the deployment that it ends. So where
    /// no entry came, no deployment did; while none of the list is on its way, only at rest: the newest may be missing in a
    /// list that was read too early.
    pub(super) fn listed_before(&self, entry: &Map<String, Value>) -> Option<Vec<ServiceDeployment>> {
        let listed = self.api.listed.get(&self.place())?;
        let current = entry.get("currentServiceDeployment").and_then(Value::as_str);
        let moves = listed.deployments.first().is_some_and(ServiceDeployment::is_in_flight);
        let known = entries(entry)?.iter().all(|id| listed.entries.contains(id))
            && current.is_none_or(|arn| listed.deployments.iter().any(|one| one.arn.as_str() == arn));
        (known && (moves || is_at_rest(entry))).then(|| Vec::clone(&listed.deployments))
    }

    /// Whether anything was listed before.
    pub(super) fn was_listed(&self) -> bool {
        self.api.listed.get(&self.place()).is_some()
    }

    /// Remembers which deployments there are, as they are now.
    pub(super) fn remember(&self, entry: &Map<String, Value>, deployments: &[ServiceDeployment]) {
        if let Some(entries) = entries(entry) {
            let listed = Listed { entries, deployments: Arc::new(deployments.to_vec()) };
            self.api.listed.keep(self.place(), listed);
        }
    }

    fn place(&self) -> (String, String) {
        (self.place.cluster.clone(), self.place.service.clone())
    }
}

/// The deployments of a service, and what it told of itself then.
#[derive(Clone)]
pub(super) struct Listed {
    entries: Vec<String>,
    deployments: Arc<Vec<ServiceDeployment>>,
}

/// What the service tells of its deployments: `None` where it tells nothing.
fn entries(entry: &Map<String, Value>) -> Option<Vec<String>> {
    let told = entry.get("deployments")?.as_array()?.iter();
    let entries: Vec<_> = told.filter_map(|one| text(one, "id")).map(str::to_owned).collect();
    (!entries.is_empty()).then_some(entries)
}

/// Whether ECS replaces tasks one by one, and tells all that there is to be told of that in the service itself: a rollback makes
/// an entry too. Stages, hooks and the bake time of other deployments are told of the deployment alone.
pub(super) fn is_plainly_rolling(entry: &Map<String, Value>) -> bool {
    let told = entry.get("deploymentConfiguration").and_then(Value::as_object);
    told.is_some_and(|told| {
        let strategy = told.get("strategy").and_then(Value::as_str);
        let hooks =
            told.get("lifecycleHooks").and_then(Value::as_array).is_some_and(|hooks| !hooks.is_empty());
        strategy.is_none_or(|strategy| strategy == "ROLLING") && !hooks && !is_at_rest(entry)
    })
}

/// Whether there is one deployment, at its end.
fn is_at_rest(entry: &Map<String, Value>) -> bool {
    let told = entry.get("deployments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    matches!(told, [one] if text(one, "rolloutState") == Some("COMPLETED"))
}

/// Up to twenty deployments of whatever services.
pub(super) async fn describe(
    caller: &Caller,
    arns: Vec<String>,
) -> Result<HashMap<String, Arc<ServiceDeployment>>> {
    let request = caller.ecs.describe_service_deployments().set_service_deployment_arns(Some(arns));
    let answer = caller.read("DescribeServiceDeployments", "look at deployments", request.send()).await?;
    let read = |value: &Value| serde_json::from_value::<ServiceDeployment>(value.clone()).ok();
    let found = items(&answer.body, "serviceDeployments").filter_map(read);
    Ok(found.map(|one| (one.arn.to_string(), Arc::new(one))).collect())
}

/// Up to twenty revisions of whatever services.
pub(super) async fn describe_revisions(
    caller: &Caller,
    arns: Vec<String>,
) -> Result<HashMap<String, Arc<Value>>> {
    let request = caller.ecs.describe_service_revisions().set_service_revision_arns(Some(arns));
    let answer =
        caller.read("DescribeServiceRevisions", "look at revisions of services", request.send()).await?;
    let found = items(&answer.body, "serviceRevisions");
    let named = found.filter_map(|one| Some((text(one, "serviceRevisionArn")?.to_owned(), one)));
    Ok(named.map(|(arn, one)| (arn, Arc::new(one.clone()))).collect())
}

impl Client {
    /// What the newest revision of the service with this task definition holds beside it, if that was read.
    pub(crate) fn coupled_of(&self, arn: &TaskDefinitionArn, look: &Look) -> Option<Coupled> {
        let revisions = look.revisions.known()?.iter();
        let newest = revisions
            .filter(|revision| revision.task_definition.as_ref() == Some(arn))
            .max_by_key(|revision| revision.created_at)?;
        let described = self.api.revisions.get(&newest.arn)?;
        Some(Coupled::of_revision(described.as_object()?, &self.key(arn.arn().account())))
    }
}

/// ECS resolves the images' tags while it deploys: until then digests are missing.
fn is_complete(revision: &Value) -> bool {
    let mut images = items(revision, "containerImages").peekable();
    images.peek().is_some() && images.all(|image| text(image, "imageDigest").is_some())
}

/// An entry of the list names its target in another way than the full description.
fn brief(entry: &Value) -> Option<ServiceDeployment> {
    let mut entry = entry.clone();
    let fields = entry.as_object_mut()?;
    if let Some(target) = fields.remove("targetServiceRevisionArn") {
        fields.insert("targetServiceRevision".to_owned(), json!({ "arn": target }));
    }
    serde_json::from_value(entry).ok()
}

/// Puts full descriptions in the place of what was listed.
pub(super) fn complete(listed: &mut [ServiceDeployment], full: &[ServiceDeployment]) {
    for place in listed {
        if let Some(found) = full.iter().find(|found| found.arn == place.arn) {
            place.clone_from(found);
        }
    }
}

/// The revisions that deployments name.
pub(super) fn named(deployments: &[ServiceDeployment]) -> BTreeSet<String> {
    let of = |deployment: &ServiceDeployment| {
        let target = deployment.target_service_revision.iter().map(|revision| revision.arn.clone());
        let sources = deployment.source_service_revisions.iter().map(|revision| revision.arn.clone());
        let back = deployment.rollback.iter().filter_map(|back| back.service_revision_arn.clone());
        target.chain(sources).chain(back).collect::<Vec<_>>()
    };
    deployments.iter().flat_map(of).collect()
}

/// What is looked at of a revision.
pub(super) fn read(revision: &Value) -> Option<ServiceRevision> {
    serde_json::from_value(revision.clone()).ok()
}
