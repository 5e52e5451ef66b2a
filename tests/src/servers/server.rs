//! One server process: started, awaited, and gone with the test.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process_group};

use super::{StartError, http, log, owner};
use crate::pause;

/// How often another port is tried when somebody else was faster.
const PORTS: u32 = 8;
/// How long a server may take to start, and to end when it is asked to.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(3);

/// Becomes the server. A companion in the same process group holds the other end of a pipe: when whoever started us
/// is gone, for whatever reason, it asks the group to end and then makes it.
const COMPANION: &str = r#"
exec 3<&0 </dev/null
(
    trap '' TERM
    exec >/dev/null 2>&1
    read -r _ <&3
    kill -s TERM 0
    n=0
    while [ "$n" -lt 30 ] && kill -s 0 "$$"; do sleep 0.1; n=$((n + 1)); done
    kill -s KILL 0
) &
exec 3<&-
exec "$@"
"#;

/// When a server counts as started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ready {
    /// When it takes connections.
    Connect,
    /// When a GET of this path is answered with a status from 200 to 299.
    Get(String),
    /// The same at a Unix socket: it does not have to listen on its port.
    Socket {
        /// The socket.
        socket: PathBuf,
        /// The path.
        path: String,
    },
}

impl Ready {
    fn is_told_by_a_port(&self) -> bool {
        !matches!(self, Self::Socket { .. })
    }
}

/// How a server is started.
///
/// ```no_run
/// use std::process::Command;
/// use rollback_tests::servers::{Launch, Ready};
///
/// # fn demo() -> Result<(), rollback_tests::servers::StartError> {
/// let registry = Launch::new("registry", |port| {
///     let mut command = Command::new("docker-registry");
///     command.args(["serve", "/tmp/registry.yml"]).env("REGISTRY_HTTP_ADDR", format!("127.0.0.1:{port}"));
///     command
/// })
/// .ready(Ready::Get("/v2/".into()))
/// .start("compose")?;
/// println!("{}", registry.url());
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing runs until it is started"]
pub struct Launch<F> {
    name: String,
    command: F,
    ready: Ready,
    within: Duration,
    port: Option<u16>,
}

impl<F> std::fmt::Debug for Launch<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, ready, within, .. } = self;
        f.debug_struct("Launch").field("name", name).field("ready", ready).field("within", within).finish()
    }
}

impl<F: FnMut(u16) -> Command> Launch<F> {
    /// The server `name`, by the command that `command` makes for a port. The command's arguments, folder and
    /// environment are used (what it adds, not what it clears). No secrets in arguments.
    pub fn new(name: impl Into<String>, command: F) -> Self {
        Self { name: name.into(), command, ready: Ready::Connect, within: START, port: None }
    }

    /// When it counts as started: when it takes connections, if not set.
    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = ready;
        self
    }

    /// How long that may take: a minute if not set.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = limit;
        self
    }

    /// Starts it on this port, where one before it was: a free one if not set.
    pub fn on(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Starts it on a free port of 127.0.0.1 and waits until it is ready. What it writes is kept in
    /// `target/test-logs/<test>/`.
    ///
    /// # Errors
    ///
    /// [`StartError::Missing`] when there is no such program; [`StartError::Failed`] when it ends, is not ready in
    /// time, or finds no port, with the end of what it wrote.
    pub fn start(mut self, test: &str) -> Result<Server, StartError> {
        let mut last = String::new();
        for _ in 0..PORTS {
            let port = self.port.map_or_else(free_port, Ok);
            let port = port.map_err(|error| failed(&self.name, &format!("no free port: {error}")))?;
            let server = self.spawn(test, port)?;
            match self.wait(server) {
                Ok(server) => return Ok(server),
                Err((server, why)) => {
                    last = format!("{why}; {}", log::tail(server.log()));
                    if !log::says_in_use(server.log()) {
                        break;
                    }
                }
            }
        }
        Err(failed(&self.name, &last))
    }

    fn spawn(&mut self, test: &str, port: u16) -> Result<Server, StartError> {
        let wanted = (self.command)(port);
        if !exists(wanted.get_program().as_ref()) {
            let program = wanted.get_program().to_string_lossy();
            return Err(StartError::Missing(format!(
                "{}: there is no program {program}; install it",
                self.name
            )));
        }
        let start = || -> std::io::Result<Server> {
            let (path, file) = log::create(test, &self.name, port)?;
            let mut command = Command::new("/bin/sh");
            command.args(["-c", COMPANION, "sh"]).arg(wanted.get_program()).args(wanted.get_args());
            for (name, value) in wanted.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            if let Some(folder) = wanted.get_current_dir() {
                command.current_dir(folder);
            }
            // A group of its own: Ctrl-C is for the test, and the end of the test is the end of the server.
            command.process_group(0).stdin(Stdio::piped()).stderr(file.try_clone()?).stdout(file);
            Ok(Server { child: command.spawn()?, port, log: path })
        };
        start().map_err(|error| failed(&self.name, &format!("cannot start: {error}")))
    }

    /// Waits until it is ready; gives it back with why it is not.
    fn wait(&self, mut server: Server) -> Result<Server, (Server, String)> {
        let began = SystemClock.monotonic();
        loop {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err((server, format!("it ended: {status}")));
            }
            let is_its_own = || {
                !self.ready.is_told_by_a_port() || owner::listens(server.pid(), server.port).unwrap_or(true)
            };
            if server.answers(&self.ready) && is_its_own() {
                return Ok(server);
            }
            if SystemClock.monotonic().saturating_sub(began) > self.within {
                let why = format!("it is not ready after {:?} ({:?})", self.within, self.ready);
                return Err((server, why));
            }
            pause(Duration::from_millis(10));
        }
    }
}

fn failed(name: &str, why: &str) -> StartError {
    StartError::Failed(format!("{name} did not start: {why}"))
}

fn exists(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}

/// A port that nobody listens on now. Whoever gets it may lose it again before it is used: see [`owner`].
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A server that runs on a port of 127.0.0.1.
///
/// It ends when this is dropped. It also ends when the process that started it does, even by `kill -9`: a companion
/// process waits for the end of a pipe that only this holds. Its whole process group ends with it, so a server may
/// have children, as long as these stay in its group.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Server {
    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process, whose number is also that of its process group.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its output is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that it wrote so far.
    #[must_use]
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it now, as dropping it does.
    pub fn stop(self) {}

    /// The same, and it is still known which it was.
    pub fn end(&mut self) {
        // While it is not collected, its number is nobody else's.
        if self.runs() {
            self.signal(Signal::TERM);
            let began = SystemClock.monotonic();
            while !ended(self.pid()) && SystemClock.monotonic().saturating_sub(began) < STOP {
                pause(Duration::from_millis(5));
            }
            self.signal(Signal::KILL);
        }
        // If it ended by itself, the companion ends the rest of the group now.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }

    fn answers(&self, ready: &Ready) -> bool {
        match ready {
            Ready::Connect => TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok(),
            Ready::Get(path) => {
                matches!(http::request(self.port, "GET", path, "", b""), Ok(answer) if answer.is_good())
            }
            Ready::Socket { socket, path } => {
                matches!(http::ask(socket, path), Ok(answer) if answer.is_good())
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // What has ended already need not be ended.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a child has ended and waits to be collected, without collecting it.
fn ended(pid: u32) -> bool {
    !crate::alive(pid)
}
