//! The roles in docs/drivers/k8s.md are the driver's own list, and that list is what is asked.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/site.rs"]
#[expect(dead_code, reason = "what a workload is set to is not asked here")]
mod site;

use std::collections::BTreeSet;

use rollback_core::engine::CheckRequest;
use rollback_core::{Result, State};
use rollback_driver_k8s::{K8sConfig, Kind, cluster_role, cluster_rules, contents_role, role, rules};
use rollback_scripted_kubernetes::Behaviour;
use serde_json::json;

use self::site::{NAMESPACE, Site, image, name};

const GUIDE: &str = include_str!("../../../docs/drivers/k8s.md");
/// What asks for logs, and what asks for events.
const BAD: [Behaviour; 2] = [Behaviour::Crash, Behaviour::MissingImage];
const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

/// What a role allows, as `verb resource`.
fn allowed(kind: Kind, changes: bool) -> BTreeSet<String> {
    let one = |rule: &rollback_driver_k8s::Rule| {
        rule.verbs.iter().map(|verb| format!("{verb} {}", rule.resource)).collect::<Vec<_>>()
    };
    rules(kind, changes).iter().chain(&cluster_rules()).flat_map(one).collect()
}

/// What was asked and not denied.
fn asked(site: &Site) -> BTreeSet<String> {
    let calls = site.cluster.calls().into_iter();
    let told = calls.filter(|call| {
        call.status != Some(403) && call.resource != "selfsubjectaccessreviews.authorization.k8s.io"
    });
    told.map(|call| format!("{} {}", call.verb, call.resource.split('.').next().unwrap())).collect()
}

/// A workload that refers to everything, whose newest version does not start.
fn site(kind: Kind, changes: bool, bad: Behaviour) -> Site {
    let site = Site::new(kind, &[]);
    for kind in ["ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim"] {
        site.cluster.create(NAMESPACE, &json!({ "kind": kind, "metadata": { "name": "web" } }));
    }
    site.deploy("v0");
    site.begin("v1");
    site.change(|object| {
        let spec = &mut object["spec"]["template"]["spec"];
        spec["serviceAccountName"] = json!("web");
        spec["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "web" } }]);
        spec["containers"][0]["envFrom"] =
            json!([{ "configMapRef": { "name": "web" } }, { "secretRef": { "name": "web" } }]);
    });
    site.cluster.settle();
    site.cluster.behave(&image("bad"), bad);
    site.deploy("bad");
    site.cluster.allow_only(allowed(kind, changes));
    site
}

#[tokio::test(start_paused = true)]
async fn a_rollback_asks_for_what_its_role_allows_and_nothing_else() -> Result<()> {
    for kind in KINDS {
        let mut all = BTreeSet::new();
        for bad in BAD {
            let site = site(kind, true, bad);
            // Of what no pod runs, nodes are asked.
            site.plan("revision=1").await?;
            let report = site.go("previous").await?;
            assert_eq!(report.state, State::Restored, "{kind}: {report:#?}");
            assert!(site.cluster.calls().iter().all(|call| call.status != Some(403)), "{kind}");
            all.append(&mut asked(&site));
        }
        assert_eq!(all, allowed(kind, true), "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn looking_and_planning_take_no_permission_to_change() -> Result<()> {
    for kind in KINDS {
        let mut all = BTreeSet::new();
        for bad in BAD {
            let site = site(kind, false, bad);
            let engine = site.engine()?;
            engine.status(&name()?).await?;
            engine.history(&name()?, 20).await?;
            engine.check(&name()?, &CheckRequest::default().to("revision=1".parse()?)).await?;
            all.append(&mut asked(&site));
            assert_eq!(site.cluster.landed(), 0);
        }
        assert_eq!(all, allowed(kind, false), "{kind}");
    }
    Ok(())
}

/// What stands under this name in the guide.
fn told(name: &str) -> &'static str {
    let (_, rest) = GUIDE.split_once(&format!("<!-- role: {name} -->\n```yaml\n")).expect(name);
    rest.split_once("```").expect("the block ends").0
}

#[test]
fn the_guide_has_the_roles_as_the_driver_lists_them() {
    assert_eq!(told("nodes"), cluster_role(), "{}", cluster_role());
    let contents = contents_role(Kind::Deployment);
    assert_eq!(told("contents"), contents, "{contents}");
    let plan = "plan deployments";
    assert_eq!(told(plan), role(Kind::Deployment, false), "{plan}:\n{}", role(Kind::Deployment, false));
    for kind in KINDS {
        let name = kind.resource();
        assert_eq!(told(name), role(kind, true), "{name}:\n{}", role(kind, true));
    }
}

#[test]
fn the_guide_tells_of_every_setting_and_strategy() {
    let schema = K8sConfig::schema();
    for setting in schema["properties"].as_object().unwrap().keys() {
        assert!(GUIDE.contains(&format!("\n| `{setting}` |")), "{setting} is not told");
    }
    for strategy in ["revision-undo", "set-image"] {
        assert!(GUIDE.contains(&format!("| `{strategy}` |")), "{strategy} is not told");
    }
}
