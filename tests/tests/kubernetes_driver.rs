//! The Kubernetes driver on the real control plane: where kubectl fails its users, what comes of the same scenes here.

use std::process::ExitCode;
use std::sync::Arc;

use rollback_core::store::MemoryStore;
use rollback_core::{
    Approval, ComponentName, Engine, EnvironmentName, ErrorKind, Plan, Planned, Report, Request, State,
};
use rollback_driver_k8s::{K8sConfig, K8sTarget, Kind};
use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::kubernetes::scenes::{self, NAME, Scene};
use rollback_tests::kubernetes::{ControlPlane, Space, client, manifest};
use rollback_tests::servers::need;
use serde_json::{Value, json};

fn main() -> ExitCode {
    Suite::new("kubernetes-driver")
        .case("each_kind_goes_back_to_the_previous_version_in_one_patch", true, previous)
        .case("what_kubectl_gets_wrong_comes_out_as_wanted_or_is_told", true, all_scenes)
        .case("controllers_that_lag_do_not_lead_too_far_back", true, lag)
        .case("what_means_the_same_is_there_already", true, equality)
        .case("a_paused_deployment_is_refused_or_resumed_by_choice", true, paused)
        .case("a_destination_that_crashes_is_told_at_once", true, crashing)
        .case("an_image_that_is_gone_is_told_in_the_registrys_words", true, missing_image)
        .case("who_may_not_is_told_which_verb_is_missing", true, denied)
        .run()
}

fn space() -> Result<Space<'static>, Failure> {
    Ok(need(ControlPlane::shared())?.namespace()?)
}

fn name() -> Result<ComponentName, Failure> {
    Ok(ComponentName::new(NAME)?)
}

fn config(space: &Space<'_>, resource: &str) -> K8sConfig {
    let kind = match resource {
        "statefulsets" => Kind::StatefulSet,
        "daemonsets" => Kind::DaemonSet,
        _ => Kind::Deployment,
    };
    K8sConfig::new(kind, NAME).namespace(space.name())
}

async fn engine(space: &Space<'_>, who: &str, config: &K8sConfig) -> Result<Engine, Failure> {
    let client = client(&space.plane().kubeconfig(who)?).await?;
    let target = K8sTarget::new(client, config)?.erase();
    Ok(Engine::builder(Arc::new(MemoryStore::new())).component(name()?, target).build())
}

async fn plan(engine: &Engine, to: &str) -> Result<Plan, Failure> {
    let request = Request::new(EnvironmentName::new("default")?).component(name()?, Some(to.parse()?));
    match engine.plan(&request).await? {
        Planned::Ready(plan) => Ok(*plan),
        Planned::Undecided(why) => Err(format!("no destination: {why:?}").into()),
    }
}

async fn go(space: &Space<'_>, config: &K8sConfig, to: &str) -> Result<Report, Failure> {
    let engine = engine(space, "admin", config).await?;
    let plan = plan(&engine, to).await?;
    Ok(engine.apply(&plan, &Approval::yes()).await?)
}

fn created(space: &Space<'_>, resource: &str, version: &str) -> Result<(), Failure> {
    let made = match resource {
        "statefulsets" => manifest::stateful_set(NAME, version, 2),
        "daemonsets" => manifest::daemon_set(NAME, version),
        _ => manifest::deployment(NAME, version, 2),
    };
    space.create(&made)?;
    space.until_rolled_out(resource, NAME)?;
    Ok(())
}

async fn previous() -> CaseResult {
    for resource in ["deployments", "statefulsets", "daemonsets"] {
        let space = space()?;
        created(&space, resource, "v1")?;
        space.set_image(resource, NAME, "v2")?;
        space.until_rolled_out(resource, NAME)?;
        let before = space.get(resource, NAME)?["metadata"]["generation"].as_u64().unwrap_or_default();
        let report = go(&space, &config(&space, resource), "previous").await?;
        ensure(report.state == State::Restored, format!("{resource}: {report:#?}"))?;
        let web = space.get(resource, NAME)?;
        equal("the version", &space.version(resource, NAME)?.as_str(), &"v1")?;
        equal("the generation", &web["metadata"]["generation"], &json!(before + 1))?;
        let ready = space.ready_versions(NAME)?;
        ensure(ready.iter().all(|version| version == "v1"), format!("{resource}: {ready:?}"))?;
        let cause = &web["metadata"]["annotations"]["kubernetes.io/change-cause"];
        ensure(cause == "rollback to 1 (v1)", format!("{resource}: {cause}"))?;
    }
    Ok(())
}

/// Where it is told what the next apply would do, by the code of the finding.
fn told(scene: Scene) -> Option<&'static str> {
    match scene {
        Scene::ServerSideApply => Some("server-side-apply"),
        Scene::ClientSideApply => Some("managed-by-kubectl-apply"),
        _ => None,
    }
}

