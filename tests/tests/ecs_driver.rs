//! The command with the ECS driver, where tasks are containers: what it says runs is what Docker says runs.

use std::process::ExitCode;

use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::automatic::{self, LASTING};
use rollback_tests::ecs_bed::{BROKEN, CRASHING, EcsBed, EcsService, MISSING};
use rollback_tests::proxy::{Fault, Faults, Proxy, Rule};
use rollback_tests::servers::need;
use rollback_tests::{Binaries, Ran, Running, Site, until};

const BINARIES: Binaries = rollback_tests::binaries!();
const RUN: &str = "run web --to previous --yes";
/// The exit code of a run that did not get there.
const FAILED: i32 = 4;
/// The exit code of a run that was not begun.
const REFUSED: i32 = 3;

fn main() -> ExitCode {
    Suite::new("ecs-driver")
        .case("a_bad_version_goes_back_to_the_one_before", true, back)
        .case("a_rollout_that_crashes_is_taken_back", true, crashing)
        .case("what_ecs_took_back_by_itself_is_told_as_what_runs", true, by_itself)
        .case("going_back_to_what_crashes_is_told_when_ecs_gives_up", true, to_crashing)
        .case("going_back_to_an_image_that_is_missing_is_told_when_ecs_gives_up", true, to_missing)
        .case("killed_before_ecs_was_asked_and_resumed", true, || killed(Fault::Hang))
        .case("killed_after_ecs_did_it_and_resumed", true, || killed(Fault::HangAfter))
        .case("an_answer_that_is_lost_is_not_asked_for_again", true, lost)
        .case("killed_at_any_line_and_resumed", true, any_line)
        .case("a_release_that_answers_badly_is_rolled_back_by_itself", true, answers_badly)
        .case("a_release_that_crashes_is_rolled_back_by_itself", true, crashes)
        .case("a_pipeline_that_guards_its_deploy_is_told_that_it_was_taken_back", true, guarded)
        .run()
}

/// A service, and somebody's machine with the command.
struct Shop {
    service: EcsService,
    proxy: Proxy,
    site: Site,
}

impl Shop {
    /// At v1.
    fn new() -> Result<Self, Failure> {
        let bed = need(EcsBed::shared())?;
        let service = bed.service(1)?;
        let proxy = Proxy::http(("127.0.0.1", bed.ministack().server().port()))?;
        let environment = service.account().behind(proxy.port()).environment();
        let site = Site::plain(BINARIES)?.with_environment(environment);
        site.write_configuration(&format!(
            "[components.web]\ndriver = \"ecs\"\ncluster = \"{}\"\nservice = \"{}\"\n",
            service.cluster(),
            service.name()
        ))?;
        Ok(Self { service, proxy, site })
    }

    /// At v2, with v1 before it.
    fn at_v2() -> Result<Self, Failure> {
        let shop = Self::new()?;
        shop.deploy_v2()?;
        Ok(shop)
    }

    fn deploy_v2(&self) -> CaseResult {
        self.service.deploy("v2")?;
        Ok(self.service.until_rolled_out("v2")?)
    }

    fn run(&self, line: &str, code: i32) -> Result<Ran, Failure> {
        let ran = self.site.run(line)?;
        ensure(ran.code == Some(code), format!("{line}: {ran}"))?;
        Ok(ran)
    }

    /// Nothing but `version` runs, and it answers. Nothing is waited for.
    fn runs(&self, version: &str) -> CaseResult {
        equal("what runs", &self.service.running_images()?, &vec![version.to_owned()])?;
        equal("what answers", &self.service.answer().as_deref(), &Some(version))
    }

    /// How often ECS took an update from the command.
    fn updates(&self) -> usize {
        let log = self.proxy.log();
        let taken = |operation: &Option<String>| operation.as_deref() == Some("UpdateService");
        log.iter().filter(|exchange| taken(&exchange.operation) && exchange.status.is_some()).count()
    }
}

fn says(ran: &Ran, texts: &[&str]) -> CaseResult {
    let said = format!("{}\n{}", ran.out, ran.err);
    texts.iter().try_for_each(|text| ensure(said.contains(text), format!("{text:?} is not said: {ran}")))
}

