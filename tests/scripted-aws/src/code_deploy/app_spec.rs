//! What is to be deployed: an AppSpec in JSON.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::protocol::{Fault, epoch, required, text};
use crate::world::World;

/// What an AppSpec for ECS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppSpec {
    pub(super) content: String,
    pub(super) sha256: String,
    pub(super) task_definition: String,
}

impl AppSpec {
    /// Of a revision, as `CreateDeployment` gets it.
    pub(super) fn read(revision: &Value) -> Result<Self, Fault> {
        let wrong = |why: &str| Fault::new("InvalidRevisionException", why);
        if text(revision, "revisionType") != Some("AppSpecContent") {
            return Err(wrong("The double deploys revisions of the type AppSpecContent alone."));
        }
        let spec = &revision["appSpecContent"];
        let content = text(spec, "content").ok_or_else(|| wrong("The AppSpec content is missing."))?;
        let sha256 = format!("{:x}", Sha256::digest(content));
        if text(spec, "sha256").is_some_and(|said| said != sha256) {
            return Err(wrong("The SHA-256 is not that of the AppSpec content."));
        }
        let said: Value =
            serde_json::from_str(content).map_err(|_| wrong("The AppSpec file is not valid JSON."))?;
        let task_definition = service(&said).ok_or_else(|| {
            wrong("The AppSpec file names no AWS::ECS::Service with TaskDefinition and LoadBalancerInfo.")
        })?;
        Ok(Self { content: content.to_owned(), sha256, task_definition })
    }

    /// One that goes to a task definition, as CodeDeploy makes it where it goes back.
    pub(super) fn back_to(task_definition: &str) -> Self {
        let properties = json!({ "TaskDefinition": task_definition });
        let service = json!({ "TargetService": { "Type": "AWS::ECS::Service", "Properties": properties } });
        let content = json!({ "version": 0.0, "Resources": [service] }).to_string();
        let sha256 = format!("{:x}", Sha256::digest(&content));
        Self { content, sha256, task_definition: task_definition.to_owned() }
    }

    /// As deployments tell it: never with the content, which is to be asked for with `GetApplicationRevision`.
    pub(super) fn tell(&self) -> Value {
        json!({ "revisionType": "AppSpecContent", "appSpecContent": { "sha256": self.sha256 } })
    }
}

/// The task definition of the one service that an AppSpec names.
fn service(said: &Value) -> Option<String> {
    let version = &said["version"];
    if version.as_f64() != Some(0.0) && version.as_str() != Some("0.0") {
        return None;
    }
    let [resource] = said["Resources"].as_array()?.as_slice() else { return None };
    let (_, service) = resource.as_object()?.iter().next()?;
    let properties = &service["Properties"];
    let balanced = &properties["LoadBalancerInfo"];
    let complete = service["Type"] == "AWS::ECS::Service"
        && balanced["ContainerName"].is_string()
        && balanced["ContainerPort"].as_u64().is_some_and(|port| (1..=65_535).contains(&port));
    let task_definition = properties["TaskDefinition"].as_str()?;
    (complete && task_definition.starts_with("arn:")).then(|| task_definition.to_owned())
}

pub(super) fn get_revision(world: &World, input: &Value) -> Result<Value, Fault> {
    let application = required(input, "applicationName", "ApplicationNameRequiredException")?;
    super::groups::application(world, application)?;
    let revision = input
        .get("revision")
        .ok_or_else(|| Fault::new("RevisionRequiredException", "Revision is required."))?;
    let sha256 = text(&revision["appSpecContent"], "sha256").unwrap_or_default();
    let content = world.code_deploy.revisions.get(&(application.to_owned(), sha256.to_owned()));
    let content = content.ok_or_else(|| {
        Fault::new("RevisionDoesNotExistException", format!("No revision found with SHA-256 {sha256}"))
    })?;
    let used = || {
        let all = world.code_deploy.deployments.iter();
        all.filter(|one| one.application == application && one.spec.sha256 == sha256)
    };
    let mut groups: Vec<&str> = used().map(|one| one.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(json!({
        "applicationName": application,
        "revision": {
            "revisionType": "AppSpecContent",
            "appSpecContent": { "content": content, "sha256": sha256 },
        },
        "revisionInfo": {
            "deploymentGroups": groups,
            "firstUsedTime": used().next().map(|one| epoch(one.created)),
            "lastUsedTime": used().next_back().map(|one| epoch(one.created)),
            "registerTime": used().next().map(|one| epoch(one.created)),
        },
    }))
}
