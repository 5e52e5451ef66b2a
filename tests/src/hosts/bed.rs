//! A registry and its hosts.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};

use super::host::{Host, SshAccess};
use super::machine::{Folder, Machine};
use super::project::{self, Written};
use super::registry::Registry;
use super::{GOOD, STUBBORN, machine};
use crate::servers::{StartError, static_busybox, this_test};
use crate::{Ran, Result, Running};

/// How many hosts are made ready at a time.
const AT_A_TIME: usize = 4;
/// The first ports of hosts, for SSH where several share a machine, and for what they publish.
const SSH_PORT: u16 = 22;
const SHARED_SSH_PORT: u16 = 2200;
const WEB_PORT: u16 = 8080;

/// Which generations of compose a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compose {
    /// `docker-compose`, 1.29.2, in Python.
    V1,
    /// `docker compose`, 2.26.1.
    #[default]
    V2,
    /// Both; the bed itself uses v2.
    Both,
    /// None: nothing can be deployed.
    None,
}

/// What a bed shall be.
#[derive(Debug, Clone)]
#[must_use = "nothing runs until a bed is started"]
pub struct Setup {
    hosts: usize,
    shared: bool,
    compose: Vec<Compose>,
    deployed: Option<String>,
    cache: &'static str,
}

impl Setup {
    /// So many hosts, each with a Docker daemon of its own. The project is called `app` everywhere.
    pub fn hosts(count: usize) -> Self {
        Self {
            hosts: count,
            shared: false,
            compose: Vec::new(),
            deployed: Some(GOOD.to_owned()),
            cache: GOOD,
        }
    }

    /// So many hosts on one machine: they share its daemon, and their projects are called `app0`, `app1` and so on, without a
    /// health check: a machine has no time for fifty of them. For many hosts.
    pub fn shared(count: usize) -> Self {
        Self { shared: true, ..Self::hosts(count) }
    }

    /// What all hosts have, if not v2.
    pub fn compose(self, compose: Compose) -> Self {
        self.compose_each(&[compose])
    }

    /// What each host has; those after the last have what the last has.
    pub fn compose_each(mut self, compose: &[Compose]) -> Self {
        self.compose = compose.to_vec();
        self
    }

    /// What runs when the bed has started, if not v1.
    pub fn deployed(mut self, version: &str) -> Self {
        self.deployed = Some(version.to_owned());
        self
    }

    /// Nothing runs yet, and no image was pulled. The user is logged in to the registry.
    pub fn empty(mut self) -> Self {
        self.deployed = None;
        self
    }

    /// The service beside the backend ignores that it is asked to end: stopping it takes ten seconds.
    pub fn stubborn_neighbour(mut self) -> Self {
        self.cache = STUBBORN;
        self
    }

    fn compose_of(&self, index: usize) -> Compose {
        self.compose.get(index).or(self.compose.last()).copied().unwrap_or_default()
    }

    fn written<'a>(&self, index: usize, project: Option<&'a str>, user_key: &'a str) -> Written<'a> {
        let offset = u16::try_from(index).unwrap_or_default();
        let (ssh_port, web_port) =
            if self.shared { (SHARED_SSH_PORT + offset, WEB_PORT + offset) } else { (SSH_PORT, WEB_PORT) };
        let (compose, cache) = (self.compose_of(index), self.cache);
        Written { index, compose, project, cache, ssh_port, web_port, user_key }
    }
}

/// Hosts, and the registry that they pull from.
#[derive(Debug)]
pub struct Bed {
    /// The hosts. In SSH's configuration they are called `host0`, `host1` and so on.
    pub hosts: Vec<Host>,
    /// The registry.
    pub registry: Arc<Registry>,
    client: PathBuf,
    setup: Setup,
}

impl Bed {
    /// Starts all of it. What it wrote is kept as that of other servers.
    ///
    /// # Errors
    ///
    /// When something is not installed or does not start.
    pub fn start(setup: Setup) -> Result<Self, StartError> {
        machine::program("registry")?;
        static_busybox()?;
        let failed = |error: &dyn std::fmt::Display| StartError::Failed(format!("no hosts: {error}"));
        let machines = if setup.shared { setup.hosts.min(1) } else { setup.hosts };
        let folders: io::Result<Vec<Folder>> = (0..machines).map(|_| Folder::new()).collect();
        let folders = folders.map_err(|error| failed(&error))?;
        let client = folders.first().ok_or_else(|| failed(&"none was asked for"))?.path().join("client");
        fs::create_dir(&client).map_err(|error| failed(&error))?;
        let test = this_test();
        let registry = Arc::new(Registry::start(&test, &client)?);
        for index in 0..setup.hosts {
            let folder = &folders[index.min(folders.len() - 1)];
            prepare(&setup, index, folder.path(), &client).map_err(|error| failed(&error))?;
        }
        let machines = start_machines(&test, folders, registry.front().address())?;
        let mut hosts = Vec::new();
        for index in 0..setup.hosts {
            let machine = Arc::clone(&machines[index.min(machines.len() - 1)]);
            hosts.push(host(&setup, index, machine, &client, &registry).map_err(|error| failed(&error))?);
        }
        let bed = Self { hosts, registry, client, setup };
        bed.write_access().map_err(|error| failed(&error))?;
        bed.make_ready().map_err(|error| failed(&error))?;
        Ok(bed)
    }

    /// A configuration for `ssh -F`: `host0`, `host1` and so on, with strict checks of their keys. Nothing of it is the user's.
    #[must_use]
    pub fn ssh_config(&self) -> PathBuf {
        self.client.join("ssh_config")
    }

