//! Pod templates: what they mean, without the values that may be secret.

mod normal;
mod references;
mod veil;

use std::collections::{BTreeMap, BTreeSet};

use rollback_core::target::{DiffEntry, Shown};
use rollback_core::{Digest, Error, ErrorKind, Identity, Result, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::references::{Reference, Referenced};
use crate::image::Image;
use crate::text::{list, text};
use rollback_core::fingerprint::{FingerprintKey, is_keyed};

/// The annotation that `kubectl rollout restart` sets on a template. It means nothing but "once more".
pub(crate) const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// The annotation that a restart by this driver sets on a template: the key of the step that asked for it.
pub(crate) const RESTARTED_BY: &str = "rollback-rs.github.io/restarted-by";

/// A pod template as it can be compared and stored.
///
/// Defaults that the API server fills in, empty fields and marks of restarts are left out, so that two templates are equal when they
/// mean the same. Values that may be secret are kept as keyed digests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Template {
    /// Under which key values were digested.
    key: String,
    /// `metadata` and `spec`.
    body: Value,
}

impl Template {
    /// What a template of the API means.
    #[must_use]
    pub fn of(raw: &Value, key: &FingerprintKey) -> Self {
        let mut body = normal::normal(raw);
        normal::forget_restarts(&mut body);
        Self { key: key.id().to_owned(), body: veil::veil(&body, key) }
    }

    /// The digest of a template with the marks of restarts: which of two revisions that mean the same is meant.
    pub(crate) fn exact(raw: &Value, key: &FingerprintKey) -> Digest {
        let body = veil::veil(&normal::normal(raw), key);
        Digest::of_bytes(rollback_core::digest::canonical(&body).as_bytes())
    }

    /// What was read from a file may have been changed there.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |why: &str| Err(Error::new(ErrorKind::Invalid, "use a pod template", why));
        if !self.body.get("spec").is_some_and(Value::is_object) {
            return wrong("it has no spec");
        }
        match veil::in_the_clear(&self.body) {
            Some(place) => wrong(&format!("{place} holds a value that should not be stored")),
            None => Ok(()),
        }
    }

    /// The digest of all of it.
    pub(crate) fn identity(&self) -> Identity {
        let body = rollback_core::digest::canonical(&self.body);
        Identity(Digest::of_bytes(format!("{}\n{body}", self.key).as_bytes()))
    }

    /// What of its pods is wanted, as far as it is kept.
    pub(crate) fn spec(&self) -> &Value {
        self.body.get("spec").unwrap_or(&Value::Null)
    }

    /// The containers and init containers with their images, in their order.
    #[must_use]
    pub fn images(&self) -> Vec<(&str, &str)> {
        let all = ["/spec/containers", "/spec/initContainers"];
        let one = |container| Some((text(container, "/name")?, text(container, "/image")?));
        all.iter().flat_map(|at| list(&self.body, at)).filter_map(one).collect()
    }

    /// The container that the version is read from: the one that is named, else the one that kubectl takes, else the only one, else
    /// the one that is called as the workload.
    #[must_use]
    pub fn main_container<'a>(&'a self, named: Option<&str>, workload: &str) -> Option<(&'a str, &'a str)> {
        let containers: Vec<_> = list(&self.body, "/spec/containers").iter().collect();
        let find = |name: &str| containers.iter().find(|one| text(one, "/name") == Some(name)).copied();
        let only = || (containers.len() == 1).then(|| containers[0]);
        let default = || crate::text::entry(&self.body, "/metadata/annotations", veil::DEFAULT_CONTAINER);
        let found = match named {
            Some(name) => find(name),
            None => default().and_then(find).or_else(only).or_else(|| find(workload)),
        }?;
        Some((text(found, "/name")?, text(found, "/image")?))
    }

    /// The version: the tag of the main container's image.
    pub(crate) fn version(&self, named: Option<&str>, workload: &str) -> Option<Version> {
        Image::parse(self.main_container(named, workload)?.1).version()
    }

    /// The same with other images, by container.
    #[must_use]
    pub fn with_images(&self, images: &BTreeMap<String, String>) -> Self {
        let mut other = self.clone();
        for at in ["/spec/containers", "/spec/initContainers"] {
            let containers = other.body.pointer_mut(at).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                let image = text(container, "/name").and_then(|name| images.get(name));
                if let (Some(image), Some(container)) = (image, container.as_object_mut()) {
                    container.insert("image".to_owned(), Value::from(image.as_str()));
                }
            }
        }
        other
    }

    /// The images by container that make this template the other, if images are all that differs.
    #[must_use]
    pub fn images_to(&self, other: &Self) -> Option<BTreeMap<String, String>> {
        let now: BTreeMap<_, _> = self.images().into_iter().collect();
        let then = other.images();
        let changed = then.into_iter().filter(|(name, image)| now.get(name) != Some(image));
        let changed: BTreeMap<_, _> =
            changed.map(|(name, image)| (name.to_owned(), image.to_owned())).collect();
        (self.with_images(&changed) == *other).then_some(changed)
    }

    /// What must exist besides the workload for its pods to start.
    #[must_use]
    pub fn references(&self) -> BTreeSet<Reference> {
        references::of(&self.body)
    }

    /// What is different in the other, without values that may be secret.
    #[must_use]
    pub fn diff(&self, other: &Self) -> Vec<DiffEntry> {
        let (mut from, mut to) = (BTreeMap::new(), BTreeMap::new());
        flatten("", &self.body, &mut from);
        flatten("", &other.body, &mut to);
        let paths: BTreeSet<_> = from.keys().chain(to.keys()).collect();
        let differs = paths.into_iter().filter(|path| from.get(*path) != to.get(*path));
        differs
            .map(|path| DiffEntry {
                path: path.clone(),
                from: from.get(path).map(|value| shown(value)),
                to: to.get(path).map(|value| shown(value)),
            })
            .collect()
    }
}

/// Every value by its path, with the names of list entries where these have names.
fn flatten<'a>(path: &str, value: &'a Value, out: &mut BTreeMap<String, &'a Value>) {
    let below = |key: &str| match path {
        // What every path would begin with is left out.
        "" if key == "spec" => String::new(),
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(&below(key), value, out)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = text(item, "/name").map_or_else(|| index.to_string(), str::to_owned);
                flatten(&below(&name), item, out);
            }
        }
        leaf => drop(out.insert(path.to_owned(), leaf)),
    }
}

fn shown(value: &Value) -> Shown {
    match value {
        Value::String(text) if is_keyed(text) => Shown::Redacted,
        Value::String(text) => Shown::Plain(text.clone()),
        other => Shown::Plain(other.to_string()),
    }
}

/// A map that can be changed in place, or nothing.
fn object<'a>(value: &'a mut Value, pointer: &str) -> Option<&'a mut Map<String, Value>> {
    value.pointer_mut(pointer).and_then(Value::as_object_mut)
}

#[cfg(test)]
mod tests;
