//! This machine's own shell.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::time::{Clock, SystemClock, within};
use rollback_core::{Effect, Error, ErrorKind, Result};

use super::{Shell, feed, head, judge, no_answer, patience, run_on, tail};
use crate::command::{Command, Output};

/// Runs commands on this machine through `/bin/sh`, in the same form as on a host: for tests, and for running on the host itself.
///
/// ```
/// use rollback_ssh_support::{Command, LocalShell, Shell};
/// # async fn example() -> rollback_core::Result<()> {
/// let said = LocalShell::new().run(&Command::new("echo").arg("it's $HOME")).await?;
/// assert_eq!(said.text(), "it's $HOME");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct LocalShell {
    clock: Arc<dyn Clock>,
}

impl LocalShell {
    /// This machine.
    #[must_use]
    pub fn new() -> Self {
        Self { clock: Arc::new(SystemClock) }
    }
}

impl Default for LocalShell {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Shell for LocalShell {
    fn host(&self) -> &str {
        "this machine"
    }

    async fn run(&self, command: &Command) -> Result<Output> {
        let (line, command, clock) = (command.line()?, command.clone(), self.clock.clone());
        let operation = run_on(self.host(), &command);
        // A task of its own: who stops waiting does not stop the command.
        let task = tokio::spawn(async move {
            let begun = clock.monotonic();
            let ran = within(&*clock, patience(&command), run(&line, &command)).await;
            let output = ran.unwrap_or_else(|| Err(no_answer("this machine", &command)))?;
            judge("this machine", &command, elapsed(&*clock, begun), output)
        });
        task.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Other, operation, error.to_string()).with_effect(Effect::Unknown))
        })
    }
}

pub(crate) fn elapsed(clock: &dyn Clock, since: Duration) -> Duration {
    clock.monotonic().saturating_sub(since)
}

async fn run(line: &str, command: &Command) -> Result<Output> {
    let broken = |error: std::io::Error, effect| {
        Error::new(ErrorKind::Unavailable, run_on("this machine", command), error.to_string())
            .with_effect(effect)
    };
    let input = if command.input().is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = tokio::process::Command::new("/bin/sh")
        .args(["-c", line])
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| broken(error, Effect::None))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (_, out, err) = tokio::join!(feed(stdin, command.input()), head(stdout), tail(stderr));
    let status = child.wait().await.map_err(|error| broken(error, Effect::Unknown))?;
    let (stdout, truncated) = out.map_err(|error| broken(error, Effect::Unknown))?;
    let stderr = err.map_err(|error| broken(error, Effect::Unknown))?;
    Ok(Output { status: code(status), stdout, stderr, truncated })
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::Secret;

    #[tokio::test]
    async fn exit_codes_signals_and_streams_come_back() {
        let shell = LocalShell::new();
        let script = r#"cat; echo "$2 $1" >&2; exit 7"#;
        let command = Command::script(script).args(["a b", "c"]).stdin(Secret::new("in"));
        assert_eq!(shell.run(&command).await.unwrap(), Output::new(7, "in", "c a b\n"));
        assert_eq!(shell.run(&Command::script("kill -9 $$")).await.unwrap().status, 137);
        assert_eq!(shell.run(&Command::new("no-such-program")).await.unwrap().status, 127);
    }

    #[tokio::test]
    async fn at_its_time_limit_a_command_ends_with_all_that_it_started() {
        let marker = format!("{}.5", 86_000 + std::process::id() % 1_000);
        let command =
            Command::script(r#"sleep "$1" & sleep "$1""#).arg(marker.clone()).limit(Duration::from_secs(1));
        let error = LocalShell::new().run(&command).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Timeout, Effect::Unknown));
        let alive = Command::script(
            r#"for f in /proc/[0-9]*/cmdline; do tr '\0' ' ' < "$f"; echo; done 2>/dev/null | grep -c "^sleep $1 ""#,
        );
        let alive = LocalShell::new().run(&alive.arg(marker)).await.unwrap();
        assert_eq!(alive.text(), "0");
    }

    #[test]
    fn a_host_without_timeout_is_told_from_one_without_the_program() {
        let command = Command::new("docker");
        let missing = |stderr: &str| judge("web", &command, Duration::ZERO, Output::new(127, "", stderr));
        assert_eq!(missing("sh: 1: timeout: not found").unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(missing("timeout: failed to run command 'docker': No such file or directory").is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arguments_arrive_as_they_were(args in prop::collection::vec("[^\\x00]{0,40}", 0..6)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let command = Command::new("printf").arg("%s\\0").args(args.clone());
            let output = runtime.block_on(LocalShell::new().run(&command)).unwrap();
            let expected: String = if args.is_empty() { "\0".into() } else { args.iter().map(|a| format!("{a}\0")).collect() };
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        }
    }
}
