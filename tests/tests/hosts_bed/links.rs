//! What happens when the connection breaks.

use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::hosts::{BAD, Bed, GOOD, Host, Setup};
use rollback_tests::servers::need;
use rollback_tests::{Result, pause, until};

use super::{both, on_each, runs, say};

/// What there is of the project: names and states.
fn states(host: &Host) -> Result<Vec<String>> {
    Ok(host.containers()?.iter().map(|found| format!("{} {}", found.name, found.state)).collect())
}

/// Waits until the backend has begun to go.
fn until_going(host: &Host) -> Result<()> {
    until("the backend to go", || {
        let all = host.containers().ok()?;
        let runs = all.iter().any(|found| found.name.contains("backend") && found.state == "running");
        (!runs).then_some(())
    })
}

/// How many processes of compose are on the host.
fn composing(host: &Host) -> Result<bool> {
    let ran = host.run("ps -eo args | grep -c '[d]ocker-compose\\|[c]ompose-v1'")?;
    Ok(ran.out.trim() != "0")
}

pub(super) async fn cut() -> CaseResult {
    let bed = both()?;
    on_each(&bed, |host| {
        let compose = host.compose_command();
        let running = host.begin_over_ssh(&format!("cd app && {compose} down && {compose} up -d"))?;
        until_going(host)?;
        host.front().cut();
        ensure(running.end()?.code != Some(0), "the client did not notice")?;
        until("compose to end", || (!composing(host).ok()?).then_some(()))?;
        pause(Duration::from_secs(1));
        say(host, format!("cut during down && up: {:?}, {:?}", states(host)?, host.answer()));
        let alive = host.containers()?.iter().filter(|found| found.state == "running").count();
        // v2 has stopped both before it hears of it, v1 perhaps one.
        ensure(alive < 2, "everything runs")?;
        equal("who answers", &host.answer(), &None)?;
        host.compose("up -d")?.expect(0);
        runs(&bed, host, GOOD, 200)?;
        Ok(())
    })
}

pub(super) async fn detached() -> CaseResult {
    let bed = both()?;
    on_each(&bed, |host| {
        let compose = host.compose_command();
        let work = format!("{compose} down && {compose} up -d; echo $? > rc.new; mv rc.new rc");
        let script = format!("cd app && setsid sh -c '{work}' > log 2>&1 < /dev/null");
        let running = host.begin_over_ssh(&script)?;
        until_going(host)?;
        host.front().cut();
        ensure(running.end()?.code != Some(0), "the client did not notice")?;
        let code = until("its exit code", || std::fs::read_to_string(host.path("app/rc")).ok())?;
        equal("its exit code", &code.trim(), &"0")?;
        runs(&bed, host, GOOD, 200)?;
        let log = host.over_ssh("cat app/log")?.expect(0).out;
        say(host, format!("under setsid: {:?}, {} bytes of log", states(host)?, log.len()));
        ensure(!log.is_empty(), "there is no log")?;
        Ok(())
    })
}

/// Killed at different moments; afterwards the same command puts it right.
pub(super) async fn interrupted() -> CaseResult {
    let bed = both()?;
    on_each(&bed, |host| {
        let mut left = Vec::new();
        for (moment, version) in [(150, BAD), (350, GOOD), (500, BAD), (700, GOOD), (900, BAD)] {
            host.pull(version)?;
            let up = format!("{} up -d --no-deps backend", host.compose_command());
            host.run(&format!("timeout -s KILL 0.{moment:03} {up}"))?;
            left.push(format!("after {moment} ms: {:?}", states(host)?));
            host.run(&up)?.expect(0);
            runs(&bed, host, version, if version == GOOD { 200 } else { 500 })?;
            let names: Vec<_> = host.containers()?.into_iter().map(|found| found.name).collect();
            equal("containers", &names.len(), &2)?;
        }
        say(host, format!("interrupted: {}", left.join("; ")));
        Ok(())
    })
}

pub(super) async fn way() -> CaseResult {
    let bed = need(Bed::start(Setup::hosts(1).empty()))?;
    let host = &bed.hosts[0];
    let took = |script: &str| {
        let began = SystemClock.monotonic();
        host.over_ssh(script).map(|ran| (ran.code, SystemClock.monotonic().saturating_sub(began)))
    };
    // The quickest of some: what else the machine does is no part of the way.
    let quickest = || -> Result<_> {
        let mut all = (0..3).map(|_| took("true")).collect::<Result<Vec<_>>>()?;
        all.sort_by_key(|(_, time)| *time);
        all.into_iter().next().ok_or_else(|| "none was timed".into())
    };
    let near = quickest()?;
    host.front().latency(Duration::from_millis(40));
    let far = quickest()?;
    host.front().latency(Duration::ZERO);
    say(host, format!("ssh true: {:?}, with 40 ms each way {:?}", near.1, far.1));
    equal("exit codes", &(near.0, far.0), &(Some(0), Some(0)))?;
    ensure(far.1 > near.1 + Duration::from_millis(300), "it is not far away")?;

    // Begun before, it hears nothing until it thaws; what it does on the host goes on.
    let mut running = host.begin_over_ssh("echo begun >&2; sleep 0.3; touch done; echo ended")?;
    running.until_said("begun")?;
    host.front().freeze();
    until("the remote end", || host.path("done").exists().then_some(()))?;
    pause(Duration::from_millis(200));
    ensure(!running.has_ended(), "it heard of it")?;
    host.front().thaw();
    let ran = running.end()?.expect(0);
    equal("what it says", &ran.out.trim(), &"ended")?;

    host.front().down();
    equal("a closed way", &took("true")?.0, &Some(255))?;
    host.front().up();
    let running = host.begin_over_ssh("echo begun >&2; sleep 60")?;
    running.until_said("begun")?;
    host.end_sessions()?;
    equal("a session that was killed", &running.end()?.code, &Some(255))?;
    equal("another", &took("true")?.0, &Some(0))
}
