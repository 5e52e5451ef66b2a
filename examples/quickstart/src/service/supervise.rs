//! Stops the running service and starts the current release: what a service manager would do.
//!
//! The pid file holds the process id and nothing else, as others expect it. A pid alone may belong to somebody else by
//! now, so the file beside it (`….info`) also says when the process started and where it listens: supervising goes by
//! that one, and nothing is ever signalled whose start does not fit.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rollback_core::time::{Clock, SystemClock, within};
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::Release;

/// How long the old process may take to end by itself, and how long once it was killed.
const STOPPING: Duration = Duration::from_secs(5);

/// How long the new process may take until it accepts connections.
const STARTING: Duration = Duration::from_secs(10);

/// How long others' restarts are waited for.
const TURN: Duration = Duration::from_secs(60);

/// How often a start is tried while something else holds the port, and the pause between.
const ATTEMPTS: u32 = 10;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(100);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// How to restart the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restart {
    /// The program that serves, with `serve` as its first argument: this binary.
    pub(crate) program: PathBuf,
    /// The symlink to the current release folder.
    pub(crate) current: PathBuf,
    /// The port on 127.0.0.1; 0 for any free one.
    pub(crate) port: u16,
    /// Where the running process leaves its id.
    pub(crate) pid_file: PathBuf,
}

/// A running service, as the file beside its pid file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    /// The process.
    pub(crate) pid: u32,
    /// When it started, in whatever form the system tells it: only good for comparing.
    pub(crate) started: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Running {
    /// Reads what stands beside a pid file. `None` if nothing does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] for a file that is something else.
    pub(crate) fn read(pid_file: &Path) -> Result<Option<Self>> {
        let path = info_file(pid_file);
        let corrupt = |what: &str| {
            Error::new(ErrorKind::Corrupt, "find the running service", format!("{}: {what}", path.display()))
                .next("end the service by hand and remove the file")
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(corrupt("it cannot be read").with_source(error)),
        };
        let value: Value = serde_json::from_str(&text).map_err(|_| corrupt("it is not JSON"))?;
        let running = || {
            Some(Self {
                pid: u32::try_from(value["pid"].as_u64()?).ok().filter(|pid| *pid > 1)?,
                started: value["started"].as_str()?.to_owned(),
                address: value["address"].as_str()?.parse().ok()?,
            })
        };
        running().map(Some).ok_or_else(|| corrupt("it lacks a pid, its start or its address"))
    }

    /// Whether that very process still runs. Another one with the same id does not count.
    pub(crate) async fn is_alive(&self) -> bool {
        started(self.pid).await.is_some_and(|started| started == self.started)
    }

    async fn signal(&self, name: &str) {
        // The shell's own `kill`: small machines have no other. Whether it worked is seen by looking at the process.
        let _ = Command::new("sh")
            .args(["-c", "kill \"$1\" \"$2\"", "sh", name, &self.pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
    }

    async fn gone(&self) {
        while self.is_alive().await {
            SystemClock.sleep(PAUSE).await;
        }
    }
}

/// When a process started. `None` when it is gone, or dead and only waits to be collected by its parent.
async fn started(pid: u32) -> Option<String> {
    if Path::new("/proc/self/stat").exists() {
        return started_on_linux(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    }
    let output =
        Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, started) = text.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| started.trim().to_owned())
}

/// Field 22 of `/proc/PID/stat`: clock ticks since the machine started.
fn started_on_linux(stat: &str) -> Option<String> {
    // The name in parentheses may hold anything, parentheses and spaces too: count from the last one.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then(|| fields.nth(18).map(str::to_owned)).flatten()
}

/// A file beside a pid file.
fn beside(pid_file: &Path, suffix: &str) -> PathBuf {
    let mut name = pid_file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn info_file(pid_file: &Path) -> PathBuf {
    beside(pid_file, ".info")
}

/// Writes a file at once: a reader sees the old one or the new one, never a half.
fn write(path: &Path, text: &str) -> Result<()> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path)).map_err(|error| {
        Error::new(ErrorKind::Other, "write the pid file", path.display().to_string()).with_source(error)
    })
}

