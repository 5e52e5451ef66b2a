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
