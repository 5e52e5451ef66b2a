//! Running a command once, as a Job.

use rollback_core::{ActionContext, Error, ErrorKind, Landing, Result};
use serde_json::{Value, json};

use super::{superseded, unsent};
use crate::action::On;
use crate::client::Client;
use crate::job::{self, End};

/// Makes a job. Its name is that of the step, so that the API server itself refuses a second one.
pub(super) async fn run_job(
    client: &Client,
    cx: &ActionContext,
    on: &On,
    container: &str,
    command: &[String],
    result: bool,
) -> Result<Landing> {
    let object = client.object().await.map_err(unsent)?;
    if let Some(superseded) = superseded(client, cx, on, &object).await? {
        return Ok(superseded);
    }
    let name = job::name(&on.workload.name, &cx.key);
    let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
    let job = job::job(&name, template, container, command, &cx.key).ok_or_else(|| {
        let why = format!("{} has no container {container}", on.workload);
        Error::new(ErrorKind::NotFound, "run a job", why).next("make a new plan")
    })?;
    match client.create_job(&job).await {
        Ok(_) => Ok(Landing::Running { what: format!("job {name} was made") }),
        Err(error) if error.kind() == ErrorKind::Conflict => ran(client, cx, &name, result).await,
        Err(error) => Err(error),
    }
}

/// What became of this step's job, with its result if that is wanted.
pub(super) async fn ran(client: &Client, cx: &ActionContext, name: &str, result: bool) -> Result<Landing> {
    let found = match client.job(name).await {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Landing::NotApplied { why: format!("there is no job {name}") });
        }
        Err(error) => return Err(error),
    };
    if !job::is_of(&found, &cx.key) {
        return Ok(Landing::Unknown { why: format!("job {name} is somebody else's") });
    }
    Ok(match job::end(&found) {
        End::Runs => Landing::Running { what: format!("job {name} runs") },
        End::Done => {
            let mut output = json!({ "job": name });
            if result {
                output["result"] = json!(job::result(&client.pods(&job::pods(name)).await?));
            }
            Landing::Applied(cx.unmoved().with_output(output))
        }
        End::Failed(why) => {
            // Its pods may be gone, or may not be read: it failed all the same.
            let codes = client.pods(&job::pods(name)).await.map(|pods| job::codes(&pods)).unwrap_or_default();
            let told = if codes.is_empty() { why } else { codes.join(", ") };
            Landing::Failed { why: format!("job {name}: {told}; its logs are kept with it") }
        }
    })
}