async fn back() -> CaseResult {
    let shop = Shop::at_v2()?;
    says(&shop.run("status", 0)?, &["2 (v2)", "settled"])?;
    let ran = shop.run(RUN, 0)?;
    says(&ran, &["web: restored: 1 (v1) runs on 1 part, proven", "compared 1 running tasks"])?;
    shop.runs("v1")?;
    equal("updates", &shop.updates(), &1)?;
    let told = shop.service.describe()?;
    equal("its count", &told["desiredCount"].as_u64(), &Some(1))?;
    // Once more: it is there already.
    says(&shop.run("run web --to revision=1 --yes", 0)?, &["1 (v1)"])?;
    equal("updates", &shop.updates(), &1)
}

/// Without a circuit breaker ECS goes on trying, and the one before goes on running.
async fn crashing() -> CaseResult {
    let shop = Shop::new()?;
    shop.service.circuit_breaker(false)?;
    shop.service.deploy(CRASHING)?;
    let crashed = || shop.service.tasks("STOPPED").is_ok_and(|tasks| tasks.len() > 2).then_some(());
    until("tasks that crashed", crashed)?;
    says(&shop.run("status", 0)?, &["1 (v1) → 2 (crashing)", "ended with 1"])?;
    says(&shop.run("run web --to revision=1 --yes", 0)?, &["restored: 1 (v1) runs on 1 part, proven"])?;
    shop.runs("v1")?;
    equal("updates", &shop.updates(), &1)
}

/// ECS went back before anybody asked for it.
async fn by_itself() -> CaseResult {
    let shop = Shop::at_v2()?;
    shop.service.crash(CRASHING, "v2")?;
    let told = shop.run("status", 0)?;
    says(&told, &["2 (v2)", "settled"])?;
    ensure(!told.out.contains("crashing"), format!("{told}"))?;
    shop.runs("v2")?;
    equal("updates", &shop.updates(), &0)
}

async fn to_crashing() -> CaseResult {
    given_up(CRASHING)
}

async fn to_missing() -> CaseResult {
    given_up(MISSING)
}

/// Goes to a version that ECS gives up: it is said that it did, with its reason, and what runs instead.
fn given_up(bad: &str) -> CaseResult {
    let shop = Shop::new()?;
    shop.service.register(bad)?;
    shop.service.deploy("v2")?;
    shop.service.until_rolled_out("v2")?;
    if bad == MISSING {
        // It is not even tried, unless somebody is in such a hurry that this is looked up beside it.
        let refused = shop.run("run web --to revision=2 --yes", REFUSED)?;
        says(&refused, &["artifact-missing", "rollback history shows them"])?;
        equal("updates", &shop.updates(), &0)?;
    }
    let ran = shop.run("run web --to revision=2 --yes --urgent", FAILED)?;
    says(&ran, &["goes back by itself", "circuit breaker", "3 (v2) still runs, proven"])?;
    shop.runs("v2")?;
    equal("updates", &shop.updates(), &1)
}

/// Starts a run and kills it when its update hangs.
fn cut_off(shop: &Shop, fault: &Fault) -> CaseResult {
    shop.proxy.faults(Faults::none().rule(Rule::new(fault.clone()).operation("UpdateService")));
    let mut running = shop.site.start(RUN)?;
    let is_held = |operation: &Option<String>| operation.as_deref() == Some("UpdateService");
    let sent = || {
        let log = shop.proxy.log();
        let held = log.iter().find(|exchange| is_held(&exchange.operation))?;
        (*fault == Fault::Hang || held.status.is_some()).then_some(())
    };
    until("the update", sent)?;
    running.kill()?;
    shop.proxy.faults(Faults::none());
    Ok(())
}

async fn killed(fault: Fault) -> CaseResult {
    let fault = &fault;
    let shop = Shop::at_v2()?;
    cut_off(&shop, fault)?;
    ensure(shop.site.runs()?[0]["state"].is_null(), "the run has ended")?;
    says(&shop.run("resume", 0)?, &["restored: 1 (v1) runs on 1 part, proven"])?;
    shop.runs("v1")?;
    equal("updates", &shop.updates(), &1)
}

