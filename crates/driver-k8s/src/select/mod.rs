//! One configuration for all workloads that a selector selects.

mod labels;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use rollback_core::error::quoted;
use rollback_core::registry::{Expand, read_settings};
use rollback_core::{ComponentName, Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use self::labels::Labels;
use crate::K8sDriver;
use crate::client;
use crate::config::K8sConfig;
use crate::text::is_name;
use crate::workload::Kind;

const SELECTOR: &str = "selector";
const KINDS: &str = "kinds";
const KIND: &str = "kind";
const NAME: &str = "name";

/// What a selection has beside the settings of each workload.
#[derive(Debug, Clone, Deserialize)]
struct Settings {
    selector: String,
    kind: Option<Kind>,
    kinds: Option<Vec<Kind>>,
}

/// Which workloads are meant, and what is common to them.
#[derive(Debug)]
struct Selection {
    labels: Labels,
    kinds: Vec<Kind>,
    /// Whether the kind is a part of each name: with a list of kinds, whatever is in it. Were it only so where two workloads share a
    /// name, a new one would rename another.
    named_by_kind: bool,
    common: K8sConfig,
}

/// Whether a configuration is a selection.
pub(crate) fn is_selection(config: &Value) -> bool {
    config.get(SELECTOR).is_some() || config.get(KINDS).is_some()
}

/// The JSON Schema of both: one workload, or a selection.
pub(crate) fn schema() -> Value {
    let mut schema = K8sConfig::schema();
    let kind = schema["properties"][KIND].clone();
    let (kind, pointer) = (&kind, kind.get("$ref").or_else(|| kind.pointer("/allOf/0/$ref")).cloned());
    let items = pointer.map_or_else(|| kind.clone(), |pointer| json!({ "$ref": pointer }));
    if let Some(properties) = schema["properties"].as_object_mut() {
        let about = "the labels of all workloads that are meant, as `kubectl get --selector` takes them, instead of a name";
        properties.insert(SELECTOR.to_owned(), json!({ "type": "string", "description": about }));
        let about = "what is selected, where it is not of one kind only: the names of the components say which it is then";
        let list = json!({ "type": "array", "items": items, "minItems": 1, "description": about });
        properties.insert(KINDS.to_owned(), list);
    }
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("required");
        let ways = [[KIND, NAME], [KIND, SELECTOR], [KINDS, SELECTOR]];
        let ways: Vec<_> = ways.iter().map(|way| json!({ "required": way })).collect();
        schema.insert("anyOf".to_owned(), Value::from(ways));
    }
    schema
}

impl Selection {
    fn read(component: &ComponentName, config: &Value) -> Result<Self> {
        let schema = schema();
        let settings: Settings = match config.get(SELECTOR) {
            Some(_) => read_settings(component, config, &schema)?,
            None => {
                let why = format!("{component} has `{KINDS}` and no selector");
                return Err(
                    invalid(why).next("add selector = \"app.kubernetes.io/part-of=…\", or name one workload")
                );
            }
        };
        if config.get(NAME).is_some() {
            let why = format!("{component} has both a name and a selector");
            return Err(invalid(why).next("leave one of the two out"));
        }
        let (mut kinds, named_by_kind) = match (settings.kind, settings.kinds) {
            (Some(kind), None) => (vec![kind], false),
            (None, Some(kinds)) if !kinds.is_empty() => (kinds, true),
            _ => {
                let why = format!("{component} must say either `{KIND}` or a list of `{KINDS}`");
                return Err(
                    invalid(why).next("kind = \"deployment\", or kinds = [\"deployment\", \"statefulset\"]")
                );
            }
        };
        kinds.sort_unstable();
        kinds.dedup();
        let labels = Labels::parse(&settings.selector)?;
        let common = K8sConfig::read_unchecked(component, &part_of(config, kinds[0], ""))?;
        common.check_common()?;
        Ok(Self { labels, kinds, named_by_kind, common })
    }

