//! CodeDeploy's deployments of the service.

use aws_sdk_codedeploy::types::{AppSpecContent, RevisionLocation, RevisionLocationType};
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value, json};

use super::{Client, items, text, texts};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::CodeDeployGroup;
use crate::look::CodeDeployInfo;

/// How many deployments are read, newest first. `BatchGetDeployments` takes 25.
const NEWEST: usize = 10;

/// The deployments of a service, and the group that makes them.
pub(super) struct Moved {
    pub(super) group: Option<CodeDeployGroup>,
    pub(super) deployments: Vec<CodeDeployInfo>,
}

impl Client {
    /// What CodeDeploy does with the service: by the group that is configured, else by the deployment that made its task set.
    pub(super) async fn code_deploy(&self, described: &Map<String, Value>) -> Result<Moved> {
        let sets: Vec<_> =
            described.get("taskSets").and_then(Value::as_array).into_iter().flatten().collect();
        let configured =
            self.place.group.as_ref().map(|group| (group.application.clone(), group.group.clone()));
        let found = match configured {
            Some(found) => Some(found),
            None => self.group_of(&sets).await?,
        };
        let Some((application, group)) = found else {
            return Ok(Moved { group: None, deployments: Vec::new() });
        };
        let deployments = self.newest(&application, &group, &sets).await?;
        let group = sets
            .iter()
            .flat_map(|set| items(set, "loadBalancers"))
            .chain(described.get("loadBalancers").and_then(Value::as_array).into_iter().flatten())
            .find_map(|balancer| {
                let port = u16::try_from(balancer.get("containerPort")?.as_u64()?).ok()?;
                let mut found =
                    CodeDeployGroup::new(&application, &group, text(balancer, "containerName")?, port);
                found.platform_version = platform(described);
                Some(found)
            });
        Ok(Moved { group, deployments })
    }

    /// Task sets that CodeDeploy made carry its deployment's id.
    async fn group_of(&self, sets: &[&Value]) -> Result<Option<(String, String)>> {
        let made = sets.iter().filter(|set| text(set, "startedBy") == Some("CODE_DEPLOY"));
        // The one that the service was made with was made by no deployment.
        let mut ids = made.filter_map(|set| text(set, "externalId")).filter(|id| !id.is_empty());
        let Some(id) = ids.next() else { return Ok(None) };
        let doing = format!("find the deployment group of {}", self.shown());
        let call = self.api.session().reads("codedeploy", "GetDeployment", doing);
        let answer =
            self.api.deploy(call, self.api.code_deploy.get_deployment().deployment_id(id).send()).await?;
        let info = answer.body.get("deploymentInfo").cloned().unwrap_or_default();
        Ok(text(&info, "applicationName")
            .zip(text(&info, "deploymentGroupName"))
            .map(|(a, g)| (a.to_owned(), g.to_owned())))
    }

    async fn newest(&self, application: &str, group: &str, sets: &[&Value]) -> Result<Vec<CodeDeployInfo>> {
        let doing = format!("list CodeDeploy's deployments of {application}/{group}");
        let call = self.api.session().reads("codedeploy", "ListDeployments", doing.clone());
        let request = self.api.code_deploy.list_deployments().application_name(application);
        let answer = self.api.deploy(call, request.deployment_group_name(group).send()).await?;
        let ids: Vec<_> = texts(&answer.body, "deployments").into_iter().take(NEWEST).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.api.session().reads("codedeploy", "BatchGetDeployments", doing);
        let request = self.api.code_deploy.batch_get_deployments().set_deployment_ids(Some(ids));
        let answer = self.api.deploy(call, request.send()).await?;
        let mut found: Vec<_> =
            items(&answer.body, "deploymentsInfo").filter_map(|entry| info(entry, sets)).collect();
        found.sort_by_key(|deployment: &CodeDeployInfo| std::cmp::Reverse(deployment.create_time));
        Ok(found)
    }

