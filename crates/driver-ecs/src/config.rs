//! What a person configures.

use std::fmt;

use rollback_aws_support::AwsSettings;
use rollback_core::registry::{read_known_settings, wrong_setting};
use rollback_core::{ComponentName, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::arn::Arn;
use crate::text::is_ecs_name;

/// The configuration of one ECS service.
///
/// ```
/// # use rollback_core::ComponentName;
/// use rollback_driver_ecs::EcsConfig;
/// let config = serde_json::json!({ "cluster": "prod", "service": "web", "region": "eu-west-1" });
/// let config = EcsConfig::read(&ComponentName::new("web")?, &config)?;
/// assert_eq!(config.service, "web");
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct EcsConfig {
    /// the cluster, by name or ARN
    pub cluster: String,
    /// the service, by name
    pub service: String,
    /// the container whose image tag is the version; left out, the only essential one
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main_container: Option<String>,
    /// application and group of CodeDeploy, where they cannot be found out
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codedeploy: Option<CodeDeployConfig>,
    /// the secret key of the digests that stand for environment values, sixteen characters at least; the same for everybody who
    /// operates the service. Write it as `${NAME}`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint_key: Option<String>,
    /// deregister the revision that was rolled back from, once the rollback is proven and nothing in the account's region uses it
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deregister_bad: bool,
    /// Where to and as whom.
    #[serde(flatten)]
    #[schemars(skip)]
    pub aws: AwsSettings,
}

/// Application and deployment group of CodeDeploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CodeDeployConfig {
    /// the application
    pub application: String,
    /// the deployment group
    pub group: String,
}

impl EcsConfig {
    /// A service with nothing but its name: everything else comes from the environment.
    pub fn new(cluster: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            cluster: cluster.into(),
            service: service.into(),
            main_container: None,
            codedeploy: None,
            fingerprint_key: None,
            deregister_bad: false,
            aws: AwsSettings::new(),
        }
    }

    /// Sets where to and as whom.
    #[must_use]
    pub fn aws(mut self, aws: AwsSettings) -> Self {
        self.aws = aws;
        self
    }

    /// Has the revision that was rolled back from deregistered, once the rollback is proven and nothing uses it.
    #[must_use]
    pub fn deregister_bad(mut self) -> Self {
        self.deregister_bad = true;
        self
    }

    /// Reads and checks settings. Nothing is asked of AWS.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`](rollback_core::ErrorKind::Invalid) with the setting that does not fit and what to write instead.
    pub fn read(component: &ComponentName, config: &Value) -> Result<Self> {
        let schema = Self::schema();
        let read: Self = read_known_settings(component, config, &schema)?;
        read.check()?;
        Ok(read)
    }

    /// Looks at the form of each setting. Asks nobody.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn check(&self) -> Result<()> {
        let cluster = self.cluster.parse::<Arn>().is_ok_and(|arn| {
            arn.service() == "ecs" && arn.resource().strip_prefix("cluster/").is_some_and(is_ecs_name)
        });
        if !cluster && !is_ecs_name(&self.cluster) {
            return Err(wrong_setting(
                "cluster",
                &self.cluster,
                "is no cluster's name or ARN",
                "write it like prod",
            ));
        }
        if !is_ecs_name(&self.service) {
            return Err(wrong_setting(
                "service",
                &self.service,
                "is no service's name",
                "write its name, like web",
            ));
        }
        if let Some(container) = self.main_container.as_deref().filter(|container| !is_ecs_name(container)) {
            let next = "write it as in the task definition";
            return Err(wrong_setting("main_container", container, "is no container's name", next));
        }
        self.aws.check()?;
        if let Some(found) = &self.codedeploy
            && !(is_name(&found.application) && is_name(&found.group))
        {
            let next = "write it like { application = \"shop\", group = \"web\" }";
            return Err(wrong_setting(
                "codedeploy",
                &found.application,
                "has no application or group that could be",
                next,
            ));
        }
        let key = self.fingerprint_key.as_ref();
        key.map_or(Ok(()), |key| {
            rollback_core::fingerprint::FingerprintKey::secret(crate::NAME, key.as_bytes()).map(drop)
        })
    }

    /// The JSON Schema of this type.
    #[must_use]
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("title".to_owned(), Value::from("ecs"));
            schema.remove("description");
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
            if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                properties.extend(AwsSettings::properties());
            }
        }
        schema
    }
}

impl fmt::Debug for EcsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcsConfig")
            .field("cluster", &self.cluster)
            .field("service", &self.service)
            .field("aws", &self.aws)
            .field("main_container", &self.main_container)
            .field("codedeploy", &self.codedeploy)
            .finish_non_exhaustive()
    }
}

/// A name of the user's own: a profile, an application.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 100 && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use rollback_core::ErrorKind;
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> Result<EcsConfig> {
        EcsConfig::read(&ComponentName::new("web").unwrap(), config)
    }

    fn full() -> Value {
        json!({
            "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/prod", "service": "web", "region": "eu-west-1",
            "profile": "ops", "role_arn": "arn:aws:iam::123456789012:role/rollback", "external_id": "ours", "main_container": "web",
            "endpoint_url": "http://127.0.0.1:4566",
            "codedeploy": { "application": "shop", "group": "web" }, "fingerprint_key": "not for anybody's eyes", "deregister_bad": true,
        })
    }

    #[test]
    fn every_setting_is_read_and_known_to_the_schema() {
        let config = read(&full()).unwrap();
        assert_eq!(serde_json::to_value(&config).unwrap(), full());
        let schema = EcsConfig::schema();
        let known: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(known.len(), full().as_object().unwrap().len());
        assert!(full().as_object().unwrap().keys().all(|key| known.contains(&key)));
        assert_eq!(schema["additionalProperties"], json!(false));
        assert!(!format!("{config:?}").contains("anybody"));
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused_with_advice() {
        for (key, value) in [
            ("cluster", json!("")),
            ("cluster", json!("arn:aws:ecs:eu-west-1:123456789012:service/prod")),
            ("service", json!("web/x")),
            ("service", json!(7)),
            ("region", json!("Europe")),
            ("profile", json!("a\u{1b}b")),
            ("role_arn", json!("arn:aws:iam::123456789012:user/x")),
            ("endpoint_url", json!("ftp://x")),
            ("main_container", json!("a b")),
            ("codedeploy", json!({ "application": "", "group": "g" })),
            ("codedeploy", json!({ "application": "a" })),
            ("fingerprint_key", json!("short")),
            ("clutser", json!("x")),
        ] {
            let mut config = full();
            config[key] = value.clone();
            let error = read(&config).expect_err(key);
            assert_eq!(error.kind(), ErrorKind::Invalid, "{key} {value}");
            assert!(!error.to_string().contains("short"), "{error}");
        }
    }
}
