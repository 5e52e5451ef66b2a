//! What belongs to a state and is not put back with the pod template: the ConfigMaps and Secrets that it refers to.

use std::collections::{BTreeMap, BTreeSet};

use rollback_core::Digest;
use rollback_core::digest::canonical;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::template::{Reference, Referenced};
use crate::text::{flag, text};
use rollback_core::fingerprint::{FingerprintKey, is_keyed};

/// Where objects hold what they hold.
const DATA: [&str; 2] = ["data", "binaryData"];

/// The ConfigMaps and Secrets of a state, as they were when it was read. Never their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Coupled {
    /// By kind and name: `config-map/web`. `None`: it did not exist.
    objects: BTreeMap<String, Option<Content>>,
    /// What could not be read: unknown, not absent.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    unread: BTreeSet<String>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Which object it was.
    pub uid: String,
    /// Which version of it.
    pub version: String,
    /// The keyed digest of its content, where that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether what it holds cannot be changed in place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
}

fn place(kind: Referenced, name: &str) -> String {
    format!("{}/{name}", kind.name())
}

/// Where a ConfigMap stands among the objects of a state.
pub(crate) fn map_place(name: &str) -> String {
    place(Referenced::ConfigMap, name)
}

/// The name of the ConfigMap that stands there, if it is one.
pub(crate) fn map_name(place: &str) -> Option<&str> {
    place.strip_prefix(Referenced::ConfigMap.name())?.strip_prefix('/')
}

impl Coupled {
    pub(crate) fn place(reference: &Reference) -> String {
        place(reference.kind, &reference.name)
    }

    /// Whether objects of this kind belong to a state.
    pub(crate) fn covers(kind: Referenced) -> bool {
        matches!(kind, Referenced::ConfigMap | Referenced::Secret)
    }

    /// Adds an object, as the API has it; of a Secret without its data, its version has to do.
    pub(crate) fn add(&mut self, reference: &Reference, object: &Value, key: &FingerprintKey) {
        let place = Self::place(reference);
        let at = |pointer| text(object, pointer).unwrap_or_default().to_owned();
        let has_data = DATA.iter().any(|field| object.get(*field).is_some());
        let read = reference.kind == Referenced::ConfigMap || has_data;
        let digest = read.then(|| Self::content(&place, object, key));
        let immutable = flag(object, "/immutable");
        let content =
            Content { uid: at("/metadata/uid"), version: at("/metadata/resourceVersion"), digest, immutable };
        self.objects.insert(place, Some(content));
    }

    /// The keyed digest of what an object at a place holds.
    pub(crate) fn content(place: &str, object: &Value, key: &FingerprintKey) -> String {
        let data: BTreeMap<_, _> =
            DATA.into_iter().filter_map(|field| Some((field, object.get(field)?))).collect();
        key.digest(place, &canonical(&serde_json::json!(data)))
    }

    /// The ConfigMaps that were there, by name, with the digests of what they held.
    pub(crate) fn config_maps(&self) -> BTreeMap<&str, &str> {
        self.objects
            .iter()
            .filter_map(|(place, content)| Some((map_name(place)?, content.as_ref()?.digest.as_deref()?)))
            .collect()
    }

    /// Whether a ConfigMap could not be changed in place.
    pub(crate) fn is_immutable(&self, name: &str) -> bool {
        let found = self.objects.get(&map_place(name));
        found.and_then(Option::as_ref).is_some_and(|content| content.immutable)
    }

