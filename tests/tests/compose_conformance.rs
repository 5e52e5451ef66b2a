//! The driver for compose projects against the conformance kit, on hosts that are real.
//!
//! All cases share two hosts, one after the other: each begins with nothing but the images' names in a registry.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use async_trait::async_trait;
use rollback_core::{ComponentName, DynTarget, Error, ErrorKind, Result};
use rollback_driver_ec2_compose::ComposeConfig;
use rollback_testkit::driver::{Fault, FaultLine, Fixture, Release, main_of, suite};
use rollback_tests::hosts::{BAD, Bed, CRASHING, GOOD, Host, OLDER, Setup};
use rollback_tests::servers::StartError;
use serde_json::json;
use tokio::sync::{Mutex, OwnedMutexGuard};

const SECRET: &str = "correct horse battery staple";
const HOSTS: usize = 2;

/// Leaves a host as it was before the first deploy.
const FORGET: &str = "docker rm -fv $(docker ps -aq) >/dev/null 2>&1; docker image prune -af >/dev/null; \
                      rm -rf ~/.local/state/rollback";
/// Waits until health checks have said something.
const RESTS: &str = "n=0; while [ -n \"$(docker ps -q --filter health=starting --filter status=running)\" ] && [ $n -lt 200 ]; \
                     do sleep 0.05; n=$((n+1)); done";

fn bed() -> Result<&'static Bed, StartError> {
    static BED: OnceLock<Result<Bed, StartError>> = OnceLock::new();
    BED.get_or_init(|| Bed::start(Setup::hosts(HOSTS).empty())).as_ref().map_err(Clone::clone)
}

struct World {
    bed: &'static Bed,
    line: FaultLine,
    deploys: AtomicU64,
    _turn: OwnedMutexGuard<()>,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Other, "arrange the hosts", error.to_string())
}

fn version(release: Release) -> &'static str {
    match release.number() {
        1 => GOOD,
        2 => OLDER,
        _ => BAD,
    }
}

/// Work that blocks, beside the tasks of a case.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> rollback_tests::Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(failed)?.map_err(failed)
}

impl World {
    async fn new() -> Result<Self> {
        static TURN: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);
        let turn = Arc::clone(&TURN).lock_owned().await;
        let bed = bed().map_err(failed)?;
        blocking(move || {
            for repository in ["backend"] {
                for version in [GOOD, OLDER, BAD, CRASHING] {
                    bed.registry.restore(repository, version)?;
                }
            }
            bed.each(|host| {
                host.run(FORGET)?;
                std::fs::write(host.path("app/backend.env"), format!("API_KEY={SECRET}\n"))?;
                Ok(())
            })
        })
        .await?;
        Ok(Self { bed, line: FaultLine::default(), deploys: AtomicU64::new(0), _turn: turn })
    }

    async fn on(&self, hosts: &'static [Host], version: &'static str) -> Result<()> {
        self.deploys.fetch_add(1, Ordering::Relaxed);
        let bed = self.bed;
        blocking(move || {
            let repository = bed.registry.repository("backend");
            let script = format!(
                "docker pull -q {repository}:{version} && docker tag {repository}:{version} {repository}:latest && \
                 {{ {compose} up -d --no-deps backend; {RESTS}; }}",
                compose = hosts[0].compose_command(),
            );
            // What a pipeline does, without what takes it long: the neighbour is started by nobody, and all hosts are deployed to at once.
            bed.each(|host| {
                if !hosts.iter().any(|one| one.name() == host.name()) {
                    return Ok(());
                }
                let ran = host.run(&script)?;
                if ran.code == Some(0) { Ok(()) } else { Err(format!("deploy {version}: {ran}").into()) }
            })
        })
        .await
    }
}

#[async_trait]
impl Fixture for World {
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        let hosts: Vec<_> = self.bed.hosts.iter().map(Host::name).collect();
        let config = json!({
            "project": "app", "services": ["backend"], "hosts": hosts, "ask_ecr": false, "ssh": { "config_file": self.bed.ssh_config() },
        });
        let target = ComposeConfig::read(&ComponentName::new("web")?, &config)?.build()?;
        Ok(self.line.wrap(target.erase()))
    }

    async fn deploy(&self, release: Release) -> Result<()> {
        self.on(&self.bed.hosts, version(release)).await
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        let first = &self.bed.hosts[..1];
        match fault {
            // A registry that is not ECR is asked by hosts alone, and only by pulling.
            Fault::RemoveArtifact(_) => Ok(false),
            Fault::MixParts(release) => self.on(first, version(release)).await.map(|()| true),
            Fault::Fail(_) => {
                self.on(&self.bed.hosts, CRASHING).await?;
                let bed = self.bed;
                let crashed = "n=0; while [ -z \"$(docker ps -aq --filter status=restarting)\" ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n+1)); done";
                blocking(move || bed.each(|host| host.run(crashed).map(drop))).await?;
                Ok(true)
            }
            Fault::RestartPart => {
                blocking(move || first[0].run(&format!("docker restart -t 0 $(docker ps -q --filter label=com.docker.compose.service=backend) && {RESTS}")).map(drop)).await?;
                Ok(true)
            }
            other => self.line.inject(other).await,
        }
    }

    async fn effects(&self) -> Result<Option<u64>> {
        Ok(Some(self.deploys.load(Ordering::Relaxed) + self.line.landed()))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

fn main() -> ExitCode {
    let missing = match bed() {
        Err(StartError::Missing(why)) => Some(why),
        _ => None,
    };
    main_of([suite("two-hosts", World::new).missing(missing)])
}
