//! What still uses a revision, as far as ECS tells. A schedule or a pipeline that names it is not seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::{Client, next, texts};
use crate::arn::TaskDefinitionArn;

/// Revisions with a service that uses them, by ARN: for a region at most as many as there are services.
pub(super) type Used = BTreeMap<String, String>;

/// How long what the other services use is taken for what they use now: a run over many of them asks once.
const SHORT_WHILE: Duration = Duration::from_secs(60);
/// How many pages of clusters and of a cluster's services are read. Whoever has more keeps the revision.
const PAGES: usize = 50;
/// How many clusters are asked at once.
const AT_ONCE: usize = 4;

impl Client {
    /// Who in the region uses a revision: a service that is set to it or has a deployment or task set of it, or a task that runs.
    pub(crate) async fn user_of(&self, revision: &TaskDefinitionArn) -> Result<Option<String>> {
        // Its own service first: that one moved a moment ago.
        let entry = self.service().await?.1.entry;
        if named_by(&entry).any(|arn| arn == revision.arn().as_str()) {
            return Ok(Some(self.shown()));
        }
        let clusters = self.pages("ListClusters", "clusterArns", None).await?;
        let (used, task) = try_join(self.used(&clusters), self.task_that_runs(&clusters, revision)).await?;
        Ok(task.or_else(|| used.get(revision.arn().as_str()).cloned()))
    }

    async fn task_that_runs(
        &self,
        clusters: &[String],
        revision: &TaskDefinitionArn,
    ) -> Result<Option<String>> {
        let asked: Vec<_> = clusters
            .iter()
            .map(|cluster| async move {
                let tasks = self.tasks_of_family_in(cluster, revision.family()).await?;
                let found = tasks.into_iter().find(|task| task.task_definition.as_ref() == Some(revision));
                Ok::<_, Error>(found.map(|task| format!("task {}", task.arn)))
            })
            .collect();
        let found: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().next())
    }

    async fn used(&self, clusters: &[String]) -> Result<Arc<Used>> {
        if let Some((at, used)) = self.api.used.get(&())
            && self.api.now().saturating_sub(at) < SHORT_WHILE
        {
            return Ok(used);
        }
        let asked: Vec<_> = clusters.iter().map(|cluster| self.used_in(cluster)).collect();
        let found: Vec<Used> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let used = Arc::new(found.into_iter().flatten().collect::<Used>());
        self.api.used.keep((), (self.api.now(), Arc::clone(&used)));
        Ok(used)
    }

    async fn used_in(&self, cluster: &str) -> Result<Used> {
        let services = self.pages("ListServices", "serviceArns", Some(cluster)).await?;
        // Those that are asked together share a call.
        let batch = self.api.services.of(&cluster.to_owned());
        let asked = services.iter().map(|arn| {
            let name = arn.rsplit('/').next().unwrap_or(arn).to_owned();
            async { (arn.clone(), batch.get(name).await) }
        });
        let mut used = Used::new();
        for (arn, found) in join_all(asked).await {
            // One that was deleted since uses nothing.
            let Some(described) = found? else { continue };
            used.extend(named_by(&described.entry).map(|named| (named.to_owned(), format!("service {arn}"))));
        }
        Ok(used)
    }

    /// Every page of a list.
    async fn pages(
        &self,
        operation: &'static str,
        items: &str,
        cluster: Option<&str>,
    ) -> Result<Vec<String>> {
        let doing = "see what uses a revision";
        let (mut found, mut token) = (Vec::new(), None);
        for _ in 0..PAGES {
            let answer = match cluster {
                None => {
                    let request = self.api.ecs.list_clusters().max_results(100).set_next_token(token);
                    self.api.read(operation, doing, request.send()).await?
                }
                Some(cluster) => {
                    let request = self.api.ecs.list_services().cluster(cluster).max_results(100);
                    self.api.read(operation, doing, request.set_next_token(token).send()).await?
                }
            };
            found.extend(texts(&answer.body, items));
            token = next(&answer.body);
            if token.is_none() {
                return Ok(found);
            }
        }
        let what = format!("there are more than {} {items} to look through", found.len());
        Err(Error::new(ErrorKind::Unsupported, doing, what))
    }
}

/// The revisions that a service names: what it is set to, its deployments, its task sets.
fn named_by(entry: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let parts = ["deployments", "taskSets"].into_iter().filter_map(|field| entry.get(field));
    let parts = parts.flat_map(|parts| parts.as_array().into_iter().flatten());
    // One that was replaced as a whole may still be listed.
    let live = parts.filter(|part| part.get("status").and_then(Value::as_str) != Some("INACTIVE"));
    let named = live.filter_map(|part| part.get("taskDefinition"));
    entry.get("taskDefinition").into_iter().chain(named).filter_map(Value::as_str)
}
