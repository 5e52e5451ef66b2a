//! The control plane that tests use, without a driver of ours: what runs on it, what kubectl does there, and how it ends.
//!
//! kubectl is the machine's own or the one that was installed; `ROLLBACK_TEST_KUBECTL` names another. What is compared with it was
//! seen with 1.20 and 1.32 alike.

mod calls;
mod end;
mod faults;
mod kubectl;

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::kubernetes::scenes::{self, Scene};
use rollback_tests::kubernetes::{ControlPlane, EXIT_CODE, LAST_WORDS, NODES, Space, manifest};
use rollback_tests::servers::need;
use serde_json::{Value, json};

fn main() -> ExitCode {
    if std::env::var_os(end::OWN).is_some() {
        return end::own();
    }
    let mut scenes = Suite::new("kubernetes-bed");
    for scene in Scene::all() {
        let name = format!("kubectl_fails_as_it_is_known_to_{}", scene.name());
        scenes = scenes.case(&name, true, move || kubectl::known_failure(scene));
    }
    Suite::new("kubernetes-bed")
        .and(scenes)
        .case("a_deployment_rolls_out_and_its_pods_run_what_the_tag_means", true, good)
        .case("a_crashing_image_shows_and_kubectl_brings_the_one_before_back", true, crashing)
        .case("an_image_that_no_registry_has_shows_what_the_registry_says", true, missing)
        .case("slow_and_decaying_images_are_what_they_are_called", true, slow_and_decaying)
        .case("a_pod_that_fits_nowhere_says_why", true, unschedulable)
        .case("jobs_end_well_or_not", true, jobs)
        .case("stateful_sets_and_daemon_sets_keep_controller_revisions", true, revisions)
        .case("people_may_do_what_roles_let_them", true, people)
        .case("kubectl_reads_what_a_crashed_container_wrote", true, kubectl::logs)
        .case("kubectl_goes_back_too_far_when_controllers_lag", true, kubectl::lag)
        .case("kubectl_toggles_between_two_bad_releases", true, kubectl::toggles)
        .case("kubectl_sends_no_precondition_and_a_stale_version_is_a_conflict", true, kubectl::preconditions)
        .case("kubectl_says_rolled_back_where_nothing_changed", true, kubectl::equality)
        .case("kubectl_rollout_status_is_content_too_early", true, kubectl::status)
        .case("kubectl_keeps_the_annotations_of_the_deployment_itself", true, kubectl::kept)
        .case("kubectl_refuses_what_it_cannot_do", true, kubectl::refusals)
        .case("kubectl_reads_three_times_and_patches_once", true, calls::counted)
        .case("kubectl_calls_a_patch_failed_whose_answer_was_lost", true, calls::lost)
        .case("kubectl_takes_back_what_was_deployed_meanwhile", true, calls::meanwhile)
        .case("a_patch_is_lost_on_its_way_or_on_its_way_back", true, faults::lost)
        .case("the_front_answers_in_the_place_of_the_api_server", true, faults::answers)
        .case("the_front_takes_its_time", true, faults::slow)
        .case("the_api_server_is_started_again_and_all_goes_on", true, faults::restart)
        .case("everything_ends_when_it_is_dropped", true, end::dropped)
        .case("everything_ends_when_the_test_is_killed", true, end::killed)
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
    let rules = json!([{ "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"] }]);
    space.allow("viewer", &rules)?;
    equal("viewer", &asked(&plane.kubeconfig("viewer")?).await?, &200)?;
    equal("somebody else", &asked(&plane.kubeconfig("operator")?).await?, &403)?;
    equal("an expired token", &asked(&plane.expired_kubeconfig()?).await?, &401)?;
    ensure(plane.kubeconfig("stranger").is_err(), "a stranger gets a kubeconfig")
}
