//! `rollback.toml`: where it is found, what it says.

mod document;
mod expand;
mod parts;
pub(crate) mod schema;
mod section;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use rollback_core::contents::ContentsKeys;
use rollback_core::ledger::DEFAULT_RETENTION;
use rollback_core::probe::Gate;
use rollback_core::registry::{is_part, known};
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, DriverRegistry, Environment, EnvironmentName, Error, ErrorKind, Result};
use rollback_notify::SinkSpec;
use serde_json::{Map, Value};

use self::document::Reader;
use self::section::Section;
pub use self::watch::{TriggerConfig, WatchConfig};

/// The name of the file that is looked for.
pub const FILE_NAME: &str = "rollback.toml";

/// The store of a configuration that names none.
pub const DEFAULT_STORE: &str = "sqlite:.rollback/state.db";

/// What a configuration file says.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The file.
    pub file: PathBuf,
    /// Where state is kept, as a URL: `sqlite:.rollback/state.db`, relative to the file's folder.
    pub store: String,
    /// How long a holder of a target may be silent before others take over.
    pub lease: Lasting,
    /// How long deployment records are kept. The newest good one is never removed.
    pub retention: Lasting,
    /// What the contents of recorded states are encrypted with. Without it nothing is kept.
    pub contents: Option<ContentsKeys>,
    /// The environment that is meant when none is named.
    pub environment: Option<EnvironmentName>,
    /// The rules of each environment.
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// The deployed things.
    pub components: BTreeMap<ComponentName, ComponentConfig>,
    /// What must hold after a rollback.
    pub gates: Vec<Gate>,
    /// How it is watched.
    pub watch: WatchConfig,
    /// What is bad.
    pub triggers: Vec<TriggerConfig>,
    /// Who is told.
    pub notify: Vec<SinkSpec>,
    /// What came from variables, to keep it out of messages.
    pub hidden: Hidden,
}

/// One deployed thing.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ComponentConfig {
    /// The driver.
    pub driver: String,
    /// Components that are put back before this one.
    pub after: Vec<ComponentName>,
    /// The environments it exists in; `None` = all.
    pub environments: Option<BTreeSet<EnvironmentName>>,
    /// The driver's settings.
    pub settings: Map<String, Value>,
    /// Settings of single environments, which go over the others.
    pub overrides: BTreeMap<EnvironmentName, Map<String, Value>>,
}

impl ComponentConfig {
    /// Whether it exists in `environment`.
    #[must_use]
    pub fn is_in(&self, environment: &EnvironmentName) -> bool {
        self.environments.as_ref().is_none_or(|all| all.contains(environment))
    }

    /// Whether it stands for many components somewhere.
    fn is_many(&self, drivers: &DriverRegistry) -> bool {
        let settings = self.overrides.keys().map(|environment| self.settings_in(environment));
        let base = Value::Object(self.settings.clone());
        std::iter::once(base).chain(settings).any(|settings| drivers.is_many(&self.driver, &settings))
    }

    /// The driver's settings in `environment`: tables are merged, everything else is replaced.
    #[must_use]
    pub fn settings_in(&self, environment: &EnvironmentName) -> Value {
        let mut settings = self.settings.clone();
        if let Some(over) = self.overrides.get(environment) {
            merge(&mut settings, over);
        }
        Value::Object(settings)
    }
}

// The store's URL may hold credentials.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("file", &self.file)
            .field("environments", &self.environments.keys())
            .field("components", &self.components)
            .finish_non_exhaustive()
    }
}

// Settings may hold secrets: only their names are shown.
impl fmt::Debug for ComponentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentConfig")
            .field("driver", &self.driver)
            .field("after", &self.after)
            .field("environments", &self.environments)
            .field("settings", &self.settings.keys())
            .finish_non_exhaustive()
    }
}

fn merge(under: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => merge(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

/// The values that came from variables. Errors go through [`hide`](Self::hide) before a person sees them: a driver
/// may well quote a setting that it does not like.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(BTreeMap<String, String>);

impl Hidden {
    /// The text with each of the values replaced by the name that it came from.
    ///
    /// Values shorter than four bytes stay: they are no secrets, and replacing them would garble every text.
    #[must_use]
    pub fn hide(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (value, name)| text.replace(value, &format!("${{{name}}}")))
    }

    fn new(read: Vec<(String, String)>) -> Self {
        let long = read.into_iter().filter(|(_, value)| value.len() >= 4);
        Self(long.map(|(name, value)| (value, name)).collect())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values()).finish()
    }
}