    /// Whether a ConfigMap could not be read.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread.iter().any(|place| map_name(place).is_some())
    }

    /// Adds an object that does not exist.
    pub(crate) fn missing(&mut self, reference: &Reference) {
        self.objects.insert(Self::place(reference), None);
    }

    /// Adds an object that could not be read.
    pub(crate) fn unread(&mut self, reference: &Reference) {
        self.unread.insert(Self::place(reference));
    }

    /// The digest of what can be put back: what ConfigMaps held. `None` where there are none, or where one could not be read.
    ///
    /// A Secret that was changed is told ([`changed`](Self::changed)), and never put back.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest_for(self)
    }

    /// The same for the ConfigMaps that there were in `then`. One that an optional reference has found since is no part of that: it was
    /// not there to be put back, and nothing is deleted.
    pub(crate) fn digest_for(&self, then: &Self) -> Option<Digest> {
        let mut maps = then.objects.iter().filter(|(place, _)| map_name(place).is_some()).peekable();
        if self.is_unread() || maps.peek().is_none() {
            return None;
        }
        let held = |place| self.objects.get(place).and_then(Option::as_ref).map(|content| &content.digest);
        let maps: BTreeMap<_, _> =
            maps.map(|(place, was)| (place, was.as_ref().and_then(|_| held(place)))).collect();
        Some(Digest::of_bytes(canonical(&serde_json::json!(maps)).as_bytes()))
    }

    /// What is certainly another one in `now` than it was here: changed, gone, or there again.
    #[must_use]
    pub fn changed(&self, now: &Self) -> Vec<String> {
        let differs = |(place, then): &(&String, &Option<Content>)| match (then, now.objects.get(*place)) {
            (_, None) => false,
            (Some(then), Some(Some(now))) => match (&then.digest, &now.digest) {
                (Some(then), Some(now)) => then != now,
                _ => (&then.uid, &then.version) != (&now.uid, &now.version),
            },
            (then, Some(now)) => then.is_some() != now.is_some(),
        };
        self.objects.iter().filter(differs).map(|(place, _)| place.clone()).collect()
    }

    /// The first place that holds a text which should be a keyed digest and is none.
    pub(crate) fn in_the_clear(&self) -> Option<&str> {
        let mut all = self.objects.iter();
        let found = all.find(|(_, content)| {
            content
                .as_ref()
                .and_then(|content| content.digest.as_deref())
                .is_some_and(|digest| !is_keyed(digest))
        });
        found.map(|(place, _)| place.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reference(kind: Referenced) -> Reference {
        Reference { kind, name: "web".into(), optional: false }
    }

    fn with(kind: Referenced, version: &str, data: &Value) -> Coupled {
        let mut coupled = Coupled::default();
        let mut object = json!({ "metadata": { "uid": "u", "resourceVersion": version } });
        if !data.is_null() {
            object["data"] = data.clone();
        }
        coupled.add(&reference(kind), &object, &FingerprintKey::public(crate::NAME, "ns"));
        coupled
    }

    #[test]
    fn content_counts_and_noise_does_not() {
        let map = |version, value| with(Referenced::ConfigMap, version, &json!({ "a": value }));
        assert_eq!(map("1", "hunter2").digest(), map("2", "hunter2").digest());
        assert_eq!(map("1", "hunter2").changed(&map("2", "hunter2")), Vec::<String>::new());
        assert_eq!(map("1", "hunter2").changed(&map("1", "x")), ["config-map/web"]);
        assert!(!serde_json::to_string(&map("1", "hunter2")).unwrap().contains("hunter2"));
        // Without its data, the version of a Secret is all there is.
        let secret = |version| with(Referenced::Secret, version, &Value::Null);
        assert_eq!(secret("1").changed(&secret("2")), ["secret/web"]);
        assert_eq!(secret("1").changed(&secret("1")), Vec::<String>::new());
    }

    #[test]
    fn unread_is_not_gone() {
        let there = with(Referenced::Secret, "1", &Value::Null);
        let (mut unread, mut gone) = (Coupled::default(), Coupled::default());
        unread.unread(&reference(Referenced::Secret));
        gone.missing(&reference(Referenced::Secret));
        assert_eq!(there.changed(&unread), Vec::<String>::new());
        assert_eq!(there.changed(&gone), ["secret/web"]);
        let (map, mut lost) = (with(Referenced::ConfigMap, "1", &json!({ "a": "b" })), Coupled::default());
        lost.missing(&reference(Referenced::ConfigMap));
        assert!(map.digest().is_some() && lost.digest().is_some());
        assert_ne!(map.digest(), lost.digest());
        lost.unread(&reference(Referenced::ConfigMap));
        // What was not read is not known, and Secrets are not put back.
        assert_eq!((lost.digest(), there.digest()), (None, None));
        let hostile =
            json!({ "objects": { "secret/web": { "uid": "u", "version": "1", "digest": "hunter2" } } });
        assert_eq!(serde_json::from_value::<Coupled>(hostile).unwrap().in_the_clear(), Some("secret/web"));
    }
}
