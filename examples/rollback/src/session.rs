//! One call of a command: configuration, environment, engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rollback_core::name::SystemEntropy;
use rollback_core::probe::{Gate, Probe, ProbeSpec};
use rollback_core::progress::Progress;
use rollback_core::registry::known;
use rollback_core::store::{MemoryStore, Records};
use rollback_core::time::{Clock as _, SystemClock};
use rollback_core::{
    ComponentName, Engine, EngineBuilder, Environment, EnvironmentName, Error, ErrorKind, Result, Store,
};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::args::{Global, Output};
use crate::config::{ComponentConfig, Config};
use crate::console::Console;
use crate::render::progress::Manner;
use crate::render::{Style, Tone};
use crate::stores::{self, DownStore};

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) app: &'a App,
    pub(crate) console: &'a Console,
    pub(crate) global: &'a Global,
    pub(crate) config: Arc<Config>,
    /// Opened once: engines of one command share it.
    store: Arc<OnceCell<Arc<dyn Store>>>,
}

/// What a [`Session`] works with, owned.
#[derive(Debug)]
pub(crate) struct Kept {
    app: App,
    console: Console,
    global: Global,
    config: Arc<Config>,
    store: Arc<OnceCell<Arc<dyn Store>>>,
}

impl Kept {
    pub(crate) fn session(&self) -> Session<'_> {
        Session {
            app: &self.app,
            console: &self.console,
            global: &self.global,
            config: Arc::clone(&self.config),
            store: Arc::clone(&self.store),
        }
    }
}

/// What an engine that acts is set up with.
#[derive(Debug, Default)]
pub(crate) struct Acting {
    pub(crate) progress: Progress,
    pub(crate) cancel: CancellationToken,
    pub(crate) break_glass: Option<String>,
}

/// The components of an engine, by their own names and by the blocks that they are parts of.
#[derive(Default)]
struct Present<'a>(BTreeMap<&'a ComponentName, Vec<&'a ComponentName>>);

