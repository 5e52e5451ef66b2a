//! Targets of the Kubernetes driver on the real control plane, in this process: what settings choose, and what means the same.

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
    Suite::new("k8s-target")
        .case("every_scene_in_which_kubectl_fails_ends_as_wanted_if_that_was_chosen", true, all_scenes)
        .case("what_means_the_same_is_there_already", true, equality)
        .case("a_paused_deployment_is_refused_or_resumed_by_choice", true, paused)
        .case("an_image_that_is_gone_is_told_in_the_registrys_words", true, missing_image)
        .case("another_cluster_and_an_expired_token_are_refused", true, refused)
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

async fn refused() -> CaseResult {
    let space = space()?;
    created(&space, "deployments", "v1")?;
    let expired = client(&space.plane().expired_kubeconfig()?).await?;
    let target = K8sTarget::new(expired, &config(&space, "deployments"))?.erase();
    let Err(error) = target.info().await else { return Err("an expired token is taken".into()) };
    equal("the error", &error.kind(), &ErrorKind::Denied)?;
    let mut config = config(&space, "deployments");
    config.namespace_uid = Some("another".to_owned());
    let Err(error) = engine(&space, "admin", &config).await?.status(&name()?).await else {
        return Err("another cluster is taken".into());
    };
    equal("the error", &error.kind(), &ErrorKind::Refused)
}
