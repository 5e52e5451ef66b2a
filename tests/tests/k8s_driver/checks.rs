//! What a plan finds around a workload on the real API server.

use rollback_core::time::{Clock as _, SystemClock};
use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::kubernetes::{manifest, scenes};
use serde_json::{Value, json};

use super::Shop;

/// The messages of what a plan finds, by code.
fn found(shop: &Shop, line: &str, code: &str) -> Result<Vec<String>, rollback_testkit::harness::Failure> {
    let ran = shop.run(line, 0)?;
    let told: Value = serde_json::from_str(&ran.out)?;
    let found = told.pointer("/plan/plan/components/web/findings").and_then(Value::as_array);
    let meant = found.into_iter().flatten().filter(|one| one["code"] == code);
    Ok(meant.filter_map(|one| Some(one["message"].as_str()?.to_owned())).collect())
}

const PLAN: &str = "plan web --to previous --output json";

/// Servers of this age have budgets at `policy/v1beta1` alone.
pub(super) async fn budgets() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1", "v2"])?;
    let version = if shop.space.plane().minor() < 21 { "policy/v1beta1" } else { "policy/v1" };
    shop.space.create(&json!({
        "apiVersion": version, "kind": "PodDisruptionBudget", "metadata": { "name": "keep" },
        "spec": { "minAvailable": 2, "selector": { "matchLabels": { "app": "web" } } },
    }))?;
    shop.space.until_one("the budget to be counted", "poddisruptionbudgets", "keep", |budget| {
        budget["status"]["desiredHealthy"] == 2 && budget["status"]["expectedPods"] == 2
    })?;
    equal("unknown", &found(&shop, PLAN, "disruption-budget-unknown")?, &Vec::new())?;
    equal("within it", &found(&shop, PLAN, "disruption-budget")?, &Vec::new())?;
    let recreate = json!({ "type": "Recreate", "rollingUpdate": null });
    shop.space.patch("deployments", "web", &json!({ "spec": { "strategy": recreate } }))?;
    shop.space.until_rolled_out("deployments", "web")?;
    let said = found(&shop, PLAN, "disruption-budget")?;
    ensure(said.len() == 1 && said[0].contains("keep keeps 2 of 2 pods available"), format!("{said:?}"))?;
    // Nobody asks it.
    shop.run(super::BACK, 0)?;
    shop.runs("deployments", "v1", 2)
}

/// A quota that the API server itself enforces: told beforehand, and told again when it keeps the pods from being made.
pub(super) async fn quotas() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1"])?;
    let asks = |version: &str, cpu: &str| {
        let container = json!({ "name": "web", "image": manifest::image(version), "resources": { "requests": { "cpu": cpu } } });
        json!({ "spec": { "progressDeadlineSeconds": 5, "template": { "spec": { "containers": [container] } } } })
    };
    for (version, cpu) in [("v1", "900m"), ("v2", "100m")] {
        shop.space.patch("deployments", "web", &asks(version, cpu))?;
        shop.space.until_rolled_out("deployments", "web")?;
    }
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "compute" }, "spec": { "hard": { "requests.cpu": "1" } } });
    shop.space.create(&quota)?;
    shop.space.until_one("what is used to be counted", "resourcequotas", "compute", |quota| {
        quota["status"]["used"]["requests.cpu"] == "200m"
    })?;
    let line = "plan web --to revision=2 --output json";
    let said = found(&shop, line, "quota")?;
    let wanted =
        "quota compute leaves room for 800m of requests.cpu, and 2 pods of the destination need 1600m more";
    ensure(said.len() == 1 && said[0].starts_with(wanted), format!("{said:?}"))?;
    // No deadline ends this: its condition stays that of the last rollout while a ReplicaSet that was there makes no progress.
    let running = shop.site.start("run web --to revision=2 --yes")?;
    shop.space.until_one("the quota to bind", "deployments", "web", |web| {
        let conditions = web["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|one| one["type"] == "ReplicaFailure" && one["status"] == "True")
    })?;
    // For long enough to be seen by whoever waits; then somebody makes room.
    SystemClock.sleep(std::time::Duration::from_secs(2)).await;
    shop.space.delete("resourcequotas", "compute")?;
    let ran = running.end()?;
    let told = format!("{}{}", ran.out, ran.err);
    ensure(ran.code == Some(0) && told.contains("exceeded quota: compute"), told)?;
    shop.runs("deployments", "v1", 2)
}

/// What nodes say they have is told, and what they do not say is not made up.
pub(super) async fn images() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1", "v2"])?;
    let unknown = found(&shop, PLAN, "artifact-unknown")?;
    ensure(
        unknown.len() == 1 && unknown[0].contains("nodes that were asked shows it"),
        format!("{unknown:?}"),
    )?;
    shop.is("deployment", &shop.space.plane().kubeconfig("viewer")?)?;
    shop.space.allow("viewer", &super::bad_input::rules(true))?;
    let closed = found(&shop, PLAN, "artifact-unknown")?;
    ensure(closed.len() == 1 && closed[0].contains("the nodes may not be asked"), format!("{closed:?}"))
}

/// A StatefulSet has no condition that says why a pod is missing: its controller tells it in an event.
pub(super) async fn quotas_in_events() -> CaseResult {
    let shop = Shop::new()?;
    shop.is("statefulset", &shop.space.plane().kubeconfig("admin")?)?;
    let sized = |version: &str, cpu: &str| {
        let container = json!({ "name": "web", "image": manifest::image(version), "resources": { "requests": { "cpu": cpu } } });
        json!({ "spec": { "template": { "spec": { "containers": [container], "terminationGracePeriodSeconds": 0 } } } })
    };
    shop.space.create(&manifest::stateful_set("web", "v0", 2))?;
    for (version, cpu) in [("v1", "900m"), ("v2", "100m")] {
        shop.space.patch("statefulsets", "web", &sized(version, cpu))?;
        shop.space.until_rolled_out("statefulsets", "web")?;
    }
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "compute" }, "spec": { "hard": { "requests.cpu": "1" } } });
    shop.space.create(&quota)?;
    shop.space.until_one("what is used to be counted", "resourcequotas", "compute", |quota| {
        quota["status"]["used"]["requests.cpu"] == "200m"
    })?;
    let running = shop.site.start("run web --to version=v1 --yes")?;
    shop.space.until("a pod that cannot be made", "events", |all| {
        all.iter().any(|event| event["reason"] == "FailedCreate" && event["involvedObject"]["name"] == "web")
    })?;
    // For long enough to be asked about: what lasts for two looks is.
    SystemClock.sleep(std::time::Duration::from_secs(6)).await;
    shop.space.delete("resourcequotas", "compute")?;
    let ran = running.end()?;
    let told = format!("{}{}", ran.out, ran.err);
    ensure(
        told.contains("pods cannot be made: create Pod web-0") && told.contains("exceeded quota: compute"),
        told,
    )?;
    equal("how it ended", &ran.code, &Some(0))?;
    shop.runs("statefulsets", "v1", 2)
}
