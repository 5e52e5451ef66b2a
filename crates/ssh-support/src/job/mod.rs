//! Jobs: changes that survive the connection they were started over.
//!
//! A job has a key, and runs once: who starts it again, after a lost connection or in another process, gets the same job. It runs in the
//! background on the host, with a folder of its own (`~/.local/state/rollback/jobs/KEY`, for its user alone) that keeps its output and, at
//! its end, its exit code. Whether it still runs is told by a lock that its runner holds, so neither a reused process id nor a reboot
//! can deceive.

mod answer;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rollback_core::time::{Clock, SystemClock};
use rollback_core::{Effect, Error, ErrorKind, Result};

use self::answer::Answer;
pub use self::answer::{Finished, JobState};
use crate::command::{Command, KILL_AFTER, Secret, whole_seconds};
use crate::names::{JobKey, RemotePath};
use crate::shell::Shell;

const START: &str = concat!(include_str!("common.sh"), include_str!("start.sh"));
const LOOK: &str = concat!(include_str!("common.sh"), include_str!("look.sh"));
const FORGET: &str = concat!(include_str!("common.sh"), include_str!("forget.sh"));
const RUNNER: &str = include_str!("runner.sh");

/// After how many days the next start removes what is left of a job.
const KEPT_DAYS: u32 = 30;
/// What the scripts themselves may take: locks are waited for ten seconds at most.
const SCRIPT: Duration = Duration::from_secs(30);
/// How often a lost connection is opened again to wait on, and how long is paused before the second time; twice as long before each further one.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// The most that is fed to a job.
const LONGEST_INPUT: usize = 1024 * 1024;

/// The jobs of one user on one host.
///
/// ```
/// use std::sync::Arc;
/// use rollback_ssh_support::{Command, JobKey, Jobs, LocalShell};
/// # async fn example() -> rollback_core::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let state = rollback_ssh_support::RemotePath::new(folder.path().to_str().unwrap())?;
/// // In a driver: Arc::new(Connection::new(host, settings)?), and the key of the action.
/// let jobs = Jobs::new(Arc::new(LocalShell::new()));
/// # let jobs = jobs.in_folder(state);
/// let (key, migrate) = (JobKey::new("0198-migrate")?, Command::script("echo migrated; exit 3"));
/// let done = jobs.run(&key, &migrate).await?;
/// assert_eq!((done.code, done.log().trim()), (3, "migrated"));
/// // The same key: nothing runs again.
/// assert_eq!(jobs.run(&key, &migrate).await?, done);
/// jobs.forget(&key).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Jobs {
    shell: Arc<dyn Shell>,
    clock: Arc<dyn Clock>,
    folder: Option<RemotePath>,
}

impl Jobs {
    /// The jobs of whom this shell runs as.
    #[must_use]
    pub fn new(shell: Arc<dyn Shell>) -> Self {
        Self { shell, clock: Arc::new(SystemClock), folder: None }
    }

    /// Keeps them in this folder in place of `~/.local/state/rollback`. Its parent should be writable by that user alone.
    #[must_use]
    pub fn in_folder(mut self, folder: RemotePath) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Sets another clock: for the pauses between attempts to connect again.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the job unless it was started before, and waits for its end: in one round trip where nothing goes wrong. Where the connection
    /// is lost meanwhile, it is opened again, up to four times within fifteen seconds, and the same job waited for.
    ///
    /// # Errors
    ///
    /// With effect *none* where the job certainly did not begin. Else with effect *unknown*: the host did not come back, or the job was
    /// interrupted in the middle (by a reboot, say). Ask [`look`](Self::look) then.
    pub async fn run(&self, key: &JobKey, command: &Command) -> Result<Finished> {
        let limit = Duration::from_secs(whole_seconds(command.time_limit())) + KILL_AFTER;
        let start = self.starting(key, command, limit)?;
        let finished = |state| match state {
            JobState::Finished(finished) => Ok(finished),
            state => Err(self.unfinished(key, &state)),
        };
        self.persist(key, &start).await.and_then(finished)
    }

    /// Starts the job unless it was started before, and does not wait for its end.
    ///
    /// # Errors
    ///
    /// As [`Shell::run`], and for what a host lacks. Starting again is always safe.
    pub async fn start(&self, key: &JobKey, command: &Command) -> Result<JobState> {
        self.ask(key, &self.starting(key, command, Duration::ZERO)?).await
    }