/// The connection ends when ECS has taken the update: it is looked up, not sent again.
async fn lost() -> CaseResult {
    let shop = Shop::at_v2()?;
    let lost = Rule::new(Fault::ResetAfter).operation("UpdateService").first(1);
    shop.proxy.faults(Faults::none().rule(lost));
    says(&shop.run(RUN, 0)?, &["restored: 1 (v1) runs on 1 part, proven"])?;
    shop.runs("v1")?;
    equal("lost", &shop.proxy.counts().get("reset after"), &Some(&1))?;
    equal("updates", &shop.updates(), &1)
}

async fn any_line() -> CaseResult {
    let shop = Shop::new()?;
    // Started, guarded, about to send, sent, settling.
    for line in [1, 3, 5, 6, 7] {
        shop.deploy_v2()?;
        let before = shop.updates();
        let mut running: Running = shop.site.start("run web --to revision=1 --yes")?;
        for _ in 0..line {
            ensure(running.line().is_some(), format!("it said less than {line} lines"))?;
        }
        running.kill()?;
        shop.run("resume", 0)?;
        shop.runs("v1")?;
        // One that the kill cut off from its answer counts as not taken here: that it was done is seen by what runs.
        let updates = shop.updates() - before;
        ensure(updates <= 1, format!("{updates} updates when killed at line {line}"))?;
    }
    Ok(())
}

/// A service at v2, with a watcher beside it.
fn watched(triggers: impl FnOnce(&Shop) -> String) -> Result<(Shop, Running), Failure> {
    let shop = Shop::at_v2()?;
    automatic::watched(&shop.site, &triggers(&shop))?;
    automatic::record(&shop.site)?;
    // The emulator loads what it has of a registry and of autoscaling when it is asked first, which takes it three to seven seconds.
    shop.run("plan web --to previous", 0)?;
    let watcher = automatic::watch(&shop.site)?;
    Ok((shop, watcher))
}

/// For ECS it is well: its tasks run. A watcher sees that they answer 404, and nobody touches anything.
async fn answers_badly() -> CaseResult {
    let probe =
        |shop: &Shop| format!("{{ kind = \"http\", url = \"http://127.0.0.1:{}/\" }}", shop.service.port());
    let (shop, watcher) = watched(|shop| automatic::outage(&probe(shop)))?;
    shop.service.deploy(BROKEN)?;
    let (incident, _) = automatic::ended(&shop.site, "ECS, HTTP 404", watcher)?;
    automatic::detected_in_time(&incident, "outage", LASTING)?;
    equal("updates", &shop.updates(), &1)?;
    shop.runs("v2")
}

/// No circuit breaker watches, and ECS starts for ever what ends at once.
async fn crashes() -> CaseResult {
    let (shop, watcher) = watched(|_| automatic::DEPLOY.to_owned())?;
    shop.service.circuit_breaker(false)?;
    shop.service.deploy(CRASHING)?;
    let (incident, _) = automatic::ended(&shop.site, "ECS, a crash", watcher)?;
    automatic::detected_in_time(&incident, "deploy", automatic::FAILING)?;
    let told = incident["detail"].as_str().unwrap_or_default();
    ensure(told.contains("failed one after the other"), format!("it is not told what was seen: {told}"))?;
    shop.runs("v2")
}

/// As a pipeline does it: it records what it deployed, and guards it.
async fn guarded() -> CaseResult {
    let shop = Shop::at_v2()?;
    let probe = format!("{{ kind = \"http\", url = \"http://127.0.0.1:{}/\" }}", shop.service.port());
    automatic::watched(&shop.site, &automatic::outage(&probe))?;
    automatic::record(&shop.site)?;
    shop.service.deploy(BROKEN)?;
    let all_run_it = || (shop.service.running_images().ok()? == [BROKEN]).then_some(());
    until("the broken version to run", all_run_it)?;
    shop.run("record web --pending --commit abc123d --by ci", 0)?;
    let ran = shop.run("guard web --for 30s", 10)?;
    says(&ran, &["restored", "P0 outage"])?;
    says(&shop.run(&format!("allowed {BROKEN}"), REFUSED)?, &["must not ship"])?;
    shop.runs("v2")
}
