//! What else goes wrong: the registry, the disk, the daemon.

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::hosts::{BAD, Bed, GOOD, OLDER, Setup};
use rollback_tests::servers::need;
use rollback_tests::{Result, until};

use super::{runs, say};

pub(super) async fn registry() -> CaseResult {
    let bed = need(Bed::start(Setup::hosts(1)))?;
    let host = &bed.hosts[0];
    let name = bed.registry.repository("backend");
    let pull = |what: &str| host.run(&format!("docker pull -q {name}{what}"));

    let digest = bed.registry.digest("backend", OLDER)?;
    pull(&format!("@{digest}"))?.expect(0);
    let tags = host.run(&format!("docker images -q {name}:{OLDER}"))?;
    equal("a pull by digest makes no tag", &tags.out, &String::new())?;

    bed.registry.front().down();
    let ran = pull(":v2")?;
    say(host, format!("without a registry: {:?}, {}", ran.code, ran.err.trim()));
    ensure(ran.code != Some(0), "it pulled from nowhere")?;
    bed.registry.front().up();

    bed.registry.delete("backend", BAD)?;
    pull(":v2")?.says("not found");
    bed.registry.restore("backend", BAD)?;
    pull(":v2")?.expect(0);

    host.log_out()?;
    pull(":sick")?.says("no basic auth credentials");
    host.log_in()?;
    pull(":sick")?.expect(0);
    runs(&bed, host, GOOD, 200)
}

pub(super) async fn disk() -> CaseResult {
    let bed = need(Bed::start(Setup::hosts(1).deployed(BAD)))?;
    let host = &bed.hosts[0];
    let name = bed.registry.repository("backend");
    host.fill_disk()?;
    let ran = host.run(&format!("docker pull -q {name}:{GOOD}"))?;
    say(host, format!("a full disk: {:?}, {}", ran.code, ran.err.trim()));
    ensure(ran.code != Some(0), "there was room for an image")?;
    let ran = host.run("echo more > more")?;
    ensure(ran.code != Some(0), "there was room for a file")?;
    runs(&bed, host, BAD, 500)?;
    host.free_disk()?;
    host.deploy(GOOD)?;
    runs(&bed, host, GOOD, 200)
}

pub(super) async fn daemon() -> CaseResult {
    let bed = need(Bed::start(Setup::hosts(1)))?;
    let host = &bed.hosts[0];
    host.stop_docker()?;
    equal("who answers", &host.answer(), &None)?;
    host.start_docker()?;
    // Its containers start with it, unless somebody stopped them.
    runs(&bed, host, GOOD, 200)?;

    let states = || -> Result<Vec<_>> {
        Ok(host.containers()?.iter().map(|found| format!("{} {}", found.name, found.state)).collect())
    };
    host.kill_docker()?;
    ensure(host.compose("ps")?.code != Some(0), "compose asked nobody")?;
    host.start_docker()?;
    // It takes its own stop for somebody's: they stay as they are.
    let stopped = until("its containers to be stopped", || {
        states().ok().filter(|states| states.iter().all(|state| state.ends_with("exited")))
    })?;
    say(host, format!("the daemon was killed and started: {stopped:?}"));
    host.compose("up -d")?.expect(0);
    runs(&bed, host, GOOD, 200)
}
