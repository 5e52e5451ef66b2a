//! Where `kubectl rollout undo` fails its users, and what happens here instead; on the scripted double, through the engine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/site.rs"]
mod site;

use rollback_core::target::Severity;
use rollback_core::{ErrorKind, Plan, Report, Result, State};
use rollback_driver_k8s::Kind;
use rollback_scripted_kubernetes::{Behaviour, Does};
use serde_json::json;

use self::site::{NAME, NAMESPACE, Site, image};

const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

fn destination(plan: &Plan) -> String {
    plan.components.values().next().unwrap().to.info.label()
}

fn blockers(plan: &Plan) -> Vec<String> {
    let all = &plan.components.values().next().unwrap().findings;
    all.iter().filter(|one| one.severity == Severity::Blocker).map(|one| one.message.clone()).collect()
}

/// Everything that a report says.
fn told(report: &Report) -> String {
    format!("{report:#?}")
}

#[tokio::test(start_paused = true)]
async fn back_to_the_previous_version_and_proven() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1", "v2"]);
        let report = site.go("previous").await?;
        assert_eq!(report.state, State::Restored, "{kind}: {}", told(&report));
        assert_eq!(site.version(), "v1", "{kind}");
        assert_eq!(site.cluster.landed(), 1, "{kind}: one request and no more");
        // Once more: kubectl would toggle, and says "rolled back" of a StatefulSet where nothing changed.
        let again = site.go("revision=3").await;
        let there = again.as_ref().is_ok_and(|report| report.state == State::AlreadyThere);
        assert!(there, "{kind}: {again:?}");
        assert_eq!(site.cluster.landed(), 1, "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_behind_does_not_lead_to_the_version_before() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1", "v2"]);
        site.cluster.stop_controllers(true);
        site.begin("bad");
        let plan = site.plan("previous").await?;
        assert_eq!(destination(&plan), "2 (v2)", "{kind}");
        site.cluster.stop_controllers(false);
        let report = site.apply(&plan).await?;
        assert_eq!(
            (report.state, site.version().as_str()),
            (State::Restored, "v2"),
            "{kind}: {}",
            told(&report)
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_bad_version_that_was_restarted_is_not_its_own_predecessor() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1", "bad"]);
        site.change(|object| {
            object["spec"]["template"]["metadata"]["annotations"] =
                json!({ "kubectl.kubernetes.io/restartedAt": "2026-11-21T10:00:00Z" });
        });
        site.cluster.settle();
        let report = site.go("previous").await?;
        assert_eq!(
            (report.state, site.version().as_str()),
            (State::Restored, "v1"),
            "{kind}: {}",
            told(&report)
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_people_own_is_kept() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    site.change(|object| {
        object["metadata"]["annotations"]["kubernetes.io/change-cause"] = json!("deploy of v1");
    });
    site.cluster.settle();
    site.deploy("v2");
    site.change(|object| {
        object["metadata"]["annotations"]["oncall"] = json!("ana");
        object["metadata"]["annotations"]["kubernetes.io/change-cause"] = json!("deploy of v2");
        object["spec"]["replicas"] = json!(3);
    });
    site.cluster.settle();
    let plan = site.plan("previous").await?;
    // An autoscaler does its work in between: that is no change of what is deployed.
    site.change(|object| object["spec"]["replicas"] = json!(4));
    let report = site.apply(&plan).await?;
    assert_eq!(report.state, State::Restored, "{}", told(&report));
    let object = site.object();
    assert_eq!(object["spec"]["replicas"], 4);
    assert_eq!(object["metadata"]["annotations"]["oncall"], "ana");
    assert_eq!(object["metadata"]["annotations"]["kubernetes.io/change-cause"], "rollback to 1 (v1)");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_deploy_is_not_overwritten() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1", "v2"]);
    let plan = site.plan("previous").await?;
    site.deploy("v3");
    let report = site.apply(&plan).await?;
    assert!(matches!(report.state, State::Refused | State::Superseded), "{}", told(&report));
    assert_eq!((site.version().as_str(), site.cluster.landed()), ("v3", 0));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_by_its_mark_and_nothing_is_sent_twice() -> Result<()> {
    for does in [Does::LosesAnswer, Does::LosesRequest] {
        let site = Site::new(Kind::Deployment, &["v1", "v2"]);
        let plan = site.plan("previous").await?;
        site.cluster.inject(does.clone());
        let report = site.apply(&plan).await?;
        assert_eq!(report.state, State::Restored, "{does:?}: {}", told(&report));
        assert_eq!(site.cluster.landed(), 1, "{does:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_is_refused_unless_resuming_was_chosen() -> Result<()> {
    let mut site = Site::new(Kind::Deployment, &["v1", "v2"]);
    site.change(|object| object["spec"]["paused"] = json!(true));
    site.cluster.settle();
    let plan = site.plan("revision=1").await?;
    let methods = format!("{:?}", plan.components.values().next().unwrap().methods);
    assert!(methods.contains("its rollouts are paused: resume it, or set `resume_paused`"), "{methods}");
    assert_eq!(site.apply(&plan).await.unwrap_err().kind(), ErrorKind::Refused);
    assert_eq!((site.version().as_str(), site.cluster.landed()), ("v2", 0));
    site.config.resume_paused = true;
    let report = site.go("revision=1").await?;
    assert_eq!(report.state, State::Restored, "{}", told(&report));
    assert_eq!((site.version().as_str(), site.cluster.landed()), ("v1", 1));
    assert_eq!(site.object()["spec"]["paused"], false);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_stateful_set_that_waits_for_ever_is_freed_of_exactly_that_pod() -> Result<()> {
    for behaviour in [Behaviour::Crash, Behaviour::NeverReady] {
        let site = Site::new(Kind::StatefulSet, &["v1"]);
        site.cluster.behave(&image("bad"), behaviour);
        site.deploy("bad");
        let uid = |ordinal: &str| {
            let pod = site.cluster.get("pods", NAMESPACE, &format!("{NAME}-{ordinal}")).unwrap();
            pod["metadata"]["uid"].as_str().unwrap().to_owned()
        };
        let (good, bad) = (uid("0"), uid("1"));
        let report = site.go("previous").await?;
        assert_eq!(report.state, State::Restored, "{behaviour:?}: {}", told(&report));
        let deleted: Vec<_> = site.cluster.calls().into_iter().filter(|call| call.verb == "delete").collect();
        assert_eq!(deleted.len(), 1, "{behaviour:?}");
        assert_eq!(deleted[0].name.as_deref(), Some("web-1"));
        assert_eq!(deleted[0].body["preconditions"]["uid"], json!(bad));
        assert_eq!(uid("0"), good, "{behaviour:?}: the pod that ran was left alone");
        assert!(told(&report).contains("would be waited for"), "{}", told(&report));
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_crashes_is_told_at_once_with_its_exit_code() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1", "v2"]);
        site.cluster.behave(&image("v1"), Behaviour::Crash);
        let began = site.clock.monotonic();
        let report = site.go("revision=1").await?;
        assert!(!report.state.is_success(), "{kind}: {}", told(&report));
        assert!(told(&report).contains("exit code 1"), "{kind}: {}", told(&report));
        let took = site.clock.monotonic().saturating_sub(began);
        assert!(took.as_secs() < 60, "{kind}: it took {took:?}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_gone_is_told_with_its_name() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1", "v2"]);
    site.cluster.behave(&image("v1"), Behaviour::MissingImage);
    let report = site.go("revision=1").await?;
    assert!(!report.state.is_success());
    let told = told(&report);
    assert!(told.contains("ImagePullBackOff") && told.contains("shop/web:v1: not found"), "{told}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_version_that_no_revision_holds_is_put_back_by_its_image() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1", "v2"]);
        for entry in site.cluster.list(kind.history(), NAMESPACE) {
            let name = entry["metadata"]["name"].as_str().unwrap().to_owned();
            if !format!("{entry}").contains(":v2") {
                assert!(site.cluster.remove(kind.history(), NAMESPACE, &name));
            }
        }
        let report = site.go("version=v1").await?;
        assert_eq!(
            (report.state, site.version().as_str()),
            (State::Restored, "v1"),
            "{kind}: {}",
            told(&report)
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_runbooks_annotation_names_the_version_before() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v2"]);
    site.change(|object| object["metadata"]["annotations"]["previous-version"] = json!("v1"));
    let report = site.go("previous").await?;
    assert_eq!((report.state, site.version().as_str()), (State::Restored, "v1"), "{}", told(&report));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_workload_is_refused_with_the_owners_name() -> Result<()> {
    for (kind, owner, name) in [
        (Kind::Deployment, "Rollout", "checkout"),
        (Kind::StatefulSet, "Prometheus", "main"),
        (Kind::DaemonSet, "Tempo", "agents"),
    ] {
        let site = Site::new(kind, &["v1", "v2"]);
        let owner_of = json!([{ "controller": true, "kind": owner, "name": name, "uid": "r" }]);
        site.change(|object| object["metadata"]["ownerReferences"] = owner_of);
        let plan = site.plan("revision=1").await?;
        let said = blockers(&plan);
        assert!(said.iter().any(|message| message.contains(&format!("{owner} {name}"))), "{said:?}");
        let before = site.object();
        let report = site.apply(&plan).await;
        assert!(!report.is_ok_and(|report| report.state.is_success()), "{kind}");
        assert_eq!((site.object(), site.cluster.landed()), (before, 0), "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_seen_before_anything_is_changed() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    site.change(|object| {
        object["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
            json!([{ "configMapRef": { "name": "old-config" } }]);
    });
    site.cluster.settle();
    site.change(|object| {
        object["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([]);
    });
    site.cluster.settle();
    let plan = site.plan("revision=2").await?;
    assert!(
        blockers(&plan).iter().any(|message| message.contains("config-map old-config")),
        "{:?}",
        blockers(&plan)
    );
    let mut denied = Site::new(Kind::Deployment, &["v1", "v2"]);
    denied.cluster.deny("patch deployments");
    let plan = denied.plan("previous").await?;
    assert!(blockers(&plan).iter().any(|message| message.contains("cannot patch")), "{:?}", blockers(&plan));
    denied.config.namespace_uid = Some("another".into());
    let error = denied.plan("previous").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert_eq!(denied.cluster.landed(), 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_told_with_what_is() -> Result<()> {
    let mut site = Site::new(Kind::Deployment, &["v1"]);
    site.config.name = "wbe".into();
    let error = site.plan("previous").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.next_step().unwrap().contains("did you mean \"web\""), "{error}");
    site.config.namespace = Some("shpo".into());
    let error = site.plan("previous").await.unwrap_err();
    assert!(error.to_string().contains("shpo"), "{error}");
    site.config = rollback_driver_k8s::K8sConfig::new(Kind::Deployment, NAME).namespace(NAMESPACE);
    let error = site.plan("revision=9").await.unwrap_err();
    assert!(error.next_step().unwrap().contains("1 (v1)"), "{error}");
    site.cluster.deny("list pods");
    let error = site.plan("revision=1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.next_step().unwrap().contains("verb list on pods in namespace shop"), "{error}");
    Ok(())
}
