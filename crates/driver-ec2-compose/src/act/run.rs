//! Running a declared command: once, however often it is asked for.

use rollback_core::{ActionContext, Error, ErrorKind, Landing, Result};
use rollback_ssh_support::{Command, Finished, JobKey, JobState};
use serde_json::json;

use super::last_words;
use crate::client::compose::Compose;
use crate::client::{Beside, Client, HostClient};
use crate::commands::DeployCommand;
use crate::config::Choices;

pub(super) async fn apply(
    client: &Client,
    choices: &Choices,
    host: &HostClient,
    cx: &ActionContext,
    command: &DeployCommand,
) -> Result<Landing> {
    let key = JobKey::from(&cx.key);
    // Whoever sends for the first time has left no job behind.
    let earlier = if cx.attempt > 1 { host.jobs().look(&key).await? } else { JobState::Absent };
    match earlier {
        JobState::Absent => {}
        JobState::Interrupted { begun: false } => host.jobs().forget(&key).await?,
        other => return Ok(landing(cx, other)),
    }
    let look = client.look_at(host, Beside::Nothing).await?;
    let compose = Compose::of(&client.project, &choices.deployed, &look)?;
    let sent = match (&command.service, command.run.split_first()) {
        (Some(service), _) => compose.exec(service, &command.run),
        (None, Some((program, rest))) => {
            Command::new(program.clone()).args(rest.iter().cloned()).current_dir(compose.directory().clone())
        }
        (None, None) => return Err(Error::new(ErrorKind::Invalid, "run a command", "it names no program")),
    };
    let sent = match choices.aws.lines(&command.stdin).await? {
        Some(lines) => sent.stdin(lines),
        None => sent,
    };
    if cx.cancel.is_cancelled() {
        return Err(Error::new(ErrorKind::Cancelled, "run a command", "it was cancelled before it began"));
    }
    let finished = host.jobs().run(&key, &sent.limit(command.timeout.as_duration())).await?;
    Ok(ended(cx, &finished))
}

pub(super) async fn probe(host: &HostClient, cx: &ActionContext) -> Result<Landing> {
    Ok(landing(cx, host.jobs().look(&JobKey::from(&cx.key)).await?))
}

fn landing(cx: &ActionContext, state: JobState) -> Landing {
    match state {
        JobState::Absent | JobState::Interrupted { begun: false } => {
            Landing::NotApplied { why: "it was not begun on the host".to_owned() }
        }
        JobState::Running => Landing::Running { what: "it runs on the host".to_owned() },
        JobState::Finished(finished) => ended(cx, &finished),
        _ => Landing::Failed {
            why: "it was interrupted in the middle: the host was restarted, or it was killed there"
                .to_owned(),
        },
    }
}

fn ended(cx: &ActionContext, finished: &Finished) -> Landing {
    let said = last_words(finished);
    match finished.code {
        0 => Landing::Applied(cx.unmoved().with_output(json!({ "code": 0, "said": said }))),
        code if finished.over_limit => {
            Landing::Failed { why: format!("it was ended at its time limit ({code}): {said}") }
        }
        code => Landing::Failed { why: format!("it exited with {code}: {said}") },
    }
}
