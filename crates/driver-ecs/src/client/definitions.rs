//! Task definitions and the family.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ecs::types::{SortOrder, TaskDefinitionField, TaskDefinitionStatus};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use rollback_core::{Error, ErrorKind, Result};

use super::{Client, next, texts};
use crate::arn::TaskDefinitionArn;
use crate::history::Family;
use crate::task_definition::{Definition, Registration, TaskDefinition};

/// How many are read at once. More would only wait for their turn.
const AT_ONCE: usize = 16;

/// A revision as it is now.
pub(crate) struct Registered {
    pub(crate) definition: Definition,
    pub(crate) registration: Registration,
    pub(crate) registered_at: Option<Timestamp>,
}

impl Client {
    /// A task definition as it is now, with every value in clear.
    pub(crate) async fn task_definition(&self, arn: &TaskDefinitionArn) -> Result<TaskDefinition> {
        let request = self.api.ecs.describe_task_definition().task_definition(arn.arn().as_str());
        let request = request.include(TaskDefinitionField::Tags);
        let doing = format!("read {}", arn.short());
        let answer = self.api.read("DescribeTaskDefinition", doing, request.send()).await;
        let answer = answer.map_err(|error| missing(arn, error))?;
        let read = TaskDefinition::parse(answer.body)?;
        self.api.surroundings().registered(arn, read.registration());
        let key = self.key(arn.arn().account());
        let redacted = read.redacted(&key)?;
        self.api.definitions.keep((arn.to_string(), key.id().to_owned()), Arc::new(redacted));
        Ok(read)
    }

    /// What is in a task definition, in the form that is kept: remembered, because it never changes.
    pub(crate) async fn definition(&self, arn: &TaskDefinitionArn) -> Result<Arc<Definition>> {
        let key = self.key(arn.arn().account());
        if let Some(found) = self.api.definitions.get(&(arn.to_string(), key.id().to_owned())) {
            return Ok(found);
        }
        Ok(Arc::new(self.task_definition(arn).await?.redacted(&key)?))
    }

    /// Revisions as they are now: with when they were registered, and whether they can be used.
    pub(crate) async fn read_all(
        &self,
        arns: impl IntoIterator<Item = TaskDefinitionArn>,
    ) -> Result<BTreeMap<TaskDefinitionArn, Registered>> {
        let reads = arns.into_iter().map(|arn| async move {
            let read = match self.task_definition(&arn).await {
                Ok(read) => read,
                // Deleted for good since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let definition = read.redacted(&self.key(arn.arn().account()))?;
            let (registration, registered_at) = (read.registration(), read.registered_at());
            Ok(Some((arn, Registered { definition, registration, registered_at })))
        });
        let reads: Vec<_> = reads.collect();
        let found: Vec<_> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Those that can be read.
    pub(super) async fn definitions(
        &self,
        arns: impl IntoIterator<Item = TaskDefinitionArn>,
    ) -> BTreeMap<TaskDefinitionArn, Definition> {
        let reads = arns.into_iter().map(|arn| async move {
            let found = self.definition(&arn).await;
            if let Err(error) = &found {
                tracing::debug!(%error, revision = arn.short(), "a task definition could not be read");
            }
            found.ok().map(|definition| (arn, Definition::clone(&definition)))
        });
        // Collected first: a stream over a closure keeps the compiler from seeing that the whole may change threads.
        let reads: Vec<_> = reads.collect();
        stream::iter(reads).buffered(AT_ONCE).filter_map(std::future::ready).collect().await
    }

    /// The newest revisions of exactly this family, ACTIVE and INACTIVE.
    pub(crate) async fn family(&self, name: &str, most: usize) -> Result<Family> {
        let (active, inactive) = futures_util::future::try_join(
            self.revisions_of(name, &TaskDefinitionStatus::Active, most),
            self.revisions_of(name, &TaskDefinitionStatus::Inactive, most),
        )
        .await?;
        Ok(Family::new(name, active, inactive))
    }

    async fn revisions_of(
        &self,
        family: &str,
        status: &TaskDefinitionStatus,
        most: usize,
    ) -> Result<Vec<TaskDefinitionArn>> {
        let mut found: Vec<TaskDefinitionArn> = Vec::new();
        let mut token = None;
        // Twice as many pages as would do: a server that gives empty pages or other families is not asked for ever.
        for _ in 0..2 + most / 50 {
            let request = self.api.ecs.list_task_definitions().family_prefix(family).status(status.clone());
            let request = request.sort(SortOrder::Desc).max_results(100).set_next_token(token.take());
            let doing = format!("list the revisions of {family}");
            let answer = self.api.read("ListTaskDefinitions", doing, request.send()).await?;
            let page = texts(&answer.body, "taskDefinitionArns");
            found.extend(
                page.iter()
                    .filter_map(|arn| arn.parse().ok())
                    .filter(|arn: &TaskDefinitionArn| arn.family() == family),
            );
            token = next(&answer.body);
            if token.is_none() || found.len() >= most {
                break;
            }
        }
        found.sort_by(|a, b| b.cmp(a));
        found.truncate(most);
        Ok(found)
    }
}

/// ECS answers with a `ClientException` for a revision that is not there.
fn missing(arn: &TaskDefinitionArn, error: Error) -> Error {
    if error.kind() != ErrorKind::Invalid {
        return error;
    }
    let what = "ECS has no such revision: it never was, or was deleted for good";
    Error::new(ErrorKind::NotFound, format!("read {}", arn.short()), what)
        .with_source(error)
        .next(format!("aws ecs list-task-definitions --family-prefix {} --sort DESC", arn.family()))
}