impl<'a> Present<'a> {
    fn add(&mut self, configured: Option<(&'a ComponentName, &ComponentConfig)>, name: &'a ComponentName) {
        self.0.insert(name, vec![name]);
        if let Some((block, _)) = configured.filter(|(block, _)| *block != name) {
            self.0.entry(block).or_default().push(name);
        }
    }

    fn of(&self, name: &ComponentName) -> &[&'a ComponentName] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

impl<'a> Session<'a> {
    pub(crate) fn load(app: &'a App, console: &'a Console, global: &'a Global) -> Result<Self> {
        let file = Config::find(console.folder(), global.config.as_deref())?;
        let config = Config::load(&file, &app.drivers, &|name| console.variable(name))?;
        Ok(Self::over(app, console, global, config))
    }

    pub(crate) fn over(app: &'a App, console: &'a Console, global: &'a Global, config: Config) -> Self {
        Self { app, console, global, config: Arc::new(config), store: Arc::default() }
    }

    /// What it works with, to be kept by tasks that outlive it.
    pub(crate) fn keep(&self) -> Kept {
        Kept {
            app: self.app.clone(),
            console: self.console.clone(),
            global: self.global.clone(),
            config: Arc::clone(&self.config),
            store: Arc::clone(&self.store),
        }
    }

    /// The environment that is meant.
    pub(crate) fn environment(&self) -> Result<&Environment> {
        self.config.environment(self.global.environment.as_ref())
    }

    /// The named components, or all of the environment, as they are configured: blocks stand for their parts.
    pub(crate) fn components(
        &self,
        environment: &EnvironmentName,
        named: &[ComponentName],
    ) -> Result<Vec<ComponentName>> {
        for name in named {
            self.check_component(environment, name)?;
        }
        if !named.is_empty() {
            return Ok(named.to_vec());
        }
        let all: Vec<_> = self.config.components_in(environment).cloned().collect();
        if all.is_empty() {
            let message = format!("{} has no components in {environment}", self.config.file.display());
            return Err(Error::new(ErrorKind::Invalid, "choose the components", message)
                .next("add a table [components.NAME] with a driver"));
        }
        Ok(all)
    }

    fn check_component(&self, environment: &EnvironmentName, name: &ComponentName) -> Result<()> {
        self.configured(environment, name).map(drop).ok_or_else(|| self.unknown(environment, name))
    }

    pub(crate) fn unknown(&self, environment: &EnvironmentName, name: &ComponentName) -> Error {
        let words = self.config.components_in(environment).map(ComponentName::as_str);
        let message = format!("there is no component {name:?} in {environment}");
        Error::new(ErrorKind::Invalid, "choose the components", message).next(known(
            "components",
            name.as_str(),
            words,
        ))
    }

    /// The named components, or all of the environment, with what blocks stand for now.
    pub(crate) async fn all(
        &self,
        environment: &EnvironmentName,
        named: &[ComponentName],
    ) -> Result<Vec<ComponentName>> {
        let names = self.components(environment, named)?;
        Ok(self.spread(environment, &names).await.whole()?.names(&names))
    }

    /// Which driver a component has.
    pub(crate) fn driver_of(&self, environment: &EnvironmentName, name: &ComponentName) -> Option<&str> {
        self.configured(environment, name).map(|(_, component)| component.driver.as_str())
    }

    /// An engine that only reads what the store remembers.
    pub(crate) async fn reader(&self) -> Result<Engine> {
        self.journal(Acting::default()).await
    }

    /// A gate that could not be asked after the rollback is found out before it.
    fn check_gate(&self, gate: &Gate) -> Result<()> {
        self.probe("gate", &gate.name, &gate.probe).map(drop)
    }

    /// The probe of a gate or a trigger.
    pub(crate) fn probe(&self, what: &str, name: &str, spec: &ProbeSpec) -> Result<Arc<dyn Probe>> {
        self.app.probes.build(spec).map_err(|error| {
            let record = error.to_record();
            let named = Error::new(record.kind, format!("set up the {what} {name:?}"), record.message);
            match record.next {
                Some(next) => named.next(next),
                None => named,
            }
        })
    }

    /// An engine that only reads, with the local journal of break-glass runs.
    pub(crate) async fn journal(&self, acting: Acting) -> Result<Engine> {
        let mut builder = Engine::builder(self.store(acting.break_glass.is_some()).await?);
        if let Some(reason) = acting.break_glass {
            builder = builder.break_glass(self.local_journal().await, reason);
        }
        Ok(builder.build())
    }

    /// An engine over some components of an environment.
    pub(crate) async fn engine(
        &self,
        environment: &Environment,
        components: &[ComponentName],
        acting: Acting,
    ) -> Result<Engine> {
        let store = self.store(acting.break_glass.is_some()).await?;
        let mut builder = Engine::builder(store)
            .lease(self.config.lease)
            .retention(self.config.retention)
            .environment(environment.clone())
            .probes(self.app.probes.clone())
            .progress(acting.progress)
            .cancel(acting.cancel);
        if let Some(keys) = &self.config.contents {
            builder = builder.contents(keys.clone());
        }
        let mut present = Present::default();
        for name in components {
            let (driver, settings) = self.settings(&environment.name, name)?;
            let target = self.app.drivers.connect(driver, name, settings).await?;
            builder = builder.component(name.clone(), target);
            present.add(self.configured(&environment.name, name), name);
        }
        for name in components {
            let after = self.configured(&environment.name, name).map(|(_, component)| &component.after);
            for first in after.into_iter().flatten().flat_map(|first| present.of(first)).copied() {
                // A block may come after one of its own parts.
                if first != name {
                    builder = builder.after(name.clone(), first.clone());
                }
            }
        }
        builder = self.with_gates(builder, &present)?;
        if let Some(reason) = acting.break_glass {
            builder = builder.break_glass(self.local_journal().await, reason);
        }
        Ok(builder.build())
    }

    /// The gate of a block is asked for each of its parts.
    fn with_gates(&self, mut builder: EngineBuilder, present: &Present<'_>) -> Result<EngineBuilder> {
        for gate in &self.config.gates {
            let components = present.of(&gate.component);
            if !components.is_empty() {
                self.check_gate(gate)?;
            }
            for &component in components {
                builder = builder.gate(Gate { component: component.clone(), ..gate.clone() });
            }
        }
        Ok(builder)
    }

    /// What watchers keep in the store.
    pub(crate) async fn records(&self) -> Result<Records> {
        Ok(Records::new(self.store(false).await?, Arc::new(SystemClock), Arc::new(SystemEntropy)))
    }

    /// The store. With break-glass one that cannot be opened is no reason to stop.
    pub(crate) async fn store(&self, break_glass: bool) -> Result<Arc<dyn Store>> {
        self.store.get_or_try_init(|| self.open_store(break_glass)).await.cloned()
    }

    async fn open_store(&self, break_glass: bool) -> Result<Arc<dyn Store>> {
        match self.app.stores.open(&self.config.store, self.config.folder()).await {
            Err(error) if break_glass => {
                self.warn(&format!("the store cannot be opened: {}", error.message()));
                Ok(Arc::new(DownStore::new(&error)))
            }
            Ok(store) => {
                if !break_glass && stores::break_glass_file(self.config.folder()).exists() {
                    self.warn("there are break-glass runs that the store does not know of: `rollback merge`");
                }
                Ok(store)
            }
            Err(error) if error.next_step().is_none() => Err(error.next(
                "look at `store` in the configuration; when production cannot wait for it, `run`, `apply` and `resume` go on \
                 without: --break-glass REASON",
            )),
            Err(error) => Err(error),
        }
    }

    /// The journal of a break-glass run: beside the configuration, and in memory if even that cannot be written.
    async fn local_journal(&self) -> Arc<dyn Store> {
        match stores::break_glass(self.config.folder()).await {
            Ok(store) => store,
            Err(error) => {
                self.warn(&format!(
                    "the local journal cannot be opened either ({}): it is kept in memory only, and a run that is cut \
                     off cannot be resumed",
                    error.message()
                ));
                Arc::new(MemoryStore::new())
            }
        }
    }

    /// Tells a person of something, whatever the output's form is.
    pub(crate) fn warn(&self, message: &str) {
        let word = self.error_style().paint(Tone::Careful, "warning:");
        let text = crate::render::clean(&self.config.hidden.hide(message));
        self.console.print_error(&format!("{word} {text}\n"));
    }

    pub(crate) fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    pub(crate) fn style(&self) -> Style {
        self.console.style(self.global.color)
    }

    pub(crate) fn error_style(&self) -> Style {
        self.console.error_style(self.global.color)
    }

    /// Whether texts for people are wanted on standard output.
    pub(crate) fn is_text(&self) -> bool {
        self.global.output == Output::Text
    }

    /// Whether somebody is there who can answer.
    pub(crate) fn can_ask(&self) -> bool {
        let terminals = self.console.terminals();
        self.is_text() && terminals.input && terminals.errors
    }

    /// How progress is shown. Moving lines and log lines would tear each other apart.
    pub(crate) fn manner(&self) -> Manner {
        match () {
            () if self.global.quiet => Manner::Silent,
            () if self.console.terminals().errors && self.is_text() && self.global.verbose == 0 => {
                Manner::Moving
            }
            () => Manner::Plain,
        }
    }
}
