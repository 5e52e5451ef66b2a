//! The control plane that tests use, without a driver of ours: what runs on it, what kubectl does there, and how it ends.
//!
//! kubectl is the machine's own or the one that was installed; `ROLLBACK_TEST_KUBECTL` names another. What is compared with it was
//! seen with 1.20 and 1.32 alike.

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::kubernetes::scenes::{self, Scene};
use rollback_tests::kubernetes::{ControlPlane, EXIT_CODE, LAST_WORDS, NODES, Space, manifest};
use rollback_tests::servers::need;
use serde_json::{Value, json};

fn main() -> ExitCode {
    if std::env::var_os(OWN).is_some() {
        return own();
    }
    Suite::new("kubernetes-bed")
        .case("a_deployment_rolls_out_and_its_pods_run_what_the_tag_means", true, good)
        .case("a_crashing_image_shows_and_kubectl_brings_the_one_before_back", true, crashing)
        .case("an_image_that_no_registry_has_shows_what_the_registry_says", true, missing)
        .case("slow_and_decaying_images_are_what_they_are_called", true, slow_and_decaying)
        .case("a_pod_that_fits_nowhere_says_why", true, unschedulable)
        .case("jobs_end_well_or_not", true, jobs)
        .case("stateful_sets_and_daemon_sets_keep_controller_revisions", true, revisions)
        .case("people_may_do_what_roles_let_them", true, people)
        .case("kubectl_fails_in_each_scene_as_it_is_known_to", true, known_failures)
        .case("kubectl_goes_back_too_far_when_controllers_lag", true, lag)
        .case("kubectl_toggles_between_two_bad_releases", true, toggles)
        .case("kubectl_sends_no_precondition_and_a_stale_version_is_a_conflict", true, preconditions)
        .case("kubectl_says_rolled_back_where_nothing_changed", true, equality)
        .case("kubectl_rollout_status_is_content_too_early", true, status)
        .case("kubectl_keeps_the_annotations_of_the_deployment_itself", true, kept)
        .case("kubectl_refuses_what_it_cannot_do", true, refusals)
        .case("everything_ends_when_it_is_dropped", true, dropped)
        .case("everything_ends_when_the_test_is_killed", true, killed)
        .run()
}

fn space() -> Result<Space<'static>, Failure> {
    Ok(need(ControlPlane::shared())?.namespace()?)
}

/// One where kubectl is needed as well.
fn space_for_kubectl() -> Result<Space<'static>, Failure> {
    let plane = need(ControlPlane::shared())?;
    need(plane.kubectl_version())?;
    Ok(plane.namespace()?)
}

fn says(text: &Value, words: &str) -> CaseResult {
    ensure(text.as_str().is_some_and(|text| text.contains(words)), format!("{words:?} is not said: {text}"))
}

async fn good() -> CaseResult {
    let space = space()?;
    space.create(&manifest::deployment("web", "v1", 2))?;
    space.until_rolled_out("deployments", "web")?;
    space.set_image("deployments", "web", "v2")?;
    space.until_rolled_out("deployments", "web")?;
    equal("what is ready", &space.ready_versions("web")?, &vec!["v2".to_owned(); 2])?;
    let wanted = space.plane().image_id("v2");
    let pods = space.list("pods")?;
    for pod in pods.iter().filter(|pod| pod["spec"]["containers"][0]["image"] == manifest::image("v2")) {
        equal("its digest", &pod["status"]["containerStatuses"][0]["imageID"], &json!(wanted))?;
    }
    let sets = space.list("replicasets")?;
    equal("replica sets", &sets.len(), &2)?;

    space.plane().push("moving");
    space.create(&manifest::deployment("moved", "moving", 1))?;
    space.until_rolled_out("deployments", "moved")?;
    let id = |space: &Space<'_>| -> Result<Value, Failure> {
        let pods = space.list("pods")?;
        let ours = pods.iter().find(|pod| pod["metadata"]["labels"]["app"] == "moved");
        Ok(ours.map(|pod| pod["status"]["containerStatuses"][0]["imageID"].clone()).unwrap_or_default())
    };
    let before = id(&space)?;
    space.plane().push("moving");
    equal("the digest of a pod that runs", &id(&space)?, &before)?;
    ensure(json!(space.plane().image_id("moving")) != before, "a push changes nothing")
}

