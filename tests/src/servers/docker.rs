//! A Docker daemon.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::StartError;
use super::docker_api::Engine;
use super::install::target_folder;
use super::server::{Launch, Ready, Server};

/// Runs the daemon, and takes everything along when it ends.
const SCRIPT: &str = include_str!("docker.sh");
const INSTALL: &str = "run: tests/install-servers docker";

/// A Docker daemon of its own, which ends with this, and its containers with it. It shares nothing with another daemon of
/// the machine but the network: it makes none, and containers are to use the host's. Needs root. Install it with
/// `tests/install-servers docker`.
#[derive(Debug)]
pub struct Docker {
    server: Server,
    folder: PathBuf,
    engine: Engine,
}

/// How a daemon reaches registries.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Registries {
    /// Hosts that are spoken to without TLS.
    pub plain: Vec<String>,
    /// The HTTP proxy on the way there, as a URL.
    pub proxy: Option<String>,
}

/// Where a daemon that is to be started will listen.
#[derive(Debug, Clone)]
pub struct Place {
    folder: PathBuf,
    group: String,
}

impl Place {
    /// A place that nobody else uses. Nothing is written yet.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let group =
            format!("rollback-docker-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        // Short: the path of a Unix socket has a hundred bytes.
        Self { folder: std::env::temp_dir().join(&group), group }
    }

    /// `unix:///…`, as `DOCKER_HOST` has it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Docker {
    /// Starts one in `place`. `test` names the folder of its log.
    ///
    /// # Errors
    ///
    /// When it is not installed, may not be run by this user, or does not start.
    pub fn start(test: &str, place: &Place, registries: &Registries) -> Result<Self, StartError> {
        if !rustix::process::geteuid().is_root() {
            return Err(StartError::Missing("a Docker daemon needs root".to_owned()));
        }
        if ["dockerd", "unshare"].iter().any(|program| !is_on_path(program)) {
            return Err(StartError::Missing(format!("dockerd is not installed; {INSTALL}")));
        }
        prepare(&place.folder, registries)
            .map_err(|error| StartError::Failed(format!("no folder {}: {error}", place.folder.display())))?;
        let launch = Launch::new("dockerd", |_| command(place, registries));
        let ready = Ready::Socket { socket: place.socket(), path: "/_ping".to_owned() };
        let server = launch.ready(ready).start(test).map_err(explained)?;
        Ok(Self { server, folder: place.folder.clone(), engine: Engine::at(place.socket()) })
    }

    /// The process that keeps it.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it does for others.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// A program without libraries, for images that have nothing else: busybox.
///
/// # Errors
///
/// When it is not installed.
pub fn static_busybox() -> Result<PathBuf, StartError> {
    let path = target_folder().join("test-servers").join("docker").join("busybox");
    if path.is_file() {
        return Ok(path);
    }
    Err(StartError::Missing(format!("there is no static busybox; {INSTALL}")))
}

fn command(place: &Place, registries: &Registries) -> Command {
    let folder = |name: &str| place.folder.join(name).display().to_string();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", SCRIPT, "dockerd"]).arg(&place.folder).arg(&place.group);
    command.args(["--host", &place.host(), "--data-root", &folder("data"), "--exec-root", &folder("exec")]);
    command.args(["--pidfile", &folder("dockerd.pid"), "--config-file", &folder("daemon.json")]);
    // It changes nothing of the machine's network, and its control groups are where they can be found again.
    command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
    command.args(["--ip-masq=false", "--default-address-pool", "base=10.213.0.0/16,size=24"]);
    command.args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent"]);
    command.arg(format!("/{}", place.group));
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"] {
        command.env_remove(name);
    }
    if let Some(proxy) = &registries.proxy {
        command.env("HTTP_PROXY", proxy).env("HTTPS_PROXY", proxy);
    }
    command
}

/// Its folder and its settings, which are not the machine's. Whoever reaches the daemon is root: only we may look into it.
fn prepare(folder: &Path, registries: &Registries) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)?;
    let settings = json!({ "insecure-registries": registries.plain });
    fs::write(folder.join("daemon.json"), settings.to_string())
}

/// What usually lies behind it where a daemon does not start.
fn explained(error: StartError) -> StartError {
    let StartError::Failed(why) = error else { return error };
    let lower = why.to_lowercase();
    let hint = if lower.contains("cgroup") {
        "control groups cannot be used here: /sys/fs/cgroup has to be mounted writable, in a container with --privileged"
    } else if lower.contains("unshare")
        || lower.contains("operation not permitted")
        || lower.contains("tmpfs")
    {
        "namespaces or mounts are not allowed here: in a container it takes --privileged"
    } else {
        return StartError::Failed(why);
    };
    StartError::Failed(format!("{hint}\n{why}"))
}

pub(crate) fn is_on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
}
