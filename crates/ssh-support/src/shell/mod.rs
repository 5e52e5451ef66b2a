//! Running commands: on a host over SSH, on this machine, or nowhere at all in tests.

mod capture;
mod local;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::time::Lasting;
use rollback_core::{Effect, Error, ErrorKind, Result};

pub(crate) use self::capture::{feed, head, tail};
pub use self::local::LocalShell;
use crate::command::{Command, KILL_AFTER, Output, whole_seconds};

/// Something that runs commands.
///
/// # Contract
///
/// A command is sent at most once. It ends on the host at its [time limit](Command::limit), also when nobody waits for it any more; a
/// future that is dropped takes nothing back. Commands may run at the same time. An exit code other than 0 is an [`Output`] and no error.
#[async_trait]
pub trait Shell: fmt::Debug + Send + Sync + 'static {
    /// The host, as people call it.
    fn host(&self) -> &str;

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// With effect *none* where certainly nothing was run: no connection, a refused session, a command that no host can get. With effect
    /// *unknown* where the connection was lost in the middle or the time limit was hit ([`ErrorKind::Timeout`]).
    async fn run(&self, command: &Command) -> Result<Output>;
}

/// How much longer than its time limit a command is waited for.
const GRACE: Duration = Duration::from_secs(10);

/// How long to wait for a command at most: it ends itself before.
pub(crate) fn patience(command: &Command) -> Duration {
    Duration::from_secs(whole_seconds(command.time_limit())) + KILL_AFTER + GRACE
}

/// What an exit code after `elapsed` means.
pub(crate) fn judge(host: &str, command: &Command, elapsed: Duration, output: Output) -> Result<Output> {
    // 124 by coreutils' timeout, 143 by busybox', 137 where it had to kill.
    if matches!(output.status, 124 | 137 | 143) && elapsed >= command.time_limit() {
        return Err(over_limit(host, command));
    }
    if output.status == 127 && names_missing_timeout(&output.stderr) {
        return Err(Error::new(ErrorKind::Unsupported, run_on(host, command), "the host has no `timeout`")
            .next("install coreutils or busybox there"));
    }
    Ok(output)
}

/// The shell's complaint, not that of `timeout` about the program.
fn names_missing_timeout(stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    text.contains("timeout: not found") || text.contains("timeout: command not found")
}

fn over_limit(host: &str, command: &Command) -> Error {
    let message = format!("it was ended on the host after {}", Lasting::new(command.time_limit()));
    Error::new(ErrorKind::Timeout, run_on(host, command), message)
}

/// The operation that errors name.
pub(crate) fn run_on(host: &str, command: &Command) -> String {
    format!("run {} on {host}", command.title())
}

/// What is said when even the host's own time limit brought no answer.
pub(crate) fn no_answer(host: &str, command: &Command) -> Error {
    let message = format!("no answer within {}", Lasting::new(patience(command)));
    Error::new(ErrorKind::Timeout, run_on(host, command), message).with_effect(Effect::Unknown)
}
