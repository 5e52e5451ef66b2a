//! A selector that stands for many workloads.

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::kubernetes::manifest;
use serde_json::{Value, json};

use super::Shop;

/// The label that the selector asks for, as it is usual.
const PART_OF: &str = "app.kubernetes.io/part-of";

/// Two Deployments and a StatefulSet of one application, which share a name, and one of another.
fn shop() -> Result<Shop, Failure> {
    let shop = Shop::new()?;
    let kubeconfig = shop.space.plane().kubeconfig("admin")?;
    let block = |name: &str, kinds: &str, selector: &str| {
        format!(
            "[components.{name}]\ndriver = \"k8s\"\n{kinds}\nselector = \"{selector}\"\nnamespace = \"{}\"\nkubeconfig = {kubeconfig:?}\n",
            shop.space.name()
        )
    };
    let both = "kinds = [\"deployment\", \"statefulset\"]";
    let text = [
        block("shop", both, &format!("{PART_OF}=shop,tier notin (batch, cache),!canary")),
        block("nothing", "kind = \"deployment\"", "app in (nobody)"),
    ];
    shop.site.write_configuration(&text.concat())?;
    for (name, app) in [("web", "shop"), ("api", "shop"), ("other", "press")] {
        shop.space.create(&labelled(manifest::deployment(name, "v1", 1), app))?;
    }
    shop.space.create(&labelled(manifest::stateful_set("web", "v1", 1), "shop"))?;
    let all =
        [("deployments", "web"), ("deployments", "api"), ("deployments", "other"), ("statefulsets", "web")];
    for version in ["v1", "v2"] {
        for (resource, name) in all {
            if version == "v2" {
                shop.space.set_image(resource, name, version)?;
            }
            shop.space.until_rolled_out(resource, name)?;
        }
    }
    Ok(shop)
}

fn labelled(mut object: Value, app: &str) -> Value {
    object["metadata"]["labels"][PART_OF] = json!(app);
    // Two workloads of one name must not take each other's pods.
    let kind = object["kind"].clone();
    for at in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
        if let Some(labels) = object.pointer_mut(at) {
            labels["kind"] = kind.clone();
        }
    }
    object
}

fn planned(shop: &Shop, line: &str) -> Result<Vec<String>, Failure> {
    let told = shop.run(line, 0)?.json();
    let components = told.pointer("/plan/plan/components").and_then(Value::as_object);
    Ok(components.into_iter().flatten().map(|(name, _)| name.clone()).collect())
}

/// What it selects is planned, saved and put back by the names of its parts, whatever comes and goes meanwhile.
pub(super) async fn many() -> CaseResult {
    let shop = shop()?;
    let names = ["shop.deployment.api", "shop.deployment.web", "shop.statefulset.web"].map(str::to_owned);
    equal(
        "what is planned",
        &planned(&shop, "plan shop --to previous --output json --out plan.json")?,
        &names.to_vec(),
    )?;
    equal(
        "one part",
        &planned(&shop, "plan shop.statefulset.web --to previous --output json")?,
        &names[2..].to_vec(),
    )?;
    // Since the plan was made, one has come, and one is not selected any more.
    shop.space.create(&labelled(manifest::deployment("late", "v2", 1), "shop"))?;
    let hidden = json!({ "metadata": { "labels": { "canary": "yes" } } });
    shop.space.patch("deployments", "api", &hidden)?;
    shop.run("apply plan.json --yes", 0)?;
    for (resource, name, version) in [
        ("deployments", "web", "v1"),
        ("deployments", "api", "v1"),
        ("statefulsets", "web", "v1"),
        ("deployments", "late", "v2"),
        ("deployments", "other", "v2"),
    ] {
        equal(name, &shop.space.version(resource, name)?.as_str(), &version)?;
    }
    shop.run("status shop.deployment.api", 0)?;
    shop.space.delete("deployments", "api")?;
    // It was put back before, so it is known: that it is gone is how it is now.
    let gone = shop.run("status shop.deployment.api", 0)?;
    ensure(gone.out.contains("deployments.apps \"api\" not found"), format!("{gone}"))?;
    let status = shop.run("status shop --output json", 0)?.json();
    let listed: Vec<_> =
        status["components"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    equal(
        "what is listed",
        &listed,
        &vec!["shop.deployment.late", "shop.deployment.web", "shop.statefulset.web"],
    )
}

/// It says what was asked, and where.
pub(super) async fn nothing() -> CaseResult {
    let shop = shop()?;
    let ran = shop.run("plan nothing --to previous", 1)?;
    let namespace = shop.space.name();
    for words in
        ["app in (nobody)", &format!("namespace {namespace}"), "none of the deployments", "--show-labels"]
    {
        ensure(ran.err.contains(words), format!("{words:?} is not said: {ran}"))?;
    }
    let stray = shop.run("status shop.daemonset.web", 1)?;
    ensure(stray.err.contains("cannot have a part"), format!("{stray}"))
}
