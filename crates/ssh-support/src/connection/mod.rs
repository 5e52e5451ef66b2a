//! One connection to one host, opened when it is needed and shared by all who hold a clone.

mod launch;
mod master;
mod shared;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::time::{Clock, SystemClock, within};
use rollback_core::{Effect, Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use self::master::{Broken, Master};
pub use self::shared::Connections;
use crate::command::{Command, Output};
use crate::host_key::HostKey;
use crate::names::Host;
use crate::settings::SshSettings;
use crate::shell::{Shell, judge, no_answer, patience, run_on};
use crate::trouble::Trouble;

/// A connection to a host. Clones share it.
///
/// It is opened by the first command, holds one `ssh` process in the background, and runs up to [`SshSettings::sessions`] commands at a
/// time; more wait. Where the connection was lost, the next command opens a new one, with one attempt: trying again is the engine's. Two
/// minutes without a command, or the end of the last clone, close it.
///
/// ```no_run
/// use rollback_ssh_support::{Command, Connection, Host, Shell, SshSettings};
/// # async fn example() -> rollback_core::Result<()> {
/// let host = Connection::new(Host::new("web-1.example.com")?, SshSettings::new())?;
/// let running = host.run(&Command::new("docker").args(["ps", "-q"])).await?.checked("list the containers")?;
/// for id in running.text().lines() {
///     println!("{id}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    host: Host,
    settings: SshSettings,
    clock: Arc<dyn Clock>,
    sessions: Semaphore,
    master: Mutex<Option<Arc<Master>>>,
    /// Held while a connection is opened, with what became of the last attempt.
    opening: tokio::sync::Mutex<Option<Trouble>>,
    attempts: AtomicU64,
}

impl Connection {
    /// A connection that is not open yet.
    ///
    /// # Errors
    ///
    /// As [`SshSettings::check`].
    pub fn new(host: Host, settings: SshSettings) -> Result<Self> {
        Self::with_clock(host, settings, Arc::new(SystemClock))
    }

    /// As [`new`](Self::new), with another clock.
    ///
    /// # Errors
    ///
    /// As [`SshSettings::check`].
    pub fn with_clock(host: Host, settings: SshSettings, clock: Arc<dyn Clock>) -> Result<Self> {
        settings.check()?;
        Ok(Self(Arc::new(Inner {
            host,
            sessions: Semaphore::new(settings.sessions.into()),
            settings,
            clock,
            master: Mutex::new(None),
            opening: tokio::sync::Mutex::new(None),
            attempts: AtomicU64::new(0),
        })))
    }

    /// Opens the connection if it is not open: to know early that a host can be reached.
    ///
    /// # Errors
    ///
    /// Why not, with effect none: [`ErrorKind::Denied`] for host keys and logins that are refused, [`ErrorKind::NotFound`] for a name that
    /// is not resolved, [`ErrorKind::Unavailable`] and [`ErrorKind::Timeout`] for the network.
    pub async fn open(&self) -> Result<()> {
        let inner = self.0.clone();
        self.apart("connect to", async move { inner.master().await.map(drop).map_err(Error::from) }).await
    }

    /// The fingerprint of the key by which the host has shown itself: what two operators who name it differently have in common. Opens the
    /// connection if it is not open. `None` where OpenSSH on this machine is older than 8.5, and does not tell.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn host_key(&self) -> Result<Option<HostKey>> {
        let inner = self.0.clone();
        let work = async move { Ok(inner.master().await?.host_key().cloned()) };
        self.apart("read the host key of", work).await
    }

    /// Whether both are the same connection.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Closes the connection once what runs on it has ended. The next command opens a new one.
    pub fn close(&self) {
        drop(self.0.put(None));
    }

    /// In a task of its own: who stops waiting for a command or a connection stops neither.
    async fn apart<T: Send + 'static>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        tokio::spawn(work).await.unwrap_or_else(|error| {
            let operation = format!("{what} {}", self.0.host);
            Err(Error::new(ErrorKind::Other, operation, error.to_string()).with_effect(Effect::Unknown))
        })
    }
}

