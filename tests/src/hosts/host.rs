//! One host.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::bed::Compose;
use super::machine::Machine;
use super::poller::{self, Poller};
use super::project::Written;
use super::registry::{PASSWORD, REGISTRY, Registry, USER};
use crate::proxy::Proxy;
use crate::servers::Container;
use crate::{Ran, Result, Running, until};

/// How to log in to a host.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SshAccess {
    /// Where its [front](Host::front) listens.
    pub address: String,
    /// The port.
    pub port: u16,
    /// Who logs in: may use Docker, and nothing more.
    pub user: String,
    /// That user's private key.
    pub identity_file: PathBuf,
    /// A file with the keys of all hosts.
    pub known_hosts: PathBuf,
    /// The host's public key, as that file has it: `ssh-ed25519 AAAA…`.
    pub host_key: String,
}

/// A host with a Docker daemon and a project.
#[derive(Debug)]
pub struct Host {
    // In this order: ways in go before what they lead to.
    front: Proxy,
    web: Proxy,
    name: String,
    index: usize,
    project: String,
    compose: Compose,
    web_port: u16,
    ssh: SshAccess,
    machine: Arc<Machine>,
    registry: Arc<Registry>,
}

impl Host {
    pub(super) fn new(
        written: &Written<'_>,
        name: String,
        machine: Arc<Machine>,
        ssh: SshAccess,
        (front, web): (Proxy, Proxy),
        registry: Arc<Registry>,
    ) -> Self {
        let Written { index, compose, web_port, .. } = *written;
        let project = written.project.unwrap_or("app").to_owned();
        Self { front, web, name, index, project, compose, web_port, ssh, machine, registry }
    }

    /// `host0`: its own name, and in SSH's configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its compose project, which is in `/home/deploy/app`.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// What it has of compose.
    #[must_use]
    pub fn compose_version(&self) -> Compose {
        self.compose
    }

    /// How to log in.
    #[must_use]
    pub fn ssh(&self) -> &SshAccess {
        &self.ssh
    }

    /// What stands before its SSH server: `cut()` breaks connections, `freeze()` lets nothing arrive, `latency()` makes it far away, `down()`
    /// lets nobody in.
    #[must_use]
    pub fn front(&self) -> &Proxy {
        &self.front
    }

    /// What stands before its service, for probes from outside.
    #[must_use]
    pub fn web(&self) -> &Proxy {
        &self.web
    }

    /// `http://127.0.0.1:PORT` of its service, from outside. On the host it is [`web_port`](Self::web_port).
    #[must_use]
    pub fn url(&self) -> String {
        self.web.url()
    }

    /// The port of its loopback at which it publishes its service.
    #[must_use]
    pub fn web_port(&self) -> u16 {
        self.web_port
    }

    /// A file of `/home/deploy`, from here.
    #[must_use]
    pub fn path(&self, in_home: impl AsRef<Path>) -> PathBuf {
        self.machine.home(self.index).join(in_home)
    }

    // ---- what people do

    /// Runs a script on the host as its user, in the folder of the project, and not over SSH.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or does not end.
    pub fn run(&self, script: &str) -> Result<Ran> {
        let user = "cd /home/deploy/app && exec setpriv --reuid=1000 --regid=1000 --init-groups \
                    env HOME=/home/deploy USER=deploy LOGNAME=deploy /bin/bash -c";
        self.run_as_root(&format!("{user} {}", quoted(script)))
    }

    /// Runs a script on the host as root.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or does not end.
    pub fn run_as_root(&self, script: &str) -> Result<Ran> {
        self.machine.run(self.index, script)
    }

    /// Runs a script over SSH, by way of the front, with the client that everybody has.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or does not end.
    pub fn over_ssh(&self, script: &str) -> Result<Ran> {
        self.begin_over_ssh(script)?.end()
    }

