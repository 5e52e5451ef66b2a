//! Kept contents on the real API server: what `kubectl rollout undo` has no answer to.

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::kubernetes::manifest;
use serde_json::{Value, json};

use super::Shop;

const KEY: &str = "a key of an installation, thirty-two bytes and more";
const GOOD: &str = "password: correct horse battery staple";
const BAD: &str = "password: typed by mistake";

/// A Deployment without a history of its own, with a ConfigMap, recorded as good.
fn recorded(limit: u32) -> Result<Shop, Failure> {
    let shop = Shop::new()?;
    let kubeconfig = shop.space.plane().kubeconfig("admin")?;
    shop.site.write_configuration(&format!(
        "[contents]\nkey = \"{KEY}\"\n[components.web]\ndriver = \"k8s\"\nkind = \"deployment\"\nname = \"web\"\nnamespace = \"{}\"\n\
         kubeconfig = {kubeconfig:?}\n",
        shop.space.name()
    ))?;
    shop.space.create(&config_map(GOOD))?;
    let mut web = manifest::deployment("web", "v1", 2);
    web["spec"]["revisionHistoryLimit"] = json!(limit);
    web["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{ "configMapRef": { "name": "web" } }]);
    shop.space.create(&web)?;
    shop.space.until_rolled_out("deployments", "web")?;
    let told = shop.run("record web --good", 0)?;
    ensure(told.out.contains("encrypted"), format!("{told}"))?;
    Ok(shop)
}

fn config_map(text: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "web", "annotations": { "theirs": "kept" } },
        "data": { "app.conf": text } })
}

fn holds(shop: &Shop) -> Result<String, Failure> {
    let map = shop.space.get("configmaps", "web")?;
    equal("what others wrote", &map["metadata"]["annotations"]["theirs"], &json!("kept"))?;
    Ok(map["data"]["app.conf"].as_str().unwrap_or_default().to_owned())
}

fn configure(shop: &Shop, text: &str) -> Result<(), Failure> {
    shop.space.patch("configmaps", "web", &json!({ "data": { "app.conf": text } }))?;
    Ok(())
}

fn pods(shop: &Shop) -> Result<Vec<String>, Failure> {
    let pods = shop.space.list("pods")?;
    Ok(pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned)).collect())
}

/// The history was never kept, the release changed more than an image, and the ConfigMap was changed with it.
pub(super) async fn pruned() -> CaseResult {
    let shop = recorded(0)?;
    configure(&shop, BAD)?;
    let deployed = json!({ "spec": { "template": { "spec": { "terminationGracePeriodSeconds": 1, "containers": [
        { "name": "web", "image": manifest::image("v2"), "envFrom": null } ] } } } });
    shop.space.patch("deployments", "web", &deployed)?;
    shop.space.until_rolled_out("deployments", "web")?;
    shop.space.until("only the newest is kept", "replicasets", |all| all.len() == 1)?;
    let kubectl = shop.space.kubectl(&["rollout", "undo", "deployment/web"])?;
    ensure(kubectl.code != Some(0), format!("kubectl: {kubectl}"))?;
    let ran = shop.run("run web --yes --output json", 0)?;
    shop.runs("deployments", "v1", 2)?;
    equal("the ConfigMap", &holds(&shop)?.as_str(), &GOOD)?;
    for told in ["correct horse", "by mistake", KEY] {
        ensure(!ran.out.contains(told) && !ran.err.contains(told), format!("{told:?} is told: {ran}"))?;
    }
    Ok(())
}

/// Nothing but the ConfigMap was changed: for kubectl there is nothing to undo.
pub(super) async fn configuration() -> CaseResult {
    let shop = recorded(10)?;
    configure(&shop, BAD)?;
    let before = pods(&shop)?;
    let ran = shop.run("run web --yes", 0)?;
    ensure(ran.out.contains("restored"), format!("{ran}"))?;
    shop.runs("deployments", "v1", 2)?;
    equal("the ConfigMap", &holds(&shop)?.as_str(), &GOOD)?;
    let now = pods(&shop)?;
    ensure(before.iter().all(|pod| !now.contains(pod)), format!("{before:?} are not all gone: {now:?}"))?;
    let ran = shop.run("run web --yes", 0)?;
    ensure(ran.out.contains("already"), format!("{ran}"))
}

/// Somebody deleted both.
pub(super) async fn gone() -> CaseResult {
    let shop = recorded(10)?;
    shop.space.delete("deployments", "web")?;
    shop.space.delete("configmaps", "web")?;
    shop.space.until("the pods are gone", "pods", <[Value]>::is_empty)?;
    let ran = shop.run("run web --yes", 0)?;
    ensure(ran.out.contains("restored"), format!("{ran}"))?;
    shop.runs("deployments", "v1", 2)?;
    equal("the ConfigMap", &holds(&shop)?.as_str(), &GOOD)
}