    fn suffix(&self, kind: Kind, name: &str) -> String {
        if self.named_by_kind { format!("{}.{name}", word(kind)) } else { name.to_owned() }
    }

    /// Which workload a name means. That there is one is not asked.
    fn workload<'a>(&self, component: &ComponentName, part: &'a str) -> Result<(Kind, &'a str)> {
        let found = match self.named_by_kind {
            false => Some((self.kinds[0], part)),
            true => part.split_once('.').and_then(|(named, name)| {
                let kind = self.kinds.iter().find(|kind| word(**kind) == named)?;
                Some((*kind, name))
            }),
        };
        found.filter(|(_, name)| is_name(name)).ok_or_else(|| {
            let form = match self.named_by_kind {
                true => format!("{component}.{}.NAME", word(self.kinds[0])),
                false => format!("{component}.NAME"),
            };
            let why = format!("{component} cannot have a part {}", quoted(part));
            Error::new(ErrorKind::NotFound, "find the component", why)
                .next(format!("its parts are called {form}; `rollback status {component}` lists them"))
        })
    }

    /// Nobody configures a selection to have nothing rolled back.
    fn nothing(&self, namespace: &str) -> Error {
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.resource()).collect();
        let (all, labels) = (kinds.join(","), self.labels.to_string());
        let of = self.common.context.as_ref().map(|context| format!(" of the context {context}"));
        let why = format!(
            "the selector {labels} selects none of the {} in namespace {namespace}{}",
            kinds.join(", "),
            of.unwrap_or_default()
        );
        Error::new(ErrorKind::NotFound, "select workloads", why)
            .next(format!("look at their labels: kubectl get {all} --namespace {namespace} --show-labels"))
    }
}

#[async_trait]
impl Expand for K8sDriver {
    fn is_many(&self, config: &Value) -> bool {
        is_selection(config)
    }

    async fn expand(&self, component: &ComponentName, config: Value) -> Result<Vec<String>> {
        let selection = Selection::read(component, &config)?;
        let connection = self.connections.open(&selection.common).await?;
        let namespace = selection.common.namespace.clone().unwrap_or_else(|| connection.namespace.clone());
        // In the wrong cluster nothing more is read.
        let expected = selection.common.namespace_uid.as_deref();
        connection.cluster.home(&namespace, expected).await?;
        let labels = selection.labels.to_string();
        let asked = selection.kinds.iter().map(|kind| {
            let names = client::selected(connection.cluster.client(), &namespace, *kind, &labels);
            async move { names.await.map(|names| (*kind, names)) }
        });
        let found = try_join_all(asked).await?;
        let named = |(kind, names): &(Kind, Vec<String>)| {
            names.iter().map(|name| selection.suffix(*kind, name)).collect::<Vec<_>>()
        };
        let parts: Vec<_> = found.iter().flat_map(named).collect();
        if parts.is_empty() { Err(selection.nothing(&namespace)) } else { Ok(parts) }
    }

    fn part(&self, component: &ComponentName, config: Value, part: &str) -> Result<Value> {
        let selection = Selection::read(component, &config)?;
        let (kind, name) = selection.workload(component, part)?;
        Ok(part_of(&config, kind, name))
    }
}

/// The configuration of one workload of a selection.
fn part_of(config: &Value, kind: Kind, name: &str) -> Value {
    let mut one = config.clone();
    if let Some(settings) = one.as_object_mut() {
        settings.remove(SELECTOR);
        settings.remove(KINDS);
        settings.insert(KIND.to_owned(), json!(kind));
        settings.insert(NAME.to_owned(), json!(name));
    }
    one
}

/// As it is written in `kind`.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Deployment => "deployment",
        Kind::StatefulSet => "statefulset",
        Kind::DaemonSet => "daemonset",
    }
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, "set up a selection", why)
}

#[cfg(test)]
mod tests;