async fn all_scenes() -> CaseResult {
    need(need(ControlPlane::shared())?.kubectl_version())?;
    for scene in Scene::all() {
        let found = restored(scene, true).await?;
        ensure(found == scene.wanted(), format!("{scene:?}: {found}"))?;
        if told(scene).is_some() {
            // Nobody chose to have it mended: it is as with kubectl, and told.
            let found = restored(scene, false).await?;
            ensure(found == scene.by_kubectl(), format!("{scene:?}: {found}"))?;
        }
    }
    Ok(())
}

/// What comes of a scene.
async fn restored(scene: Scene, tell_appliers: bool) -> Result<Value, Failure> {
    let space = space()?;
    scene.prepare(&space)?;
    let mut config = config(&space, scene.resource());
    config.tell_appliers = tell_appliers;
    let engine = engine(&space, "admin", &config).await?;
    let plan = plan(&engine, "previous").await?;
    let findings = &plan.components[&name()?].findings;
    let is_told = told(scene).is_none_or(|code| findings.iter().any(|finding| finding.code == code));
    ensure(is_told, format!("{scene:?}: {findings:#?}"))?;
    let report = engine.apply(&plan, &Approval::yes()).await?;
    ensure(report.state == State::Restored, format!("{scene:?}: {report:#?}"))?;
    Ok(scene.facts(&space)?)
}

async fn lag() -> CaseResult {
    let plane = ControlPlane::start("kubernetes-driver-lag");
    let plane = need(plane)?;
    let space = plane.namespace()?;
    let frozen = scenes::deploy_behind_the_controllers(&plane, &space)?;
    let engine = engine(&space, "admin", &config(&space, "deployments")).await?;
    let plan = plan(&engine, "previous").await?;
    drop(frozen);
    let report = engine.apply(&plan, &Approval::yes()).await?;
    ensure(report.state == State::Restored, format!("{report:#?}"))?;
    equal("the version", &space.version("deployments", NAME)?.as_str(), &"v2")
}

async fn equality() -> CaseResult {
    for resource in ["statefulsets", "daemonsets"] {
        let space = space()?;
        created(&space, resource, "v1")?;
        let before = space.get(resource, NAME)?;
        let report = go(&space, &config(&space, resource), "revision=1").await?;
        ensure(report.state == State::AlreadyThere, format!("{resource}: {report:#?}"))?;
        equal(
            "the generation",
            &space.get(resource, NAME)?["metadata"]["generation"],
            &before["metadata"]["generation"],
        )?;
    }
    Ok(())
}

async fn paused() -> CaseResult {
    let space = space()?;
    scenes::deploy(&space, &["v1", "v2"])?;
    space.patch("deployments", NAME, &json!({ "spec": { "paused": true } }))?;
    scenes::seen(&space, "deployments")?;
    let mut config = config(&space, "deployments");
    let refused = go(&space, &config, "revision=1").await;
    ensure(refused.is_err(), format!("{refused:?}"))?;
    equal("the version", &space.version("deployments", NAME)?.as_str(), &"v2")?;
    config.resume_paused = true;
    let report = go(&space, &config, "revision=1").await?;
    ensure(report.state == State::Restored, format!("{report:#?}"))?;
    equal("the version", &space.version("deployments", NAME)?.as_str(), &"v1")
}

/// The release that is gone back to does not start any more.
async fn crashing() -> CaseResult {
    for resource in ["deployments", "statefulsets", "daemonsets"] {
        let space = space()?;
        created(&space, resource, "v1")?;
        let report = go_to_image(&space, resource, "bad").await?;
        ensure(!report.state.is_success(), format!("{resource}: {report:#?}"))?;
        ensure(format!("{report:?}").contains("exit code 1"), format!("{resource}: {report:#?}"))?;
    }
    Ok(())
}

async fn missing_image() -> CaseResult {
    let space = space()?;
    created(&space, "deployments", "v1")?;
    let report = go_to_image(&space, "deployments", "nopull").await?;
    ensure(!report.state.is_success(), format!("{report:#?}"))?;
    let said = format!("{report:?}");
    ensure(said.contains("PullBackOff") || said.contains("ErrImagePull"), format!("{report:#?}"))?;
    Ok(())
}

async fn go_to_image(space: &Space<'_>, resource: &str, version: &str) -> Result<Report, Failure> {
    go(space, &config(space, resource), &format!("version={version}")).await
}

async fn denied() -> CaseResult {
    let space = space()?;
    created(&space, "deployments", "v1")?;
    let engine = engine(&space, "nobody", &config(&space, "deployments")).await?;
    let Err(error) = plan(&engine, "previous").await else { return Err("nobody may plan".into()) };
    let said = format!("{error:?}");
    ensure(said.contains("verb get on namespaces"), format!("{said}"))?;
    let expired = client(&space.plane().expired_kubeconfig()?).await?;
    let target = K8sTarget::new(expired, &config(&space, "deployments"))?.erase();
    let Err(error) = target.info().await else { return Err("an expired token is taken".into()) };
    equal("the error", &error.kind(), &ErrorKind::Denied)?;
    let mut config = config(&space, "deployments");
    config.namespace_uid = Some("another".to_owned());
    let refused = go(&space, &config, "previous").await;
    ensure(refused.is_err(), format!("{refused:?}"))?;
    let _: Value = space.get("deployments", NAME)?;
    Ok(())
}
