//! Where kubectl fails its users, with what comes of it here.

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::Site;
use rollback_tests::kubernetes::ControlPlane;
use rollback_tests::kubernetes::scenes::{self, Scene};
use rollback_tests::servers::need;
use serde_json::Value;

use super::{BACK, BINARIES, Shop, UNHEALTHY, configure, ran};

/// What the plan has to say where what deploys will have to be changed as well.
fn warns_of(scene: Scene) -> Option<&'static str> {
    match scene {
        Scene::ServerSideApply => Some("server-side-apply"),
        Scene::ClientSideApply => Some("managed-by-kubectl-apply"),
        _ => None,
    }
}

/// Those that are about which release is meant, and what else is touched.
pub(super) async fn all() -> CaseResult {
    let mut table = String::from("scene | kubectl | rollback\n");
    for scene in Scene::all().into_iter().filter(|scene| *scene != Scene::PreviousIsBad) {
        let shop = Shop::new()?;
        let kind = if scene.resource() == "statefulsets" { "statefulset" } else { "deployment" };
        shop.is(kind, &shop.space.plane().kubeconfig("admin")?)?;
        scene.prepare(&shop.space)?;
        let codes = findings(&shop)?;
        shop.run(BACK, 0)?;
        let facts = scene.facts(&shop.space)?;
        table.push_str(&format!("{scene:?} | {} | {facts}\n", scene.by_kubectl()));
        match warns_of(scene) {
            // What a tool applies next is its own business: it can only be said beforehand.
            Some(code) => {
                equal(&format!("{scene:?}"), &facts["version"], &scene.wanted()["version"])?;
                ensure(
                    codes.iter().any(|found| found == code),
                    format!("{scene:?}: no {code} in {codes:?}"),
                )?;
            }
            None => equal(&format!("{scene:?}"), &facts, &scene.wanted())?,
        }
    }
    println!("{table}");
    Ok(())
}

/// The codes of what a plan finds.
fn findings(shop: &Shop) -> Result<Vec<String>, Failure> {
    let ran = shop.run("plan web --to previous --output json", 0)?;
    let told: Value = serde_json::from_str(&ran.out)?;
    let found = told.pointer("/plan/plan/components/web/findings").and_then(Value::as_array);
    let found = found.map_or(&[][..], Vec::as_slice);
    Ok(found.iter().filter_map(|one| one["code"].as_str().map(str::to_owned)).collect())
}

/// Kubernetes keeps no memory of what was good. Whoever deploys can say it.
pub(super) async fn last_good() -> CaseResult {
    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["v1"])?;
    shop.run("record web --good", 0)?;
    for version in ["bad1", "bad2"] {
        shop.space.set_image("deployments", "web", version)?;
        scenes::seen(&shop.space, "deployments")?;
    }
    shop.run("run web --yes", 0)?;
    equal("what came of it", &Scene::PreviousIsBad.facts(&shop.space)?, &Scene::PreviousIsBad.wanted())
}

/// Ready, and crashing four seconds later: `rollout status` has said long before that all is well.
pub(super) async fn decays() -> CaseResult {
    let kubectls = Shop::new()?;
    scenes::deploy(&kubectls.space, &["decay", "v2"])?;
    kubectls.space.kubectl(&["rollout", "undo", "deployment/web"])?.expect(0);
    let content = kubectls.space.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"])?;
    ensure(content.out.contains("successfully rolled out"), format!("{content}"))?;
    content.expect(0);

    let shop = Shop::new()?;
    scenes::deploy(&shop.space, &["decay", "v2"])?;
    let ran = shop.run(&format!("{BACK} --soak 30s"), UNHEALTHY)?;
    ensure(ran.out.contains("soak"), format!("{ran}"))?;
    ensure(ran.out.contains("CrashLoopBackOff") || ran.out.contains("was started again"), format!("{ran}"))?;

    let well = Shop::new()?;
    scenes::deploy(&well.space, &["v1", "v2"])?;
    let ran = well.run(&format!("{BACK} --soak 6s"), 0)?;
    ensure(ran.out.contains("again after 6s"), format!("{ran}"))?;
    // It has earned being the last good one.
    well.space.set_image("deployments", "web", "bad")?;
    scenes::seen(&well.space, "deployments")?;
    well.run("run web --yes", 0)?;
    equal("what it is set to", &well.space.version("deployments", "web")?.as_str(), &"v1")
}

/// kubectl goes back to v1 here, because the controllers have not numbered the bad release yet.
pub(super) async fn lag() -> CaseResult {
    need(ControlPlane::shared())?;
    let plane = need(ControlPlane::start("k8s_driver"))?;
    let space = plane.namespace()?;
    let site = Site::plain(BINARIES)?;
    configure(&site, "deployment", &plane.kubeconfig("admin")?, space.name())?;
    let frozen = scenes::deploy_behind_the_controllers(&plane, &space)?;
    let planned = site.run("plan web --to previous --output json")?;
    drop(frozen);
    let told: Value = serde_json::from_str(&planned.out)?;
    let to = told.pointer("/plan/plan/components/web/to/info/version");
    ensure(to.is_none_or(|to| *to == "v2"), format!("it is misled: {planned}"))?;
    scenes::seen(&space, "deployments")?;
    ran(&site, BACK, 0)?;
    equal("what it is set to", &space.version("deployments", "web")?.as_str(), &"v2")
}
