//! Runs a command with a time limit and keeps the end of what it says.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollback_core::time::{SystemClock, within};
use rollback_core::{Effect, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::error::io;

/// How much of the output is kept.
const TAIL: usize = 2 * 1024;

/// How long the rest of the output may take once the command has ended.
const REST: Duration = Duration::from_millis(200);

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: it was stopped because its time was up.
    pub(crate) status: Option<ExitStatus>,
    /// The end of its output, safe to show.
    pub(crate) tail: String,
}

impl Ended {
    pub(crate) fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// In words: `exit status: 1, its last output was: …`.
    pub(crate) fn describe(&self) -> String {
        let how = self
            .status
            .map_or_else(|| "took too long and was stopped".to_owned(), |status| status.to_string());
        match self.tail.trim() {
            "" => format!("{how}, without output"),
            tail => format!("{how}, its last output was: {tail}"),
        }
    }
}

/// Runs `argv` in `folder`, without a shell and without input.
///
/// It gets a process group of its own: Ctrl-C in the operator's terminal must not reach the service that it
/// starts.
pub(crate) async fn run(argv: &[String], folder: &Path, limit: Duration) -> Result<Ended> {
    let (program, arguments) = argv.split_first().map_or(("", argv), |(first, rest)| (first.as_str(), rest));
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            io(format!("start {program:?}"), Path::new(program), error)
                .next("check the command in the configuration")
        })?;
    let tail = Arc::new(Mutex::new(Vec::new()));
    let readers = [
        child.stdout.take().map(|pipe| keep(pipe, &tail)),
        child.stderr.take().map(|pipe| keep(pipe, &tail)),
    ];
    let failed =
        |error| io(format!("wait for {program:?}"), Path::new(program), error).with_effect(Effect::Unknown);
    let status = match within(&SystemClock, limit, child.wait()).await {
        Some(status) => Some(status.map_err(failed)?),
        None => {
            child.kill().await.map_err(failed)?;
            None
        }
    };
    finish(program, readers.into_iter().flatten().collect()).await;
    let tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Ended { status, tail: printable(&tail) })
}

/// A service that was started in the background may hold the pipe for ever: its end is not waited for.
async fn finish(program: &str, readers: Vec<JoinHandle<()>>) {
    for reader in readers {
        let stop = reader.abort_handle();
        if within(&SystemClock, REST, reader).await.is_none() {
            tracing::warn!(
                program,
                "left a process that still writes to its output; redirect that to a file"
            );
            stop.abort();
        }
    }
}

fn keep(mut pipe: impl AsyncRead + Unpin + Send + 'static, tail: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let tail = Arc::clone(tail);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend_from_slice(&buffer[..count]);
            let excess = tail.len().saturating_sub(TAIL);
            tail.drain(..excess);
        }
    })
}

/// Text that cannot move a terminal's cursor.
fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, limit: Duration) -> Ended {
        let argv = ["sh", "-c", script].map(str::to_owned);
        run(&argv, Path::new("/"), limit).await.unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_end_of_the_output_is_kept_and_made_harmless() {
        let ended =
            shell("yes 0123456789 | head -c 100000; printf 'the \\033[31mend' >&2; exit 3", LONG).await;
        assert_eq!(ended.status.unwrap().code(), Some(3));
        assert!(ended.tail.len() <= TAIL + 8, "{}", ended.tail.len());
        assert!(ended.tail.contains("[31mend") && !ended.tail.contains('\u{1b}'), "{:?}", ended.tail);
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_stopped() {
        let ended = shell("echo begun; exec sleep 1000", Duration::from_millis(300)).await;
        assert!(ended.status.is_none());
        assert!(ended.describe().contains("took too long"), "{}", ended.describe());
    }

    #[tokio::test]
    async fn a_service_in_the_background_that_holds_the_pipe_is_not_waited_for() {
        let ended = shell("sleep 1000 & echo $!", LONG).await;
        assert!(ended.success());
        let killed = std::process::Command::new("kill").arg(ended.tail.trim()).status().unwrap();
        assert!(killed.success(), "it was still running");
    }

    #[tokio::test]
    async fn there_is_no_input_and_no_shell() {
        assert!(shell("read line && exit 1 || exit 0", LONG).await.success());
        let argv = ["echo", "$HOME; exit 1"].map(str::to_owned);
        let ended = run(&argv, Path::new("/"), LONG).await.unwrap();
        assert_eq!(ended.tail.trim(), "$HOME; exit 1");
    }

    #[tokio::test]
    async fn a_missing_program_has_no_effect_and_says_so() {
        let error = run(&["/no/such/program".to_owned()], Path::new("/"), LONG).await.unwrap_err();
        assert_eq!(error.kind(), rollback_core::ErrorKind::NotFound);
        assert_eq!(error.effect(), Effect::None);
    }
}
