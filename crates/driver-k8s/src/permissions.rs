//! What a caller must be allowed. The roles in the operators' guide are made of this list, and a test compares it with what is asked.

use std::fmt::Write as _;

use crate::workload::Kind;

/// One line of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// `apps`, or nothing for the core group.
    pub group: &'static str,
    /// As roles call it.
    pub resource: &'static str,
    /// What may be done with it.
    pub verbs: Vec<&'static str>,
    /// What for.
    pub why: &'static str,
}

fn rule(group: &'static str, resource: &'static str, verbs: &[&'static str], why: &'static str) -> Rule {
    Rule { group, resource, verbs: verbs.to_vec(), why }
}

/// What rolling a workload of this kind back takes, with either strategy. Without `changes`, what looking and planning takes.
///
/// `create` on `selfsubjectaccessreviews` is not among it: every signed-in caller may ask what it may do.
#[must_use]
pub fn rules(kind: Kind, changes: bool) -> Vec<Rule> {
    // Without `watch` a run asks again and again.
    let patch: &[&str] = if changes { &["get", "patch", "watch"] } else { &["get"] };
    // The names of the others are only for an error message, when this one does not exist.
    let mut all = vec![
        rule("", "namespaces", &["get"], "which cluster and namespace this is"),
        rule("apps", kind.resource(), patch, "what it is set to, and setting it"),
        rule("apps", kind.history(), &["get", "list"], "what it was set to before"),
    ];
    let pods: &[&str] = match (kind, changes) {
        // A pod that is not ready holds up an OrderedReady StatefulSet.
        (Kind::StatefulSet, true) => &["delete", "get", "list", "watch"],
        (_, true) => &["list", "watch"],
        (_, false) => &["list"],
    };
    all.push(rule("", "pods", pods, "what runs"));
    // Without these a failure is told all the same, in fewer words.
    all.push(rule(
        "",
        "pods/log",
        &["get"],
        "what a container wrote before it crashed; not with `show_logs = false`",
    ));
    all.push(rule("", "events", &["list"], "why an image could not be pulled, or a pod not be made"));
    let references = [
        ("configmaps", "whether what pods need is there, and has changed"),
        ("persistentvolumeclaims", "whether what pods need is there"),
        ("secrets", "the same; without `fingerprint_key` or `ask_registries`, no content is asked for"),
        ("serviceaccounts", "whether what pods need is there"),
    ];
    all.extend(references.into_iter().map(|(resource, why)| rule("", resource, &["get"], why)));
    all.push(rule("", "resourcequotas", &["list"], "whether there is room"));
    all.push(rule("policy", "poddisruptionbudgets", &["list"], "what a rollout does that evictions may not"));
    all.push(rule("autoscaling", "horizontalpodautoscalers", &["list"], "who sets the number of replicas"));
    all
}

/// What it takes besides to put back what is kept of recorded states.
#[must_use]
pub fn contents_rules(kind: Kind) -> Vec<Rule> {
    vec![
        rule("", "configmaps", &["create", "patch"], "putting ConfigMaps back"),
        rule("apps", kind.resource(), &["create"], "making a workload again that is gone"),
    ]
}

/// [`contents_rules`] as a Role of the API.
#[must_use]
pub fn contents_role(kind: Kind) -> String {
    written("Role", "rollback-contents, namespace: shop", &contents_rules(kind))
}

/// What can be allowed in the whole cluster besides, or left out: then less is known.
#[must_use]
pub fn cluster_rules() -> Vec<Rule> {
    vec![rule("", "nodes", &["list"], "whether nodes have the images of the destination")]
}

/// What the actions that apply and delete manifests take, on each kind of object that they are about.
pub const MANIFEST_VERBS: [&str; 4] = ["create", "delete", "get", "patch"];

/// What a `selector` takes beside [`rules`], for each kind that it may select.
#[must_use]
pub fn selecting(kind: Kind) -> Rule {
    rule("apps", kind.resource(), &["list"], "which workloads there are with these labels")
}

/// The same as a Role of the API, as it can be applied.
#[must_use]
pub fn role(kind: Kind, changes: bool) -> String {
    let name = if changes { "rollback" } else { "rollback-plan" };
    written("Role", &format!("{name}, namespace: shop"), &rules(kind, changes))
}

/// [`cluster_rules`] as a ClusterRole of the API.
#[must_use]
pub fn cluster_role() -> String {
    written("ClusterRole", "rollback-nodes", &cluster_rules())
}

fn written(kind: &str, name: &str, rules: &[Rule]) -> String {
    let mut role = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{ name: {name} }}\nrules:\n"
    );
    for Rule { group, resource, verbs, why } in rules {
        let verbs = verbs.join(", ");
        // Writing into a text cannot fail.
        let _ = writeln!(
            role,
            "- {{ apiGroups: [\"{group}\"], resources: [{resource}], verbs: [{verbs}] }} # {why}"
        );
    }
    role
}
