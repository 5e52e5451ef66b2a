//! What switches an application to maintenance is applied, marked, and taken away again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/site.rs"]
#[expect(dead_code, reason = "no engine is needed here")]
mod site;

use rollback_core::{
    ActionContext, Document as _, ErrorKind, IdempotencyKey, Landing, Result, RunId, StepId, Target as _,
    Token,
};
use rollback_driver_k8s::{K8sAction, Kind};
use rollback_scripted_kubernetes::{Does, workload};
use serde_json::{Value, json};

use self::site::{NAMESPACE, Site, name};

fn action(site: &Site, mut body: Value) -> K8sAction {
    let workload = json!({ "kind": site.config.kind, "namespace": NAMESPACE, "name": "web" });
    body["on"] = json!({ "workload": workload, "uid": site.object()["metadata"]["uid"] });
    K8sAction::decode(K8sAction::SCHEMA, body).unwrap()
}

fn page() -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "page" }, "data": { "index.html": "back soon" } })
}

fn ingress() -> Value {
    json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "page" }, "spec": { "rules": [] } })
}

fn put(site: &Site) -> K8sAction {
    action(site, json!({ "do": "apply-manifest", "objects": [page(), ingress()] }))
}

fn take_away(site: &Site) -> K8sAction {
    let objects = json!([
        { "api-version": "v1", "kind": "ConfigMap", "name": "page" },
        { "api-version": "networking.k8s.io/v1", "kind": "Ingress", "name": "page" },
    ]);
    action(site, json!({ "do": "delete-manifest", "objects": objects }))
}

fn context(key: &str, expected: Option<Token>) -> ActionContext {
    let run: RunId = "019aa000-0000-7000-8000-000000000001".parse().unwrap();
    ActionContext::new(run, name().unwrap(), StepId::new(key).unwrap(), IdempotencyKey::new(key).unwrap())
        .expecting(expected)
}

fn there(site: &Site) -> [bool; 2] {
    ["configmaps", "ingresses"].map(|plural| site.cluster.get(plural, NAMESPACE, "page").is_some())
}

#[tokio::test(start_paused = true)]
async fn it_is_put_there_and_taken_away_by_its_mark() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    let target = site.target()?;
    let token = target.observe(None).await?.token;
    let (cx, put) = (context("on", Some(token.clone())), put(&site));
    assert!(matches!(target.probe(&cx, &put).await?, Landing::NotApplied { .. }));
    // The answer to the first object is lost: it is found by its mark, and all of it is applied again.
    site.cluster.inject(Does::LosesAnswer);
    target.apply(&cx, &put).await.unwrap_err();
    assert_eq!(there(&site), [true, false]);
    assert!(matches!(target.probe(&cx, &put).await?, Landing::NotApplied { .. }));
    let Landing::Applied(receipt) = target.apply(&cx, &put).await? else { panic!("it was not applied") };
    assert_eq!(receipt.token, Some(token.clone()), "the workload is set to what it was");
    assert!(matches!(target.probe(&cx, &put).await?, Landing::Applied(_)));
    let found = site.cluster.get("configmaps", NAMESPACE, "page").unwrap();
    assert_eq!(found["metadata"]["annotations"]["rollback-rs.github.io/applied-for"], "deployments/web");
    assert_eq!(found["data"], page()["data"]);

    let (cx, away) = (context("off", Some(token)), take_away(&site));
    assert!(matches!(target.probe(&cx, &away).await?, Landing::NotApplied { .. }));
    site.cluster.inject(Does::LosesAnswer);
    target.apply(&cx, &away).await.unwrap_err();
    assert!(matches!(target.apply(&cx, &away).await?, Landing::Applied(_)));
    assert!(matches!(target.probe(&cx, &away).await?, Landing::Applied(_)));
    assert_eq!(there(&site), [false, false]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_others_put_there_is_left_alone() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    let target = site.target()?;
    site.cluster.create(NAMESPACE, &ingress());
    let before = site.cluster.get("ingresses", NAMESPACE, "page");
    let error = target.apply(&context("on", None), &put(&site)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Refused, rollback_core::Effect::None), "{error}");
    assert_eq!(there(&site), [false, true], "nothing is sent before all of them were looked at");
    // Nor what another workload's rollback put there.
    site.cluster.remove("ingresses", NAMESPACE, "page");
    site.cluster.create(NAMESPACE, &workload("deployments", "api", "r/api:v1", 1));
    assert!(matches!(target.apply(&context("on", None), &put(&site)).await?, Landing::Applied(_)));
    site.cluster.change("ingresses", NAMESPACE, "page", |object| {
        object["metadata"]["annotations"]["rollback-rs.github.io/applied-for"] = json!("deployments/api");
    });
    let Landing::Failed { why } = target.apply(&context("off", None), &take_away(&site)).await? else {
        panic!("it was not told")
    };
    assert!(why.contains("Ingress page is there") && why.contains("left alone"), "{why}");
    assert_eq!(there(&site), [false, true]);
    assert!(before.is_some());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_waits_is_waited_for() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    let target = site.target()?;
    target.apply(&context("on", None), &put(&site)).await?;
    site.cluster.change("ingresses", NAMESPACE, "page", |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
        object["metadata"]["finalizers"] = json!(["cloud/load-balancer"]);
    });
    site.cluster.remove("configmaps", NAMESPACE, "page");
    let Landing::Running { what } = target.probe(&context("off", None), &take_away(&site)).await? else {
        panic!("it was not waited for")
    };
    assert!(what.contains("cloud/load-balancer"), "{what}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn kinds_that_are_not_there_or_belong_to_the_cluster_are_refused() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    let target = site.target()?;
    for (version, kind, words) in [
        ("nowhere.io/v1", "Page", "has no nowhere.io/v1"),
        ("v1", "Page", "v1 has no Page"),
        ("v1", "Namespace", "belongs to the whole cluster"),
    ] {
        let object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "page" } });
        let one = action(&site, json!({ "do": "apply-manifest", "objects": [page(), object] }));
        let error = target.apply(&context("on", None), &one).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
    assert_eq!(site.cluster.landed(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn it_asks_for_what_the_guide_says() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    let target = site.target()?;
    target.observe(None).await?;
    let seen = site.cluster.calls().len();
    target.apply(&context("on", None), &put(&site)).await?;
    target.apply(&context("off", None), &take_away(&site)).await?;
    let calls = site.cluster.calls();
    let mut verbs: Vec<_> = calls[seen..]
        .iter()
        .filter(|call| call.resource == "ingresses.networking.k8s.io")
        .map(|call| call.verb.as_str())
        .collect();
    // To make an object by applying it, the API server wants `create` as well.
    verbs.push("create");
    verbs.sort_unstable();
    verbs.dedup();
    assert_eq!(verbs, rollback_driver_k8s::MANIFEST_VERBS);
    let guide = include_str!("../../../docs/drivers/k8s.md");
    let told: Vec<_> = verbs.iter().map(|verb| format!("`{verb}`")).collect();
    assert!(guide.contains(&told.join(", ")), "{told:?}");
    Ok(())
}
