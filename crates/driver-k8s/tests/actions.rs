//! Actions that no strategy proposes: other plans can use them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/site.rs"]
#[expect(dead_code, reason = "no engine is needed here")]
mod site;

use std::collections::BTreeMap;

use rollback_core::{
    ActionContext, Document as _, ErrorKind, IdempotencyKey, Landing, Receipt, Result, RunId, StepId,
    Target as _, Token,
};
use rollback_driver_k8s::{K8sAction, Kind};
use rollback_scripted_kubernetes::{Behaviour, Does};
use serde_json::{Value, json};

use self::site::{Site, image, name};

const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];

fn action(site: &Site, mut body: Value) -> K8sAction {
    let workload = json!({ "kind": site.config.kind, "namespace": "shop", "name": "web" });
    body["on"] = json!({ "workload": workload, "uid": site.object()["metadata"]["uid"] });
    K8sAction::decode(K8sAction::SCHEMA, body).unwrap()
}

fn context(key: &str, expected: Option<Token>) -> ActionContext {
    let run: RunId = "019aa000-0000-7000-8000-000000000001".parse().unwrap();
    let step = StepId::new(key).unwrap();
    ActionContext::new(run, name().unwrap(), step, IdempotencyKey::new(key).unwrap()).expecting(expected)
}

fn applied(landing: Landing) -> Receipt {
    match landing {
        Landing::Applied(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_replaces_every_pod_with_the_same_content() -> Result<()> {
    for kind in KINDS {
        let site = Site::new(kind, &["v1", "v2"]);
        let target = site.target()?;
        let before = target.observe(None).await?;
        let restart = action(&site, json!({ "do": "restart" }));
        let cx = context("restart", Some(before.token.clone()));
        let receipt = applied(target.apply(&cx, &restart).await?);
        // Sent again after its answer was lost: found by its mark.
        assert_eq!(applied(target.apply(&cx, &restart).await?).token, receipt.token);
        assert_eq!(applied(target.probe(&cx, &restart).await?).token, receipt.token);
        assert_eq!(site.cluster.landed(), 1, "{kind}");
        site.cluster.settle();
        let after = target.observe(None).await?;
        assert_eq!(
            after.settled.known().unwrap().template,
            before.settled.known().unwrap().template,
            "{kind}"
        );
        assert_ne!(after.incarnations(), before.incarnations(), "{kind}");
        let goal = rollback_core::Goal::runs(after.settled.known().unwrap().clone())
            .restarted_since(before.incarnations());
        let identity = rollback_core::Snapshot::info(&goal.snapshot).identity;
        assert!(target.prove(&goal).await?.judge(identity, &goal).is_proven(), "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn to_nothing_and_back_to_as_many_as_there_were() -> Result<()> {
    for kind in [Kind::Deployment, Kind::StatefulSet] {
        let site = Site::new(kind, &["v1"]);
        let target = site.target()?;
        let token = target.observe(None).await?.token;
        let stop = action(&site, json!({ "do": "scale", "to": { "exactly": 0 } }));
        site.cluster.inject(Does::LosesAnswer);
        let cx = context("stop", Some(token.clone()));
        target.apply(&cx, &stop).await.unwrap_err();
        let landed = applied(target.probe(&cx, &stop).await?);
        assert_eq!(site.object()["spec"]["replicas"], 0, "{kind}");
        assert_eq!(landed.output["replicas"], 2, "{kind}: it was kept with the change");
        let again = action(&site, json!({ "do": "scale", "to": { "exactly": 2 } }));
        applied(target.apply(&context("again", Some(token.clone())), &again).await?);
        let stopped = applied(target.apply(&context("stop-2", Some(token.clone())), &stop).await?);
        assert_eq!(stopped.output["replicas"], 2, "{kind}");
        let outputs = BTreeMap::from([(StepId::new("stop-2").unwrap(), stopped.output)]);
        let back = action(&site, json!({ "do": "scale", "to": { "as-before": "stop-2" } }));
        applied(target.apply(&context("back", Some(token)).with_outputs(outputs), &back).await?);
        assert_eq!(site.object()["spec"]["replicas"], 2, "{kind}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_once_and_tells_its_exit_code() -> Result<()> {
    let site = Site::new(Kind::Deployment, &["v1"]);
    let target = site.target()?;
    let token = target.observe(None).await?.token;
    let job = action(&site, json!({ "do": "run-job", "container": "web", "command": ["migrate", "down"] }));
    let cx = context("migrate", Some(token.clone()));
    assert!(matches!(target.probe(&cx, &job).await?, Landing::NotApplied { .. }));
    site.cluster.inject(Does::LosesAnswer);
    target.apply(&cx, &job).await.unwrap_err();
    assert!(matches!(target.apply(&cx, &job).await?, Landing::Running { .. }));
    site.cluster.settle();
    let receipt = applied(target.probe(&cx, &job).await?);
    assert!(receipt.output["job"].as_str().unwrap().starts_with("web-"));
    assert_eq!(receipt.token, Some(token.clone()));
    assert_eq!(site.cluster.list("jobs", "shop").len(), 1);
    // The rollout does not count its pod as one of its own.
    assert_eq!(target.observe(None).await?.parts.len(), 1);

    site.cluster.behave(&image("v1"), Behaviour::Crash);
    let cx = context("again", Some(token));
    assert!(matches!(target.apply(&cx, &job).await?, Landing::Running { .. }));
    site.cluster.tick();
    let Landing::Failed { why } = target.probe(&cx, &job).await? else { panic!("it did not fail") };
    assert!(why.contains("exit code 1"), "{why}");
    let strange = action(&site, json!({ "do": "run-job", "container": "gone", "command": ["x"] }));
    assert_eq!(target.apply(&context("x", None), &strange).await.unwrap_err().kind(), ErrorKind::NotFound);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_got_well_or_went_is_left_alone() -> Result<()> {
    let site = Site::new(Kind::StatefulSet, &["v1"]);
    let target = site.target()?;
    let token = target.observe(None).await?.token;
    let pod = site.cluster.get("pods", "shop", "web-1").unwrap();
    let delete = |uid: &Value| action(&site, json!({ "do": "delete-pod", "pod": "web-1", "pod-uid": uid }));
    for uid in [pod["metadata"]["uid"].clone(), json!("one-before")] {
        applied(target.apply(&context("delete", Some(token.clone())), &delete(&uid)).await?);
    }
    assert_eq!(site.cluster.get("pods", "shop", "web-1").unwrap(), pod);
    assert_eq!(site.cluster.landed(), 0);
    let another = target.apply(&context("delete", Some(Token::new("another"))), &delete(&json!("u"))).await?;
    assert!(matches!(another, Landing::Superseded { .. }));
    Ok(())
}
