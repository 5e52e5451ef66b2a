//! What breaks in the middle of `up`: the end is bounded and honest, and whoever goes on afterwards brings it to the good version.

use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::hosts::{GOOD, Host, Setup};
use rollback_tests::{Running, pause, until};

use super::still::told;
use super::{Shop, neighbour};

/// The exit code where a person must look.
const STUCK: i32 = 6;
const RUN: &str = "run web --yes";
/// The same, and what the driver notes meanwhile.
const RUN_LOUDLY: &str = "run web --yes -vv";
/// What a host that does not answer may cost, however it is met.
const BOUND: Duration = Duration::from_secs(80);

/// A shop that gives a host up after seconds, and the command in the middle of `up` there.
fn begun() -> Result<(Shop, Running), Failure> {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    shop.with("ssh = { ", "ssh = { keepalive = \"1s\", connect_timeout = \"1s\", ")?;
    let running = shop.site.start(RUN_LOUDLY)?;
    under_way(&shop.bed.hosts[0])?;
    Ok((shop, running))
}

fn under_way(host: &Host) -> CaseResult {
    let jobs = host.path(".local/state/rollback/jobs");
    Ok(until("up to be under way", || {
        let mut all = std::fs::read_dir(&jobs).ok()?.flatten();
        all.any(|job| job.path().join("begun").exists()).then_some(())
    })?)
}

/// Whether the job has left its exit code.
fn ended(host: &Host) -> Result<bool, Failure> {
    let jobs = std::fs::read_dir(host.path(".local/state/rollback/jobs"))?;
    Ok(jobs.flatten().any(|job| job.path().join("rc").exists()))
}

/// The host freezes, and the command gives up by itself.
pub(super) async fn frozen() -> CaseResult {
    let (shop, running) = begun()?;
    let host = &shop.bed.hosts[0];
    let before = neighbour(host)?;
    host.freeze()?;
    let since = SystemClock.monotonic();
    let ran = running.end()?;
    let took = SystemClock.monotonic().saturating_sub(since);
    println!("a frozen host: {took:?}, exit code {:?}", ran.code);
    ensure(took < BOUND, format!("it took {took:?}: {ran}"))?;
    ensure(ran.code == Some(STUCK) && !ran.out.contains("restored"), format!("{ran}"))?;
    told(&ran, &["host0", "timed out", "then plan again"])?;
    host.thaw()?;
    // What was begun there goes on by itself, and comes to its end.
    until("the job to end", || ended(host).ok().filter(|ended| *ended).map(drop))?;
    shop.rests()?;
    shop.run(RUN, 0)?;
    equal("the neighbour", &neighbour(host)?, &before)?;
    shop.serves(GOOD)
}

/// The host freezes, and whoever waits for the command ends it; once the host is back, the run is taken up.
pub(super) async fn frozen_and_left() -> CaseResult {
    let (shop, mut running) = begun()?;
    let host = &shop.bed.hosts[0];
    let before = neighbour(host)?;
    host.freeze()?;
    let mut asked = host.begin_over_ssh("true")?;
    pause(Duration::from_secs(1));
    ensure(!asked.has_ended(), "it is not frozen")?;
    ensure(running.kill()? && !ended(host)?, "it was over before the host froze")?;
    host.thaw()?;
    shop.run("resume", 0)?;
    equal("the neighbour", &neighbour(host)?, &before)?;
    shop.serves(GOOD)
}

/// The SSH server's child for the connection is killed: another connection finds the job.
pub(super) async fn session_killed() -> CaseResult {
    let (shop, running) = begun()?;
    let host = &shop.bed.hosts[0];
    let before = neighbour(host)?;
    host.end_sessions()?;
    let ran = running.end()?;
    ensure(ran.code == Some(0), format!("{ran}"))?;
    told(&ran, &["restored", "the connection was lost"])?;
    equal("the neighbour", &neighbour(host)?, &before)?;
    shop.serves(GOOD)?;
    // Nothing was run twice.
    let jobs = std::fs::read_dir(host.path(".local/state/rollback/jobs"))?.count();
    equal("jobs", &jobs, &1)
}

/// The daemon is stopped. It is said so, and nothing is claimed; once it runs again the good version is brought up.
pub(super) async fn daemon_stopped() -> CaseResult {
    let (shop, running) = begun()?;
    let host = &shop.bed.hosts[0];
    host.stop_docker()?;
    let ran = running.end()?;
    ensure(ran.code == Some(STUCK) && !ran.out.contains("restored"), format!("{ran}"))?;
    told(&ran, &["host0: ", "Cannot connect to the Docker daemon", "then plan again"])?;
    host.start_docker()?;
    shop.rests()?;
    shop.run(RUN, 0)?;
    shop.serves(GOOD)
}
