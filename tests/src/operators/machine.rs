//! One machine: plans, applies, cancels and resumes, many runs at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rollback_core::lease::{Holder, Liveness};
use rollback_core::store::Store;
use rollback_core::time::{Clock as _, SystemClock};
use rollback_core::{
    Approval, ComponentName, Destination, Engine, EnvironmentName, Error, ErrorKind, Planned, Report,
    Request, Revision, RunId,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::forms::RELEASES;
use super::settings::{Flaw, Settings, TTL};
use super::store::Watched;
use super::target::Toy;
use super::told::Told;
use crate::{Random, Result, alive};

/// So many of the targets are worked on far more often than the others.
const HOT: u64 = 4;
/// Among so many of the newest runs one is looked for that was cut off.
const NEWEST: usize = 24;

/// How many runs are taken up at once in the end.
const CLOSING: usize = 12;
/// How often a run is taken up then that others are in the way of.
const TRIES: usize = 100;

/// A machine that operates the targets.
#[derive(Debug, Clone)]
pub struct Machine {
    settings: Arc<Settings>,
    store: Arc<dyn Store>,
    witness: Arc<dyn Store>,
    begun: Arc<AtomicU64>,
}

/// Knows which processes of its own machine are dead, and nothing of those on others.
#[derive(Debug)]
struct OwnProcesses {
    host: String,
    flaw: Option<Flaw>,
}

impl Liveness for OwnProcesses {
    fn is_dead(&self, holder: &Holder) -> bool {
        match holder.host == self.host {
            true => !alive(holder.pid),
            false => self.flaw == Some(Flaw::TakesLivingForDead),
        }
    }
}

impl Machine {
    /// The machine of these settings.
    ///
    /// # Errors
    ///
    /// When its store cannot be opened.
    pub fn new(settings: Settings) -> Result<Self> {
        let (store, witness) = (settings.open(&settings.variables)?, settings.open(&settings.witness)?);
        let store = Arc::new(Watched::new(store, settings.clone()));
        Ok(Self { settings: Arc::new(settings), store, witness, begun: Arc::default() })
    }

    /// Works until it applied as many runs as it was told to.
    ///
    /// # Errors
    ///
    /// When what happens cannot be written down.
    pub async fn work(&self) -> Result<()> {
        let mut random = Random::seeded(self.settings.seed);
        let mut workers = JoinSet::new();
        for number in 0..self.settings.at_once {
            let worker = Worker { machine: self.clone(), number, random: random.fork() };
            workers.spawn(worker.work());
        }
        while let Some(worker) = workers.join_next().await {
            worker??;
        }
        Ok(())
    }

    /// Takes up every run that was cut off until it ends. How many do not.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn finish(&self) -> Result<usize> {
        let places = Arc::new(Semaphore::new(CLOSING));
        let mut taken = JoinSet::new();
        for run in self.open(usize::MAX).await? {
            let (machine, places) = (self.clone(), Arc::clone(&places));
            taken.spawn(async move {
                for _ in 0..TRIES {
                    let place = places.acquire().await?;
                    if machine.take_up(run).await? {
                        break;
                    }
                    drop(place);
                    // Of those on one target only one can go on at a time.
                    SystemClock.sleep(Duration::from_millis(200)).await;
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            });
        }
        while let Some(done) = taken.join_next().await {
            done??;
        }
        Ok(self.open(usize::MAX).await?.len())
    }

    /// Takes up a run in the end. Whether that is to be left at what came of it.
    async fn take_up(&self, run: RunId) -> Result<bool> {
        let op = format!("finish-{run}");
        let result = self.engine(&op, CancellationToken::new())?.resume(run).await;
        if result.as_ref().is_err_and(|error| error.is_transient() || error.kind() == ErrorKind::Conflict) {
            return Ok(false);
        }
        self.tell(&op, "resume", false, result)?;
        Ok(true)
    }

    /// Operates each target whose lease somebody left behind: killed after the end of a run and before giving it back, or
    /// cut off from the store then. Those that nobody can operate.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn free_all(&self) -> Result<Vec<String>> {
        let engine = self.engine("freeing", CancellationToken::new())?;
        let mut freeing = JoinSet::new();
        for number in 0..self.settings.targets {
            let name = Settings::component(number)?;
            if engine.status(&name).await?.held_by.is_some() {
                let worker = self.clone();
                freeing.spawn(async move { worker.free(name).await });
            }
        }
        let mut held = Vec::new();
        while let Some(freed) = freeing.join_next().await {
            held.extend(freed??);
        }
        Ok(held)
    }

    async fn free(&self, name: ComponentName) -> Result<Option<String>> {
        let op = format!("free-{name}");
        let engine = self.engine(&op, CancellationToken::new())?;
        let request = request()?.component(name.clone(), Some(Destination::Revision(Revision::new("r0")?)));
        let Planned::Ready(plan) = engine.plan(&request).await? else {
            return Ok(Some(format!("{name}: no plan")));
        };
        let report = engine.apply(&plan, &Approval::yes()).await?;
        let (state, held) = (report.state, engine.status(&name).await?.held_by);
        self.tell(&op, "apply", false, Ok(report))?;
        let free = state.is_success() && held.is_none();
        Ok((!free).then(|| format!("{name}: {state}, held by {held:?}")))
    }

    /// Those of the newest runs that have not ended.
    async fn open(&self, newest: usize) -> Result<Vec<RunId>> {
        let runs = self.engine("looking", CancellationToken::new())?.runs(newest).await?;
        Ok(runs.iter().filter(|run| run.state.is_none()).map(|run| run.run).collect())
    }

    /// An engine over all targets for one piece of work.
    ///
    /// # Errors
    ///
    /// Never: all names are good ones.
    pub fn engine(&self, op: &str, cancel: CancellationToken) -> Result<Engine> {
        let host = self.settings.machine.clone();
        let mut holder = Holder::this_process();
        holder.host.clone_from(&host);
        let mut builder = Engine::builder(Arc::clone(&self.store))
            .lease(TTL)
            .cancel(cancel)
            .holder(holder)
            .liveness(Arc::new(OwnProcesses { host, flaw: self.settings.flaw }));
        for number in 0..self.settings.targets {
            let name = Settings::component(number)?;
            let target = Toy::bound(&self.settings, &name, op, Arc::clone(&self.witness))?;
            builder = builder.component(name, target);
        }
        Ok(builder.build())
    }

    async fn resume(&self, op: &str, run: RunId, stop_after: Option<Duration>) -> Result<()> {
        let (cancel, stopping) = stopping(stop_after);
        let result = self.engine(op, cancel.clone())?.resume(run).await;
        stopping.abort();
        self.tell(op, "resume", cancel.is_cancelled(), result)
    }

    fn tell(
        &self,
        op: &str,
        work: &str,
        cancelled: bool,
        result: rollback_core::Result<Report>,
    ) -> Result<()> {
        let (report, error) = match result {
            Ok(report) => (Some(Box::new(report)), None),
            Err(error) => (None, Some(error.to_record())),
        };
        let (op, work) = (op.to_owned(), work.to_owned());
        let told = Told::Ended { op, work, cancelled, report, error };
        Ok(told.append(&self.settings.world, &self.settings.machine)?)
    }
}

