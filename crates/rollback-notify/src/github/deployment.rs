//! A rollback as a deployment.

use rollback_core::{Error, ErrorKind, Result, State};
use serde_json::{Value, json};

use super::Github;
use crate::clean;
use crate::notice::{Kind, Notice};

/// How long a description may be: <https://docs.github.com/en/rest/deployments/statuses#create-a-deployment-status>.
const LONGEST: usize = 140;

impl Github {
    pub(super) async fn tell_deployment(&self, notice: &Notice) -> Result<()> {
        let (Some(run), Some(state)) = (notice.run, state(notice)) else { return Ok(()) };
        let run = run.to_string();
        let environment = notice.environment.as_str();
        let query = [("environment", environment), ("task", "rollback"), ("per_page", "100")];
        let known = self.get("deployments", &query).await?;
        let known = known.as_array().into_iter().flatten().find(|one| run_of(one).as_deref() == Some(&run));
        let id = match known.and_then(|one| one["id"].as_u64()) {
            Some(id) => id,
            None => self.begin(notice, &run).await?,
        };
        let path = format!("deployments/{id}/statuses");
        let statuses = self.get(&path, &[("per_page", "1")]).await?;
        if statuses[0]["state"] == state {
            return Ok(());
        }
        let description = clean::line(&notice.title(), LONGEST - 1);
        let mut status = json!({ "state": state, "environment": environment, "description": description });
        if let Some(link) = &notice.link {
            status["log_url"] = json!(link);
        }
        self.post(&path, &status).await.map(drop)
    }

    async fn begin(&self, notice: &Notice, run: &str) -> Result<u64> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::Invalid, format!("tell {}", self.name), why)
                .next("set `git_ref` to what is deployed, or leave `deployments` out")
        };
        let git_ref = self.git_ref.clone().or_else(|| version(notice));
        let Some(git_ref) = git_ref else {
            return Err(wrong("the components go back to more than one version, or to none that is known"));
        };
        let body = json!({
            "ref": git_ref,
            "task": "rollback",
            "auto_merge": false,
            "required_contexts": [],
            "environment": notice.environment,
            "description": clean::line(&notice.title(), LONGEST - 1),
            "payload": { "run": run },
        });
        let made = self.post("deployments", &body).await.map_err(|error| match error.kind() {
            // What it answers where the ref is none of the repository's.
            ErrorKind::Invalid | ErrorKind::Conflict => wrong(error.message()),
            _ => error,
        })?;
        made["id"].as_u64().ok_or_else(|| wrong("it made no deployment"))
    }
}

fn state(notice: &Notice) -> Option<&'static str> {
    match (notice.kind, notice.state) {
        (Kind::Started, _) => Some("in_progress"),
        (Kind::Done, _) => Some("success"),
        (Kind::Failed, Some(State::Refused | State::Cancelled | State::Superseded)) => Some("error"),
        (Kind::Failed, _) => Some("failure"),
        _ => None,
    }
}

/// The version that all components go back to.
fn version(notice: &Notice) -> Option<String> {
    let mut versions = notice.components.iter().map(|moved| moved.to.as_ref()?.version.clone());
    let first = versions.next()??;
    versions.all(|version| version.as_ref() == Some(&first)).then_some(first)
}

/// The run that a deployment was made for. What was sent as an object may come back as text.
fn run_of(deployment: &Value) -> Option<String> {
    let payload = match &deployment["payload"] {
        Value::String(text) => serde_json::from_str(text).ok()?,
        payload => payload.clone(),
    };
    payload["run"].as_str().map(str::to_owned)
}