impl Config {
    /// The configuration file: the one that is named, or the nearest `rollback.toml` in `folder` and above.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when there is none.
    pub fn find(folder: &Path, named: Option<&Path>) -> Result<PathBuf> {
        if let Some(named) = named {
            return Ok(folder.join(named));
        }
        folder.ancestors().map(|folder| folder.join(FILE_NAME)).find(|file| file.is_file()).ok_or_else(|| {
            let message = format!("there is none in {} or above it", folder.display());
            Error::new(ErrorKind::Invalid, format!("find {FILE_NAME}"), message)
                .next("write one with `rollback init`, or name one with --config FILE")
        })
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with file and line, and what to write instead.
    pub fn load(
        file: &Path,
        drivers: &DriverRegistry,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("read {}", file.display()), error.to_string())
                .next("write one with `rollback init`, or name another with --config FILE")
        })?;
        Self::parse(file, &text, drivers, variable)
    }

    /// Reads a configuration's text. `file` is only named in errors, and is where relative paths begin.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with file and line, and what to write instead.
    pub fn parse(
        file: &Path,
        text: &str,
        drivers: &DriverRegistry,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let mut reader = Reader { file, text, variable, read: Vec::new() };
        let table = reader.document()?;
        let top = Section::top(file, &table);
        top.only(&[
            "store",
            "lease",
            "retention",
            "contents",
            "environment",
            "environments",
            "components",
            "gates",
            "watch",
            "triggers",
            "notify",
        ])?;
        let config = Self {
            file: file.to_owned(),
            store: top.text("store")?.unwrap_or_else(|| DEFAULT_STORE.to_owned()),
            lease: parts::lease(&top)?,
            retention: top.parsed("retention")?.unwrap_or(DEFAULT_RETENTION),
            contents: parts::contents(&top)?,
            environment: top.parsed("environment")?,
            environments: parts::environments(&top)?,
            components: parts::components(&top, drivers)?,
            gates: top.each("gates", |section| parts::gate(&section))?,
            watch: watch::watch(&top)?,
            triggers: top.each("triggers", |section| watch::trigger(&section))?,
            notify: top.each("notify", |section| watch::sink(&section))?,
            hidden: Hidden::new(reader.read),
        };
        parts::check_names(&config, &top, drivers)?;
        Ok(config)
    }

    /// The folder that relative paths of the store begin in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// The rules of the environment that is meant: the named one, the configured one, or the only one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for an unknown environment, or when none is named and there are several.
    pub fn environment(&self, named: Option<&EnvironmentName>) -> Result<&Environment> {
        let names = || self.environments.keys().map(EnvironmentName::as_str);
        let wrong = |message: String| Error::new(ErrorKind::Invalid, "choose the environment", message);
        match named.or(self.environment.as_ref()) {
            Some(name) => self.environments.get(name).ok_or_else(|| {
                let file = self.file.display();
                wrong(format!("{file} has no environment {name:?}")).next(known(
                    "environments",
                    name.as_str(),
                    names(),
                ))
            }),
            None if self.environments.len() == 1 => Ok(&self.environments[&self.only_environment()]),
            None => {
                let all: Vec<_> = names().collect();
                Err(wrong(format!("there are several: {}", all.join(", ")))
                    .next("name one with --environment NAME, or set environment = \"…\" in the file"))
            }
        }
    }

    fn only_environment(&self) -> EnvironmentName {
        self.environments.keys().next().cloned().unwrap_or_else(parts::unnamed)
    }

    /// Whether a component is there, or could be as a part of one that stands for many.
    fn has(&self, name: &ComponentName, drivers: &DriverRegistry) -> bool {
        self.components.contains_key(name)
            || self
                .components
                .iter()
                .any(|(block, component)| is_part(block, name) && component.is_many(drivers))
    }

    /// The components of an environment. Those that stand for many are among them once.
    pub fn components_in<'a>(
        &'a self,
        environment: &'a EnvironmentName,
    ) -> impl Iterator<Item = &'a ComponentName> {
        self.components
            .iter()
            .filter(move |(_, component)| component.is_in(environment))
            .map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests;
