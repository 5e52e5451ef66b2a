//! What kubectl does, good and bad.

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::kubernetes::scenes::{self, Scene};
use rollback_tests::kubernetes::{ControlPlane, LAST_WORDS, manifest};
use rollback_tests::servers::need;
use rollback_tests::until;
use serde_json::{Value, json};

use super::space_for_kubectl;

pub(super) async fn known_failure(scene: Scene) -> CaseResult {
    let space = space_for_kubectl()?;
    scene.prepare(&space)?;
    scene.undo(&space)?.expect(0);
    equal("what came of it", &scene.facts(&space)?, &scene.by_kubectl())?;
    ensure(scene.by_kubectl() != scene.wanted(), "there is nothing to do better")?;

    // What is wanted can be had.
    let space = space_for_kubectl()?;
    scene.prepare(&space)?;
    match scene {
        Scene::ServerSideApply => drop(scenes::apply_server_side(&space, "v1")?.expect(0)),
        Scene::ClientSideApply => drop(scenes::apply(&space, "v1", false)?.expect(0)),
        Scene::OrderedReady => {
            scene.undo(&space)?.expect(0);
            scenes::seen(&space, "statefulsets")?;
            space.delete("pods", "web-1")?;
        }
        _ => drop(space.set_image("deployments", "web", "v1")?),
    }
    equal("what comes of what helps", &scene.facts(&space)?, &scene.wanted())
}

pub(super) async fn lag() -> CaseResult {
    space_for_kubectl()?;
    // Its own: its controllers stand still for a while.
    let plane = need(ControlPlane::start("kubernetes_bed"))?;
    let space = plane.namespace()?;
    let frozen = scenes::deploy_behind_the_controllers(&plane, &space)?;
    space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(0);
    drop(frozen);
    space.until_rolled_out("deployments", "web")?;
    // v2 was meant. The numbers of the Deployment may be ahead of the pods that are going.
    let all = ["v1", "v1"];
    until("v1 alone", || (space.ready_versions("web").ok()? == all).then_some(()))
        .map_err(|error| format!("{error}: {:?} is ready", space.ready_versions("web")).into())
}

pub(super) async fn toggles() -> CaseResult {
    let space = space_for_kubectl()?;
    scenes::deploy(&space, &["v1", "bad1", "bad2"])?;
    for wanted in ["bad1", "bad2", "bad1"] {
        space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(0);
        equal("where it is", &space.version("deployments", "web")?.as_str(), &wanted)?;
        scenes::seen(&space, "deployments")?;
    }
    Ok(())
}

pub(super) async fn preconditions() -> CaseResult {
    let space = space_for_kubectl()?;
    scenes::deploy(&space, &["v1", "v2"])?;
    let undone = space.kubectl(&["rollout", "undo", "deployment/web", "--v=8"])?.expect(0);
    let sent = undone.err.lines().find(|line| line.contains("\"op\":") || line.contains("\\\"op\\\":"));
    let sent = sent.ok_or("kubectl does not say what it sent")?;
    ensure(sent.contains("/spec/template"), sent)?;
    ensure(!sent.contains("resourceVersion") && !sent.contains("\"test\""), sent)?;

    let stale = r#"{"metadata":{"resourceVersion":"1"},"spec":{"paused":true}}"#;
    let refused = space.kubectl(&["patch", "deployment/web", "--type=merge", "--patch", stale])?.expect(1);
    ensure(refused.err.contains("the object has been modified"), refused.to_string())?;
    let tested = r#"[{"op":"test","path":"/metadata/resourceVersion","value":"1"},{"op":"replace","path":"/spec/paused","value":true}]"#;
    let refused = space.kubectl(&["patch", "deployment/web", "--type=json", "--patch", tested])?.expect(1);
    // Nothing in it says that somebody was faster.
    ensure(!refused.err.contains("has been modified"), refused.to_string())?;
    ensure(refused.err.contains("request is invalid"), refused.to_string())?;
    equal("whether it is paused", &space.get("deployments", "web")?["spec"].get("paused"), &None)
}

/// Bytes are compared, and those depend on which version of the controllers wrote a revision: later ones leave out what is empty.
/// Here such a one stands for what an upgrade leaves behind.
pub(super) async fn equality() -> CaseResult {
    let space = space_for_kubectl()?;
    space.create(&manifest::stateful_set("web", "v1", 1))?;
    let before = space.until_rolled_out("statefulsets", "web")?;
    let mut revision = space.list("controllerrevisions")?.remove(0);
    let template = &mut revision["data"]["spec"]["template"];
    for (part, empty) in [("/spec", "securityContext"), ("/spec/containers/0", "resources")] {
        let part = template.pointer_mut(part).and_then(Value::as_object_mut).ok_or("not in the revision")?;
        equal(empty, &part.remove(empty), &Some(json!({})))?;
    }
    let metadata = &revision["metadata"];
    let owned = json!({ "name": "web-of-another-version", "labels": metadata["labels"], "ownerReferences": metadata["ownerReferences"] });
    (revision["metadata"], revision["revision"]) = (owned, json!(7));
    (revision["apiVersion"], revision["kind"]) = (json!("apps/v1"), json!("ControllerRevision"));
    space.create(&revision)?;

    let undone = space.kubectl(&["rollout", "undo", "statefulset/web", "--to-revision=7"])?.expect(0);
    ensure(undone.out.contains("rolled back"), undone.to_string())?;
    let after = space.get("statefulsets", "web")?;
    equal("its generation", &after["metadata"]["generation"], &before["metadata"]["generation"])?;
    // A Deployment is looked at more closely.
    scenes::deploy(&space, &["v1", "v2"])?;
    let undone = space.kubectl(&["rollout", "undo", "deployment/web", "--to-revision=2"])?.expect(0);
    ensure(undone.out.contains("skipped rollback"), undone.to_string())
}