/// A request to go wherever it says.
fn request() -> Result<Request> {
    let request = Request::new(EnvironmentName::new("default")?).reason("a test");
    Ok(request.allow_newer(true).allow_quarantined(true).quarantine(false))
}

/// A token that is cancelled after some time, if that is wanted.
fn stopping(after: Option<Duration>) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let cancel = CancellationToken::new();
    let token = cancel.clone();
    let task = tokio::spawn(async move {
        if let Some(after) = after {
            SystemClock.sleep(after).await;
            token.cancel();
        }
    });
    (cancel, task)
}

/// One of those that work at once on a machine.
struct Worker {
    machine: Machine,
    number: usize,
    random: Random,
}

impl Worker {
    async fn work(mut self) -> Result<()> {
        let wanted = self.machine.settings.runs;
        for count in 0.. {
            let op =
                format!("{}-{}-{}-{count}", self.machine.settings.machine, std::process::id(), self.number);
            if self.random.chance(0.25) {
                self.resume(&op).await?;
                continue;
            }
            if self.machine.begun.fetch_add(1, Ordering::Relaxed) >= wanted {
                break;
            }
            self.apply(&op).await?;
        }
        Ok(())
    }

    fn stop_after(&mut self) -> Option<Duration> {
        let after = Duration::from_millis(self.random.below(600));
        self.random.chance(0.15).then_some(after)
    }

    /// Takes up a run that has not ended, whoever works on it.
    async fn resume(&mut self, op: &str) -> Result<()> {
        let stop = self.stop_after();
        // A store that does not answer is what this is about.
        let open = self.machine.open(NEWEST).await.unwrap_or_default();
        let Some(run) = open.get(usize::try_from(self.random.below(open.len() as u64))?) else {
            return Ok(());
        };
        self.machine.resume(op, *run, stop).await
    }

    async fn apply(&mut self, op: &str) -> Result<()> {
        let request = self.request()?;
        let (cancel, stopping) = stopping(self.stop_after());
        let think = Duration::from_millis(self.random.below(60));
        let engine = self.machine.engine(op, cancel.clone())?;
        let result = self.plan_and_apply(op, &engine, &request, think).await?;
        stopping.abort();
        self.machine.tell(op, "apply", cancel.is_cancelled(), result)
    }

    async fn plan_and_apply(
        &self,
        op: &str,
        engine: &Engine,
        request: &Request,
        think: Duration,
    ) -> Result<Result<Report, Error>> {
        let plan = match engine.plan(request).await {
            Ok(Planned::Ready(plan)) => plan,
            Ok(Planned::Undecided(why)) => return Err(format!("each release can be had: {why:?}").into()),
            Err(error) => return Ok(Err(error)),
        };
        SystemClock.sleep(think).await;
        let settings = &self.machine.settings;
        Told::Applies { op: op.to_owned() }.append(&settings.world, &settings.machine)?;
        Ok(engine.apply(&plan, &Approval::yes()).await)
    }

    /// One component mostly, sometimes three; a few of them often.
    fn request(&mut self) -> Result<Request> {
        let mut request = request()?;
        let count = if self.random.chance(0.15) { 3 } else { 1 };
        for _ in 0..count {
            let targets = self.machine.settings.targets as u64;
            let among = if self.random.chance(0.35) { HOT.min(targets) } else { targets };
            let name = Settings::component(usize::try_from(self.random.below(among))?)?;
            let release = Revision::new(format!("r{}", self.random.below(u64::from(RELEASES))))?;
            request = request.component(name, Some(Destination::Revision(release)));
        }
        Ok(request)
    }
}
