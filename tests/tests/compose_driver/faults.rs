//! What goes wrong on hosts, and on the way to them.

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::hosts::{BAD, CRASHING, GOOD, Setup};
use rollback_tests::{Ran, until};

use super::still::{Still, told};
use super::{Shop, neighbour};

pub(super) async fn without_the_registry() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    shop.bed.registry.front().down();
    shop.run("run web --yes", 0)?;
    shop.serves(GOOD)
}

/// The destination crashes on the first host: the second keeps what it has.
pub(super) async fn crashing() -> CaseResult {
    let shop = Shop::new(Setup::hosts(2), "")?;
    shop.bed.each(|host| host.deploy(CRASHING))?;
    let digest = shop.bed.registry.digest("backend", CRASHING)?;
    let revision = digest.trim_start_matches("sha256:").get(..12).unwrap_or_default().to_owned();
    // Going to what is there already and fails is no way.
    until("it to be called failed", || {
        let ran = shop.site.run(&format!("run web --to revision={revision} --yes")).ok()?;
        ran.to_string().contains("is what it runs already, and that fails: ").then_some(())
    })?;
    shop.bed.each(|host| host.deploy(BAD))?;
    let second = Still::of(&shop)?.on("host1");
    let back = format!("run web --to revision={revision} --yes");
    let ran = shop.site.run(&back)?;
    // Partly there, and said so: nobody else is blamed for it.
    ensure(ran.code == Some(5), format!("{ran}"))?;
    told(&ran, &["it wrote last: ", "there is no configuration", "nothing was done on host1"])?;
    ended(&ran)?;
    equal("the second host", &Still::of(&shop)?.on("host1"), &second)?;
    // Whoever does not want logs in reports says so.
    shop.bed.hosts[0].deploy(BAD)?;
    shop.is("show_logs = false\n")?;
    let ran = shop.site.run(&back)?;
    ended(&ran)?;
    ensure(!ran.to_string().contains("there is no configuration"), format!("{ran}"))
}

/// That a report says how something ended; docker forgets the exit code for the moments in which it runs again.
fn ended(ran: &Ran) -> CaseResult {
    let ways = ["ends with exit code 1", "was started again, "];
    ensure(ways.iter().any(|way| ran.to_string().contains(way)), format!("{ran}"))
}

/// The command is killed in the middle of `up`; whoever resumes the run finds it finished, and does not repeat it.
pub(super) async fn killed() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    let mut running = shop.site.start("run web --yes")?;
    until("up to be under way", || {
        let jobs = host.run("ls ~/.local/state/rollback/jobs 2>/dev/null").ok()?;
        (!jobs.out.trim().is_empty()).then_some(())
    })?;
    running.kill()?;
    host.until_answers(200, GOOD)?;
    let made = host.containers()?;
    shop.run("resume", 0)?;
    shop.serves(GOOD)?;
    let ids =
        |all: &[rollback_tests::servers::Container]| all.iter().map(|one| one.id.clone()).collect::<Vec<_>>();
    equal("the containers", &ids(&host.containers()?), &ids(&made))
}

/// In the middle of `up` every connection is cut, and none comes about for a while.
pub(super) async fn cut() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    let (before, running) = (neighbour(host)?, shop.site.start("run web --yes")?);
    until("up to be under way", || {
        let jobs = host.run("ls ~/.local/state/rollback/jobs 2>/dev/null").ok()?;
        (!jobs.out.trim().is_empty()).then_some(())
    })?;
    host.front().cut();
    let ran = running.end()?;
    ensure(ran.code == Some(0), format!("{ran}"))?;
    equal("the neighbour", &neighbour(host)?, &before)?;
    shop.serves(GOOD)
}
