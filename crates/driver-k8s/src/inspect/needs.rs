//! What a pod counts for in a quota.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::quantity::Quantity;
use crate::template::Template;
use crate::text::{list, text};

/// By the name in a quota: `pods`, `requests.cpu`, `limits.memory`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Needs(BTreeMap<String, Quantity>);

impl Needs {
    /// What one pod of a template needs, as its containers say it. Limits that a LimitRange adds are not known.
    pub(super) fn of(template: &Template) -> Self {
        let spec = template.spec();
        let containers: Vec<_> = list(spec, "/containers").iter().map(asked).collect();
        let mut all = sum(&containers);
        let (mut beside, mut most) = (Self::default(), Self::default());
        for container in list(spec, "/initContainers") {
            // One that is restarted always goes on beside the others; any other one runs alone with those before it.
            let one = asked(container);
            if text(container, "/restartPolicy") == Some("Always") {
                beside = sum(&[beside, one]);
                most = larger(most, &beside);
            } else {
                most = larger(most, &sum(&[beside.clone(), one]));
            }
        }
        all = larger(sum(&[all, beside]), &most);
        if let Some(overhead) = spec.get("overhead") {
            let also = ["requests", "limits"].map(|kind| amounts(overhead, kind));
            all = sum(&[all, also[0].clone(), also[1].clone()]);
        }
        all.0.insert("pods".to_owned(), Quantity::whole(1));
        all
    }

    /// How much of what a quota counts by this name.
    pub(super) fn get(&self, counted: &str) -> Option<Quantity> {
        let name = match counted {
            "count/pods" => "pods",
            "cpu" => "requests.cpu",
            "memory" => "requests.memory",
            "ephemeral-storage" => "requests.ephemeral-storage",
            other => other,
        };
        self.0.get(name).copied()
    }

    /// Whether nothing is asked for at all.
    pub(super) fn is_best_effort(&self) -> bool {
        self.0.keys().all(|name| name == "pods")
    }
}

/// What a container asks for. What it may use at most, it asks for, where it says nothing else.
fn asked(container: &Value) -> Needs {
    let at = |kind: &str| container.pointer(&format!("/resources/{kind}")).cloned().unwrap_or_default();
    let limits = at("limits");
    let mut needs = amounts(&limits, "requests");
    needs.0.extend(amounts(&at("requests"), "requests").0);
    needs.0.extend(amounts(&limits, "limits").0);
    needs
}

fn amounts(map: &Value, kind: &str) -> Needs {
    let all = map.as_object().into_iter().flatten();
    let read = |(name, amount): (&String, &Value)| {
        let amount = match amount {
            Value::String(text) => Quantity::parse(text)?,
            number => Quantity::parse(&number.to_string())?,
        };
        Some((format!("{kind}.{name}"), amount))
    };
    Needs(all.filter_map(read).collect())
}

fn sum(all: &[Needs]) -> Needs {
    let mut sum = BTreeMap::<String, Vec<Quantity>>::new();
    for (name, amount) in all.iter().flat_map(|needs| &needs.0) {
        sum.entry(name.clone()).or_default().push(*amount);
    }
    Needs(sum.into_iter().map(|(name, all)| (name, all.into_iter().sum())).collect())
}

fn larger(mut one: Needs, other: &Needs) -> Needs {
    for (name, amount) in &other.0 {
        let entry = one.0.entry(name.clone()).or_default();
        *entry = (*entry).max(*amount);
    }
    one
}

#[cfg(test)]
mod tests {
    use rollback_core::fingerprint::FingerprintKey;
    use serde_json::json;

    use super::*;

    fn needs(spec: &Value) -> Needs {
        Needs::of(&Template::of(&json!({ "spec": spec }), &FingerprintKey::public(crate::NAME, "ns")))
    }

    fn told(needs: &Needs, name: &str) -> Option<String> {
        needs.get(name).map(|amount| amount.shown(name.contains("memory")))
    }

    #[test]
    fn a_pod_needs_what_its_containers_ask_for() {
        let containers = json!([
            { "name": "web", "resources": { "requests": { "cpu": "250m", "memory": "128Mi" }, "limits": { "memory": "256Mi" } } },
            { "name": "log", "resources": { "limits": { "cpu": 1, "nvidia.com/gpu": "2" } } },
            { "name": "free" },
        ]);
        let found = needs(&json!({ "containers": containers, "overhead": { "cpu": "10m" } }));
        for (name, wanted) in [
            ("cpu", Some("1260m")),
            ("requests.cpu", Some("1260m")),
            ("memory", Some("128Mi")),
            ("limits.memory", Some("256Mi")),
            ("limits.cpu", Some("1010m")),
            ("requests.nvidia.com/gpu", Some("2")),
            ("count/pods", Some("1")),
            ("requests.ephemeral-storage", None),
        ] {
            assert_eq!(told(&found, name).as_deref(), wanted, "{name}");
        }
        assert!(
            !found.is_best_effort() && needs(&json!({ "containers": [{ "name": "web" }] })).is_best_effort()
        );
    }

    #[test]
    fn init_containers_count_for_the_largest_and_sidecars_for_all() {
        let with = |cpu: &str, policy: Value| json!({ "name": cpu, "restartPolicy": policy, "resources": { "requests": { "cpu": cpu } } });
        let spec = |init: Value| json!({ "initContainers": init, "containers": [with("100m", Value::Null)] });
        let cpu = |init: Value| told(&needs(&spec(init)), "cpu");
        assert_eq!(cpu(json!([with("50m", Value::Null), with("70m", Value::Null)])).as_deref(), Some("100m"));
        assert_eq!(cpu(json!([with("500m", Value::Null)])).as_deref(), Some("500m"));
        assert_eq!(cpu(json!([with("50m", json!("Always"))])).as_deref(), Some("150m"));
        let both = json!([with("50m", json!("Always")), with("300m", Value::Null)]);
        assert_eq!(cpu(both).as_deref(), Some("350m"));
    }
}
