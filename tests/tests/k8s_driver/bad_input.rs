//! What cannot be meant, and who may not: a clear error, and nothing is changed.

use std::fs;

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::kubernetes::scenes;
use serde_json::{Value, json};

use super::{REFUSED, Shop};

/// The Deployment as it must stay.
fn state(shop: &Shop) -> Result<Value, Failure> {
    let web = shop.space.get("deployments", "web")?;
    Ok(json!([web["metadata"]["generation"], web["metadata"]["annotations"], web["spec"]]))
}

fn says(shop: &Shop, line: &str, words: &[&str]) -> CaseResult {
    let ran = shop.site.run(line)?;
    let told = format!("{}{}", ran.out, ran.err);
    ensure(ran.code != Some(0), format!("{line}: {ran}"))?;
    for word in words {
        ensure(told.contains(word), format!("{line}: {word:?} is not said: {told}"))?;
    }
    Ok(())
}

pub(super) async fn refused() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1", "v2"])?;
    let before = state(&shop)?;
    let run = "run web --to previous --yes";
    says(&shop, "run web --to revision=99 --yes", &["99", "revision"])?;

    let config = fs::read_to_string(shop.site.path("rollback.toml"))?;
    let with = |from: &str, to: &str| -> CaseResult {
        ensure(config.contains(from), format!("no {from} in {config}"))?;
        Ok(shop.site.write_configuration(&config.replace(from, to))?)
    };
    with("name = \"web\"", "name = \"wbe\"")?;
    says(&shop, run, &["wbe", "web"])?;
    with(shop.space.name(), "no-such-namespace")?;
    says(&shop, run, &["no-such-namespace"])?;
    with("[components.web]\n", "[components.web]\ncontext = \"prdo\"\n")?;
    says(&shop, run, &["prdo", "contexts"])?;
    with("[components.web]\n", "[components.web]\nnamespace_uid = \"another\"\n")?;
    says(&shop, run, &["another", "context"])?;
    shop.is("deployment", &shop.space.plane().expired_kubeconfig()?)?;
    says(&shop, run, &["credentials"])?;
    equal("the Deployment", &state(&shop)?, &before)
}

pub(super) async fn forbidden() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1", "v2"])?;
    let before = state(&shop)?;
    shop.is("deployment", &shop.space.plane().kubeconfig("nobody")?)?;
    says(&shop, "run web --to previous --yes", &["nobody", "get"])?;
    equal("the Deployment", &state(&shop)?, &before)
}

/// What looking takes, or a rollback, as a role has it.
pub(super) fn rules(changes: bool) -> Value {
    let rule = |rule: &rollback_driver_k8s::Rule| json!({ "apiGroups": [rule.group], "resources": [rule.resource], "verbs": rule.verbs });
    rollback_driver_k8s::rules(rollback_driver_k8s::Kind::Deployment, changes).iter().map(rule).collect()
}

/// Sees everything, and may change nothing.
pub(super) async fn may_only_look() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1", "v2"])?;
    shop.space.allow("viewer", &rules(false))?;
    shop.is("deployment", &shop.space.plane().kubeconfig("viewer")?)?;
    let before = state(&shop)?;
    for line in ["plan web --to previous", "run web --to previous --yes", "run web --to version=v0 --yes"] {
        let ran = shop.run(line, REFUSED)?;
        let told = format!("{}{}", ran.out, ran.err);
        for words in ["cannot patch resource \"deployments\"", "verb patch on deployments.apps"] {
            ensure(told.contains(words), format!("{line}: {words:?} is not said: {told}"))?;
        }
    }
    equal("the Deployment", &state(&shop)?, &before)
}

/// A tag that nobody has seen can be asked for; the plan says so, and names those that were seen.
pub(super) async fn never_seen() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1", "v2"])?;
    let before = state(&shop)?;
    let planned = shop.run("plan web --to version=v11 --output json", 0)?;
    let told: Value = serde_json::from_str(&planned.out)?;
    let found = told.pointer("/plan/plan/components/web/findings").and_then(Value::as_array);
    let one = found.into_iter().flatten().find(|one| one["code"] == "version-not-held");
    let one = one.ok_or_else(|| format!("it is not said: {planned}"))?;
    equal("how loud", &one["severity"], &json!("warning"))?;
    let message = one["message"].as_str().unwrap_or_default();
    for words in ["version v11", "v2 (2, runs now), v1 (1)"] {
        ensure(message.contains(words), message.to_owned())?;
    }
    let shown = shop.run("plan web --to version=v11", 0)?;
    ensure(shown.out.contains("it may never have run here"), format!("{shown}"))?;
    equal("the Deployment", &state(&shop)?, &before)
}

pub(super) async fn owned() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1", "v2"])?;
    let owner = json!([{ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "shop-rollout", "uid": "1-2-3", "controller": true }]);
    // Somebody's controller, not one of the control plane's: it is not collected as garbage at once.
    shop.space.patch("deployments", "web", &json!({ "metadata": { "ownerReferences": owner } }))?;
    let before = state(&shop)?;
    let ran = shop.run("run web --to previous --yes", REFUSED)?;
    let told = format!("{}{}", ran.out, ran.err);
    ensure(told.contains("Rollout") && told.contains("shop-rollout"), told)?;
    equal("the Deployment", &state(&shop)?, &before)
}
