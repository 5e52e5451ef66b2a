//! On which node a pod runs, or why on none.

use serde_json::{Value, json};

/// How many cores a node has.
const CORES: f64 = 64.0;

/// The nodes of a cluster: all alike.
#[derive(Debug, Clone)]
pub(super) struct Nodes {
    names: Vec<String>,
    next: usize,
}

impl Nodes {
    pub(super) fn new(count: usize) -> Self {
        Self { names: (1..=count).map(|number| format!("node-{number}")).collect(), next: 0 }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The node for a pod: the one that it asks for, or each in turn. If it fits nowhere, what a scheduler says then.
    pub(super) fn choose(&mut self, pod: &Value) -> Result<String, String> {
        let all = self.names.len();
        let refused = |why: &str| Err(format!("0/{all} nodes are available: {all} {why}."));
        let fitting: Vec<&String> = self.names.iter().filter(|name| selects(pod, name)).collect();
        if fitting.is_empty() {
            return refused("node(s) didn't match node selector");
        }
        if cores_of(pod) > CORES {
            return refused("Insufficient cpu");
        }
        let chosen = fitting[self.next % fitting.len()].clone();
        self.next += 1;
        Ok(chosen)
    }
}

/// A node as a kubelet registers it, whose logs are told at `port`.
pub(super) fn node(name: &str, port: u16) -> Value {
    let room =
        json!({ "cpu": CORES.to_string(), "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": name, "labels": labels(name) },
        "status": {
            "capacity": room,
            "allocatable": room,
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }, { "type": "Hostname", "address": name }],
            "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
        },
    })
}

fn labels(name: &str) -> Value {
    json!({ "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64" })
}

/// Whether a pod may run on a node: by its selector, or by the name that a DaemonSet writes into its pods.
fn selects(pod: &Value, name: &str) -> bool {
    let labels = labels(name);
    let selector = pod["spec"]["nodeSelector"].as_object();
    let by_label = selector.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = required["nodeSelectorTerms"].as_array();
    let by_name = terms.is_none_or(|terms| terms.iter().any(|term| names_it(term, name)));
    by_label && by_name
}

fn names_it(term: &Value, name: &str) -> bool {
    let fields = term["matchFields"].as_array();
    fields.into_iter().flatten().all(|field| {
        field["key"] != "metadata.name"
            || field["values"].as_array().is_some_and(|names| names.contains(&json!(name)))
    })
}

fn cores_of(pod: &Value) -> f64 {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers.filter_map(|container| cores(container["resources"]["requests"]["cpu"].as_str()?)).sum()
}

fn cores(text: &str) -> Option<f64> {
    match text.strip_suffix('m') {
        Some(thousandths) => Some(thousandths.parse::<f64>().ok()? / 1000.0),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_go_round_unless_they_ask_for_a_node_or_for_too_much() {
        let mut nodes = Nodes::new(2);
        let any = json!({ "spec": { "containers": [{}] } });
        assert_eq!(nodes.choose(&any).unwrap(), "node-1");
        assert_eq!(nodes.choose(&any).unwrap(), "node-2");
        let term =
            json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["node-2"] }] });
        let required = json!({ "nodeSelectorTerms": [term] });
        let daemon = json!({ "spec": { "affinity": { "nodeAffinity":
            { "requiredDuringSchedulingIgnoredDuringExecution": required } } } });
        assert_eq!(nodes.choose(&daemon).unwrap(), "node-2");
        let nowhere = json!({ "spec": { "nodeSelector": { "disk": "fast" } } });
        assert_eq!(
            nodes.choose(&nowhere).unwrap_err(),
            "0/2 nodes are available: 2 node(s) didn't match node selector."
        );
        let large =
            json!({ "spec": { "containers": [{ "resources": { "requests": { "cpu": "64100m" } } }] } });
        assert_eq!(nodes.choose(&large).unwrap_err(), "0/2 nodes are available: 2 Insufficient cpu.");
    }
}
