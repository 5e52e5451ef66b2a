//! One open connection: the `ssh` process in the background, and commands over its socket.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openssh::{Session, Stdio};
use rollback_core::{Effect, Error, ErrorKind};
use tempfile::TempDir;

use super::launch;
use crate::command::{Output, Secret};
use crate::host_key::HostKey;
use crate::shell::{feed, head, tail};
use crate::trouble::{last_words, presented};

/// How long the process on this machine may take to say that it lives.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// Why a command has no exit code.
#[derive(Debug)]
pub(super) enum Broken {
    /// The host allows no further session. Nothing was run.
    Refused(String),
    /// The connection went away after the command had been handed over.
    Lost(String),
}

impl Broken {
    pub(super) fn explain(self, operation: String, master: &Master) -> Error {
        match self {
            Self::Refused(why) => Error::new(
                ErrorKind::Unavailable,
                operation,
                format!("the host opens no further session: {why}"),
            )
            .with_effect(Effect::None)
            .next("set `sessions` below MaxSessions of the host's sshd_config, which is 10 by default"),
            Self::Lost(why) => {
                let said = last_words(&launch::log(&master.folder)).unwrap_or(why);
                Error::new(
                    ErrorKind::Unavailable,
                    operation,
                    format!("the connection was lost before it ended: {said}"),
                )
                .with_effect(Effect::Unknown)
            }
        }
    }
}

/// Ends the process when it is dropped, once its commands have ended.
#[derive(Debug)]
pub(super) struct Master {
    session: Arc<Session>,
    folder: PathBuf,
    host_key: Option<HostKey>,
}

impl Master {
    pub(super) fn new(folder: TempDir) -> Self {
        let path = folder.path().to_owned();
        let host_key = presented(&launch::log(&path));
        Self { session: Arc::new(Session::new_native_mux(folder)), folder: path, host_key }
    }

    pub(super) fn host_key(&self) -> Option<&HostKey> {
        self.host_key.as_ref()
    }

    /// Whether the process still listens. It ends when the host no longer answers.
    pub(super) async fn is_alive(&self) -> bool {
        self.session.check().await.is_ok()
    }

    pub(super) async fn run(&self, line: &str, input: Option<&Secret>) -> Result<Output, Broken> {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        let mut command = self.session.clone().arc_raw_command(line);
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .await
            .map_err(|error| unopened(&error))?;
        // The command holds the ends that belong to the process in the background.
        drop(command);
        let (stdin, stdout, stderr) = (child.stdin().take(), child.stdout().take(), child.stderr().take());
        let (_, out, err) = tokio::join!(feed(stdin, input), head(stdout), tail(stderr));
        let status = match child.wait().await {
            // Never by a signal: what runs there is a shell that reports those as exit codes.
            Ok(status) => status.code().ok_or_else(|| Broken::Lost("no exit code came".to_owned()))?,
            // How the crate tells exit code 127.
            Err(openssh::Error::Remote(error)) if error.kind() == io::ErrorKind::NotFound => 127,
            Err(error) => return Err(lost(&error)),
        };
        let (stdout, truncated) = out.map_err(|error| lost(&error))?;
        let stderr = err.map_err(|error| lost(&error))?;
        Ok(Output { status, stdout, stderr, truncated })
    }
}

fn lost(error: &(dyn std::error::Error + 'static)) -> Broken {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Broken::Lost(cause.to_string())
}

/// Only where the host itself said no it is certain that nothing runs.
fn unopened(error: &openssh::Error) -> Broken {
    let text = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => return lost(error),
    };
    match text.strip_prefix("Server refused the request") {
        Some(why) => Broken::Refused(why.trim_start_matches([':', ' ']).to_owned()),
        None => lost(error),
    }
}
