//! What compose does.

use std::time::Duration;

use rollback_testkit::harness::{CaseResult, ensure, equal};
use rollback_tests::Result;
use rollback_tests::hosts::{BAD, Bed, CRASHING, Compose, GOOD, Host, OLDER, SICK, STUBBORN, Seen, Setup};
use rollback_tests::servers::need;
use rollback_tests::until;

use super::{both, on_each, runs, say};

/// What people would write to pin a service.
fn pin(bed: &Bed, host: &Host, version: &str) -> Result<()> {
    let image =
        format!("{}@{}", bed.registry.repository("backend"), bed.registry.digest("backend", version)?);
    let text = format!("services:\n  backend:\n    image: {image}\n");
    std::fs::write(host.path("app/pin.yml"), text)?;
    host.run(&format!("docker pull -q {image}"))?.expect(0);
    Ok(())
}

const PINNED_UP: &str = "-f docker-compose.yml -f pin.yml up -d --no-deps backend";

/// The state and the restarts of the backend's container.
fn state(host: &Host) -> Result<String> {
    let health = "{{if .State.Health}}{{.State.Health.Status}}{{end}}";
    let script = format!(
        "docker inspect -f '{{{{.State.Status}}}} {health} {{{{.RestartCount}}}}' $({} ps -q -a backend || {0} ps -q backend)",
        host.compose_command()
    );
    Ok(host.run(&script)?.out.trim().to_owned())
}

pub(super) async fn versions() -> CaseResult {
    let bed = both()?;
    on_each(&bed, |host| {
        runs(&bed, host, GOOD, 200)?;
        host.deploy(BAD)?;
        runs(&bed, host, BAD, 500)?;
        until("a bad version to be healthy for Docker", || {
            state(host).ok().filter(|s| s.contains(" healthy"))
        })?;
        host.deploy(SICK)?;
        host.until_answers(200, SICK)?;
        until("a sick version to be unhealthy", || state(host).ok().filter(|s| s.contains("unhealthy")))?;
        host.deploy(CRASHING)?;
        let crashed =
            until("a crash", || state(host).ok().filter(|s| !s.ends_with(" 0") && s.contains(' ')))?;
        say(host, format!("while it crashes: {crashed}"));
        equal("who answers", &host.answer(), &None)?;
        let ran =
            host.run("docker logs $(docker ps -aq --filter label=com.docker.compose.service=backend)")?;
        ran.says("there is no configuration");
        Ok(())
    })
}

pub(super) async fn unknown_flag() -> CaseResult {
    let bed = both()?;
    for host in &bed.hosts {
        let before = host.containers()?;
        let ran = host.compose("up -d --no-such-flag")?;
        say(
            host,
            format!(
                "up --no-such-flag: exit code {:?}, {} bytes on standard output",
                ran.code,
                ran.out.len()
            ),
        );
        if host.compose_version() == Compose::V1 {
            equal("its exit code", &ran.code, &Some(0))?;
            ensure(
                ran.out.contains("Usage: up") || ran.err.contains("Usage: up"),
                format!("no usage: {ran}"),
            )?;
        } else {
            ensure(ran.code != Some(0), format!("it did not fail: {ran}"))?;
            ran.says("unknown flag");
        }
        let ids =
            |all: &[rollback_tests::servers::Container]| all.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
        equal("containers", &ids(&host.containers()?), &ids(&before))?;
    }
    Ok(())
}

pub(super) async fn pull_always() -> CaseResult {
    let bed = need(Bed::start(Setup::hosts(1).deployed(BAD)))?;
    let host = &bed.hosts[0];
    let name = bed.registry.repository("backend");
    host.run(&format!("docker pull -q {name}:{GOOD} && docker tag {name}:{GOOD} {name}:latest"))?.expect(0);
    host.compose("up -d --no-deps --pull never backend")?.expect(0);
    runs(&bed, host, GOOD, 200)?;
    let ran = host.compose("up -d --no-deps --pull always backend")?.expect(0);
    say(host, format!("up --pull always after a retag: exit code {:?}, {:?}", ran.code, host.answer()));
    runs(&bed, host, BAD, 500)
}

pub(super) async fn only_in_v2() -> CaseResult {
    let bed = both()?;
    for host in &bed.hosts {
        let is_v2 = host.compose_version() == Compose::V2;
        for arguments in ["up -d --wait", "ps --format json", "config --images"] {
            let ran = host.compose(arguments)?;
            say(host, format!("{arguments}: exit code {:?}", ran.code));
            let works = ran.code == Some(0) && !format!("{}{}", ran.out, ran.err).contains("Usage: ");
            equal(arguments, &works, &is_v2)?;
        }
        for arguments in ["ps -q backend", "up -d --no-deps backend", "exec -T backend cat /version"] {
            let ran = host.compose(arguments)?.expect(0);
            ensure(!ran.out.contains("Usage: "), format!("{arguments}: {ran}"))?;
        }
    }
    Ok(())
}

