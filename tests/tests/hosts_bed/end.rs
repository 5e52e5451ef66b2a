//! Hosts share nothing that they should not, and leave nothing behind.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::hosts::{BAD, Bed, Compose, GOOD, Setup};
use rollback_tests::servers::need;
use rollback_tests::{Result, Running, pause, until};

use super::{runs, say};

/// Set where this program is a test that starts hosts and is killed.
pub(super) const OWN: &str = "ROLLBACK_TEST_OWN_HOSTS";

pub(super) async fn apart() -> CaseResult {
    let bed = need(Bed::start(Setup::hosts(2).compose_each(&[Compose::Both, Compose::None])))?;
    let [one, other] = &bed.hosts[..] else { return ensure(false, "there are not two") };
    runs(&bed, one, GOOD, 200)?;
    equal("containers of the other", &other.containers()?.len(), &0)?;
    for (host, works) in [(one, true), (other, false)] {
        for program in ["docker compose version", "docker-compose version"] {
            let ran = host.over_ssh(program)?;
            let is_there = ran.code == Some(0) && ran.out.to_lowercase().contains("compose version");
            equal(program, &is_there, &works)?;
        }
        equal("its name", &host.over_ssh("hostname")?.expect(0).out.trim(), &host.name())?;
        let all = host.over_ssh("ps -e -o args")?.expect(0).out;
        equal("SSH servers", &all.lines().filter(|line| line.contains("[listener]")).count(), &1)?;
        equal("who it is", &host.over_ssh("id -un; id -Gn")?.out.as_str(), &"deploy\ndeploy docker\n")?;
        let ran = host.over_ssh("touch /run/x /etc/x; ls /root /run/bed")?;
        ensure(ran.code != Some(0), "the user may do everything")?;
    }
    fs::write(one.path("mine"), "")?;
    ensure(!other.path("mine").exists(), "one home for both")
}

/// How many hosts one machine has: `ROLLBACK_HOSTS=50` for as many as a fleet.
pub(super) async fn shared() -> CaseResult {
    let count = std::env::var("ROLLBACK_HOSTS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let began = SystemClock.monotonic();
    let bed = need(Bed::start(Setup::shared(count)))?;
    let took = SystemClock.monotonic().saturating_sub(began);
    let first = &bed.hosts[0];
    say(first, format!("{count} hosts on one machine were up after {took:?}"));
    first.deploy(BAD)?;
    runs(&bed, first, BAD, 500)?;
    for (index, host) in bed.hosts.iter().enumerate() {
        equal("its project", &host.project(), &format!("app{index}").as_str())?;
        equal("its containers", &host.containers()?.len(), &2)?;
        if index > 0 {
            runs(&bed, host, GOOD, 200)?;
        }
        let seen = host.over_ssh("cd app && cat .env && pwd")?.expect(0).out;
        ensure(seen.contains(&format!("app{index}\n")) && seen.contains("/home/deploy/app"), seen)?;
    }
    Ok(())
}

/// What the hosts of a process are called, up to their numbers.
fn hosts_of(process: u32) -> String {
    format!("rb-host-{process}-")
}

/// The control groups, folders and namespaces that hosts have whose names begin so.
fn traces(name: &str) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    let groups = fs::read_dir("/sys/fs/cgroup")?.flatten().map(|entry| entry.path());
    for folder in groups.chain([PathBuf::from("/sys/fs/cgroup"), std::env::temp_dir()]) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(name));
        found.extend(ours.map(|entry| entry.path().display().to_string()));
    }
    // What runs there has that in its arguments, one way or another.
    let listed = Command::new("ps").args(["-e", "-o", "args"]).output()?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    found.extend(listed.lines().filter(|line| line.contains(name)).map(str::to_owned));
    Ok(found)
}

pub(super) async fn dropped() -> CaseResult {
    // Others of this process have theirs: what is looked at is a folder of this one.
    let bed = need(Bed::start(Setup::hosts(1)))?;
    let config = bed.ssh_config();
    let folder = config.parent().and_then(|client| client.parent()).ok_or("it has no folder")?.to_owned();
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let began = SystemClock.monotonic();
    drop(bed);
    println!("dropped in {:?}", SystemClock.monotonic().saturating_sub(began));
    // On a busy machine the kernel takes its time with control groups, and what removes them goes on by itself.
    let left = || traces(&name);
    let gone = until("the end of everything", || left().ok().filter(Vec::is_empty));
    ensure(gone.is_ok() && !folder.exists(), format!("left: {:?}", left()?))
}

/// A test that starts hosts, says so, and is killed while it waits.
pub(super) fn own() -> ExitCode {
    let bed = match Bed::start(Setup::hosts(1)) {
        Ok(bed) => bed,
        Err(error) => {
            eprintln!("no hosts: {error}");
            return ExitCode::FAILURE;
        }
    };
    eprintln!("ready");
    pause(Duration::from_secs(120));
    drop(bed);
    ExitCode::SUCCESS
}

pub(super) async fn killed() -> CaseResult {
    // Ignored where they are missing.
    drop(need(Bed::start(Setup::hosts(1).empty()))?);
    let mut command = Command::new(std::env::current_exe()?);
    command.env(OWN, "1");
    let mut owner = Running::start(command)?;
    owner.until_said("ready")?;
    let name = hosts_of(owner.pid());
    ensure(!traces(&name)?.is_empty(), "nothing is found of what runs")?;
    owner.kill()?;
    let gone = until("the end of everything", || traces(&name).ok().filter(Vec::is_empty));
    ensure(gone.is_ok(), format!("left: {:?}", traces(&name)?))
}
