//! Machines: namespaces with a Docker daemon and SSH servers.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::network::within;
use super::registry::REGISTRY;
use crate::proxy::Proxy;
use crate::servers::{Engine, Launch, Ready, Server, StartError, is_on_path, static_busybox, target_folder};
use crate::{Ran, Result, Running, until};

/// Runs the machine, and takes everything along when it ends; its first process; and one of its hosts.
const SCRIPT: &str = include_str!("machine.sh");
const INIT: &str = include_str!("init.sh");
const HOST: &str = include_str!("host.sh");
const INSTALL: &str = "run: tests/install-servers docker hosts";
/// Where a machine has its way to the registry, on its own loopback.
const REGISTRY_PORT: u16 = 3128;

/// A folder that nobody else uses or may look into. Removed with this, or by what runs in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    group: String,
}

impl Folder {
    pub(super) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Short: the path of a Unix socket has a hundred bytes.
        let group = format!("rb-host-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(&group);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path, group })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What ran in it has usually done it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// One that runs.
#[derive(Debug)]
pub(super) struct Machine {
    _server: Server,
    folder: Folder,
    /// Its first process, as this process counts: the way in.
    first: String,
    _registry: Proxy,
}

impl Machine {
    /// Starts one. The folders of its hosts are in `folder` already. `registry` is where the registry listens here.
    pub(super) fn start(
        test: &str,
        name: &str,
        folder: Folder,
        registry: SocketAddr,
    ) -> Result<Self, StartError> {
        let failed = |error: io::Error| StartError::Failed(format!("{name}: {error}"));
        let tools = program("registry")?.parent().map(Path::to_path_buf).unwrap_or_default();
        let busybox = static_busybox()?;
        write(name, &folder).map_err(failed)?;
        let launch = Launch::new(name, |_| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", SCRIPT, "machine"]).arg(&folder.path).arg(&folder.group);
            command.arg(&tools).arg(&busybox);
            command
        });
        let socket = folder.path.join("docker.sock");
        let server = launch.ready(Ready::Socket { socket, path: "/_ping".to_owned() }).start(test)?;
        let first = fs::read_to_string(folder.path.join("first")).map_err(failed)?.trim().to_owned();
        let network = network(&first).map_err(failed)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, REGISTRY_PORT));
        let listener = within(&network, || TcpListener::bind(address)).map_err(failed)?;
        let way = Proxy::tcp_between(listener, registry, None).map_err(failed)?;
        Ok(Self { _server: server, folder, first, _registry: way })
    }

    pub(super) fn engine(&self) -> Engine {
        Engine::at(self.folder.path.join("docker.sock"))
    }

    /// A way from this process to a port of the machine's loopback.
    pub(super) fn way_to(&self, port: u16) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        Proxy::tcp_between(listener, (Ipv4Addr::LOCALHOST, port), Some(self.network()?))
    }

    /// Its network.
    pub(super) fn network(&self) -> io::Result<OwnedFd> {
        network(&self.first)
    }

    /// The file `path` of a host's home, from here.
    pub(super) fn home(&self, index: usize) -> PathBuf {
        // Mounts are seen by those who are in there, and through them.
        PathBuf::from(format!("/proc/{}/root/run/bed/disk/homes/{index}/deploy", self.first))
    }

    /// Waits until a host's SSH server takes connections.
    pub(super) fn until_listens(&self, port: u16) -> Result<()> {
        let network = self.network()?;
        let connects = || within(&network, || TcpStream::connect((Ipv4Addr::LOCALHOST, port))).is_ok();
        until("an SSH server", || connects().then_some(()))
    }

    /// Runs a script as root, in the namespaces of a host.
    pub(super) fn run(&self, index: usize, script: &str) -> Result<Ran> {
        let pid = fs::read_to_string(self.folder.path.join(format!("hosts/{index}/sshd.pid")))?;
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.first,
            "--all",
            "--",
            "nsenter",
            "--target",
            pid.trim(),
            "--mount",
            "--",
        ]);
        command.args(["/bin/sh", "-c", script]).env_clear().env("PATH", PATH).current_dir("/");
        Running::start(command)?.end()
    }
}

/// Where hosts have their programs.
pub(super) const PATH: &str = "/run/host:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// A program that `tests/install-servers hosts` brings.
///
/// # Errors
///
/// When it is not installed, or nobody could use it.
pub(super) fn program(name: &str) -> Result<PathBuf, StartError> {
    if !rustix::process::geteuid().is_root() {
        return Err(StartError::Missing(
            "hosts need root: they are namespaces with a Docker daemon".to_owned(),
        ));
    }
    let needed = ["docker", "dockerd", "unshare", "nsenter", "setpriv", "ssh", "ssh-keygen"];
    if let Some(program) = needed.iter().find(|program| !is_on_path(program)) {
        return Err(StartError::Missing(format!("{program} is not installed; {INSTALL}")));
    }
    let folder = target_folder().join("test-servers").join("hosts");
    let program = folder.join("programs").join(name);
    if is_sshd_there() && folder.join("installed").is_file() && program.is_file() {
        return Ok(program);
    }
    Err(StartError::Missing(format!("hosts are not installed; {INSTALL}")))
}

fn is_sshd_there() -> bool {
    is_on_path("sshd") || Path::new("/usr/sbin/sshd").is_file()
}

fn network(first: &str) -> io::Result<OwnedFd> {
    Ok(File::open(format!("/proc/{first}/ns/net"))?.into())
}

/// What a machine reads when it starts.
fn write(name: &str, folder: &Folder) -> io::Result<()> {
    let path = &folder.path;
    fs::create_dir_all(path.join("etc"))?;
    let settings = json!({ "insecure-registries": [REGISTRY] }).to_string();
    // One who may log in, and may use Docker. Their passwords fit nothing.
    let passwd = "root:x:0:0::/root:/bin/bash\nsshd:x:102:65534::/run/sshd:/usr/sbin/nologin\ndeploy:x:1000:1000::/home/deploy:/bin/bash\n";
    let group = "root:x:0:\nnogroup:x:65534:\ndocker:x:900:deploy\ndeploy:x:1000:\n";
    let files = [
        ("name", name),
        ("init", INIT),
        ("host", HOST),
        ("docker", &docker(&folder.group)),
        ("daemon.json", &settings),
        ("etc/passwd", passwd),
        ("etc/group", group),
        ("etc/shadow", "root:*:1::::::\nsshd:*:1::::::\ndeploy:*:1::::::\n"),
    ];
    files.iter().try_for_each(|(name, text)| fs::write(path.join(name), text))
}

/// The script that becomes the daemon: when the machine starts, and again when a test starts it again.
fn docker(group: &str) -> String {
    let proxy = format!("http://127.0.0.1:{REGISTRY_PORT}");
    format!(
        "export HTTP_PROXY={proxy} HTTPS_PROXY={proxy} NO_PROXY= no_proxy=\n\
         exec dockerd --host unix:///run/docker.sock --host unix:///run/bed/docker.sock --pidfile /run/docker.pid \
         --data-root /run/bed/disk/docker --exec-root /run/docker --config-file /run/bed/daemon.json \
         --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
         --default-address-pool base=10.213.0.0/16,size=24 \
         --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent /{group}\n"
    )
}