pub(super) async fn pinned() -> CaseResult {
    let bed = both()?;
    on_each(&bed, |host| {
        host.deploy(BAD)?;
        runs(&bed, host, BAD, 500)?;
        let tags = || {
            host.run("docker images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep -v '<none>' | sort")
        };
        let (before, neighbour) = (tags()?.out, container(host, "cache")?);
        // The version that nobody ran here: it comes by its digest, and gets no tag.
        pin(&bed, host, OLDER)?;
        let poller = host.poll()?;
        host.compose(PINNED_UP)?.expect(0);
        runs(&bed, host, OLDER, 200)?;
        told(host, "pinned", &poller.stop()?);
        equal("tags", &tags()?.out, &before)?;
        equal("the neighbour", &container(host, "cache")?, &neighbour)?;
        let greeting = host.run(&format!("curl -fsS http://127.0.0.1:{}/greeting", host.web_port()))?;
        equal("what env_file says", &greeting.out, &"hello".to_owned())?;
        // Who does not know of the pin brings back what the tag says.
        host.compose("up -d")?.expect(0);
        runs(&bed, host, BAD, 500)?;
        Ok(())
    })
}

/// The container of a service: its id.
fn container(host: &Host, service: &str) -> Result<String> {
    Ok(host.compose(&format!("ps -q {service}"))?.out)
}

/// Of several names of an image the first one is told, whichever the service has.
pub(super) async fn images() -> CaseResult {
    let bed = need(Bed::start(Setup::hosts(1)))?;
    let host = &bed.hosts[0];
    let name = bed.registry.repository("backend");
    host.run(&format!("docker tag {name}:latest 0.example/other:1"))?.expect(0);
    let told = host.compose("images --format json backend")?.expect(0);
    say(host, format!("images: {}", told.out.trim()));
    ensure(told.out.contains("0.example/other"), "the repository is told that the service is of")?;
    runs(&bed, host, GOOD, 200)
}

fn told(host: &Host, what: &str, seen: &Seen) {
    let gaps: Vec<_> = seen.gaps.iter().map(|gap| gap.lasted).collect();
    say(
        host,
        format!("{what}: down for {:?} of {:?}, {gaps:?}, {:?}", seen.downtime(), seen.took, seen.versions),
    );
}

/// The runbook, and a service that is put back alone.
pub(super) async fn runbook() -> CaseResult {
    let bed = both()?;
    for host in &bed.hosts {
        host.deploy(BAD)?;
        runs(&bed, host, BAD, 500)?;
        let neighbour = container(host, "cache")?;
        let poller = host.poll()?;
        let (ran, took) = bed.runbook(&[host], GOOD)?;
        runs(&bed, host, GOOD, 200)?;
        told(host, &format!("runbook, {took:?}"), &poller.stop()?);
        ensure(container(host, "cache")? != neighbour, "the neighbour ran on")?;
        let done = std::fs::read_to_string(host.path("app/data/ran"))?;
        let wanted = ["makemigrations", "migrate", "collectstatic --noinput"]
            .map(|what| format!("{GOOD} manage.py {what}\n"));
        equal("what ran", &done, &wanted.concat())?;
        ensure(ran.out.contains("seeded"), format!("not seeded: {ran}"))?;

        host.deploy(BAD)?;
        runs(&bed, host, BAD, 500)?;
        pin(&bed, host, GOOD)?;
        let neighbour = container(host, "cache")?;
        let poller = host.poll()?;
        host.compose(PINNED_UP)?.expect(0);
        runs(&bed, host, GOOD, 200)?;
        told(host, "up -d --no-deps", &poller.stop()?);
        equal("the neighbour", &container(host, "cache")?, &neighbour)?;
    }
    Ok(())
}

/// Ten seconds of grace for the service, in which it still answers.
pub(super) async fn stubborn() -> CaseResult {
    grace(Setup::hosts(2), STUBBORN, "the service")
}

/// Ten seconds of grace for its neighbour, while it is stopped already: whoever leaves the neighbour alone is spared them.
pub(super) async fn stubborn_neighbour() -> CaseResult {
    grace(Setup::hosts(2).stubborn_neighbour(), BAD, "its neighbour")
}

fn grace(setup: Setup, version: &str, who: &str) -> CaseResult {
    let bed = need(Bed::start(setup.compose_each(&[Compose::V2, Compose::V1])))?;
    on_each(&bed, |host| {
        for way in ["down && up", "up -d --no-deps"] {
            host.deploy(version)?;
            runs(&bed, host, version, 500)?;
            pin(&bed, host, GOOD)?;
            let poller = host.poll()?;
            let compose = format!("{} -f docker-compose.yml -f pin.yml", host.compose_command());
            let script = match way {
                "down && up" => format!("{compose} down && {compose} up -d"),
                _ => format!("{compose} up -d --no-deps backend"),
            };
            host.run(&script)?.expect(0);
            runs(&bed, host, GOOD, 200)?;
            let seen = poller.stop()?;
            told(host, &format!("{who} ignores SIGTERM, {way}"), &seen);
            if who == "its neighbour" && way == "down && up" {
                ensure(seen.downtime() > Duration::from_secs(10), format!("{:?}", seen.gaps))?;
            }
        }
        Ok(())
    })
}