    /// The keys of all hosts.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.client.join("known_hosts")
    }

    /// Goes back on these hosts as runbooks do, with `tests/runbook/compose`: one after the other, over SSH by way of their fronts, in the
    /// way of the first one's compose. What it said, and how long it took.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or does not end. It never fails by itself.
    pub fn runbook(&self, hosts: &[&Host], previous_tag: &str) -> Result<(Ran, Duration)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("runbook").join("compose");
        let first = hosts.first().ok_or("a runbook for no host")?;
        let mut command = Command::new(script);
        command.arg(self.ssh_config()).arg(first.compose_command());
        command.arg(self.registry.repository("backend")).arg(previous_tag);
        command.args(hosts.iter().map(|host| host.name()));
        let began = SystemClock.monotonic();
        let ran = Running::start(command)?.end()?;
        Ok((ran, SystemClock.monotonic().saturating_sub(began)))
    }

    fn write_access(&self) -> io::Result<()> {
        let (mut config, mut known) = (String::new(), String::new());
        for host in &self.hosts {
            let ssh = host.ssh();
            config += &format!(
                "Host {}\n  HostName {}\n  Port {}\n  User {}\n  IdentityFile {}\n  UserKnownHostsFile {}\n",
                host.name(),
                ssh.address,
                ssh.port,
                ssh.user,
                ssh.identity_file.display(),
                ssh.known_hosts.display(),
            );
            known += &format!("[{}]:{} {}\n", ssh.address, ssh.port, ssh.host_key);
        }
        config += "Host *\n  IdentitiesOnly yes\n  IdentityAgent none\n  GlobalKnownHostsFile /dev/null\n  \
                   StrictHostKeyChecking yes\n  BatchMode yes\n";
        fs::write(self.ssh_config(), config)?;
        fs::write(self.known_hosts(), known)
    }

    /// Logs all hosts in, and deploys what shall run there.
    fn make_ready(&self) -> Result<()> {
        self.each(|host| {
            host.until_ready()?;
            host.log_in()?;
            match &self.setup.deployed {
                Some(version) if host.compose_version() != Compose::None => host.deploy(version),
                _ => Ok(()),
            }
        })
    }

    /// Does something on all hosts, a few at a time.
    ///
    /// # Errors
    ///
    /// What went wrong first, if anything did.
    pub fn each(&self, act: impl Fn(&Host) -> Result<()> + Sync) -> Result<()> {
        let (next, first) = (AtomicUsize::new(0), Mutex::new(None));
        std::thread::scope(|scope| {
            for _ in 0..AT_A_TIME.min(self.hosts.len()) {
                scope.spawn(|| {
                    while let Some(host) = self.hosts.get(next.fetch_add(1, Ordering::SeqCst)) {
                        let Err(error) = act(host) else { continue };
                        let mut first = first.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        first.get_or_insert(format!("{}: {error}", host.name()));
                    }
                });
            }
        });
        let first = first.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        first.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn name(index: usize) -> String {
    format!("host{index}")
}

fn project_of(setup: &Setup, index: usize) -> Option<String> {
    setup.shared.then(|| format!("app{index}"))
}

/// Makes a host's keys, and writes what it will find.
fn prepare(setup: &Setup, index: usize, machine: &Path, client: &Path) -> Result<()> {
    let place = machine.join("hosts").join(index.to_string());
    fs::create_dir_all(&place)?;
    let host_key = key(&place.join("host_key"))?;
    fs::write(client.join(format!("{}.host_key", name(index))), host_key)?;
    let user_key = key(&client.join(name(index)))?;
    let project = project_of(setup, index);
    Ok(project::write(&place, &setup.written(index, project.as_deref(), &user_key))?)
}

/// Makes a key without a passphrase: its public half.
fn key(path: &Path) -> Result<String> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(path).stdin(Stdio::null());
    let made = command.output()?;
    if !made.status.success() {
        return Err(format!("ssh-keygen: {}", String::from_utf8_lossy(&made.stderr)).into());
    }
    Ok(fs::read_to_string(path.with_extension("pub"))?.trim().to_owned())
}

fn start_machines(
    test: &str,
    folders: Vec<Folder>,
    registry: SocketAddr,
) -> Result<Vec<Arc<Machine>>, StartError> {
    std::thread::scope(|scope| {
        let start = |(index, folder)| {
            scope.spawn(move || Machine::start(test, &name(index), folder, registry).map(Arc::new))
        };
        let starting: Vec<_> = folders.into_iter().enumerate().map(start).collect();
        let panicked = |_| Err(StartError::Failed("starting a machine panicked".to_owned()));
        starting.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    })
}

fn host(
    setup: &Setup,
    index: usize,
    machine: Arc<Machine>,
    client: &Path,
    registry: &Arc<Registry>,
) -> Result<Host> {
    let project = project_of(setup, index);
    let written = setup.written(index, project.as_deref(), "");
    machine.until_listens(written.ssh_port)?;
    let (front, web) = (machine.way_to(written.ssh_port)?, machine.way_to(written.web_port)?);
    let ssh = SshAccess {
        address: "127.0.0.1".to_owned(),
        port: front.port(),
        user: "deploy".to_owned(),
        identity_file: client.join(name(index)),
        known_hosts: client.join("known_hosts"),
        host_key: fs::read_to_string(client.join(format!("{}.host_key", name(index))))?,
    };
    Ok(Host::new(&written, name(index), machine, ssh, (front, web), Arc::clone(registry)))
}
