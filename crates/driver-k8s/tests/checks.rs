//! What a plan finds before anything is changed; on the scripted double, through the engine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/site.rs"]
#[expect(dead_code, reason = "what a workload is set to is not asked here")]
mod site;

use rollback_core::target::{Finding, Severity};
use rollback_core::{Result, State};
use rollback_driver_k8s::Kind;
use rollback_scripted_kubernetes::Behaviour;
use serde_json::{Value, json};

use self::site::{NAMESPACE, Site, image};

async fn found(site: &Site, to: &str) -> Result<Vec<Finding>> {
    let plan = site.plan(to).await?;
    assert_eq!(site.cluster.landed(), 0, "planning changes nothing");
    Ok(plan.components.values().next().unwrap().findings.clone())
}

fn with(found: &[Finding], code: &str) -> Vec<String> {
    found.iter().filter(|one| one.code == code).map(|one| one.message.clone()).collect()
}

fn budget(least: u64) -> Value {
    json!({ "kind": "PodDisruptionBudget", "metadata": { "name": "keep" }, "spec": { "selector": { "matchLabels": { "app": "web" } } },
        "status": { "expectedPods": 2, "desiredHealthy": least } })
}

#[tokio::test(start_paused = true)]
async fn budgets_are_read_from_servers_of_every_age() -> Result<()> {
    for is_old in [false, true] {
        let site = Site::new(Kind::Deployment, &["v1", "v2"]);
        if is_old {
            site.cluster.be_old();
        }
        site.cluster.create(NAMESPACE, &budget(1));
        assert_eq!(with(&found(&site, "previous").await?, "disruption-budget"), Vec::<String>::new());
        site.change(|object| object["spec"]["strategy"] = json!({ "type": "Recreate" }));
        site.cluster.settle();
        let said = with(&found(&site, "previous").await?, "disruption-budget");
        assert!(said.len() == 1 && said[0].contains("may stop 2 all at once"), "old: {is_old}: {said:?}");
        site.cluster.deny("list poddisruptionbudgets");
        let unknown = with(&found(&site, "previous").await?, "disruption-budget-unknown");
        assert!(unknown[0].contains("cannot list"), "old: {is_old}: {unknown:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_in_the_way_is_deleted_whatever_a_budget_says() -> Result<()> {
    let site = Site::new(Kind::StatefulSet, &["v1"]);
    site.cluster.behave(&image("bad"), Behaviour::Crash);
    site.deploy("bad");
    site.cluster.create(NAMESPACE, &budget(2));
    let said = with(&found(&site, "previous").await?, "disruption-budget");
    assert!(said[0].contains("is not asked when pod web-1 is deleted"), "{said:?}");
    assert_eq!(site.go("previous").await?.state, State::Restored);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_quota_without_room_is_a_warning() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    site.change(|object| {
        object["spec"]["strategy"] = json!({ "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } });
        object["spec"]["template"]["spec"]["containers"][0]["resources"] =
            json!({ "requests": { "cpu": "500m", "memory": "1Gi" } });
    });
    site.deploy("v2");
    let quota = |name: &str, hard: Value, used: Value| json!({ "kind": "ResourceQuota", "metadata": { "name": name }, "status": { "hard": hard, "used": used } });
    site.cluster.create(
        NAMESPACE,
        &quota(
            "roomy",
            json!({ "requests.cpu": "1500m", "memory": "3Gi" }),
            json!({ "requests.cpu": "1", "memory": "2048Mi" }),
        ),
    );
    // From a version that asks for the same.
    site.deploy("v3");
    let said = found(&site, "previous").await?;
    assert_eq!(with(&said, "quota"), Vec::<String>::new());
    site.cluster.create(
        NAMESPACE,
        &quota("tight", json!({ "requests.cpu": "1400m" }), json!({ "requests.cpu": "1" })),
    );
    let said = found(&site, "previous").await?;
    let tight = said.iter().find(|one| one.code == "quota").unwrap();
    assert_eq!(tight.severity, Severity::Warning);
    assert!(tight.message.contains("quota tight leaves room for 400m of requests.cpu"), "{tight:?}");
    assert!(tight.next.as_deref().unwrap().contains("for ever"), "{tight:?}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nodes_are_asked_for_images_that_no_pod_runs_once() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1", "v2", "v3"]);
    let node = |name: &str, images: &[String]| json!({ "kind": "Node", "metadata": { "name": name }, "status": { "images": [{ "names": images }] } });
    site.cluster.create("", &node("one", &[image("v1"), image("v3")]));
    site.cluster.create("", &node("two", &[image("v3")]));
    let one = found(&site, "revision=1").await?;
    assert_eq!(with(&one, "artifact-unknown"), Vec::<String>::new());
    let said = with(&one, "image-on-nodes");
    assert!(
        said.len() == 1 && said[0].starts_with(&format!("1 of 2 nodes have image {}", image("v1"))),
        "{said:?}"
    );
    let said = with(&found(&site, "revision=2").await?, "artifact-unknown");
    assert!(said.len() == 1 && said[0].contains("none of the 2 nodes that were asked shows it"), "{said:?}");
    let asked = |site: &Site| site.cluster.calls().iter().filter(|call| call.resource == "nodes").count();
    assert_eq!(asked(&site), 2, "each engine has its own connection here");
    site.cluster.deny("list nodes");
    let said = with(&found(&site, "revision=1").await?, "artifact-unknown");
    assert!(said.len() == 1 && said[0].contains("the nodes may not be asked"), "{said:?}");
    // What runs needs nobody's word.
    site.cluster.behave(&image("bad"), Behaviour::Crash);
    site.deploy("bad");
    let before = asked(&site);
    assert_eq!(with(&found(&site, "previous").await?, "artifact-unknown"), Vec::<String>::new());
    assert_eq!(asked(&site), before);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_never_seen_is_a_loud_warning() -> Result<()> {
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
        let site = Site::new(kind, &["v1", "v2"]);
        let said = found(&site, "version=v11").await?;
        let one = said.iter().find(|one| one.code == "version-not-held").unwrap();
        assert_eq!(one.severity, Severity::Warning, "{kind}");
        for words in ["v11: it may never have run here", "v2 (2, runs now), v1 (1)"] {
            assert!(one.message.contains(words), "{kind}: {one:?}");
        }
        let seen = found(&site, "version=v1").await?;
        assert_eq!(with(&seen, "version-not-held"), Vec::<String>::new(), "{kind}");
    }
    Ok(())
}
