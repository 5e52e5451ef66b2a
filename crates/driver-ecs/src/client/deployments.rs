//! ECS's own deployments of the service, and the revisions of the service that they name.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::try_join_all;
use rollback_core::Result;
use serde_json::{Value, json};

use super::{Client, items, text};
use crate::arn::{Arn, TaskDefinitionArn};
use crate::coupled::Coupled;
use crate::look::{Look, ServiceDeployment, ServiceRevision};

/// How many `DescribeServiceDeployments` and `DescribeServiceRevisions` take.
const AT_ONCE: usize = 20;
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
        let arns: Vec<_> = wanted.map(|(_, deployment)| deployment.arn.clone()).take(AT_ONCE).collect();
        self.described_deployments(&arns).await
    }

    /// One deployment as it is now.
    pub(crate) async fn described_deployment(&self, arn: &Arn) -> Result<Option<ServiceDeployment>> {
        Ok(self.described_deployments(std::slice::from_ref(arn)).await?.into_iter().next())
    }

    /// These deployments, as far as they are there.
    pub(super) async fn described_deployments(&self, arns: &[Arn]) -> Result<Vec<ServiceDeployment>> {
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let request = self.api.ecs.describe_service_deployments();
        let request =
            request.set_service_deployment_arns(Some(arns.iter().map(ToString::to_string).collect()));
        let doing = format!("look at the deployments of {}", self.shown());
        let answer = self.api.read("DescribeServiceDeployments", doing, request.send()).await?;
        let read = |value: &Value| serde_json::from_value(value.clone()).ok();
        Ok(items(&answer.body, "serviceDeployments").filter_map(read).collect())
    }

    /// These revisions of the service, word for word: remembered, because they never change.
    pub(super) async fn revisions(&self, arns: BTreeSet<String>) -> Result<Vec<Arc<Value>>> {
        let known = |arn: &String| self.api.revisions.get(arn);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for arn in arns {
            match known(&arn) {
                Some(revision) => found.push(revision),
                None => missing.push(arn),
            }
        }
        let parts = missing.chunks(AT_ONCE).map(|arns| async {
            let request = self.api.ecs.describe_service_revisions();
            let request = request.set_service_revision_arns(Some(arns.to_vec()));
            let doing = format!("look at the revisions of {}", self.shown());
            self.api.read("DescribeServiceRevisions", doing, request.send()).await
        });
        for answer in try_join_all(parts).await? {
            for value in items(&answer.body, "serviceRevisions") {
                let revision = Arc::new(value.clone());
                if let Some(arn) = text(value, "serviceRevisionArn").filter(|_| is_complete(value)) {
                    self.api.revisions.keep(arn.to_owned(), Arc::clone(&revision));
                }
                found.push(revision);
            }
        }
        Ok(found)
    }
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
