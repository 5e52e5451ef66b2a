//! AppSpecs of Amazon ECS deployments
//! (<https://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file-structure-resources.html>).

use std::collections::BTreeSet;

use aws_sdk_codedeploy::types::{AppSpecContent, RevisionLocation, RevisionLocationType};
use futures_util::future::join_all;
use rollback_core::Result;
use serde_json::{Value, json};

use super::{Client, items, text};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::CodeDeployGroup;
use crate::look::Look;

/// What identifies an AppSpec: its application and the SHA-256 of its content.
pub(super) type SpecId = (String, String);

/// The AppSpec that a deployment names. CodeDeploy never tells its content there, only its hash.
pub(super) fn id(entry: &Value) -> Option<SpecId> {
    let revision = entry.get("revision")?;
    let spec = revision.get("appSpecContent").or_else(|| revision.get("string"))?;
    Some((text(entry, "applicationName")?.to_owned(), text(spec, "sha256")?.to_owned()))
}

impl Client {
    /// The content of an AppSpec. It is remembered: its name is its hash.
    pub(super) async fn app_spec(&self, id: &SpecId) -> Result<String> {
        if let Some(content) = self.api.specs.get(id) {
            return Ok(content);
        }
        let (application, sha256) = id;
        let doing = format!("read what CodeDeploy's application {application} deployed");
        let call = self.api.session().reads("codedeploy", "GetApplicationRevision", doing);
        let named = RevisionLocation::builder()
            .revision_type(RevisionLocationType::AppSpecContent)
            .app_spec_content(AppSpecContent::builder().sha256(sha256).build())
            .build();
        let request = self.api.code_deploy.get_application_revision().application_name(application);
        let answer = self.api.deploy(call, request.revision(named).send()).await?;
        let revision = answer.body.get("revision");
        let spec =
            revision.and_then(|revision| revision.get("appSpecContent").or_else(|| revision.get("string")));
        let content = spec.and_then(|spec| text(spec, "content")).unwrap_or_default().to_owned();
        if !content.is_empty() {
            self.api.specs.keep(id.clone(), content.clone());
        }
        Ok(content)
    }

    /// What the revision was last deployed with, hooks and all, if that was; else what says no more than CodeDeploy needs. A failure to
    /// read is none to deploy.
    pub(crate) async fn app_spec_to(
        &self,
        group: &CodeDeployGroup,
        to: &TaskDefinitionArn,
        look: &Look,
    ) -> String {
        let deployed = look.code_deploy.known().into_iter().flatten();
        let good = deployed.filter(|deployment| deployment.status == "Succeeded");
        // What several deployments had in common is read once.
        let mut seen = BTreeSet::new();
        let specs = good.filter_map(|deployment| deployment.app_spec.as_ref()).filter(|id| seen.insert(*id));
        let read = join_all(specs.map(|id| self.app_spec(id))).await;
        let of = |content: &String| task_definition(content).as_ref() == Some(to) && is_complete(content);
        read.into_iter().flatten().find(of).unwrap_or_else(|| made(group, to).to_string())
    }
}

/// Whether an AppSpec says where requests go. CodeDeploy's own, of its rollbacks, need not.
fn is_complete(content: &str) -> bool {
    content.contains("LoadBalancerInfo")
}

/// An AppSpec that says what has to be said and nothing else.
fn made(group: &CodeDeployGroup, to: &TaskDefinitionArn) -> Value {
    let mut properties = json!({
        "TaskDefinition": to,
        "LoadBalancerInfo": { "ContainerName": group.container, "ContainerPort": group.port },
    });
    if let (Some(platform), Some(properties)) = (&group.platform_version, properties.as_object_mut()) {
        properties.insert("PlatformVersion".to_owned(), json!(platform));
    }
    let service = json!({ "Type": "AWS::ECS::Service", "Properties": properties });
    // The only version that there is.
    json!({ "version": 0.0, "Resources": [{ "TargetService": service }] })
}

/// Where an AppSpec goes. It is JSON or YAML; of YAML only the line that says it is read.
pub(super) fn task_definition(content: &str) -> Option<TaskDefinitionArn> {
    if let Ok(spec) = serde_json::from_str::<Value>(content) {
        // Which name the resource has is free.
        let mut resources =
            items(&spec, "Resources").filter_map(Value::as_object).flat_map(|one| one.values());
        return resources.find_map(|one| text(one.get("Properties")?, "TaskDefinition")?.parse().ok());
    }
    content.lines().find_map(|line| {
        let value = line.trim_start().trim_start_matches("- ").strip_prefix("TaskDefinition:")?;
        let value = value.split(" #").next()?.trim().trim_matches(['"', '\'']);
        value.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::revision;

    #[test]
    fn an_app_spec_names_version_revision_container_and_port() {
        let mut group = CodeDeployGroup::new("shop", "web", "web", 80);
        let spec = made(&group, &revision(41)).to_string();
        assert!(spec.contains(r#""version":0.0"#), "{spec}");
        assert!(spec.contains("task-definition/web:41") && !spec.contains("PlatformVersion"), "{spec}");
        assert_eq!(task_definition(&spec), Some(revision(41)));
        group.platform_version = Some("1.4.0".into());
        assert!(made(&group, &revision(41)).to_string().contains("1.4.0"));
    }

    #[test]
    fn app_specs_of_others_are_read_whatever_their_form() {
        let arn = revision(41).to_string();
        let yaml = format!(
            "version: 0.0\nResources:\n  - MyOwnName:\n      Type: AWS::ECS::Service\n      Properties:\n        \
             TaskDefinition: \"{arn}\" # the release\n        LoadBalancerInfo:\n          ContainerName: web\n"
        );
        assert_eq!(task_definition(&yaml), Some(revision(41)));
        assert_eq!(
            task_definition(&yaml.replace(['"'], "").replace(" # the release", "")),
            Some(revision(41))
        );
        let named = json!({ "Resources": [{ "Other": { "Properties": { "TaskDefinition": arn } } }] });
        assert_eq!(task_definition(&named.to_string()), Some(revision(41)));
        for nothing in ["", "{}", "TaskDefinition: <TASK_DEFINITION>", "# TaskDefinition: x"] {
            assert_eq!(task_definition(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_deployment_names_its_app_spec_by_hash() {
        let spec = json!({ "revisionType": "AppSpecContent", "appSpecContent": { "sha256": "ab" } });
        let entry = json!({ "applicationName": "shop", "revision": spec });
        assert_eq!(id(&entry), Some(("shop".into(), "ab".into())));
        assert_eq!(id(&json!({ "applicationName": "shop" })), None);
    }
}
