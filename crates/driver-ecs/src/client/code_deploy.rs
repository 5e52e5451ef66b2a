//! CodeDeploy's deployments of the service.

use std::sync::OnceLock;

use aws_sdk_codedeploy::types::{AppSpecContent, RevisionLocation, RevisionLocationType};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::join_all;
use rollback_core::{Effect, Error, ErrorKind, Result};
use serde_json::{Map, Value};

use super::app_spec;
use super::{Client, Depth, items, text, texts};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::CodeDeployGroup;
use crate::look::{CodeDeployInfo, line};

/// How many deployments are read, newest first: as many as `BatchGetDeployments` takes.
const NEWEST: usize = 25;

/// The deployments of a service, and the group that makes them.
pub(super) struct Moved {
    pub(super) group: Option<CodeDeployGroup>,
    pub(super) deployments: Vec<CodeDeployInfo>,
}

/// An application and one of its deployment groups.
pub(super) type GroupName = (String, String);

impl Client {
    /// What CodeDeploy does with the service: by this group, else by the one that is configured, else by the deployment that made
    /// a task set.
    pub(super) async fn code_deploy(
        &self,
        described: &Map<String, Value>,
        group: Option<GroupName>,
        depth: Depth,
    ) -> Result<Moved> {
        let sets: Vec<_> =
            described.get("taskSets").and_then(Value::as_array).into_iter().flatten().collect();
        let configured = self.place.group.as_ref();
        let configured = configured.map(|group| (group.application.clone(), group.group.clone()));
        let found = match group.or(configured) {
            Some(found) => Some(found),
            None => self.group_of(&sets).await?,
        };
        let Some((application, group)) = found else {
            return self.unmoved(&sets);
        };
        let deployed = self.newest(&application, &group).await?;
        let deployments = self.with_destinations(deployed, &sets, depth).await?;
        // Those that roll back move everything at once, whatever the group has.
        let last = deployments.iter().find(|deployment| !deployment.is_rollback());
        let configuration = last.and_then(|last| last.deployment_config_name.clone());
        let group = sets
            .iter()
            .flat_map(|set| items(set, "loadBalancers"))
            .chain(described.get("loadBalancers").and_then(Value::as_array).into_iter().flatten())
            .find_map(|balancer| {
                let port = u16::try_from(balancer.get("containerPort")?.as_u64()?).ok()?;
                let mut found =
                    CodeDeployGroup::new(&application, &group, text(balancer, "containerName")?, port);
                found.platform_version = platform(described, &sets);
                found.configuration.clone_from(&configuration);
                Some(found)
            });
        Ok(Moved { group, deployments })
    }

    /// Nobody knows the group. That is nothing to worry about as long as there is only the task set that the service was made with.
    fn unmoved(&self, sets: &[&Value]) -> Result<Moved> {
        if sets.iter().filter(|set| text(set, "status") != Some("DRAINING")).count() <= 1 {
            return Ok(Moved { group: None, deployments: Vec::new() });
        }
        let doing = format!("find the deployment group of {}", self.shown());
        let what = "it has several task sets, and none tells which deployment of CodeDeploy made it";
        Err(Error::new(ErrorKind::NotFound, doing, what).next("set `codedeploy` in the configuration"))
    }

    /// Task sets that CodeDeploy made carry its deployment's id; the one that the service was made with carries none. What was found
    /// once is remembered: a rollback may leave only that one.
    async fn group_of(&self, sets: &[&Value]) -> Result<Option<GroupName>> {
        let service = (self.place.cluster.clone(), self.place.service.clone());
        let Some(id) = sets.iter().find_map(|set| made_by(set)) else {
            return Ok(self.api.groups.get(&service));
        };
        if let Some(found) = self.api.makers.get(&id.to_owned()) {
            return Ok(Some(found));
        }
        let doing = format!("find the deployment group of {}", self.shown());
        let call = self.api.session().reads("codedeploy", "GetDeployment", doing);
        let answer =
            self.api.deploy(call, self.api.code_deploy.get_deployment().deployment_id(id).send()).await?;
        let info = answer.body.get("deploymentInfo").cloned().unwrap_or_default();
        let found = text(&info, "applicationName")
            .zip(text(&info, "deploymentGroupName"))
            .map(|(application, group)| (application.to_owned(), group.to_owned()));
        if let Some(found) = &found {
            self.api.makers.keep(id.to_owned(), found.clone());
            self.api.groups.keep(service, found.clone());
        }
        Ok(found)
    }

    /// The newest deployments of a group, newest first.
    async fn newest(&self, application: &str, group: &str) -> Result<Vec<CodeDeployInfo>> {
        let doing = format!("list CodeDeploy's deployments of {application}/{group}");
        let call = self.api.session().reads("codedeploy", "ListDeployments", doing.clone());
        let request = self.api.code_deploy.list_deployments().application_name(application);
        let answer = self.api.deploy(call, request.deployment_group_name(group).send()).await?;
        let ids: Vec<_> = texts(&answer.body, "deployments").into_iter().take(NEWEST).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.api.session().reads("codedeploy", "BatchGetDeployments", doing);
        let request = self.api.code_deploy.batch_get_deployments().set_deployment_ids(Some(ids.clone()));
        let answer = self.api.deploy(call, request.send()).await?;
        let mut found: Vec<_> = items(&answer.body, "deploymentsInfo").filter_map(read).collect();
        // CodeDeploy lists them in this order; its documentation does not promise it.
        found.sort_by_key(|deployment: &CodeDeployInfo| {
            let place = ids.iter().position(|id| *id == deployment.deployment_id);
            (std::cmp::Reverse(deployment.create_time), place)
        });
        Ok(found)
    }

