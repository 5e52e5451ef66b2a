//! The hosts of a project: what is asked of them, and what is run there.

pub(crate) mod aws;
pub(crate) mod compose;
pub(crate) mod fleet;
mod logs;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rollback_aws_support::ecr::Login;
use rollback_core::{Digest, Error, ErrorKind, Result, Token};
use rollback_ssh_support::{Command, Host, Jobs, Output, Secret, Shell};

use self::fleet::Fleet;
use crate::image::{ImageRef, ServiceImage, bare};
use crate::look::HostLook;
use crate::look::docker;
use crate::names::{Project, Service};

const LOOK: &str = include_str!("look.sh");
const PRESENT: &str = include_str!("present.sh");
const FETCH: &str = concat!("login() { :; }\n", include_str!("fetch.sh"));
const FETCH_LOGGED_IN: &str = concat!(include_str!("login.sh"), include_str!("fetch.sh"));

/// How long a look may take: a daemon that is busy answers late.
const LOOK_LIMIT: Duration = Duration::from_secs(30);
/// How many hosts are asked at a time.
const TOGETHER: usize = 64;

/// Which images a look tells of, beside those that run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Beside<'a> {
    /// None: a look in the middle of a run, where whatever waits for its health check is asked at once.
    Nothing,
    /// All of the repositories that its containers were made from.
    Its,
    /// All of these repositories.
    These(&'a [ImageRef]),
}

/// One host of a project.
pub(crate) struct HostClient {
    pub(crate) host: Host,
    shell: Arc<dyn Shell>,
    jobs: Jobs,
}

/// All hosts of a project.
pub(crate) struct Client {
    pub(crate) project: Project,
    /// The services that are rolled back, the one with the version first.
    pub(crate) services: Vec<Service>,
    pub(crate) fleet: Fleet,
    /// What each host showed last. Together it is the target's token.
    seen: Mutex<BTreeMap<Host, Arc<HostLook>>>,
    /// Held by the first look at all hosts.
    first: tokio::sync::Mutex<()>,
    /// What compose said on hosts where it cannot read the project.
    unreadable: Mutex<BTreeMap<String, String>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("project", &self.project)
            .field("hosts", &self.fleet)
            .finish_non_exhaustive()
    }
}

impl HostClient {
    pub(crate) fn new(host: Host, shell: Arc<dyn Shell>) -> Self {
        let jobs = Jobs::new(Arc::clone(&shell));
        Self { host, shell, jobs }
    }

    /// Runs something that changes nothing, or that may be repeated.
    pub(crate) async fn run(&self, operation: &str, command: &Command) -> Result<Output> {
        let output = self.shell.run(command).await?;
        trouble::judge(self.host.as_str(), operation, output)
    }

    /// Has these images on the host, and says which of them had to be pulled: with the host's own login, or with this one for as long as
    /// that takes.
    pub(crate) async fn fetch<'a>(
        &self,
        images: impl IntoIterator<Item = &'a ServiceImage>,
        login: Option<&Login>,
        limit: Duration,
    ) -> Result<Vec<String>> {
        let command = match login {
            None => Command::script(FETCH),
            Some(login) => Command::script(FETCH_LOGGED_IN)
                .args([login.user().to_owned(), login.registry().to_string()])
                .stdin(Secret::new(login.password().expose().as_bytes())),
        };
        let command = command.args(images.into_iter().map(ServiceImage::exact)).limit(limit);
        Ok(told(&self.run("pull images", &command).await?, "pulled "))
    }

    /// Which of these images it has.
    pub(crate) async fn present(&self, images: &[String]) -> Result<BTreeSet<String>> {
        let command = Command::script(PRESENT).args(images.iter().cloned()).limit(LOOK_LIMIT);
        Ok(told(&self.run("look for images", &command).await?, "present "))
    }

    pub(crate) fn jobs(&self) -> &Jobs {
        &self.jobs
    }
}

impl Client {
    pub(crate) fn new(project: Project, services: Vec<Service>, fleet: Fleet) -> Self {
        Self {
            project,
            services,
            fleet,
            seen: Mutex::default(),
            first: tokio::sync::Mutex::default(),
            unreadable: Mutex::default(),
        }
    }

    pub(crate) async fn host(&self, host: &str) -> Result<&HostClient> {
        let hosts = self.fleet.hosts().await?;
        hosts.iter().find(|one| one.host.as_str() == host).ok_or_else(|| {
            let known: Vec<_> = hosts.iter().map(|one| one.host.as_str()).collect();
            Error::new(ErrorKind::NotFound, format!("change {host}"), "it is not among the project's hosts")
                .next(format!("plan again; there are: {}", known.join(", ")))
        })
    }

    /// Looks at one host.
    pub(crate) async fn look_at(&self, host: &HostClient, beside: Beside<'_>) -> Result<Arc<HostLook>> {
        let (its, these) = match beside {
            Beside::Nothing => ("", &[][..]),
            Beside::Its => ("its", &[][..]),
            Beside::These(repositories) => ("", repositories),
        };
        let ask = self.ask(host, beside);
        let command = Command::script(LOOK)
            .args([self.project.as_str(), docker::CONTAINER, docker::IMAGE, its, &ask])
            .args(these.iter().map(|repository| bare(repository).to_string()))
            .limit(LOOK_LIMIT);
        let output = host.run("look at what runs", &command).await?;
        let mut look = HostLook::read(host.host.as_str(), &self.services, &output.text())?;
        if let Some(before) = self.last_of(host) {
            look.remember(&before);
        }
        let look = Arc::new(look);
        self.seen().insert(host.host.clone(), Arc::clone(&look));
        Ok(look)
    }