async fn crashing() -> CaseResult {
    let space = space_for_kubectl()?;
    scenes::deploy(&space, &["v1", "bad"])?;
    let pod = space.until_waiting("web", "CrashLoopBackOff")?;
    let container = &pod["status"]["containerStatuses"][0];
    equal("its restarts", &container["restartCount"], &json!(1))?;
    equal("its exit code", &container["lastState"]["terminated"]["exitCode"], &json!(EXIT_CODE))?;
    equal("whether it is ready", &container["ready"], &json!(false))?;
    equal("what is ready", &space.ready_versions("web")?, &vec!["v1".to_owned(); 2])?;

    let undone = space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(0);
    ensure(undone.out.contains("rolled back"), undone.to_string())?;
    space.until_rolled_out("deployments", "web")?;
    equal("what is ready", &space.ready_versions("web")?, &vec!["v1".to_owned(); 2])?;
    let status = space.kubectl(&["rollout", "status", "deployment/web", "--timeout=30s"])?;
    status.expect(0);

    let mut told = manifest::deployment("told", "bad", 1);
    told["spec"]["template"]["spec"]["containers"][0]["terminationMessagePolicy"] =
        json!("FallbackToLogsOnError");
    space.create(&told)?;
    let pod = space.until_waiting("told", "CrashLoopBackOff")?;
    let ended = &pod["status"]["containerStatuses"][0]["lastState"]["terminated"];
    equal("its last words", &ended["message"], &json!(LAST_WORDS))
}

async fn missing() -> CaseResult {
    let space = space()?;
    space.create(&manifest::deployment("web", "nopull", 1))?;
    let pod = space.until_waiting("web", "ImagePullBackOff")?;
    let container = &pod["status"]["containerStatuses"][0];
    says(&container["state"]["waiting"]["message"], "not found")?;
    equal("its digest", &container["imageID"], &json!(""))?;
    equal("its phase", &pod["status"]["phase"], &json!("Pending"))?;
    let events =
        space.until("an event", "events", |all| all.iter().any(|event| event["reason"] == "Failed"))?;
    let failed = events.iter().find(|event| event["reason"] == "Failed").cloned().unwrap_or_default();
    says(&failed["message"], "failed to resolve reference")
}

async fn slow_and_decaying() -> CaseResult {
    let space = space()?;
    space.create(&manifest::deployment("slow", "slow", 1))?;
    space.create(&manifest::deployment("decay", "decay", 1))?;
    let runs = |pod: &Value, app: &str| {
        pod["metadata"]["labels"]["app"] == app && pod["status"]["phase"] == "Running"
    };
    let pods = space.until("both to run", "pods", |all| {
        ["slow", "decay"].iter().all(|app| all.iter().any(|pod| runs(pod, app)))
    })?;
    let ready = |app: &str| {
        let pod = pods.iter().find(|pod| runs(pod, app)).cloned().unwrap_or_default();
        pod["status"]["containerStatuses"][0]["ready"].clone()
    };
    equal("whether it is ready", &ready("decay"), &json!(true))?;
    equal("whether it is ready", &ready("slow"), &json!(false))?;
    space.until_rolled_out("deployments", "slow")?;
    space.until_waiting("decay", "CrashLoopBackOff")?;
    let left = space.ready_versions("decay")?;
    equal("what is ready in the end", &left, &Vec::new())
}

async fn unschedulable() -> CaseResult {
    let space = space()?;
    let mut nowhere = manifest::deployment("web", "v1", 1);
    nowhere["spec"]["template"]["spec"]["nodeSelector"] = json!({ "disk": "fast" });
    space.create(&nowhere)?;
    let pods = space.until("the scheduler", "pods", |all| {
        all.iter().any(|pod| pod["status"]["conditions"][0]["reason"] == "Unschedulable")
    })?;
    says(&pods[0]["status"]["conditions"][0]["message"], "0/3 nodes are available")?;
    let event = |all: &[Value]| all.iter().any(|event| event["reason"] == "FailedScheduling");
    space.until("an event", "events", event)?;
    Ok(())
}

async fn jobs() -> CaseResult {
    let space = space()?;
    space.create(&manifest::job("good", "v1"))?;
    space.create(&manifest::job("worse", "bad"))?;
    space.until_one("a job that ends well", "jobs", "good", |job| job["status"]["succeeded"] == 1)?;
    space.until_one("a job that fails", "jobs", "worse", |job| job["status"]["failed"] == 1)?;
    let pods = space.list("pods")?;
    let code = |job: &str| {
        let pod =
            pods.iter().find(|pod| pod["metadata"]["labels"]["job-name"] == job).cloned().unwrap_or_default();
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].clone()
    };
    equal("the exit code of the good one", &code("good"), &json!(0))?;
    equal("the exit code of the other", &code("worse"), &json!(EXIT_CODE))
}

async fn revisions() -> CaseResult {
    let space = space()?;
    space.create(&manifest::stateful_set("db", "v1", 2))?;
    space.create(&manifest::daemon_set("agent", "v1"))?;
    for (resource, name, count) in [("statefulsets", "db", 2), ("daemonsets", "agent", NODES)] {
        space.until_rolled_out(resource, name)?;
        space.set_image(resource, name, "v2")?;
        space.until_rolled_out(resource, name)?;
        equal("what is ready", &space.ready_versions(name)?, &vec!["v2".to_owned(); count])?;
        let all = space.list("controllerrevisions")?;
        let ours = all.iter().filter(|one| one["metadata"]["ownerReferences"][0]["name"] == name);
        let mut numbers: Vec<u64> = ours.filter_map(|one| one["revision"].as_u64()).collect();
        numbers.sort_unstable();
        equal("revisions", &numbers, &vec![1, 2])?;
    }
    Ok(())
}