    /// Where deployments go: for those that are on their way, and for all of them where the past is asked for. A task set tells it
    /// at once, an AppSpec has to be read.
    async fn with_destinations(
        &self,
        deployed: Vec<CodeDeployInfo>,
        sets: &[&Value],
        depth: Depth,
    ) -> Result<Vec<CodeDeployInfo>> {
        let read = deployed.into_iter().map(|mut deployment| async move {
            let id = deployment.deployment_id.as_str();
            let made = sets.iter().find(|set| made_by(set) == Some(id));
            deployment.task_definition =
                made.and_then(|set| text(set, "taskDefinition")).and_then(|arn| arn.parse().ok());
            let wanted = depth == Depth::Plan || deployment.is_in_flight();
            if deployment.task_definition.is_none()
                && wanted
                && let Some(spec) = &deployment.app_spec
            {
                deployment.task_definition = match self.app_spec(spec).await {
                    Ok(content) => app_spec::task_definition(&content),
                    Err(error) if error.is_transient() => return Err(error),
                    // Then it is not known, and the rest of the deployment is.
                    Err(error) => {
                        tracing::debug!(%error, "an AppSpec could not be read");
                        None
                    }
                };
            }
            Ok(deployment)
        });
        join_all(read).await.into_iter().collect()
    }

    /// One deployment as it is now.
    pub(crate) async fn code_deployment(&self, id: &str) -> Result<CodeDeployInfo> {
        let doing = format!("look at deployment {id} of CodeDeploy");
        let call = self.api.session().reads("codedeploy", "GetDeployment", doing.clone());
        let request = self.api.code_deploy.get_deployment().deployment_id(id);
        let answer = self.api.deploy(call, request.send()).await?;
        answer.body.get("deploymentInfo").and_then(read).ok_or_else(|| {
            Error::new(ErrorKind::Unavailable, doing, "the answer is not one that CodeDeploy gives")
        })
    }

    /// Stops a deployment and has it rolled back.
    pub(crate) async fn stop_code_deployment(&self, id: &str) -> Result<()> {
        let doing = format!("stop deployment {id} of CodeDeploy");
        let call = self.api.session().changes("codedeploy", "StopDeployment", doing);
        let request = self.api.code_deploy.stop_deployment().deployment_id(id).auto_rollback_enabled(true);
        self.api.deploy(call, request.send()).await.map(drop)
    }

    /// Makes a deployment with the group's own configuration. Its id.
    pub(crate) async fn create_code_deployment(
        &self,
        group: &CodeDeployGroup,
        to: &TaskDefinitionArn,
        app_spec: &str,
        why: &str,
    ) -> Result<String> {
        let name = format!("{}/{}", group.application, group.group);
        let doing = format!("deploy {} through {name}", to.short());
        let call = self.api.session().changes("codedeploy", "CreateDeployment", doing.clone());
        let revision = RevisionLocation::builder()
            .revision_type(RevisionLocationType::AppSpecContent)
            .app_spec_content(AppSpecContent::builder().content(app_spec).build())
            .build();
        let request = self.api.code_deploy.create_deployment().application_name(&group.application);
        let request = request.deployment_group_name(&group.group).revision(revision).description(why);
        let busy = OnceLock::new();
        let sent = async {
            let answer = request.send().await;
            if let Err(refused) = &answer
                && refused.code() == Some("DeploymentLimitExceededException")
            {
                let _ = busy.set(line(refused.message().unwrap_or("it already has an active deployment")));
            }
            answer
        };
        let answer = self.api.deploy(call, sent).await;
        if let Some(said) = busy.get() {
            return Err(taken(&doing, &name, said));
        }
        let answer = answer?;
        let unreadable = || {
            Error::new(ErrorKind::Unavailable, doing, "the answer names no deployment")
                .with_effect(Effect::Applied)
        };
        text(&answer.body, "deploymentId").map(str::to_owned).ok_or_else(unreadable)
    }
}

/// A group makes one deployment at a time, and somebody else's is on its way.
fn taken(doing: &str, group: &str, said: &str) -> Error {
    let what = format!("deployment group {group} makes one deployment at a time: {said}");
    Error::new(ErrorKind::Conflict, doing, what).with_effect(Effect::None).next(
        "wait until that deployment has ended, or stop it: aws deploy stop-deployment --deployment-id ID",
    )
}

/// The deployment that made a task set, if CodeDeploy did.
fn made_by(set: &Value) -> Option<&str> {
    let id = text(set, "externalId").filter(|id| !id.is_empty());
    id.filter(|_| text(set, "startedBy").is_none_or(|by| by == "CODE_DEPLOY"))
}

/// The platform version of Fargate, and nothing for EC2: CodeDeploy refuses one there.
fn platform(described: &Map<String, Value>, sets: &[&Value]) -> Option<String> {
    let own = described.get("platformVersion").and_then(Value::as_str);
    let primary = sets.iter().find(|set| text(set, "status") == Some("PRIMARY"));
    own.or_else(|| primary.and_then(|set| text(set, "platformVersion"))).map(str::to_owned)
}

/// A deployment, without where it goes: its AppSpec tells that.
fn read(entry: &Value) -> Option<CodeDeployInfo> {
    let mut read: CodeDeployInfo = serde_json::from_value(entry.clone()).ok()?;
    read.app_spec = app_spec::id(entry);
    Some(read)
}
