//! What the scripts answer.

use std::borrow::Cow;
use std::fmt;

use rollback_core::{Effect, Error, ErrorKind, Result};

use crate::command::{Output, last_lines};
use crate::names::JobKey;

/// What has become of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobState {
    /// Nobody started it on this host; or it was forgotten.
    Absent,
    /// It runs.
    Running,
    /// It ended.
    Finished(Finished),
    /// It no longer runs, and left no exit code: the host was restarted, or its runner killed.
    Interrupted {
        /// Whether its command had been begun. If not, nothing was changed.
        begun: bool,
    },
}

/// How a job ended.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// Its exit code; 128 and the number of the signal that ended it; 126 where its folder cannot be entered.
    pub code: i32,
    /// Whether it was ended at its time limit.
    pub over_limit: bool,
    /// The end of what it wrote, errors among the rest: up to 64 KiB.
    pub log: Vec<u8>,
}

impl Finished {
    /// A job that ended so, for tests of drivers.
    #[must_use]
    pub fn new(code: i32, over_limit: bool, log: impl Into<Vec<u8>>) -> Self {
        Self { code, over_limit, log: log.into() }
    }

    /// Whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// The end of what it wrote, as text.
    #[must_use]
    pub fn log(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.log)
    }

    /// The end of a job that had to succeed. `operation` completes "cannot …".
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`] where the job was ended at its time limit, else [`ErrorKind::Other`], with its last lines. The effect is
    /// unknown: what fails may have done half of its work.
    pub fn checked(self, operation: &str) -> Result<Self> {
        if self.success() {
            return Ok(self);
        }
        let said = last_lines(&self.log);
        let said = if said.is_empty() { "it said nothing".to_owned() } else { said };
        let (kind, what) = match self.over_limit {
            true => (ErrorKind::Timeout, "it was ended at its time limit".to_owned()),
            false => (ErrorKind::Other, format!("it exited with {}", self.code)),
        };
        Err(Error::new(kind, operation, format!("{what}: {said}"))
            .transient(false)
            .with_effect(Effect::Unknown))
    }
}

impl fmt::Debug for Finished {
    // Logs may hold what is nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished")
            .field("code", &self.code)
            .field("over_limit", &self.over_limit)
            .field("log", &format_args!("{} bytes", self.log.len()))
            .finish()
    }
}

/// The line that a script says, or what came in its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    State(JobState),
    /// The host lacks this.
    Missing(String),
    /// Nothing was started, for this reason.
    NotStarted(&'static str, ErrorKind),
    /// No line at all.
    Nonsense(String),
}

impl Answer {
    pub(super) fn read(key: &JobKey, output: &Output) -> Self {
        let nonsense =
            || Self::Nonsense(format!("it exited with {}: {}", output.status, last_lines(&output.stderr)));
        // What a login shell's own files print comes before; what the job wrote, comes after.
        let marker = format!("\nrollback-job {key} ");
        let Some(at) = find(&output.stdout, marker.as_bytes()) else { return nonsense() };
        let rest = &output.stdout[at + marker.len()..];
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        let line = String::from_utf8_lossy(&rest[..end]);
        let log = rest.get(end + 1..).unwrap_or_default();
        let mut words = line.splitn(2, ' ');
        match (words.next().unwrap_or_default(), words.next().unwrap_or_default()) {
            ("absent" | "forgotten", _) => Self::State(JobState::Absent),
            ("running", _) => Self::State(JobState::Running),
            ("interrupted", begun) => Self::State(JobState::Interrupted { begun: begun != "unbegun" }),
            ("finished", numbers) => {
                finished(numbers, log).map_or_else(nonsense, |end| Self::State(JobState::Finished(end)))
            }
            ("missing", what) => Self::Missing(what.to_owned()),
            ("cut", _) => {
                Self::NotStarted("the connection was lost while its input was fed", ErrorKind::Unavailable)
            }
            ("busy", _) => Self::NotStarted(
                "the lock of the jobs' folder is held by somebody else",
                ErrorKind::Unavailable,
            ),
            ("foreign", _) => Self::NotStarted("the jobs' folder belongs to another user", ErrorKind::Denied),
            ("unwritable", _) => Self::NotStarted(
                "the jobs' folder cannot be written: no space, or no permission",
                ErrorKind::Other,
            ),
            _ => nonsense(),
        }
    }

    pub(super) fn into_state(self, operation: String) -> Result<JobState> {
        Err(match self {
            Self::State(state) => return Ok(state),
            Self::Missing(what) => {
                Error::new(ErrorKind::Unsupported, operation, format!("the host has no {what}"))
                    .next("jobs need a POSIX sh with coreutils and util-linux, or busybox")
            }
            Self::NotStarted(why, kind) => {
                let error = Error::new(kind, operation, why).with_effect(Effect::None);
                match kind {
                    ErrorKind::Other => error.next("see `df ~` there, and who owns ~/.local/state/rollback"),
                    _ => error,
                }
            }
            Self::Nonsense(text) => {
                let message = format!("the host did not answer as it should: {text}");
                Error::new(ErrorKind::Other, operation, message).with_effect(Effect::Unknown)
            }
        })
    }
}

fn finished(numbers: &str, log: &[u8]) -> Option<Finished> {
    let (code, over) = numbers.split_once(' ')?;
    Some(Finished { code: code.parse().ok()?, over_limit: over.trim() == "1", log: log.to_owned() })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stdout: &str) -> Answer {
        Answer::read(&JobKey::new("k").unwrap(), &Output::new(0, stdout, "oops"))
    }

    #[test]
    fn the_first_line_of_ours_counts() {
        let end = |code, over, log: &str| Answer::State(JobState::Finished(Finished::new(code, over, log)));
        assert_eq!(
            read("hello from .bashrc\n\nrollback-job k finished 3 1\nout\nput"),
            end(3, true, "out\nput")
        );
        assert_eq!(
            read("\nrollback-job k finished 0 0\n\nrollback-job k finished 1 0\n"),
            end(0, false, "\nrollback-job k finished 1 0\n")
        );
        assert_eq!(
            read("\nrollback-job k interrupted unbegun\n"),
            Answer::State(JobState::Interrupted { begun: false })
        );
        assert_eq!(read("\nrollback-job k missing flock\n"), Answer::Missing("flock".to_owned()));
        for nonsense in [
            "",
            "rollback-job k",
            "\nrollback-job other running\n",
            "\nrollback-job k finished\n",
            "\nrollback-job k 1\n",
        ] {
            assert_eq!(read(nonsense), Answer::Nonsense("it exited with 0: oops".to_owned()), "{nonsense:?}");
        }
    }

    #[test]
    fn what_was_not_started_had_no_effect() {
        for line in ["cut", "busy", "foreign", "unwritable", "missing flock"] {
            let error = read(&format!("\nrollback-job k {line}\n")).into_state("x".to_owned()).unwrap_err();
            assert_eq!(error.effect(), Effect::None, "{line}");
        }
        assert_eq!(read("").into_state("x".to_owned()).unwrap_err().effect(), Effect::Unknown);
    }

    #[test]
    fn a_failed_job_shows_its_last_words_and_only_then() {
        let failed = Finished::new(1, false, "secret\nno space\n");
        assert!(!format!("{failed:?}").contains("secret"));
        let error = failed.checked("migrate").unwrap_err();
        assert!(error.message().contains("it exited with 1: secret | no space"), "{error}");
        assert_eq!(Finished::new(124, true, "").checked("migrate").unwrap_err().kind(), ErrorKind::Timeout);
    }
}
