//! What of a template may be kept as it is, and what only as a keyed digest.
//!
//! Everything that is not known to be harmless is digested: a field of a newer API shows as a digest, and still counts.

use serde_json::Value;

use rollback_core::fingerprint::{FingerprintKey, is_keyed};

/// The annotation by which kubectl finds the main container.
pub(super) const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Fields whose texts are names, kinds or choices: needed to compare, and nobody's secret.
const PLAIN: [&str; 41] = [
    "apiVersion",
    "claimName",
    "containerName",
    "dnsPolicy",
    "driver",
    "effect",
    "fieldPath",
    "hostname",
    "image",
    "imagePullPolicy",
    "key",
    "kind",
    "medium",
    "mountPath",
    "mountPropagation",
    "name",
    "nodeName",
    "operator",
    "path",
    "port",
    "preemptionPolicy",
    "priorityClassName",
    "procMount",
    "protocol",
    "resource",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "scheme",
    "secretName",
    "service",
    "serviceAccountName",
    "sizeLimit",
    "storageClassName",
    "subPath",
    "subdomain",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "topologyKey",
    "type",
    "whenUnsatisfiable",
];
/// Maps with free keys whose values are shown by every tool there is.
const PLAIN_MAPS: [&str; 6] = ["labels", "limits", "matchLabels", "nodeSelector", "overhead", "requests"];
/// Maps with free keys whose values may be anything.
const FREE_MAPS: [&str; 4] = ["annotations", "options", "parameters", "volumeAttributes"];

/// What is known of a place in a template.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// The name of a field decides.
    Fields,
    /// Everything below is plain.
    Plain,
    /// Everything below may be secret.
    Secret,
}

impl Ground {
    fn below(self, key: &str) -> Self {
        match self {
            Self::Fields if PLAIN_MAPS.contains(&key) => Self::Plain,
            Self::Fields if FREE_MAPS.contains(&key) => Self::Secret,
            // Probes ask for paths and send headers that may hold a token.
            Self::Fields if key == "httpGet" || key == "exec" => Self::Secret,
            same => same,
        }
    }

    fn shows(self, key: &str) -> bool {
        match self {
            Self::Plain => true,
            Self::Secret => key == DEFAULT_CONTAINER || key == "scheme" || key == "port",
            Self::Fields => PLAIN.contains(&key),
        }
    }
}

/// The same with keyed digests for what may be secret.
pub(super) fn veil(body: &Value, key: &FingerprintKey) -> Value {
    let mut veiled = body.clone();
    walk("", "", Ground::Fields, &mut veiled, &mut |place, text| *text = key.digest(place, text));
    veiled
}

/// The first place that holds a text which should be a keyed digest and is none.
pub(super) fn in_the_clear(body: &Value) -> Option<String> {
    let mut found = None;
    walk("", "", Ground::Fields, &mut body.clone(), &mut |place, text| {
        if !is_keyed(text) && found.is_none() {
            found = Some(place.to_owned());
        }
    });
    found
}

fn walk(place: &str, key: &str, ground: Ground, value: &mut Value, hide: &mut dyn FnMut(&str, &mut String)) {
    match value {
        Value::Object(map) => {
            for (name, value) in map.iter_mut() {
                walk(&format!("{place}/{name}"), name, ground.below(name), value, hide);
            }
        }
        Value::Array(items) => {
            for item in items {
                // Without the index: the same variable in another position has the same digest.
                walk(place, key, ground, item, hide);
            }
        }
        Value::String(text) if !ground.shows(key) => hide(place, text),
        _ => {}
    }
}
