//! What kubectl asks of the API server, and what comes of it when that goes wrong.

use std::process::Command;
use std::time::Duration;

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::Running;
use rollback_tests::kubernetes::{Front, Space, scenes};
use rollback_tests::proxy::{Fault, Faults, Rule};

use super::space_for_kubectl;

/// A rollback by kubectl on that way.
fn undo(space: &Space<'_>, front: &Front<'_>) -> Result<Command, Failure> {
    let mut command = space.kubectl_by(&front.kubeconfig("admin")?)?;
    command.args(["rollout", "undo", "deployment/web"]);
    Ok(command)
}

/// What was asked, without what kubectl keeps for ten minutes: which kinds there are.
fn asked(front: &Front<'_>) -> Vec<String> {
    let all = front.proxy().log().into_iter().filter(|exchange| exchange.path.contains("/namespaces/"));
    let last = |path: &str| {
        path.split('?').next().and_then(|path| path.split("/namespaces/").nth(1).map(str::to_owned))
    };
    all.map(|exchange| {
        let path = last(&exchange.path).unwrap_or_default();
        let path = path.split_once('/').map_or("", |(_, path)| path);
        format!("{} {path}", exchange.method)
    })
    .collect()
}

pub(super) async fn counted() -> CaseResult {
    let space = space_for_kubectl()?;
    scenes::deploy(&space, &["v1", "v2"])?;
    let front = space.plane().front()?;
    Running::start(undo(&space, &front)?)?.end()?.expect(0);
    let wanted = ["GET deployments/web", "GET deployments/web", "GET replicasets", "PATCH deployments/web"];
    equal("what it asks", &asked(&front), &wanted.map(str::to_owned).to_vec())
}

pub(super) async fn lost() -> CaseResult {
    let space = space_for_kubectl()?;
    scenes::deploy(&space, &["v1", "v2"])?;
    let front = space.plane().front()?;
    front.proxy().faults(Faults::none().rule(Rule::new(Fault::ResetAfter).method("PATCH").first(1)));
    let ran = Running::start(undo(&space, &front)?)?.end()?.expect(1);
    // It did go back, and nothing that it says tells so. Who tries again goes to v2.
    equal("where it is", space.version("deployments", "web")?.as_str(), "v1")?;
    ensure(!ran.out.contains("rolled back"), ran.to_string())?;
    space.until_rolled_out("deployments", "web")?;
    Running::start(undo(&space, &front)?)?.end()?.expect(0);
    equal("where it is then", space.version("deployments", "web")?.as_str(), "v2")
}

pub(super) async fn meanwhile() -> CaseResult {
    let space = space_for_kubectl()?;
    scenes::deploy(&space, &["v1", "bad"])?;
    let front = space.plane().front()?;
    let late = Fault::delay(Duration::from_secs(2));
    front.proxy().faults(Faults::none().rule(Rule::new(late).method("PATCH")));
    let running = Running::start(undo(&space, &front)?)?;
    rollback_tests::until("the patch to be on its way", || {
        asked(&front).iter().any(|asked| asked.starts_with("PATCH")).then_some(())
    })?;
    // Somebody deploys the fix.
    space.set_image("deployments", "web", "v3")?;
    running.end()?.expect(0);
    equal("where it is", space.version("deployments", "web")?.as_str(), "v1")
}