/// The pid file of this process.
#[derive(Debug)]
pub(super) struct PidFile<'a> {
    path: &'a Path,
}

impl<'a> PidFile<'a> {
    /// Writes that this process listens on `address`. The pid file comes last: it is what others wait for.
    pub(super) fn claim(path: &'a Path, address: SocketAddr) -> Result<Self> {
        let pid = std::process::id();
        let started = started_now().map_err(|error| {
            Error::new(ErrorKind::Unsupported, "write the pid file", "no start time").with_source(error)
        })?;
        let info = json!({ "pid": pid, "started": started, "address": address.to_string() });
        write(&info_file(path), &info.to_string())?;
        write(path, &format!("{pid}\n"))?;
        Ok(Self { path })
    }

    /// Removes both files, unless they name another process by now.
    pub(super) fn release(self) {
        if let Ok(Some(running)) = Running::read(self.path)
            && running.pid == std::process::id()
        {
            // Left behind it does no harm: its process is seen to be gone.
            let _ = fs::remove_file(self.path);
            let _ = fs::remove_file(info_file(self.path));
        }
    }
}

/// When this process started.
fn started_now() -> io::Result<String> {
    let unknown = || io::Error::other("the system does not say when this process started");
    if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
        return started_on_linux(&stat).ok_or_else(unknown);
    }
    let pid = std::process::id().to_string();
    let output = std::process::Command::new("ps").args(["-o", "lstart=", "-p", &pid]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if text.is_empty() { Err(unknown()) } else { Ok(text) }
}

/// Stops the service if it runs: asks first, kills if that takes longer than five seconds.
///
/// # Errors
///
/// [`ErrorKind::Corrupt`] for a file that is none of ours, [`ErrorKind::Timeout`] when the process does not go.
pub(crate) async fn stop(pid_file: &Path) -> Result<()> {
    let Some(running) = Running::read(pid_file)? else { return Ok(()) };
    for signal in ["-TERM", "-KILL"] {
        if !running.is_alive().await {
            return Ok(());
        }
        running.signal(signal).await;
        if within(&SystemClock, STOPPING, running.gone()).await.is_some() {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Timeout, "stop the service", format!("process {} does not end", running.pid))
        .next(format!("look at it with: ps -p {}", running.pid)))
}

/// Stops the old process and starts one that serves the current release; returns once it accepts connections.
///
/// Can be repeated from any point, and by several at once (one after the other gets its turn): it always ends with one
/// process that serves what `current` names. The release is read before the old process is stopped, so that a broken
/// one takes nothing down. That holds for a given port; with port 0 a process that was cut off at its start is not found.
///
/// # Errors
///
/// [`ErrorKind::Invalid`] for a wrong release, [`ErrorKind::Conflict`] when other restarts do not end,
/// [`ErrorKind::Unhealthy`] when the new process ends at once, and what [`stop`] says.
pub(crate) async fn restart(options: &Restart) -> Result<Running> {
    // Given back by the system when this process ends, however it ends.
    let _turn = turn(&options.pid_file).await?;
    let mut attempt = 1;
    loop {
        let outcome = replace(options).await;
        let Err(error) = &outcome else { return outcome };
        // A restart that was killed may have left a process that holds the port and has not written its pid file yet.
        if attempt == ATTEMPTS || error.kind() != ErrorKind::Unhealthy || !is_taken(options.port).await {
            return outcome;
        }
        attempt += 1;
        SystemClock.sleep(ATTEMPT_PAUSE).await;
    }
}

/// Waits until no other restart with the same pid file is under way.
async fn turn(pid_file: &Path) -> Result<File> {
    let path = beside(pid_file, ".lock");
    let failed =
        |kind, what: &str| Error::new(kind, "restart the service", format!("{}: {what}", path.display()));
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| {
        failed(ErrorKind::Denied, "it cannot be written").next("choose another pid file").with_source(error)
    })?;
    let free = async {
        while lock.try_lock().is_err() {
            SystemClock.sleep(PAUSE).await;
        }
    };
    match within(&SystemClock, TURN, free).await {
        Some(()) => Ok(lock),
        None => {
            Err(failed(ErrorKind::Conflict, "another restart holds it").next("wait until that one has ended"))
        }
    }
}

