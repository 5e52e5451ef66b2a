//! The parts of CodeDeploy's answers that are looked at.

use jiff::Timestamp;
use serde::Deserialize;

use super::super::data::or_default;
use super::super::reasons::line;
use crate::arn::TaskDefinitionArn;
use crate::time::optional;

/// A deployment, as CodeDeploy's `GetDeployment` tells it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct CodeDeployInfo {
    /// `d-ABCDEF123`.
    pub deployment_id: String,
    /// `Created`, `Queued`, `InProgress`, `Baking`, `Ready`, `Succeeded`, `Failed` or `Stopped`.
    pub status: String,
    /// What it was made with: the mark of a run, for one that we made.
    pub description: Option<String>,
    /// `user`, `codeDeployRollback`, …
    pub creator: Option<String>,
    /// How it moves requests: `CodeDeployDefault.ECSAllAtOnce`.
    pub deployment_config_name: Option<String>,
    /// When it was made.
    #[serde(deserialize_with = "optional")]
    pub create_time: Option<Timestamp>,
    /// When it began.
    #[serde(deserialize_with = "optional")]
    pub start_time: Option<Timestamp>,
    /// When it ended.
    #[serde(deserialize_with = "optional")]
    pub complete_time: Option<Timestamp>,
    /// Whether all requests go to its task set, and the one before only waits to be terminated.
    #[serde(deserialize_with = "or_default")]
    pub instance_termination_wait_time_started: bool,
    /// Why it failed.
    pub error_information: Option<CodeDeployError>,
    /// What became of rolling it back.
    pub rollback_info: Option<CodeDeployRollback>,
    /// Where it goes, from its AppSpec. Whoever reads the answer takes it out of there.
    pub task_definition: Option<TaskDefinitionArn>,
    /// Which AppSpec it has: its application and the SHA-256 of the content.
    #[serde(skip)]
    pub(crate) app_spec: Option<(String, String)>,
}

impl CodeDeployInfo {
    /// Whether it is not at its end.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        matches!(self.status.as_str(), "Created" | "Queued" | "InProgress" | "Baking" | "Ready")
    }

    /// Whether it ended without getting where it was meant to.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self.status.as_str(), "Failed" | "Stopped")
    }

    /// Whether CodeDeploy made it to roll another one back. It makes no task set then.
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        self.creator.as_deref() == Some("codeDeployRollback") || self.rolls_back().is_some()
    }

    /// The deployment that this one rolls back.
    #[must_use]
    pub fn rolls_back(&self) -> Option<&str> {
        self.rollback_info.as_ref()?.rollback_triggering_deployment_id.as_deref()
    }

    /// The deployment that rolls this one back.
    #[must_use]
    pub fn rolled_back_by(&self) -> Option<&str> {
        self.rollback_info.as_ref()?.rollback_deployment_id.as_deref()
    }

    /// CodeDeploy's own words for why it ended, and for what follows.
    pub(in crate::look) fn words(&self) -> String {
        let error = self.error_information.as_ref();
        let error = error.and_then(|error| error.message.as_deref().or(error.code.as_deref()));
        let back = self.rollback_info.as_ref().and_then(|back| back.rollback_message.as_deref());
        let words = [error, back].into_iter().flatten().map(line).collect::<Vec<_>>().join("; ");
        if words.is_empty() { "it gives no reason".to_owned() } else { words }
    }

    /// What texts call it.
    pub(super) fn told(&self) -> String {
        format!("deployment {} of CodeDeploy", line(&self.deployment_id))
    }
}

/// Why a deployment of CodeDeploy failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CodeDeployError {
    /// `HEALTH_CONSTRAINTS`, …
    pub code: Option<String>,
    /// CodeDeploy's words.
    pub message: Option<String>,
}

/// What became of rolling a deployment of CodeDeploy back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct CodeDeployRollback {
    /// CodeDeploy's words.
    pub rollback_message: Option<String>,
    /// The deployment that this one rolls back.
    pub rollback_triggering_deployment_id: Option<String>,
    /// The deployment that rolls this one back.
    pub rollback_deployment_id: Option<String>,
}