    /// What has become of the job.
    ///
    /// # Errors
    ///
    /// As [`Shell::run`].
    pub async fn look(&self, key: &JobKey) -> Result<JobState> {
        self.ask(key, &self.script(LOOK, key).arg("0").limit(SCRIPT)).await
    }

    /// Waits until the job no longer runs, and not longer than `limit`. Lost connections are opened again, as in [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// As [`Shell::run`].
    pub async fn wait(&self, key: &JobKey, limit: Duration) -> Result<JobState> {
        let seconds = limit.as_secs();
        let look = self.script(LOOK, key).arg(seconds.to_string()).limit(limit.saturating_add(SCRIPT));
        self.persist(key, &look).await
    }

    /// Removes what is left of a job that no longer runs. Its key is free then.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Conflict`] while it runs; else as [`Shell::run`].
    pub async fn forget(&self, key: &JobKey) -> Result<()> {
        match self.ask(key, &self.script(FORGET, key).limit(SCRIPT)).await? {
            JobState::Absent => Ok(()),
            _ => Err(Error::new(ErrorKind::Conflict, self.operation("forget", key), "it still runs")),
        }
    }

    fn operation(&self, what: &str, key: &JobKey) -> String {
        format!("{what} the job {key} on {}", self.shell.host())
    }

    fn script(&self, script: &'static str, key: &JobKey) -> Command {
        Command::script(script).arg(self.folder.as_ref().map_or("", RemotePath::as_str)).arg(key.as_str())
    }

    fn starting(&self, key: &JobKey, command: &Command, wait: Duration) -> Result<Command> {
        if command.input().is_some_and(|input| input.expose().len() > LONGEST_INPUT) {
            let message = "more than 1 MiB is to be fed to it";
            return Err(Error::new(ErrorKind::Invalid, self.operation("start", key), message));
        }
        let number = |duration: Duration| duration.as_secs().to_string();
        let script = self
            .script(START, key)
            .arg(whole_seconds(command.time_limit()).to_string())
            .args([number(KILL_AFTER), number(wait)])
            .arg(if command.input().is_some() { "1" } else { "0" })
            .args([KEPT_DAYS.to_string(), RUNNER.to_owned()])
            .arg(command.folder().map_or("", RemotePath::as_str))
            .args(command.argv()?)
            .limit(wait + SCRIPT);
        Ok(match command.input() {
            // One line, so that a part of it is told from all of it; and any bytes.
            Some(input) => script.stdin(Secret::new(STANDARD.encode(input.expose()) + "\n")),
            None => script,
        })
    }

    async fn ask(&self, key: &JobKey, script: &Command) -> Result<JobState> {
        let output = self.shell.run(script).await?;
        Answer::read(key, &output).into_state(self.operation("look after", key))
    }

    /// Asks again where the connection was lost. Each of these scripts may be sent any number of times.
    async fn persist(&self, key: &JobKey, script: &Command) -> Result<JobState> {
        let mut pause = PAUSE;
        let mut lost = match self.ask(key, script).await {
            Err(error) if is_lost(&error) => error,
            answer => return answer,
        };
        for attempt in 1..ATTEMPTS {
            if attempt > 1 {
                self.clock.sleep(pause).await;
                pause *= 2;
            }
            tracing::info!(host = self.shell.host(), %key, attempt, "the connection was lost; asking again for the job");
            match self.ask(key, script).await {
                Err(error) if error.is_transient() => lost = error,
                answer => return answer.map_err(|error| error.with_effect(Effect::Unknown)),
            }
        }
        Err(lost.with_effect(Effect::Unknown))
    }

    fn unfinished(&self, key: &JobKey, state: &JobState) -> Error {
        let error = |kind, message: &str| Error::new(kind, self.operation("finish", key), message);
        match state {
            JobState::Interrupted { begun: false } => {
                error(ErrorKind::Other, "its runner ended before it began").next("forget the job, and start it again")
            }
            JobState::Interrupted { begun: true } => error(
                ErrorKind::Other,
                "it was interrupted in the middle: the host was restarted, its runner killed, or the disk is full",
            )
            .with_effect(Effect::Unknown),
            JobState::Running => error(ErrorKind::Timeout, "it still runs, and its time limit has passed"),
            _ => error(ErrorKind::Conflict, "somebody else has removed it").with_effect(Effect::Unknown),
        }
    }
}

fn is_lost(error: &Error) -> bool {
    error.is_transient() && error.effect() == Effect::Unknown
}
