//! Probes: one sample of how something is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::condition::Rule;
use crate::error::{Error, ErrorKind, Result};
use crate::name::ComponentName;
use crate::registry;

/// Takes one sample.
///
/// # Contract
///
/// Changes nothing, keeps its own time limit, and never fails: what cannot be reached is a sample that is not ok.
/// The detail is for people and holds no secrets (no headers, no bodies beyond a short beginning).
#[async_trait]
pub trait Probe: fmt::Debug + Send + Sync + 'static {
    /// One look.
    async fn sample(&self) -> Sample;
}

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Whether it is well in the probe's own terms: status 200, exit code 0.
    pub ok: bool,
    /// Whether the probe learnt anything at all. What nobody knows is not well, and proves no failure either: a gate does not pass
    /// with it, and no trigger fires.
    #[serde(default = "known", skip_serializing_if = "is_known")]
    pub known: bool,
    /// Numbers by name, in the unit that the name says: `latency_ms`, `error_rate_percent`.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// What was seen, in a few words: `HTTP 503 in 12 ms`.
    pub detail: String,
    /// Since when it has been so, where the source knows: an alarm may have been firing for long when it is looked at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

fn known() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde wants")]
fn is_known(known: &bool) -> bool {
    *known
}

impl Sample {
    /// All is well.
    pub fn ok(detail: impl Into<String>) -> Self {
        Self { ok: true, known: true, metrics: BTreeMap::new(), detail: detail.into(), since: None }
    }

    /// Nobody knows: the source of the numbers does not answer, a name cannot be looked up.
    ///
    /// ```
    /// use rollback_core::probe::Sample;
    /// let sample = Sample::unknown("the metrics server does not answer");
    /// assert!(!sample.ok && !sample.known);
    /// ```
    pub fn unknown(detail: impl Into<String>) -> Self {
        Self { ok: false, known: false, ..Self::ok(detail) }
    }

    /// It is not well.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self { ok: false, ..Self::ok(detail) }
    }

    /// Adds a number.
    #[must_use]
    pub fn with(mut self, metric: impl Into<String>, value: f64) -> Self {
        self.metrics.insert(metric.into(), value);
        self
    }

    /// Says since when it has been so.
    #[must_use]
    pub fn since(mut self, since: Timestamp) -> Self {
        self.since = Some(since);
        self
    }
}

/// Which probe, as plans and configuration name it: `{ kind = "http", url = "…" }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeSpec {
    /// The kind: `http`, `tcp`, `command`.
    pub kind: String,
    /// The settings of that kind. No secrets: plans show them.
    #[serde(flatten)]
    pub config: serde_json::Map<String, Value>,
}

/// What the parts say of themselves, as a gate.
pub(crate) const PARTS: &str = "parts";

/// Whether what was proven stayed well, as a gate.
pub(crate) const SOAK: &str = "soak";

/// Names that no gate of the configuration may have: in a report they would be taken for each other.
pub(crate) const OWN_GATES: [&str; 2] = [PARTS, SOAK];

/// A probe with the rule that its samples must meet after a rollback.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// A name for reports.
    pub name: String,
    /// The component after whose proof it is asked.
    pub component: ComponentName,
    /// What is sampled.
    pub probe: ProbeSpec,
    /// What must hold.
    pub rule: Rule,
}

/// Makes probes of one kind.
pub trait ProbeFactory: Send + Sync + 'static {
    /// The kind in `kind = "…"`.
    fn kind(&self) -> &'static str;

    /// The JSON Schema of its settings, without `kind`: editors complete a configuration with it.
    fn config_schema(&self) -> Value;

    /// Makes a probe.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with the setting and what to write instead.
    fn build(&self, config: &serde_json::Map<String, Value>) -> Result<Arc<dyn Probe>>;
}

/// The kinds of probes that a binary was built with.
#[derive(Clone, Default)]
pub struct ProbeRegistry {
    factories: BTreeMap<&'static str, Arc<dyn ProbeFactory>>,
}

impl ProbeRegistry {
    /// No kinds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a kind.
    #[must_use]
    pub fn with(mut self, factory: impl ProbeFactory) -> Self {
        self.factories.insert(factory.kind(), Arc::new(factory));
        self
    }

    /// The kinds, by name.
    pub fn factories(&self) -> impl Iterator<Item = &dyn ProbeFactory> {
        self.factories.values().map(|factory| &**factory)
    }

    /// Makes the probe that a spec names.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for an unknown kind or wrong settings.
    pub fn build(&self, spec: &ProbeSpec) -> Result<Arc<dyn Probe>> {
        match self.factories.get(spec.kind.as_str()) {
            Some(factory) => factory.build(&spec.config),
            None => Err(Error::new(
                ErrorKind::Invalid,
                "set up a probe",
                format!("there is no probe of kind {:?}", spec.kind),
            )
            .next(registry::known("kinds", &spec.kind, self.factories.keys().copied()))),
        }
    }
}

impl fmt::Debug for ProbeRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.factories.keys()).finish()
    }
}