#[async_trait]
impl Shell for Connection {
    fn host(&self) -> &str {
        self.0.host.as_str()
    }

    async fn run(&self, command: &Command) -> Result<Output> {
        let (inner, line, command) = (self.0.clone(), command.line()?, command.clone());
        self.apart("run a command on", async move { inner.run(&line, &command).await }).await
    }
}

impl Inner {
    async fn run(&self, line: &str, command: &Command) -> Result<Output> {
        let operation = || run_on(self.host.as_str(), command);
        let _session = self
            .sessions
            .acquire()
            .await
            .map_err(|closed| Error::new(ErrorKind::Other, operation(), closed.to_string()))?;
        let master = self.master().await?;
        let begun = self.clock.monotonic();
        let work = self.opened(&master, line, command);
        match within(&*self.clock, patience(command), work).await {
            Some(Ok(output)) => {
                let elapsed = self.clock.monotonic().saturating_sub(begun);
                tracing::debug!(host = %self.host, command = command.purpose(), ?elapsed, "ran");
                judge(self.host.as_str(), command, elapsed, output)
            }
            Some(Err(broken)) => Err(broken.explain(operation(), &master)),
            None => {
                // Its session is still open there. Others keep theirs; whoever comes next gets a new connection.
                self.forget(&master);
                Err(no_answer(self.host.as_str(), command))
            }
        }
    }

    /// A command that has ended frees its session a moment later. A host that has none to give is asked again for a third of a second.
    async fn opened(&self, master: &Master, line: &str, command: &Command) -> Result<Output, Broken> {
        let mut pause = Duration::from_millis(5);
        loop {
            match master.run(line, command.input()).await {
                Err(Broken::Refused(_)) if pause < Duration::from_millis(300) => {
                    self.clock.sleep(pause).await;
                }
                ended => return ended,
            }
            pause *= 2;
        }
    }

    /// The open connection, or a new one. Those who wait for the same attempt share its failure.
    async fn master(&self) -> Result<Arc<Master>, Trouble> {
        let seen = self.attempts.load(Ordering::Acquire);
        if let Some(master) = self.alive().await {
            return Ok(master);
        }
        let mut last = self.opening.lock().await;
        if let Some(master) = self.alive().await {
            return Ok(master);
        }
        if let Some(trouble) = last.as_ref().filter(|_| self.attempts.load(Ordering::Acquire) != seen) {
            return Err(trouble.clone());
        }
        let began = self.clock.monotonic();
        let launched = launch::launch(&self.host, &self.settings, &*self.clock).await;
        self.attempts.fetch_add(1, Ordering::AcqRel);
        match launched {
            Ok(folder) => {
                let master = Arc::new(Master::new(folder));
                *last = None;
                drop(self.put(Some(master.clone())));
                let elapsed = self.clock.monotonic().saturating_sub(began);
                tracing::debug!(host = %self.host, ?elapsed, "connected");
                Ok(master)
            }
            Err(trouble) => {
                *last = Some(trouble.clone());
                Err(trouble)
            }
        }
    }

    async fn alive(&self) -> Option<Arc<Master>> {
        let master = self.master.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        if within(&*self.clock, master::ANSWER, master.is_alive()).await.unwrap_or(false) {
            return Some(master);
        }
        self.forget(&master);
        None
    }

    fn put(&self, master: Option<Arc<Master>>) -> Option<Arc<Master>> {
        std::mem::replace(&mut self.master.lock().unwrap_or_else(PoisonError::into_inner), master)
    }

    /// Gives up this connection, unless another one has taken its place.
    fn forget(&self, master: &Arc<Master>) {
        let mut current = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, master)) {
            let gone = current.take();
            drop(current);
            drop(gone);
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("host", &self.host).finish_non_exhaustive()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
