//! What belongs to a state of a service beside its task definition.

use std::collections::{BTreeMap, BTreeSet};

use rollback_core::Digest;
use rollback_core::target::{DiffEntry, Shown};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use rollback_core::fingerprint::{FingerprintKey, is_keyed};

use crate::task_definition::{is_in_the_clear, normal_value};

/// The fields of a service and of its service revisions that are kept. Counts are not: a rollback leaves capacity alone.
const KEPT: [&str; 12] = [
    "capacityProviderStrategy",
    "deploymentConfiguration",
    "fargateEphemeralStorage",
    "healthCheckGracePeriodSeconds",
    "launchType",
    "loadBalancers",
    "networkConfiguration",
    "platformFamily",
    "platformVersion",
    "serviceConnectConfiguration",
    "serviceRegistries",
    "volumeConfigurations",
];

/// Those that a service tells of its deployments, and not of itself.
const OF_A_DEPLOYMENT: [&str; 3] =
    ["fargateEphemeralStorage", "serviceConnectConfiguration", "volumeConfigurations"];
/// Those that a service revision does not tell.
const OF_THE_SERVICE_ALONE: [&str; 2] = ["deploymentConfiguration", "healthCheckGracePeriodSeconds"];

/// Load balancers, deployment configuration, platform, network and capacity providers of a service, in normal form. Moving a
/// service to another task definition does not change them; a difference is reported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Coupled {
    /// The settings by their names in the API. Texts that may be secret are keyed digests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Value>,
    /// What could not be read: unknown, which is not the same as absent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unread: BTreeSet<String>,
}

impl Coupled {
    /// What is kept of a service, or of a service revision, as the API describes it.
    #[must_use]
    pub fn of(described: &Map<String, Value>, key: &FingerprintKey) -> Self {
        let kept = KEPT
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), normal_value(name, described.get(*name)?, key)?)));
        Self { settings: kept.collect(), unread: BTreeSet::new() }
    }

    /// What is kept of a service as `DescribeServices` tells it: of itself, and of the deployment that is meant to run.
    #[must_use]
    pub fn of_service(described: &Map<String, Value>, key: &FingerprintKey) -> Self {
        let deployments = described.get("deployments").and_then(Value::as_array).into_iter().flatten();
        let primary = deployments.into_iter().find(|deployment| deployment["status"] == "PRIMARY");
        let told = OF_A_DEPLOYMENT.iter().filter_map(|name| Some((name, primary?.get(*name)?)));
        told.fold(Self::of(described, key), |coupled, (name, value)| coupled.with(name, value, key))
    }

    /// What is kept of a service revision. What it does not tell is unknown, and not absent.
    #[must_use]
    pub fn of_revision(described: &Map<String, Value>, key: &FingerprintKey) -> Self {
        OF_THE_SERVICE_ALONE.into_iter().fold(Self::of(described, key), Coupled::without)
    }

    /// Adds a setting that is kept elsewhere, like a target group's health check.
    #[must_use]
    pub fn with(mut self, name: &str, value: &Value, key: &FingerprintKey) -> Self {
        if let Some(value) = normal_value(name, value, key) {
            self.settings.insert(name.to_owned(), value);
        }
        self
    }

    /// Says what could not be read.
    #[must_use]
    pub fn without(mut self, name: impl Into<String>) -> Self {
        self.unread.insert(name.into());
        self
    }

    /// The first setting that holds a text which should have been digested: a stored form that somebody altered.
    pub(crate) fn in_the_clear(&self) -> Option<&str> {
        let found = self.settings.iter().find(|(name, value)| is_in_the_clear(name, value));
        found.map(|(name, _)| name.as_str())
    }

    /// Its digest: the same for the same settings.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let value = json!({ "settings": self.settings, "unread": self.unread });
        Digest::of_bytes(rollback_core::digest::canonical(&value).as_bytes())
    }

    /// What differs. What one side could not read is not compared.
    #[must_use]
    pub fn diff(&self, to: &Self) -> Vec<DiffEntry> {
        let names: BTreeSet<_> = self.settings.keys().chain(to.settings.keys()).collect();
        let unread = |name: &str| self.unread.contains(name) || to.unread.contains(name);
        let shown = |value: Option<&Value>| {
            value.map(|value| match value {
                Value::String(text) if is_keyed(text) => Shown::Redacted,
                Value::String(text) => Shown::Plain(text.clone()),
                other => Shown::Plain(rollback_core::digest::canonical(other)),
            })
        };
        names
            .into_iter()
            .filter(|name| !unread(name) && self.settings.get(*name) != to.settings.get(*name))
            .map(|name| DiffEntry {
                path: format!("service.{name}"),
                from: shown(self.settings.get(name)),
                to: shown(to.settings.get(name)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(order: [&str; 2]) -> Map<String, Value> {
        let value = json!({
            "desiredCount": 4,
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "serviceRegistries": [],
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": order, "assignPublicIp": "DISABLED" } },
        });
        value.as_object().unwrap().clone()
    }

    #[test]
    fn order_counts_and_nothings_do_not_matter() {
        let key = FingerprintKey::public(crate::NAME, "a");
        let one = Coupled::of(&service(["a", "b"]), &key);
        let mut more = service(["b", "a"]);
        more.insert("desiredCount".into(), json!(9));
        assert_eq!(one.digest(), Coupled::of(&more, &key).digest());
        more.insert("platformVersion".into(), json!("1.3.0"));
        let other = Coupled::of(&more, &key);
        assert_ne!(one.digest(), other.digest());
        let diff = one.diff(&other);
        assert_eq!((diff.len(), diff[0].path.as_str()), (1, "service.platformVersion"));
    }

    #[test]
    fn a_service_and_its_own_revision_do_not_differ() {
        let key = FingerprintKey::public(crate::NAME, "a");
        let connect = json!({ "enabled": true, "namespace": "shop" });
        let mut revision = service(["a", "b"]);
        revision.insert("serviceConnectConfiguration".into(), connect.clone());
        let mut now = service(["a", "b"]);
        now.insert("deploymentConfiguration".into(), json!({ "maximumPercent": 200 }));
        now.insert("healthCheckGracePeriodSeconds".into(), json!(30));
        now.insert(
            "deployments".into(),
            json!([
                { "status": "ACTIVE", "serviceConnectConfiguration": { "enabled": false } },
                { "status": "PRIMARY", "serviceConnectConfiguration": connect },
            ]),
        );
        let (now, then) = (Coupled::of_service(&now, &key), Coupled::of_revision(&revision, &key));
        assert_eq!(now.diff(&then), []);
        revision.insert("serviceConnectConfiguration".into(), json!({ "enabled": false }));
        assert_eq!(now.diff(&Coupled::of_revision(&revision, &key)).len(), 1);
    }

    #[test]
    fn unread_is_not_absent() {
        let key = FingerprintKey::public(crate::NAME, "a");
        let read = Coupled::default().with("targetGroups", &json!([{ "path": "/health" }]), &key);
        let unread = Coupled::default().without("targetGroups");
        assert_ne!(Coupled::default().digest(), unread.digest());
        assert!(read.diff(&unread).is_empty());
        assert_eq!(read.diff(&Coupled::default()).len(), 1);
    }
}
