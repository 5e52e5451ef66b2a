//! Who would undo a rollback: tools that bring back what they were told last.

use rollback_core::target::Finding;
use serde_json::Value;

use crate::look::Look;
use crate::text::{entry, line, list, text};

/// Labels and annotations that tools leave on what they manage.
const MARKS: [(&str, &str, &str, &str); 6] = [
    ("/metadata/annotations", "argocd.argoproj.io/tracking-id", "argo-cd", "Argo CD"),
    ("/metadata/labels", "argocd.argoproj.io/instance", "argo-cd", "Argo CD"),
    ("/metadata/labels", "kustomize.toolkit.fluxcd.io/name", "flux", "Flux (Kustomization)"),
    ("/metadata/labels", "helm.toolkit.fluxcd.io/name", "flux", "Flux (HelmRelease)"),
    ("/metadata/annotations", "meta.helm.sh/release-name", "helm", "Helm"),
    (
        "/metadata/annotations",
        "kubectl.kubernetes.io/last-applied-configuration",
        "kubectl-apply",
        "kubectl apply",
    ),
];

/// One finding for each tool, and one for an owner that makes the rollback impossible.
pub(super) fn findings(look: &Look) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(owner) = look.owner() {
        found.push(
            Finding::blocker(
                "owned",
                format!("{} belongs to {owner}, which would change it back", look.workload),
            )
            .next("put its owner back instead"),
        );
    }
    let mut seen = Vec::new();
    for (map, key, code, tool) in MARKS {
        let Some(value) = entry(&look.object, map, key) else { continue };
        if seen.contains(&code) {
            continue;
        }
        seen.push(code);
        found.push(marked(code, tool, value));
    }
    found.extend(appliers(&look.object).into_iter().map(|manager| {
        let message = format!("{manager} manages the pod template by server-side apply: its next apply brings its version back, or conflicts");
        Finding::warning("server-side-apply", message).next(format!("put the earlier version into what {manager} applies"))
    }));
    found
}

fn marked(code: &str, tool: &str, value: &str) -> Finding {
    let (message, next) = match code {
        // Its value is the whole manifest, which may hold anything.
        "kubectl-apply" => (
            "it was made with kubectl apply: the next apply of the same file brings back what that says"
                .to_owned(),
            "put the earlier version into the file before anybody applies it again",
        ),
        "helm" => (
            format!(
                "{tool} manages it, as part of {}: the next upgrade brings back what the chart says",
                line(value)
            ),
            "roll the release back as well, or set the earlier version in its values",
        ),
        _ => (
            format!(
                "{tool} manages it, as part of {}: with automatic sync it brings the bad version back",
                line(value)
            ),
            "suspend its sync first, or revert in git",
        ),
    };
    Finding::warning(format!("managed-by-{code}"), message).next(next)
}

/// The managers that apply the pod template from the server's side.
fn appliers(object: &Value) -> Vec<String> {
    let applies = |field: &&Value| {
        text(field, "/operation") == Some("Apply") && field.pointer("/fieldsV1/f:spec/f:template").is_some()
    };
    let managers = list(object, "/metadata/managedFields").iter().filter(applies);
    managers.filter_map(|field| text(field, "/manager")).map(line).take(5).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::look::tests::deployment;

    fn codes(found: &[Finding]) -> Vec<&str> {
        found.iter().map(|finding| finding.code.as_str()).collect()
    }

    #[test]
    fn tools_are_known_by_what_they_leave() {
        let look = deployment(1)
            .set("/metadata/labels", json!({ "argocd.argoproj.io/instance": "shop", "helm.toolkit.fluxcd.io/name": "shop" }))
            .set("/metadata/annotations", json!({
                "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web", "meta.helm.sh/release-name": "shop",
                "kubectl.kubernetes.io/last-applied-configuration": "{\"password\":\"hunter2\"}",
            }))
            .set("/metadata/managedFields", json!([
                { "manager": "ci", "operation": "Apply", "fieldsV1": { "f:spec": { "f:template": {} } } },
                { "manager": "hpa", "operation": "Apply", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
                { "manager": "kubectl", "operation": "Update", "fieldsV1": { "f:spec": { "f:template": {} } } },
            ]))
            .look();
        let found = findings(&look);
        let wanted = [
            "managed-by-argo-cd",
            "managed-by-flux",
            "managed-by-helm",
            "managed-by-kubectl-apply",
            "server-side-apply",
        ];
        assert_eq!(codes(&found), wanted);
        assert!(!format!("{found:?}").contains("hunter2"));
        assert_eq!(findings(&deployment(1).look()), []);
    }

    #[test]
    fn an_owner_makes_it_impossible() {
        let owner = json!([{ "controller": true, "kind": "Rollout", "name": "web", "uid": "r" }]);
        let found = findings(&deployment(1).set("/metadata/ownerReferences", owner).look());
        assert_eq!(codes(&found), ["owned"]);
        assert!(found[0].message.contains("Rollout web"));
    }
}