async fn people() -> CaseResult {
    let space = space()?;
    space.create(&manifest::deployment("web", "v1", 1))?;
    let path = space.path("deployments", "web");
    let asked = async |kubeconfig: &std::path::Path| -> Result<u16, Failure> {
        let client = rollback_tests::kubernetes::client(kubeconfig).await?;
        match client.request::<Value>(hyper::Request::get(&path).body(Vec::new())?).await {
            Ok(_) => Ok(200),
            Err(kube::Error::Api(status)) => Ok(status.code),
            Err(error) => Err(error.into()),
        }
    };
    let plane = space.plane();
    equal("admin", &asked(&plane.kubeconfig("admin")?).await?, &200)?;
    equal("nobody", &asked(&plane.kubeconfig("nobody")?).await?, &403)?;
    equal("an expired token", &asked(&plane.expired_kubeconfig()?).await?, &401)?;
    ensure(plane.kubeconfig("stranger").is_err(), "a stranger gets a kubeconfig")
}

// ---- kubectl

async fn known_failures() -> CaseResult {
    for scene in Scene::all() {
        let space = space_for_kubectl()?;
        scene.prepare(&space)?;
        scene.undo(&space)?.expect(0);
        equal(&format!("{scene:?}"), &scene.facts(&space)?, &scene.by_kubectl())?;
        ensure(scene.by_kubectl() != scene.wanted(), "there is nothing to do better")?;
    }
    Ok(())
}

async fn lag() -> CaseResult {
    space_for_kubectl()?;
    // Its own: its controllers stand still for a while.
    let plane = need(ControlPlane::start("kubernetes_bed"))?;
    let space = plane.namespace()?;
    let frozen = scenes::deploy_behind_the_controllers(&plane, &space)?;
    space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(0);
    drop(frozen);
    space.until_rolled_out("deployments", "web")?;
    // v2 was meant.
    equal("what is ready", &space.ready_versions("web")?, &vec!["v1".to_owned(); 2])
}

async fn toggles() -> CaseResult {
    let space = space_for_kubectl()?;
    scenes::deploy(&space, &["v1", "bad1", "bad2"])?;
    for wanted in ["bad1", "bad2", "bad1"] {
        space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(0);
        equal("where it is", &space.version("deployments", "web")?.as_str(), &wanted)?;
        scenes::seen(&space, "deployments")?;
    }
    Ok(())
}

async fn preconditions() -> CaseResult {
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
    equal("whether it is paused", &space.get("deployments", "web")?["spec"].get("paused"), &None)
}

/// Bytes are compared, and those depend on which version of the controllers wrote a revision: later ones leave out what is empty.
/// Here such a one stands for what an upgrade leaves behind.
async fn equality() -> CaseResult {
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

async fn status() -> CaseResult {
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

async fn kept() -> CaseResult {
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

async fn refusals() -> CaseResult {
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

// ---- what it leaves behind

const OWN: &str = "ROLLBACK_TEST_OWN_CONTROL_PLANE";

/// A test that starts a control plane, says what is to be gone, and waits to be killed.
fn own() -> ExitCode {
    match ControlPlane::start("kubernetes_bed") {
        Ok(plane) => {
            eprintln!("{}", plane.folder().display());
            eprintln!("{}", plane.servers().map(|server| server.pid().to_string()).join(" "));
            rollback_tests::pause(std::time::Duration::from_secs(120));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn dropped() -> CaseResult {
    need(ControlPlane::shared())?;
    let plane = ControlPlane::start("kubernetes_bed")?;
    let (folder, pids) = (plane.folder().to_owned(), plane.servers().map(|server| server.pid()));
    ensure(
        folder.is_dir() && pids.iter().all(|pid| rollback_tests::alive(*pid)),
        "there is nothing that could remain",
    )?;
    drop(plane);
    until_gone(&folder, &pids)
}

async fn killed() -> CaseResult {
    need(ControlPlane::shared())?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command.env(OWN, "1");
    let mut owner = rollback_tests::Running::start(command)?;
    let (Some(folder), Some(pids)) = (owner.line(), owner.line()) else {
        return ensure(false, "it did not start");
    };
    let folder = std::path::PathBuf::from(folder);
    let pids: Vec<u32> = pids.split(' ').filter_map(|pid| pid.parse().ok()).collect();
    ensure(
        pids.len() == 3 && pids.iter().all(|pid| rollback_tests::alive(*pid)),
        "there is nothing that could remain",
    )?;
    owner.kill()?;
    until_gone(&folder, &pids)
}

fn until_gone(folder: &std::path::Path, pids: &[u32]) -> CaseResult {
    let remains = || -> Vec<u32> { pids.iter().copied().filter(|pid| rollback_tests::alive(*pid)).collect() };
    let waited = rollback_tests::until("the end of everything", || {
        (remains().is_empty() && !folder.exists()).then_some(())
    });
    Ok(waited.map_err(|error| {
        format!("{error}: {:?}, {} is there: {}", remains(), folder.display(), folder.exists())
    })?)
}
