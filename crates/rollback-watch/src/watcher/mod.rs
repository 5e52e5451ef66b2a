//! The watcher: takes the samples, asks the questions, and does what was decided.

mod left;
mod post;
mod respond;
mod standing;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rollback_core::ledger::Deployment;
use rollback_core::name::{Entropy, SystemEntropy};
use rollback_core::probe::Probe;
use rollback_core::store::Records;
use rollback_core::time::{Clock, Lasting, SystemClock};
use rollback_core::{ComponentName, Engine, Environment, Report, Result, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::post::Post;
use self::standing::Board;
use crate::event::Telling;
use crate::incident::{Incident, Incidents};
use crate::switch::Switches;
use crate::trigger::Trigger;
use crate::usual::Usuals;

/// Makes an engine that has a component: connecting to thousands of targets is left until one is needed.
#[async_trait]
pub trait Engines: Send + Sync + 'static {
    /// An engine with `component`, in the environment that is watched. Called often: it should be kept.
    ///
    /// # Errors
    ///
    /// What keeps it from being made.
    async fn engine(&self, component: &ComponentName) -> Result<Engine>;
}

#[async_trait]
impl Engines for Engine {
    async fn engine(&self, _: &ComponentName) -> Result<Engine> {
        Ok(self.clone())
    }
}

/// How it is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How often a component is rolled back in one window at most; then a person is called. Two.
    pub budget: u32,
    /// The window. An hour.
    pub window: Lasting,
    /// For how long a version must be well to be called good. A quarter of an hour.
    pub soak: Lasting,
    /// The pause between two looks at what runs. While there is trouble, it is looked at when something is decided as well. Half a
    /// minute.
    pub look_every: Lasting,
    /// How long one sample may take; what has not answered by then tells nothing. Half a minute.
    pub patience: Lasting,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            budget: 2,
            window: Lasting::from_secs(3_600),
            soak: Lasting::from_secs(900),
            look_every: Lasting::from_secs(30),
            patience: Lasting::from_secs(30),
        }
    }
}

/// A component with what is asked about it.
#[derive(Debug)]
pub struct Component {
    pub(crate) name: ComponentName,
    pub(crate) triggers: Vec<(Trigger, Asked)>,
}

/// Who is asked for the samples of a trigger.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    Probe(Arc<dyn Probe>),
    /// The driver: every look is a sample.
    Driver,
}

impl Component {
    /// A component of which nothing is asked yet.
    #[must_use]
    pub fn new(name: ComponentName) -> Self {
        Self { name, triggers: Vec::new() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ComponentName {
        &self.name
    }

    /// Adds a trigger on the samples of a probe.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger, probe: Arc<dyn Probe>) -> Self {
        self.triggers.push((trigger, Asked::Probe(probe)));
        self
    }

    /// Adds a trigger on what the driver sees: a sample is bad when the platform has given the deploy up, tells nothing while it is on its way,
    /// and is ok otherwise.
    #[must_use]
    pub fn on_driver(mut self, trigger: Trigger) -> Self {
        self.triggers.push((trigger, Asked::Driver));
        self
    }
}

/// How a [guard](Watcher::guard) ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Guarded {
    /// It was well. Its record, where it was well all the time and so has earned being called good.
    Healthy(Option<Box<Deployment>>),
    /// It was not, and a rollback was carried out.
    RolledBack(Box<Incident>, Box<Report>),
    /// It was not, and nothing was done about it.
    NotActedOn(Box<Incident>),
    /// Nobody knows; the text says why.
    Unknown(String),
    /// The guard was stopped.
    Stopped,
}

/// Watches the components of one environment.
///
/// Safe to run twice, on one machine or on several that share the store: both see and decide, and the lease of the target lets one act.
/// Whatever one of them leaves unfinished the next takes up.
///
/// ```no_run
/// # use std::sync::Arc;
/// # use rollback_core::{ComponentName, Engine, Environment, Store, probe::Probe};
/// # use rollback_watch::{Component, Telling, Watcher, named};
/// # use tokio_util::sync::CancellationToken;
/// # async fn demo(store: Arc<dyn Store>, engine: Engine, production: Environment, health: Arc<dyn Probe>) -> rollback_core::Result<()> {
/// let web = Component::new(ComponentName::new("web")?).trigger(named::outage(), health).on_driver(named::deploy());
/// let (telling, mut events) = Telling::channel();
/// let watcher = Watcher::new(store, Arc::new(engine), production)?.telling(telling).component(web);
/// let stop = CancellationToken::new();
/// tokio::spawn(watcher.run(stop.clone()));
/// while let Some(event) = events.next().await {
///     println!("{event:?}");
/// }
/// # Ok(())
/// # }
/// ```
pub struct Watcher {
    components: Vec<Component>,
    shared: Shared,
}

