//! What was going on when a running state was read: which ways back are open depends on it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::arn::{Arn, TaskDefinitionArn};

/// What was going on. It belongs to the moment, not to the state: it takes no part in identities.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[non_exhaustive]
pub struct Circumstances {
    /// Who moves the service from one task definition to another.
    pub controller: Controller,
    /// ECS's own deployment, while it is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<NativeDeployment>,
    /// CodeDeploy's deployment, while it is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_deploy: Option<CodeDeployment>,
    /// The deployment group that moves the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<CodeDeployGroup>,
    /// How a listener divides its requests, where the target groups of two releases stand side by side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// What could not be read, and why: `service-deployments`, `codedeploy`, `traffic`. What is missing above may be there then.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, String>,
}

impl Circumstances {
    /// ECS's own deployments, in [`unread`](Self::unread).
    pub const NATIVE: &str = "service-deployments";
    /// CodeDeploy's deployments, in [`unread`](Self::unread).
    pub const CODE_DEPLOY: &str = "codedeploy";
    /// How requests are divided, in [`unread`](Self::unread).
    pub const TRAFFIC: &str = "traffic";
}

/// Who moves a service from one task definition to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Controller {
    /// ECS itself.
    #[default]
    Ecs,
    /// CodeDeploy: `UpdateService` refuses another task definition.
    CodeDeploy,
    /// Somebody else, through task sets.
    External,
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ecs => "ECS",
            Self::CodeDeploy => "CodeDeploy",
            Self::External => "an external controller",
        })
    }
}

/// A service deployment of ECS that is on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct NativeDeployment {
    /// Its ARN.
    pub arn: Arn,
    /// Whether it is going back already.
    pub returning: bool,
    /// Where it is in its life: `BAKE_TIME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The hook at which it waits for somebody to say how to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// Where it would go back to, where that is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns_to: Option<TaskDefinitionArn>,
}

impl NativeDeployment {
    /// A deployment on its way forward.
    #[must_use]
    pub fn new(arn: Arn, returns_to: Option<TaskDefinitionArn>) -> Self {
        Self { arn, returning: false, stage: None, hook: None, returns_to }
    }

    /// Whether the earlier tasks still run beside the new ones, so that only traffic has to move.
    #[must_use]
    pub fn both_run(&self) -> bool {
        const STAGES: [&str; 6] = [
            "POST_SCALE_UP",
            "TEST_TRAFFIC_SHIFT",
            "POST_TEST_TRAFFIC_SHIFT",
            "PRODUCTION_TRAFFIC_SHIFT",
            "POST_PRODUCTION_TRAFFIC_SHIFT",
            "BAKE_TIME",
        ];
        self.stage.as_deref().is_some_and(|stage| STAGES.contains(&stage))
    }
}

/// A deployment of CodeDeploy that is on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CodeDeployment {
    /// Its id: `d-ABCDEF123`.
    pub id: String,
    /// Whether it was made by CodeDeploy to roll another one back.
    #[serde(default)]
    pub returning: bool,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Whether it has been on its way for longer than deployments are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stuck: bool,
    /// Where it would go back to, where that is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns_to: Option<TaskDefinitionArn>,
}

impl CodeDeployment {
    /// A deployment on its way forward.
    #[must_use]
    pub fn new(id: impl Into<String>, returns_to: Option<TaskDefinitionArn>) -> Self {
        Self { id: id.into(), returning: false, started_at: None, stuck: false, returns_to }
    }
}

/// The deployment group of CodeDeploy that moves a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CodeDeployGroup {
    /// The application.
    pub application: String,
    /// The group.
    pub group: String,
    /// The container that takes requests.
    pub container: String,
    /// Its port.
    pub port: u16,
    /// The platform version that the service has, for Fargate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform_version: Option<String>,
    /// The deployment configuration that its last deployment had: how requests are moved, and so how long it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
}

impl CodeDeployGroup {
    /// A group that sends requests to this container and port.
    pub fn new(
        application: impl Into<String>,
        group: impl Into<String>,
        container: impl Into<String>,
        port: u16,
    ) -> Self {
        Self {
            application: application.into(),
            group: group.into(),
            container: container.into(),
            port,
            platform_version: None,
            configuration: None,
        }
    }
}

/// How a listener or rule divides its requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Traffic {
    /// The listener, or the rule of one.
    pub listener: Arn,
    /// Its target groups.
    pub groups: Vec<TrafficGroup>,
}

impl Traffic {
    /// A listener with its groups.
    #[must_use]
    pub fn new(listener: Arn, groups: Vec<TrafficGroup>) -> Self {
        Self { listener, groups }
    }
}

/// One target group behind a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct TrafficGroup {
    /// The target group.
    pub target_group: Arn,
    /// Its share of the requests, from 0 to 999.
    pub weight: u16,
    /// How many of its targets are healthy.
    pub healthy: u32,
    /// What its targets run, if it is the same for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<TaskDefinitionArn>,
}

impl TrafficGroup {
    /// A target group.
    #[must_use]
    pub fn new(target_group: Arn, weight: u16, healthy: u32, runs: Option<TaskDefinitionArn>) -> Self {
        Self { target_group, weight, healthy, runs }
    }
}