pub(super) async fn status() -> CaseResult {
    let space = space_for_kubectl()?;
    scenes::deploy(&space, &["v1", "v2"])?;
    space.patch("deployments", "web", &json!({ "spec": { "paused": true } }))?;
    scenes::seen(&space, "deployments")?;
    space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(1);
    // It was not gone back, and a script that looks at the end only does not learn of it.
    let content = space.kubectl(&["rollout", "status", "deployment/web", "--timeout=30s"])?.expect(0);
    ensure(content.out.contains("successfully rolled out"), content.to_string())?;
    equal("what is ready", &space.ready_versions("web")?, &vec!["v2".to_owned(); 2])?;

    space.create(&manifest::deployment("decay", "decay", 1))?;
    let content = space.kubectl(&["rollout", "status", "deployment/decay", "--timeout=30s"])?.expect(0);
    ensure(content.out.contains("successfully rolled out"), content.to_string())?;
    space.until_waiting("decay", "CrashLoopBackOff")?;
    Ok(())
}

pub(super) async fn kept() -> CaseResult {
    let space = space_for_kubectl()?;
    let note = |key: &str, value: &str| json!({ "metadata": { "annotations": { key: value } } });
    const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    const CAUSE: &str = "kubernetes.io/change-cause";
    scenes::deploy(&space, &["v1"])?;
    space.patch("deployments", "web", &note(CAUSE, "release 1"))?;
    scenes::seen(&space, "deployments")?;
    space.set_image("deployments", "web", "v2")?;
    space.patch("deployments", "web", &note(CAUSE, "release 2"))?;
    space.patch("deployments", "web", &note(APPLIED, "{}"))?;
    space.until_rolled_out("deployments", "web")?;
    space.until("the cause to be noted", "replicasets", |all| {
        all.iter().any(|set| set["metadata"]["annotations"][CAUSE] == "release 1")
    })?;
    space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(0);
    let web = space.until_rolled_out("deployments", "web")?;
    let annotations = &web["metadata"]["annotations"];
    equal("what was applied last", &annotations[APPLIED], &json!("{}"))?;
    equal("the cause", &annotations[CAUSE], &json!("release 1"))?;
    equal("the revision", &annotations["deployment.kubernetes.io/revision"], &json!("3"))?;
    let numbers = space.list("replicasets")?;
    let mut numbers: Vec<String> = numbers
        .iter()
        .filter_map(|set| set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_str())
        .map(str::to_owned)
        .collect();
    numbers.sort();
    // The old one is used again under a new number, and the old number is gone.
    equal("revisions", &numbers, &vec!["2".to_owned(), "3".to_owned()])
}

pub(super) async fn refusals() -> CaseResult {
    let space = space_for_kubectl()?;
    let refused = |arguments: &[&str], words: &str| -> CaseResult {
        let ran = space.kubectl(arguments)?.expect(1);
        ensure(ran.err.contains(words), format!("{words:?} is not said: {ran}"))
    };
    scenes::deploy(&space, &["v1"])?;
    refused(&["rollout", "undo", "deployment/web"], "no rollout history found")?;
    space.set_image("deployments", "web", "v2")?;
    space.until_rolled_out("deployments", "web")?;
    refused(
        &["rollout", "undo", "deployment/web", "--to-revision=9"],
        "unable to find specified revision 9",
    )?;
    space.patch("deployments", "web", &json!({ "spec": { "paused": true } }))?;
    refused(&["rollout", "undo", "deployment/web"], "paused")?;
    let free = json!({ "spec": { "paused": false, "revisionHistoryLimit": 0 } });
    space.patch("deployments", "web", &free)?;
    space.until("the history to be gone", "replicasets", |all| all.len() == 1)?;
    refused(&["rollout", "undo", "deployment/web"], "no rollout history found")?;
    refused(&["rollout", "undo", "deployment/other"], "not found")?;
    equal("what is ready", &space.ready_versions("web")?, &vec!["v2".to_owned(); 2])
}

pub(super) async fn logs() -> CaseResult {
    let space = space_for_kubectl()?;
    space.create(&manifest::deployment("web", "bad", 1))?;
    let pod = space.until_waiting("web", "CrashLoopBackOff")?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let told = space.kubectl(&["logs", name, "--previous"])?.expect(0);
    equal("what it wrote", told.out.as_str(), LAST_WORDS)?;
    let told = space.kubectl(&["logs", name, "--previous", "--tail=1"])?.expect(0);
    ensure(told.out.starts_with("fatal:"), told.to_string())
}
