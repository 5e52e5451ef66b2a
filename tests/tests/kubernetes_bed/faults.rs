//! The way to the API server on which things go wrong.

use std::time::Duration;

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::kubernetes::{ControlPlane, Front, Space, client, manifest, scenes};
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};
use rollback_tests::servers::need;
use serde_json::{Value, json};

use super::space;

/// A patch of the Deployment, by that way: its answer, or what became of it instead.
async fn patched(front: &Front<'_>, space: &Space<'_>) -> Result<kube::Result<Value>, Failure> {
    let client = client(&front.kubeconfig("admin")?).await?;
    let patch = json!({ "metadata": { "annotations": { "patched": "yes" } } }).to_string().into_bytes();
    let request = hyper::Request::patch(space.path("deployments", "web"));
    let request = request.header("content-type", "application/merge-patch+json").body(patch)?;
    Ok(client.request::<Value>(request).await)
}

fn is_patched(space: &Space<'_>) -> Result<bool, Failure> {
    Ok(space.get("deployments", "web")?["metadata"]["annotations"]["patched"] == "yes")
}

pub(super) async fn lost() -> CaseResult {
    let space = space()?;
    scenes::deploy(&space, &["v1"])?;
    let front = space.plane().front()?;
    patched(&front, &space).await??;
    ensure(is_patched(&space)?, "nothing passes")?;

    space.patch("deployments", "web", &json!({ "metadata": { "annotations": { "patched": null } } }))?;
    let reset = |fault| Faults::none().rule(Rule::new(fault).method("PATCH").first(1));
    front.proxy().faults(reset(Fault::ResetBefore));
    let error = patched(&front, &space).await?.err().ok_or("it was answered")?;
    ensure(!matches!(error, kube::Error::Api(_)), "it was refused, not lost")?;
    ensure(!is_patched(&space)?, "the API server has seen it")?;

    front.proxy().faults(reset(Fault::ResetAfter));
    ensure(patched(&front, &space).await?.is_err(), "it was answered")?;
    ensure(is_patched(&space)?, "the API server has not seen it")?;
    equal("what was injected", &front.proxy().counts()["reset after"], &1)
}

pub(super) async fn answers() -> CaseResult {
    let space = space()?;
    scenes::deploy(&space, &["v1"])?;
    let front = space.plane().front()?;
    let busy = Answer::kubernetes(429, "TooManyRequests").header("retry-after", "1");
    front.proxy().faults(Faults::none().rule(Rule::new(Fault::Answer(busy)).method("PATCH")));
    match patched(&front, &space).await? {
        Err(kube::Error::Api(status)) => equal("the status", &status.code, &429)?,
        other => ensure(false, format!("{other:?}"))?,
    }
    ensure(!is_patched(&space)?, "the API server has seen it")?;

    front
        .proxy()
        .faults(Faults::none().rule(Rule::new(Fault::Answer(Answer::kubernetes_gone())).path("*watch=1*")));
    let client = client(&front.kubeconfig("admin")?).await?;
    let path = format!("{}?watch=1&resourceVersion=1", space.path("pods", ""));
    let events = client.request_text(hyper::Request::get(path).body(Vec::new())?).await?;
    let event: Value = serde_json::from_str(&events)?;
    equal("the end of a watch", &event["object"]["code"], &json!(410))
}

pub(super) async fn restart() -> CaseResult {
    need(ControlPlane::shared())?;
    let mut plane = need(ControlPlane::start("kubernetes_bed"))?;
    {
        let space = plane.namespace()?;
        space.create(&manifest::deployment("web", "v1", 2))?;
        space.until_rolled_out("deployments", "web")?;
    }
    let pid = plane.servers()[1].pid();
    plane.restart_api_server()?;
    ensure(plane.servers()[1].pid() != pid, "it is the same process")?;
    // What was there is there, and nodes and controllers go on.
    let space = plane.namespace()?;
    space.create(&manifest::deployment("web", "v1", 2))?;
    space.until_rolled_out("deployments", "web")?;
    Ok(())
}

pub(super) async fn slow() -> CaseResult {
    let space = space()?;
    scenes::deploy(&space, &["v1"])?;
    let front = space.plane().front()?;
    let delay = Duration::from_millis(40);
    front.proxy().faults(Faults::none().rule(Rule::new(Fault::delay(delay))));
    let clock = rollback_core::time::SystemClock;
    let began = rollback_core::time::Clock::monotonic(&clock);
    patched(&front, &space).await??;
    let took = rollback_core::time::Clock::monotonic(&clock).saturating_sub(began);
    ensure(took >= delay, format!("it took {took:?}"))?;
    equal("requests", &front.proxy().counts()["requests"], &1)
}
