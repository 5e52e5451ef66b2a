//! Targets of the Kubernetes driver on the real control plane, in this process: what settings choose, and what means the same.

use std::process::ExitCode;
use std::sync::Arc;

use rollback_core::store::MemoryStore;
use rollback_core::{
    ActionContext, Approval, ComponentName, Document as _, Engine, EnvironmentName, ErrorKind,
    IdempotencyKey, Landing, Plan, Planned, Report, Request, State, StepId, Target as _,
};
use rollback_driver_k8s::{K8sAction, K8sConfig, K8sTarget, Kind};
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
        .case("a_manifest_is_applied_and_taken_away_again_and_nothing_of_others", true, manifests)
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

/// An Ingress that leads to a page, as somebody writes it who switches an application to maintenance.
fn page(space: &Space<'_>) -> Value {
    let service = json!({ "service": { "name": "page", "port": { "number": 80 } } });
    json!([
        { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "page" }, "data": { "index.html": "back soon" } },
        { "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": { "name": "page", "namespace": space.name() }, "spec": { "defaultBackend": service } },
    ])
}

fn step(space: &Space<'_>, key: &str, mut body: Value) -> Result<(ActionContext, K8sAction), Failure> {
    let web = space.get("deployments", NAME)?;
    let workload = json!({ "kind": "deployment", "namespace": space.name(), "name": NAME });
    body["on"] = json!({ "workload": workload, "uid": web["metadata"]["uid"] });
    let run = "019aa000-0000-7000-8000-000000000001".parse()?;
    let cx = ActionContext::new(run, name()?, StepId::new(key)?, IdempotencyKey::new(key)?);
    Ok((cx, K8sAction::decode(K8sAction::SCHEMA, body)?))
}

async fn manifests() -> CaseResult {
    let space = space()?;
    created(&space, "deployments", "v1")?;
    let client = client(&space.plane().kubeconfig("admin")?).await?;
    let target = K8sTarget::new(client, &config(&space, "deployments"))?;
    let named = json!([
        { "api-version": "networking.k8s.io/v1", "kind": "Ingress", "name": "page" },
        { "api-version": "v1", "kind": "ConfigMap", "name": "page" },
    ]);
    let (on, put) = step(&space, "on", json!({ "do": "apply-manifest", "objects": page(&space) }))?;
    let (off, away) = step(&space, "off", json!({ "do": "delete-manifest", "objects": named }))?;
    // Somebody has one of that name: nothing is sent.
    let theirs = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "page" }, "data": { "a": "b" } });
    space.create(&theirs)?;
    let Err(error) = target.apply(&on, &put).await else { return Err("somebody else's was changed".into()) };
    equal("the error", &error.kind(), &ErrorKind::Refused)?;
    equal("theirs", &space.get("configmaps", "page")?["data"], &theirs["data"])?;
    let Landing::Failed { why } = target.apply(&off, &away).await? else {
        return Err("it is not told".into());
    };
    ensure(why.contains("left alone") && space.get("configmaps", "page").is_ok(), why)?;
    space.delete("configmaps", "page")?;
    for _ in 0..2 {
        let landed = target.apply(&on, &put).await?;
        ensure(matches!(landed, Landing::Applied(_)), format!("{landed:?}"))?;
    }
    let ingress = format!("/apis/networking.k8s.io/v1/namespaces/{}/ingresses/page", space.name());
    let found = space.plane().ask("GET", &ingress, &Value::Null)?;
    let managers = found["metadata"]["managedFields"].as_array().into_iter().flatten();
    let managers: Vec<_> = managers.map(|one| format!("{} {}", one["manager"], one["operation"])).collect();
    equal("who owns its fields", &managers, &vec!["\"rollback-manifest\" \"Apply\"".to_owned()])?;
    ensure(matches!(target.probe(&on, &put).await?, Landing::Applied(_)), "it is not found".to_owned())?;
    let landed = target.apply(&off, &away).await?;
    ensure(matches!(landed, Landing::Applied(_)), format!("{landed:?}"))?;
    let left = [space.get("configmaps", "page"), space.plane().ask("GET", &ingress, &Value::Null)];
    ensure(left.iter().all(Result::is_err), "something is left".to_owned())
}
