//! What goes wrong on the way to the API server.

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::Site;
use rollback_tests::kubernetes::scenes;
use rollback_tests::kubernetes::{ControlPlane, Front};
use rollback_tests::proxy::{Answer, Fault, Faults, Rule};
use rollback_tests::servers::need;

use super::{BACK, BINARIES, Shop, configure, ran};

/// A shop at v2, asked about by a way on which things go wrong.
fn behind_a_front() -> Result<(Shop, Front<'static>), Failure> {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1", "v2"])?;
    let front = shop.space.plane().front()?;
    shop.is("deployment", &front.kubeconfig("admin")?)?;
    Ok((shop, front))
}

/// How often the Deployment was patched, by the generations that it went through since it was made and set to v2.
fn patches(shop: &Shop) -> Result<u64, Failure> {
    let web = shop.space.get("deployments", "web")?;
    Ok(web["metadata"]["generation"].as_u64().unwrap_or_default() - 2)
}

fn on_patches(fault: Fault, times: u64) -> Faults {
    Faults::none().rule(Rule::new(fault).method("PATCH").first(times))
}

pub(super) async fn lost_answer() -> CaseResult {
    let (shop, front) = behind_a_front()?;
    // The first is the rehearsal, which changes nothing.
    let real = Rule::new(Fault::ResetAfter).method("PATCH").path("*fieldManager=rollback").first(1);
    front.proxy().faults(Faults::none().rule(real));
    let ran = shop.run(BACK, 0)?;
    equal("what was injected", &front.proxy().counts()["reset after"], &1)?;
    equal("patches", &patches(&shop)?, &1)?;
    ensure(ran.out.contains("applied"), format!("{ran}"))?;
    shop.runs("deployments", "v1", 2)
}

pub(super) async fn lost_request() -> CaseResult {
    let (shop, front) = behind_a_front()?;
    let real = Rule::new(Fault::ResetBefore).method("PATCH").path("*fieldManager=rollback").first(1);
    front.proxy().faults(Faults::none().rule(real));
    shop.run(BACK, 0)?;
    equal("what was injected", &front.proxy().counts()["reset before"], &1)?;
    equal("patches", &patches(&shop)?, &1)?;
    shop.runs("deployments", "v1", 2)
}

pub(super) async fn busy() -> CaseResult {
    let (shop, front) = behind_a_front()?;
    let busy = Answer::kubernetes(429, "TooManyRequests").header("retry-after", "1");
    front.proxy().faults(on_patches(Fault::Answer(busy), 2));
    shop.run(BACK, 0)?;
    equal("patches", &patches(&shop)?, &1)?;
    shop.runs("deployments", "v1", 2)
}

/// Watches that are too old to go on, and reads that have to wait: what is looked at is asked for again, and nothing is sent twice.
pub(super) async fn gone() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["slow", "v2"])?;
    let front = shop.space.plane().front()?;
    shop.is("deployment", &front.kubeconfig("admin")?)?;
    let busy = Answer::kubernetes(429, "TooManyRequests").header("retry-after", "1");
    let faults = Faults::none()
        .rule(Rule::new(Fault::Answer(Answer::kubernetes_gone())).method("GET").path("*watch=true*").first(2))
        .rule(Rule::new(Fault::Answer(busy)).method("GET").path("*/pods?labelSelector=*").first(3));
    front.proxy().faults(faults);
    shop.run("run web --to version=slow --yes", 0)?;
    let counts = front.proxy().counts();
    equal("what was injected", &(counts["answer 200"], counts["answer 429"]), &(2, 3))?;
    equal("patches", &patches(&shop)?, &1)?;
    shop.runs("deployments", "slow", 2)
}

/// In the middle of a rollout: watches break, requests fail, and what was accepted goes on.
pub(super) async fn restarted() -> CaseResult {
    need(ControlPlane::shared())?;
    let mut plane = need(ControlPlane::start("k8s_driver"))?;
    let (site, path) = (Site::plain(BINARIES)?, {
        let space = plane.namespace()?;
        scenes::deploy(&space, &["slow", "v2"])?;
        space.path("deployments", "web")
    });
    let namespace =
        path.split('/').skip_while(|part| *part != "namespaces").nth(1).unwrap_or_default().to_owned();
    configure(&site, "deployment", &plane.kubeconfig("admin")?, &namespace)?;
    let running = site.start("run web --to version=slow --yes")?;
    // Until the patch was accepted.
    rollback_tests::until("the patch", || {
        let web = plane.ask("GET", &path, &serde_json::Value::Null).ok();
        web.is_some_and(|web| web["metadata"]["generation"] == 3).then_some(())
    })?;
    plane.restart_api_server()?;
    let ran_to_its_end = running.end()?;
    ensure(ran_to_its_end.code == Some(0), format!("{ran_to_its_end}"))?;
    let web = plane.ask("GET", &path, &serde_json::Value::Null)?;
    equal("patches", &web["metadata"]["generation"], &serde_json::json!(3))?;
    ran(&site, "status web", 0).map(drop)
}
