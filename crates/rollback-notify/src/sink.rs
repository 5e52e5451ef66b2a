//! Sinks: where notices go, and how configuration names them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::registry::known;
use rollback_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::notice::{Kind, Notice};
use crate::secret::{Setup, invalid};

/// Sends notices somewhere.
///
/// # Contract
///
/// `send` tries once, and may be dropped at any time: retries, pauses and time limits are the [`Notifier`](crate::Notifier)'s, who sends
/// the same notice again only after an error that [is transient](Error::is_transient). A notice may so arrive twice; its
/// [id](Notice::id) goes with it wherever there is a place, so that the receiver can drop the second. It never blocks its thread.
/// Errors and `Debug` hold no secrets: no tokens, and no URL of which more than the host may be known.
///
/// ```
/// use async_trait::async_trait;
/// use rollback_notify::{Notice, Sink};
///
/// #[derive(Debug)]
/// struct Print;
///
/// #[async_trait]
/// impl Sink for Print {
///     fn name(&self) -> &str {
///         "print"
///     }
///
///     async fn send(&self, notice: &Notice) -> rollback_core::Result<()> {
///         println!("{}", notice.text());
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync + 'static {
    /// A name for people: `slack (hooks.slack.com)`.
    fn name(&self) -> &str;

    /// Sends one notice.
    ///
    /// # Errors
    ///
    /// Why it was not taken, and whether it may help to send it again.
    async fn send(&self, notice: &Notice) -> Result<()>;
}

/// A sink, and what it wants to hear of.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Where notices go.
    pub sink: Arc<dyn Sink>,
    /// What it hears of.
    pub on: Vec<Kind>,
}

impl Subscription {
    /// Everything but what is only recorded.
    pub const USUAL: [Kind; 5] =
        [Kind::Started, Kind::Done, Kind::Failed, Kind::NeedsSomebody, Kind::Proposed];

    /// Hears of the [usual](Self::USUAL).
    #[must_use]
    pub fn usual(sink: impl Sink) -> Self {
        Self { sink: Arc::new(sink), on: Self::USUAL.to_vec() }
    }

    /// Hears of these only.
    #[must_use]
    pub fn on(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.on = kinds.into_iter().collect();
        self
    }

    pub(crate) fn wants(&self, notice: &Notice) -> bool {
        self.on.iter().any(|kind| notice.is(*kind))
    }
}

/// Which sink, as configuration names it: `{ kind = "slack", url_env = "SLACK_URL", on = ["needs-somebody", "failed"] }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkSpec {
    /// The kind: `webhook`, `slack`.
    pub kind: String,
    /// What it hears of; left out: the [usual](Subscription::USUAL).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<Kind>>,
    /// The settings of that kind. No secrets.
    #[serde(flatten)]
    pub config: Map<String, Value>,
}

/// Makes sinks of one kind.
pub trait SinkFactory: Send + Sync + 'static {
    /// The kind in `kind = "…"`.
    fn kind(&self) -> &'static str;

    /// The JSON Schema of its settings, without `kind` and `on`: editors complete a configuration with it.
    fn config_schema(&self) -> Value;

    /// Makes a sink. Reads the secrets that the settings name; connects to nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with the setting and what to write instead.
    fn build(&self, config: &Map<String, Value>, setup: &Setup) -> Result<Arc<dyn Sink>>;
}

/// The kinds of sinks that a binary was built with.
///
/// ```
/// use rollback_notify::{Kind, Setup, SinkSpec};
///
/// let spec: SinkSpec = serde_json::from_value(serde_json::json!({
///     "kind": "slack", "url_env": "SLACK_URL", "on": ["needs-somebody", "failed"],
/// }))?;
/// let setup = Setup::default().variables(|_| Some("https://hooks.slack.com/services/T0/B0/x".to_owned()));
/// let subscription = rollback_notify::registry().build(&spec, &setup)?;
/// assert_eq!(subscription.sink.name(), "slack (hooks.slack.com)");
/// assert_eq!(subscription.on, [Kind::NeedsSomebody, Kind::Failed]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct SinkRegistry {
    factories: BTreeMap<&'static str, Arc<dyn SinkFactory>>,
}

impl SinkRegistry {
    /// No kinds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind. One of the same name is replaced: the last one given wins.
    #[must_use]
    pub fn with(mut self, factory: impl SinkFactory) -> Self {
        self.factories.insert(factory.kind(), Arc::new(factory));
        self
    }

    /// The kinds, by name.
    pub fn factories(&self) -> impl Iterator<Item = &dyn SinkFactory> {
        self.factories.values().map(|factory| &**factory)
    }

    /// Makes the sink that a spec names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for an unknown kind, wrong settings, and a sink that would hear of nothing.
    pub fn build(&self, spec: &SinkSpec, setup: &Setup) -> Result<Subscription> {
        let Some(factory) = self.factories.get(spec.kind.as_str()) else {
            let why = format!("there is no sink of kind {:?}", spec.kind);
            let kinds = self.factories.keys().copied();
            return Err(
                Error::new(ErrorKind::Invalid, "set up a sink", why).next(known("kinds", &spec.kind, kinds))
            );
        };
        let on = spec.on.clone().unwrap_or_else(|| Subscription::USUAL.to_vec());
        if on.is_empty() {
            let kinds = Kind::ALL.map(Kind::as_str).join(", ");
            return Err(invalid(&spec.kind, "with `on = []` it would hear of nothing")
                .next(format!("leave `on` out, or name some of: {kinds}")));
        }
        Ok(Subscription { sink: factory.build(&spec.config, setup)?, on })
    }
}

impl fmt::Debug for SinkRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}

/// Reads settings; the names that exist are those of the schema.
pub(crate) fn read<T: DeserializeOwned>(
    kind: &str,
    schema: &Value,
    example: &str,
    config: &Map<String, Value>,
) -> Result<T> {
    let names = schema.get("properties").and_then(Value::as_object);
    let names: Vec<&str> = names.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if let Some(wrong) = config.keys().find(|key| !names.contains(&key.as_str())) {
        return Err(
            invalid(kind, format!("there is no setting {wrong:?}")).next(known("settings", wrong, names))
        );
    }
    // What serde says of a wrong value repeats it, and it may be a secret that was put in the wrong place.
    serde_json::from_value(Value::Object(config.clone())).map_err(|error| {
        let what = error.to_string();
        let shown = if what.starts_with("missing field") { what } else { wrong_type(config, schema) };
        invalid(kind, shown).next(format!("write it like {example}"))
    })
}

/// Which setting has a value of a type that the schema does not have.
fn wrong_type(config: &Map<String, Value>, schema: &Value) -> String {
    let fits = |name: &str, value: &Value| {
        let wanted = &schema["properties"][name]["type"];
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        wanted.is_null()
            || wanted == found
            || wanted.as_array().is_some_and(|types| types.iter().any(|one| one == found))
    };
    let wrong = config.iter().find(|(name, value)| !fits(name, value));
    wrong.map_or_else(
        || "a setting has a value that it cannot have".to_owned(),
        |(name, _)| format!("the setting {name:?} has a value of the wrong type"),
    )
}

/// The schema of some settings.
pub(crate) fn schema<T: schemars::JsonSchema>() -> Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(schema) = schema.as_object_mut() {
        // The configuration's own document says which dialect it is.
        schema.remove("$schema");
        schema.remove("title");
    }
    schema
}