    /// The same, and it runs on.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn begin_over_ssh(&self, script: &str) -> Result<Running> {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.ssh.known_hosts.with_file_name("ssh_config"));
        command.args(["--", &self.name, script]);
        Running::start(command)
    }

    /// What compose is called here.
    #[must_use]
    pub fn compose_command(&self) -> &'static str {
        if self.compose == Compose::V1 { "docker-compose" } else { "docker compose" }
    }

    /// Runs compose on the host: `compose("up -d --no-deps backend")`.
    ///
    /// # Errors
    ///
    /// When it cannot be run, or does not end. Not when it fails.
    pub fn compose(&self, arguments: &str) -> Result<Ran> {
        self.run(&format!("{} {arguments}", self.compose_command()))
    }

    /// Deploys a version as a pipeline does: `latest` in the registry is that version now, and the host pulls it and starts it. The tag is
    /// that of all hosts, and others stay as they are.
    ///
    /// # Errors
    ///
    /// When there is no such version, or compose fails. Not when the version is bad.
    pub fn deploy(&self, version: &str) -> Result<()> {
        self.pull(version)?;
        self.succeed("up -d")
    }

    /// The first half of that: `latest` is that version, in the registry and on the host, and what runs is what ran.
    ///
    /// # Errors
    ///
    /// When there is no such version, or compose fails.
    pub fn pull(&self, version: &str) -> Result<()> {
        self.registry.with_latest(version, || self.succeed("pull -q"))
    }

    fn succeed(&self, arguments: &str) -> Result<()> {
        let ran = self.compose(arguments)?;
        if ran.code == Some(0) { Ok(()) } else { Err(format!("compose {arguments}: {ran}").into()) }
    }

    /// Logs in to the registry, as with ECR: from standard input, and kept in the user's home.
    ///
    /// # Errors
    ///
    /// When it does not work.
    pub fn log_in(&self) -> Result<()> {
        let ran = self.run(&format!(
            "printf %s {PASSWORD} | docker login --username {USER} --password-stdin {REGISTRY}"
        ))?;
        if ran.code == Some(0) { Ok(()) } else { Err(format!("docker login: {ran}").into()) }
    }

    /// Logs out, as when a token of ECR has expired.
    ///
    /// # Errors
    ///
    /// When it does not work.
    pub fn log_out(&self) -> Result<()> {
        let ran = self.run(&format!("docker logout {REGISTRY}"))?;
        if ran.code == Some(0) { Ok(()) } else { Err(format!("docker logout: {ran}").into()) }
    }

    // ---- what there is

    /// The containers of its project, whether they run or not.
    ///
    /// # Errors
    ///
    /// When the daemon does not answer.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let mut all = self.machine.engine().containers()?;
        all.retain(|container| container.labels.get("com.docker.compose.project") == Some(&self.project));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// The image id of the container that compose calls a service's: `sha256:…`, or nothing where there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be asked for.
    pub fn image_of(&self, service: &str) -> Result<String> {
        let compose = self.compose_command();
        let ran = self.run(&format!("docker inspect -f '{{{{.Image}}}}' $({compose} ps -q {service})"))?;
        Ok(ran.out.trim().to_owned())
    }

    /// The status and the version that its service answers with now.
    #[must_use]
    pub fn answer(&self) -> Option<(u16, String)> {
        poller::answer(self.web.port())
    }

    /// Waits until its service answers with that status and version.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub fn until_answers(&self, status: u16, version: &str) -> Result<()> {
        poller::until_answers(self.web.port(), status, version)
    }

    /// Asks its service every 20 ms from now on, on its loopback.
    ///
    /// # Errors
    ///
    /// When there is no thread for it.
    pub fn poll(&self) -> Result<Poller> {
        Ok(Poller::start(self.machine.network()?, self.web_port)?)
    }

    // ---- what goes wrong

    /// Ends the Docker daemon as its service does: it stops its containers first. For all hosts of a shared machine.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub fn stop_docker(&self) -> Result<()> {
        self.end_docker("TERM")
    }

    /// Kills the Docker daemon. Containers run on, but their published ports are its children's and end with it. When it is back it stops
    /// the containers, and those with `unless-stopped` stay stopped: it takes its own stop for somebody's.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub fn kill_docker(&self) -> Result<()> {
        self.end_docker("KILL")
    }

    fn end_docker(&self, signal: &str) -> Result<()> {
        let script = format!(
            "pid=$(cat /run/docker.pid) && kill -s {signal} $pid && n=0 && \
             while kill -s 0 $pid 2>/dev/null && [ $n -lt 600 ]; do sleep 0.05; n=$((n+1)); done; ! kill -s 0 $pid"
        );
        let ran = self.run_as_root(&script)?;
        if ran.code == Some(0) { Ok(()) } else { Err(format!("the daemon does not end: {ran}").into()) }
    }

    /// Starts the daemon again, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start_docker(&self) -> Result<()> {
        self.run_as_root("kill -s USR1 1")?;
        until("the Docker daemon", || self.machine.engine().containers().ok().map(drop))
    }

    /// Ends all sessions of its SSH server, and not the server.
    ///
    /// # Errors
    ///
    /// When they cannot be ended.
    pub fn end_sessions(&self) -> Result<()> {
        let pid = format!("/run/bed/hosts/{}/sshd.pid", self.index);
        // Below the server the part with rights, below that the part that the client speaks to, and only then what it runs.
        let script = format!(
            "of() {{ cat /proc/$1/task/$1/children; }}; \
             for one in $(of $(cat {pid})); do kill -s KILL $(of $one) $one; done"
        );
        self.run_as_root(&script).map(drop)
    }

    /// Stops its SSH server with all sessions and what they run, and its Docker daemon, where they stand: connections come about and nobody
    /// answers, until [`thaw`](Self::thaw). Containers run on. For all hosts of a shared machine.
    ///
    /// # Errors
    ///
    /// When they cannot be stopped.
    pub fn freeze(&self) -> Result<()> {
        let place = format!("/run/bed/hosts/{}", self.index);
        let ran = self.run_as_root(&format!(
            "all() {{ echo $1; for one in $(cat /proc/$1/task/*/children 2>/dev/null); do (all $one); done; }}; \
             {{ all $(cat {place}/sshd.pid); cat /run/docker.pid; }} >{place}/frozen; \
             for one in $(cat {place}/frozen); do kill -s STOP $one 2>/dev/null; done; grep -q '(stopped)' /proc/$(cat /run/docker.pid)/status"
        ))?;
        if ran.code == Some(0) { Ok(()) } else { Err(format!("it does not freeze: {ran}").into()) }
    }

    /// Lets what was frozen go on.
    ///
    /// # Errors
    ///
    /// When it cannot be done.
    pub fn thaw(&self) -> Result<()> {
        let all = format!("/run/bed/hosts/{}/frozen", self.index);
        self.run_as_root(&format!("for one in $(cat {all}); do kill -s CONT $one 2>/dev/null; done"))
            .map(drop)
    }

    /// Leaves no room on its disk, on which images, containers and homes are. For all hosts of a shared machine.
    ///
    /// # Errors
    ///
    /// When it cannot be done.
    pub fn fill_disk(&self) -> Result<()> {
        // Somebody may write between the look and the change.
        let used = "$(df -k --output=used /run/bed/disk | tail -n 1 | tr -d ' ')k";
        (0..20).find_map(|_| self.resize_disk(used).ok()).map_or_else(|| self.resize_disk(used), Ok)
    }

    /// Gives the room back.
    ///
    /// # Errors
    ///
    /// When it cannot be done.
    pub fn free_disk(&self) -> Result<()> {
        self.resize_disk("2g")
    }

    fn resize_disk(&self, size: &str) -> Result<()> {
        let ran = self.run_as_root(&format!("mount -o remount,size={size} /run/bed/disk"))?;
        if ran.code == Some(0) { Ok(()) } else { Err(format!("the disk keeps its size: {ran}").into()) }
    }

    /// Waits until commands can be run there.
    pub(super) fn until_ready(&self) -> Result<()> {
        until(&self.name, || self.run("docker version").ok().filter(|ran| ran.code == Some(0)).map(drop))
    }
}

/// A text as one word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