async fn is_taken(port: u16) -> bool {
    port > 0 && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok()
}

async fn replace(options: &Restart) -> Result<Running> {
    let folder = options.current.canonicalize().map_err(|error| {
        let what = format!("{} leads nowhere", options.current.display());
        Error::new(ErrorKind::Invalid, "restart the service", what)
            .next("point the symlink at a release folder")
            .with_source(error)
    })?;
    Release::read(&folder)?;
    stop(&options.pid_file).await?;
    let mut child = start(options, &folder).map_err(|error| {
        Error::new(ErrorKind::Other, "start the service", options.program.display().to_string())
            .with_source(error)
    })?;
    match within(&SystemClock, STARTING, ready(&mut child, &options.pid_file)).await {
        Some(outcome) => outcome,
        None => {
            // It never was of use, and the next restart could not find it.
            let _ = child.kill().await;
            Err(Error::new(ErrorKind::Timeout, "start the service", "it does not accept connections")
                .next("run it by hand with `serve` and see what it says"))
        }
    }
}

/// Starts a process that outlives this one: in a group of its own, and without our terminal and pipes.
fn start(options: &Restart, folder: &Path) -> io::Result<Child> {
    // Started in the release folder, so every other path must not depend on where we are.
    Command::new(std::path::absolute(&options.program)?)
        .arg("serve")
        .arg("--release")
        .arg(folder)
        .args(["--port", &options.port.to_string()])
        .arg("--pid-file")
        .arg(std::path::absolute(&options.pid_file)?)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Waits until the child has written its pid file and accepts a connection.
async fn ready(child: &mut Child, pid_file: &Path) -> Result<Running> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(Error::new(
                ErrorKind::Unhealthy,
                "start the service",
                format!("it ended at once: {status}"),
            )
            .next("another process may hold the port; run it by hand with `serve` and see what it says"));
        }
        // The pid file itself comes last, and others may look for it as soon as this is over.
        if let Some(running) = Running::read(pid_file)?
            && Some(running.pid) == child.id()
            && fs::read_to_string(pid_file).is_ok_and(|text| text.trim() == running.pid.to_string())
            && TcpStream::connect(running.address).await.is_ok()
        {
            return Ok(running);
        }
        SystemClock.sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_any_process_name() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        let stat = |state: &str| format!("7 (a) S 1 (b c) {state} {}", fields.join(" "));
        assert_eq!(started_on_linux(&stat("S")).as_deref(), Some("22"));
        assert_eq!(started_on_linux(&stat("Z")), None);
        assert_eq!(started_on_linux(""), None);
    }

    #[tokio::test]
    async fn a_process_that_only_shares_the_pid_is_never_signalled() {
        let mut other = Command::new("sleep").arg("30").kill_on_drop(true).spawn().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let text = json!({ "pid": other.id().unwrap(), "started": "long ago", "address": "127.0.0.1:1" });
        fs::write(info_file(&file), text.to_string()).unwrap();
        stop(&file).await.unwrap();
        assert!(other.try_wait().unwrap().is_none(), "somebody else's process was ended");
        other.kill().await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_none_of_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        assert_eq!(Running::read(&file).unwrap(), None);
        stop(&file).await.unwrap();
        for text in
            ["", "1234", "{\"pid\": 0}", "{\"pid\": 1, \"started\": \"1\", \"address\": \"127.0.0.1:1\"}"]
        {
            fs::write(info_file(&file), text).unwrap();
            assert_eq!(stop(&file).await.unwrap_err().kind(), ErrorKind::Corrupt, "{text}");
        }
    }

    #[tokio::test]
    async fn restarts_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let first = turn(&file).await.unwrap();
        assert!(within(&SystemClock, 5 * PAUSE, turn(&file)).await.is_none(), "two at once");
        drop(first);
        assert!(turn(&file).await.is_ok());
    }
}
