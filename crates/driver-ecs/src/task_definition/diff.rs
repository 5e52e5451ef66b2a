//! What differs between two task definitions, without values that may be secret.

use std::collections::BTreeMap;

use rollback_core::target::{DiffEntry, Shown};
use serde_json::Value;

use super::Definition;
use rollback_core::fingerprint::is_keyed;

impl Definition {
    /// What restoring `to` would change: images, numbers and references as they are, names of environment variables without
    /// their values. Ordered by path.
    ///
    /// Values that were digested under different keys cannot be compared; that is one entry, at `values`.
    #[must_use]
    pub fn diff(&self, to: &Self) -> Vec<DiffEntry> {
        let comparable = self.key() == to.key();
        let (from, to) = (leaves(self), leaves(to));
        let mut entries = Vec::new();
        let mut uncompared = false;
        for path in from.keys().chain(to.keys().filter(|path| !from.contains_key(*path))) {
            let (before, after) = (from.get(path), to.get(path));
            if before == after && comparable {
                continue;
            }
            if !comparable && [before, after].iter().all(|side| side.is_some_and(keyed)) {
                uncompared = true;
            } else if before != after {
                entries.push(DiffEntry { path: path.clone(), from: before.map(shown), to: after.map(shown) });
            }
        }
        if uncompared {
            entries.push(DiffEntry {
                path: "values".to_owned(),
                from: Some(Shown::Redacted),
                to: Some(Shown::Redacted),
            });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }
}

fn keyed(value: &Value) -> bool {
    value.as_str().is_some_and(is_keyed)
}

fn shown(value: &Value) -> Shown {
    match value {
        Value::String(text) if is_keyed(text) => Shown::Redacted,
        Value::String(text) => Shown::Plain(text.clone()),
        other => Shown::Plain(other.to_string()),
    }
}

/// Every single value with the path that a person would write: `containers.web.env.LOG_LEVEL`.
fn leaves(definition: &Definition) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (name, value) in definition.body() {
        collect(spoken(name), value, &mut found);
    }
    found
}

fn spoken(field: &str) -> &str {
    match field {
        "containerDefinitions" => "containers",
        "environment" => "env",
        other => other,
    }
}

fn collect(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                match item.get("name").and_then(Value::as_str) {
                    Some(name) => collect_named(&format!("{path}.{name}"), item, found),
                    None => collect(&format!("{path}.{index}"), item, found),
                }
            }
        }
        Value::Object(map) => {
            for (name, item) in map {
                collect(&format!("{path}.{}", spoken(name)), item, found);
            }
        }
        leaf => insert(path, leaf, found),
    }
}

/// An item with a name: the name is in the path, and a lone value stands for the item.
fn collect_named(path: &str, item: &Value, found: &mut BTreeMap<String, Value>) {
    let fields = item.as_object().into_iter().flatten().filter(|(name, _)| *name != "name");
    let mut any = false;
    for (name, value) in fields {
        any = true;
        match name.as_str() {
            "value" | "valueFrom" => collect(path, value, found),
            other => collect(&format!("{path}.{}", spoken(other)), value, found),
        }
    }
    if !any {
        insert(path, &Value::from("present"), found);
    }
}

fn insert(path: &str, leaf: &Value, found: &mut BTreeMap<String, Value>) {
    // Names should not repeat; where they do, nothing is lost.
    let mut free = path.to_owned();
    let mut count = 1;
    while found.contains_key(&free) {
        count += 1;
        free = format!("{path}#{count}");
    }
    found.insert(free, leaf.clone());
}
