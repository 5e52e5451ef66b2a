//! A private sshd: own keys, a loopback port, gone with the test.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rollback_core::time::{Clock, SystemClock};
use rollback_ssh_support::{Connection, Host, SshSettings};
use rollback_testkit::harness::{Failure, ignore};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const SSHD: &str = "/usr/sbin/sshd";
/// How many ports are tried.
const PORTS: u32 = 5;
const HINT: &str = "run: apt-get install -y --no-install-recommends openssh-server";

pub(crate) struct Server {
    folder: TempDir,
    child: Child,
    port: u16,
}

impl Server {
    pub(crate) async fn start() -> Result<Self, Failure> {
        Self::with("").await
    }

    /// With further lines for its configuration.
    pub(crate) async fn with(more: &str) -> Result<Self, Failure> {
        if !Path::new(SSHD).exists() {
            let required = std::env::var_os("ROLLBACK_REQUIRE_ALL")
                .is_some_and(|value| !value.is_empty() && value != "0");
            let why = format!("{SSHD} is not installed; {HINT}");
            return Err(if required {
                Failure::new(why)
            } else {
                ignore(why).err().ok_or_else(|| Failure::new("ignored"))?
            });
        }
        let folder = tempfile::Builder::new().prefix("rs.").tempdir()?;
        for name in ["host", "user", "stranger"] {
            keygen(&folder.path().join(name))?;
        }
        let port = configure(folder.path(), more)?;
        let child = spawn(folder.path())?;
        let mut server = Self { folder, child, port };
        for attempt in 1.. {
            match server.ready(0).await {
                // Somebody else may have been given the port in between.
                Err(_) if attempt < PORTS => {
                    let _ = server.child.kill();
                    let _ = server.child.wait();
                    server.port = configure(server.folder.path(), more)?;
                    server.child = spawn(server.folder.path())?;
                }
                ready => {
                    ready?;
                    break;
                }
            }
        }
        server.write_known_hosts("known_hosts", "host")?;
        Ok(server)
    }

    /// Until it says so after this much of its log: a connection could be one to whoever else was given that port.
    async fn ready(&mut self, after: usize) -> Result<(), Failure> {
        let listens = format!("Server listening on 127.0.0.1 port {}.", self.port);
        for _ in 0..400 {
            let log = self.log();
            if log.get(after..).is_some_and(|log| log.contains(&listens)) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(Failure::new(format!("sshd ended with {status}: {log}")));
            }
            pause(25).await;
        }
        Err(Failure::new(format!("sshd does not listen: {}", self.log())))
    }

    /// Makes the keys of `of` those that are expected of this server, in a file of that name.
    pub(crate) fn write_known_hosts(&self, file: &str, of: &str) -> Result<PathBuf, Failure> {
        let key = fs::read_to_string(self.path(&format!("{of}.pub")))?;
        let path = self.path(file);
        fs::write(&path, format!("[127.0.0.1]:{} {key}", self.port))?;
        Ok(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn host(&self) -> Host {
        Host::new("127.0.0.1").unwrap()
    }

    pub(crate) fn settings(&self) -> SshSettings {
        SshSettings::new()
            .port(self.port)
            .identity_file(self.path("user"))
            .known_hosts(self.path("known_hosts"))
            .config_file("/dev/null")
            .keepalive("1s".parse().unwrap())
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection_with(self.settings())
    }

    pub(crate) fn connection_with(&self, settings: SshSettings) -> Connection {
        Connection::new(self.host(), settings).unwrap()
    }

    pub(crate) fn fingerprint(&self, of: &str) -> String {
        let listed =
            Command::new("ssh-keygen").arg("-lf").arg(self.path(&format!("{of}.pub"))).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().split(' ').nth(1).unwrap().to_owned()
    }

    pub(crate) fn public_key(&self, of: &str) -> String {
        fs::read_to_string(self.path(&format!("{of}.pub"))).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How many logins it has let in.
    pub(crate) fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    /// The processes that serve its connections.
    pub(crate) fn serving(&self) -> Vec<i32> {
        children(self.child.id().try_into().unwrap()).into_iter().filter(|pid| is_sshd(*pid)).collect()
    }

    /// Sends a signal to each process that serves a connection, and to those of its own that these started.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut pids = self.serving();
        for pid in pids.clone() {
            pids.extend(children(pid).into_iter().filter(|pid| is_sshd(*pid)));
        }
        for pid in pids {
            let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
        }
    }

    /// Ends it, with all its connections.
    pub(crate) fn stop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::STOP);
        self.signal(Signal::KILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again, on the same port and with the same keys.
    pub(crate) async fn again(&mut self) -> Result<(), Failure> {
        let said = self.log().len();
        self.child = spawn(self.folder.path())?;
        self.ready(said).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        self.stop();
    }
}

/// Writes its configuration, with a port that was free a moment ago.
fn configure(folder: &Path, more: &str) -> Result<u16, Failure> {
    // Where sshd runs as root it wants this folder, whatever its configuration says.
    if rustix::process::geteuid().is_root() {
        fs::create_dir_all("/run/sshd")?;
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let place = folder.display();
    // A home of its own: login shells read files there, which may be slow and noisy.
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\nStrictModes no\n\
         PidFile none\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n\
         LogLevel VERBOSE\nSetEnv HOME={place}\n{more}\n"
    );
    fs::write(folder.join("sshd_config"), config)?;
    Ok(port)
}

fn spawn(folder: &Path) -> Result<Child, Failure> {
    let log = fs::OpenOptions::new().append(true).create(true).open(folder.join("log"))?;
    let mut command = Command::new(SSHD);
    command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?)
}

pub(crate) fn keygen(path: &Path) -> Result<(), Failure> {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(path)
        .status()?;
    if made.success() { Ok(()) } else { Err(Failure::new("ssh-keygen failed")) }
}

pub(crate) async fn pause(millis: u64) {
    SystemClock.sleep(Duration::from_millis(millis)).await;
}

/// Waits until it holds, for ten seconds at most.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) -> Result<(), Failure> {
    for _ in 0..200 {
        if holds() {
            return Ok(());
        }
        pause(50).await;
    }
    Err(Failure::new(format!("never came about: {what}")))
}

/// How many processes `sleep` for exactly this long.
pub(crate) fn sleepers(seconds: &str) -> usize {
    let (all, wanted) = (fs::read_dir("/proc"), format!("sleep\0{seconds}\0"));
    let lines = all.into_iter().flatten().flatten().map(|one| fs::read(one.path().join("cmdline")));
    lines.flatten().filter(|line| line == wanted.as_bytes()).count()
}

fn children(pid: i32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn is_sshd(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("sshd"))
}