/// What everything that watches shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) incidents: Incidents,
    pub(crate) switches: Switches,
    pub(crate) usuals: Usuals,
    pub(crate) engines: Arc<dyn Engines>,
    pub(crate) environment: Environment,
    /// Whose word decisions are.
    pub(crate) by: String,
    pub(crate) settings: Settings,
    pub(crate) telling: Telling,
    pub(crate) board: Board,
}

impl Watcher {
    /// Watches nothing yet. `store` is the one of the engines.
    ///
    /// # Errors
    ///
    /// Never for parsed names; keys are checked all the same.
    pub fn new(store: Arc<dyn Store>, engines: Arc<dyn Engines>, environment: Environment) -> Result<Self> {
        Self::in_time_of(store, engines, environment, Arc::new(SystemClock), Arc::new(SystemEntropy))
    }

    /// As [`new`](Self::new), with a clock and randomness of one's own.
    ///
    /// # Errors
    ///
    /// Never for parsed names; keys are checked all the same.
    pub fn in_time_of(
        store: Arc<dyn Store>,
        engines: Arc<dyn Engines>,
        environment: Environment,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let records = Records::new(store, Arc::clone(&clock), entropy);
        let shared = Shared {
            clock,
            incidents: Incidents::new(records.clone()),
            switches: Switches::new(records.clone(), &environment.name)?,
            usuals: Usuals::new(records, &environment.name)?,
            engines,
            environment,
            by: "rollback watch".to_owned(),
            settings: Settings::default(),
            telling: Telling::default(),
            board: Board::default(),
        };
        Ok(Self { components: Vec::new(), shared })
    }

    /// Adds a component.
    #[must_use]
    pub fn component(mut self, component: Component) -> Self {
        self.components.push(component);
        self
    }

    /// Says how it is watched.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.shared.settings = settings;
        self
    }

    /// Says where events go.
    #[must_use]
    pub fn telling(mut self, telling: Telling) -> Self {
        self.shared.telling = telling;
        self
    }

    /// Says whose word its decisions are: `rollback watch` unless told otherwise.
    #[must_use]
    pub fn by(mut self, by: impl Into<String>) -> Self {
        self.shared.by = by.into();
        self
    }

    /// Watches until `stop` is cancelled. A rollback that is under way then is brought to its end first. Dropped, it is cut off, as by a crash:
    /// the next watcher takes it up.
    pub async fn run(self, stop: CancellationToken) {
        let names: Vec<_> = self.components.iter().map(|component| component.name.clone()).collect();
        let posts: FuturesUnordered<_> = self.posts(&stop, None).collect();
        let left = left::look_after(self.shared.clone(), names, stop);
        let left = AbortOnDropHandle::new(tokio::spawn(left));
        posts.for_each(|_| async {}).await;
        // It ends with the same token; a panic there has been told already.
        let _ = left.await;
    }

    /// Watches each component for so long after a deploy, and says how each ended, in the order in which they were given.
    ///
    /// It ends early where something is wrong, and later where something may be: what was bad last is watched until it is decided.
    pub async fn guard(self, lasting: Lasting, stop: CancellationToken) -> Vec<(ComponentName, Guarded)> {
        let names: Vec<_> = self.components.iter().map(|component| component.name.clone()).collect();
        let posts: Vec<_> = self.posts(&stop, Some(lasting)).collect();
        let mut ended = Vec::new();
        for (name, post) in names.into_iter().zip(posts) {
            ended.push((name, post.await.unwrap_or_else(|error| Guarded::Unknown(error.to_string()))));
        }
        ended
    }

    /// Each component in a task of its own: one that hangs or panics takes nobody along.
    fn posts(
        &self,
        stop: &CancellationToken,
        lasting: Option<Lasting>,
    ) -> impl Iterator<Item = AbortOnDropHandle<Guarded>> {
        self.components.iter().map(move |component| {
            let post = Post::new(self.shared.clone(), component, lasting);
            AbortOnDropHandle::new(tokio::spawn(post.run(stop.clone())))
        })
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher")
            .field("environment", &self.shared.environment.name)
            .field("components", &self.components.len())
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}