    /// Whether health checks are run that docker has not come to yet, and for which containers no more. Docker runs the first one after the
    /// check's interval, which is 30 seconds unless it is configured, and there is an outage meanwhile.
    /// <https://docs.docker.com/reference/dockerfile/#healthcheck>
    fn ask(&self, host: &HostClient, beside: Beside<'_>) -> String {
        let Beside::Nothing = beside else { return String::new() };
        let asked =
            self.last_of(host).map_or(String::new(), |look| look.asked().collect::<Vec<_>>().join(" "));
        format!("ask {asked}")
    }

    /// The host that was looked at.
    pub(crate) fn host_of(&self, look: &HostLook) -> Option<&HostClient> {
        self.fleet.known()?.iter().find(|host| host.host.as_str() == look.host)
    }

    /// Keeps what compose said where it cannot read the project, by host.
    pub(crate) fn keep_unreadable(&self, said: BTreeMap<String, String>) {
        *self.unreadable.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    /// What compose said there when it last could not read the project.
    pub(crate) fn unreadable(&self, host: &str) -> Option<String> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<Host, Arc<HostLook>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all hosts showed last, if all of them were looked at.
    fn last(&self) -> Option<Vec<Arc<HostLook>>> {
        let hosts = self.fleet.known()?;
        let seen = self.seen();
        hosts.iter().map(|host| seen.get(&host.host).cloned()).collect()
    }

    /// What all hosts showed last; those that nobody looked at yet are looked at.
    pub(crate) async fn last_look(&self) -> Result<Vec<Arc<HostLook>>> {
        match self.last() {
            Some(looks) => Ok(looks),
            None => self.first_look().await,
        }
    }

    /// The first look, which everybody shares who asks while it is under way.
    async fn first_look(&self) -> Result<Vec<Arc<HostLook>>> {
        let _first = self.first.lock().await;
        match self.last() {
            Some(looks) => Ok(looks),
            None => self.look_now(Beside::Its).await,
        }
    }

    /// What a host showed last, if it was looked at.
    pub(crate) fn last_of(&self, host: &HostClient) -> Option<Arc<HostLook>> {
        self.seen().get(&host.host).cloned()
    }

    /// Which of these images each host has, in the order of the hosts. What the last look showed is not asked for again.
    pub(crate) async fn present(&self, images: &[&ServiceImage]) -> Result<Vec<BTreeSet<String>>> {
        let hosts = self.fleet.hosts().await?;
        let asked: Vec<_> = hosts.iter().map(|host| self.present_on(host, images)).collect();
        stream::iter(asked).buffered(TOGETHER).try_collect().await
    }

    async fn present_on(&self, host: &HostClient, images: &[&ServiceImage]) -> Result<BTreeSet<String>> {
        let look = self.last_of(host);
        let (shown, unknown): (Vec<&ServiceImage>, Vec<&ServiceImage>) =
            images.iter().partition(|image| look.as_ref().is_some_and(|look| look.has(image)));
        let mut present: BTreeSet<_> = shown.into_iter().map(ServiceImage::exact).collect();
        if !unknown.is_empty() {
            let unknown: Vec<_> = unknown.into_iter().map(ServiceImage::exact).collect();
            present.extend(host.present(&unknown).await?);
        }
        Ok(present)
    }

    /// Looks at all hosts at once, in the order in which they are configured, or of their ids. One that cannot be reached is an error:
    /// what is not seen is neither proven nor changed.
    pub(crate) async fn look(&self, beside: Beside<'_>) -> Result<Vec<Arc<HostLook>>> {
        match self.last() {
            Some(_) => self.look_now(beside).await,
            None => self.first_look().await,
        }
    }

    async fn look_now(&self, beside: Beside<'_>) -> Result<Vec<Arc<HostLook>>> {
        let hosts = self.fleet.hosts().await?;
        // Collected first: a stream that borrows is not `Send` for every lifetime.
        let looks: Vec<_> = hosts.iter().map(|host| self.look_at(host, beside)).collect();
        stream::iter(looks).buffered(TOGETHER).try_collect().await
    }

    /// What all hosts showed last, as one token. Those that nobody looked at yet are looked at.
    pub(crate) async fn token(&self) -> Result<Token> {
        let looks = self.last_look().await?;
        let mut all: Vec<_> = looks.iter().map(|look| format!("{} {}", look.host, look.mark())).collect();
        all.sort();
        Ok(match all.as_slice() {
            [one] => Token::new(one.clone()),
            all => Token::new(Digest::of_bytes(all.join("\n").as_bytes()).to_string()),
        })
    }
}

/// What a script says in lines that begin so.
fn told<T: FromIterator<String>>(output: &Output, with: &str) -> T {
    output.text().lines().filter_map(|line| line.strip_prefix(with)).map(str::to_owned).collect()
}