    /// One deployment as it is now.
    pub(crate) async fn code_deployment(&self, id: &str) -> Result<CodeDeployInfo> {
        let doing = format!("look at deployment {id} of CodeDeploy");
        let call = self.api.session().reads("codedeploy", "GetDeployment", doing.clone());
        let request = self.api.code_deploy.get_deployment().deployment_id(id);
        let answer = self.api.deploy(call, request.send()).await?;
        answer.body.get("deploymentInfo").and_then(|entry| info(entry, &[])).ok_or_else(|| {
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

    /// Makes a deployment of this revision with the group's own configuration. Its id.
    pub(crate) async fn create_code_deployment(
        &self,
        group: &CodeDeployGroup,
        to: &TaskDefinitionArn,
        why: &str,
    ) -> Result<String> {
        let doing = format!("deploy {} through {}/{}", to.short(), group.application, group.group);
        let call = self.api.session().changes("codedeploy", "CreateDeployment", doing);
        let content = AppSpecContent::builder().content(app_spec(group, to).to_string()).build();
        let revision = RevisionLocation::builder()
            .revision_type(RevisionLocationType::AppSpecContent)
            .app_spec_content(content)
            .build();
        let request = self.api.code_deploy.create_deployment().application_name(&group.application);
        let request = request.deployment_group_name(&group.group).revision(revision).description(why);
        let answer = self.api.deploy(call, request.send()).await?;
        Ok(text(&answer.body, "deploymentId").unwrap_or_default().to_owned())
    }

    /// The newest deployments of a group, whatever became of them.
    pub(crate) async fn newest_code_deployments(
        &self,
        group: &CodeDeployGroup,
    ) -> Result<Vec<CodeDeployInfo>> {
        self.newest(&group.application, &group.group, &[]).await
    }
}

/// `LATEST` for Fargate, and nothing for EC2: CodeDeploy refuses a platform there.
fn platform(described: &Map<String, Value>) -> Option<String> {
    described.get("platformVersion").and_then(Value::as_str).map(str::to_owned)
}

/// The AppSpec of an Amazon ECS deployment
/// (<https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-resources.html>).
fn app_spec(group: &CodeDeployGroup, to: &TaskDefinitionArn) -> Value {
    let mut properties = json!({
        "TaskDefinition": to,
        "LoadBalancerInfo": { "ContainerName": group.container, "ContainerPort": group.port },
    });
    if let (Some(platform), Some(properties)) = (&group.platform_version, properties.as_object_mut()) {
        properties.insert("PlatformVersion".to_owned(), json!(platform));
    }
    let service = json!({ "Type": "AWS::ECS::Service", "Properties": properties });
    // The one version that there is.
    json!({ "version": 0.0, "Resources": [{ "TargetService": service }] })
}

/// A deployment, with where it goes: by the task set that it made, else by its AppSpec.
fn info(entry: &Value, sets: &[&Value]) -> Option<CodeDeployInfo> {
    let mut read: CodeDeployInfo = serde_json::from_value(entry.clone()).ok()?;
    let made = sets.iter().find(|set| text(set, "externalId") == Some(read.deployment_id.as_str()));
    let of_set = made.and_then(|set| text(set, "taskDefinition"));
    let content = || {
        let revision = entry.get("revision")?;
        let spec = revision.get("appSpecContent").or_else(|| revision.get("string"))?;
        let spec: Value = serde_json::from_str(text(spec, "content")?).ok()?;
        let service = items(&spec, "Resources").find_map(|resource| resource.get("TargetService"))?;
        text(service.get("Properties")?, "TaskDefinition").map(str::to_owned)
    };
    read.task_definition = of_set.map(str::to_owned).or_else(content).and_then(|arn| arn.parse().ok());
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::revision;

    #[test]
    fn an_app_spec_names_revision_container_and_port() {
        let mut group = CodeDeployGroup::new("shop", "web", "web", 80);
        let spec = app_spec(&group, &revision(41)).to_string();
        assert!(spec.contains("task-definition/web:41") && !spec.contains("PlatformVersion"), "{spec}");
        assert!(spec.contains(r#""version":0.0"#), "CodeDeploy takes no other: {spec}");
        group.platform_version = Some("1.4.0".into());
        assert!(app_spec(&group, &revision(41)).to_string().contains("1.4.0"));
        let entry = json!({ "deploymentId": "d-1", "status": "InProgress",
            "revision": { "revisionType": "AppSpecContent", "appSpecContent": { "content": spec } } });
        assert_eq!(info(&entry, &[]).unwrap().task_definition, Some(revision(41)));
        let set = json!({ "externalId": "d-1", "taskDefinition": revision(42) });
        assert_eq!(info(&entry, &[&set]).unwrap().task_definition, Some(revision(42)));
    }
}
