//! Health checks that docker comes to late: they are run, as docker would run them.

use rollback_testkit::harness::{CaseResult, Failure, ensure, equal};
use rollback_tests::hosts::{BAD, GOOD, Host, Setup};

use super::Shop;

const RUN: &str = "run web --yes";

/// Gives the service another health check, which docker first runs after `interval`.
fn check(host: &Host, interval: &str, test: &str) -> CaseResult {
    let file = host.path("app/docker-compose.yml");
    let text = std::fs::read_to_string(&file)?;
    let lines = text.lines().map(|line| match line.trim_start() {
        old if old.starts_with("test: ") => format!("      test: {test}"),
        old if old.starts_with("interval: ") => format!("      interval: {interval}"),
        _ => line.to_owned(),
    });
    let changed = lines.collect::<Vec<_>>().join("\n") + "\n";
    ensure(changed != text, format!("there is no health check in {text}"))?;
    Ok(std::fs::write(&file, changed)?)
}

/// What docker itself says of the service's health.
fn says(host: &Host) -> Result<String, Failure> {
    let ran = host.run("docker inspect -f '{{.State.Health.Status}}' $(docker ps -q --filter label=com.docker.compose.service=backend)")?;
    Ok(ran.out.trim().to_owned())
}

/// By a line for a shell with everything that a shell reads, and by words, the last of which is none that a shell would keep.
pub(super) async fn asked() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    let line = r#"["CMD-SHELL", "x='a  b'; [ \"$$x\" = \"a  b\" ] && wget -q -O /dev/null http://127.0.0.1:8000/ready || exit 1"]"#;
    check(host, "1h", line)?;
    shop.run(RUN, 0)?;
    shop.serves(GOOD)?;
    equal("what docker says", &says(host)?, &"starting".to_owned())?;
    shop.bed.registry.tag("backend", BAD, "latest")?;
    host.deploy(BAD)?;
    host.until_answers(500, BAD)?;
    let words =
        r#"["CMD", "sh", "-c", "[ \"$$0\" = \"$$(printf 'it is\\n\\047so\\047 .')\" ]", "it is\n'so' ."]"#;
    check(host, "1h", words)?;
    shop.run("run web --to last-good --yes", 0)?;
    shop.serves(GOOD)?;
    equal("what docker says", &says(host)?, &"starting".to_owned())
}

/// Each look would leave one more of its processes in the container. Docker's own first run of it ends.
pub(super) async fn hanging() -> CaseResult {
    let shop = Shop::new(Setup::hosts(1), "")?;
    shop.deploy_badly()?;
    let host = &shop.bed.hosts[0];
    check(host, "4s", r#"["CMD-SHELL", "mkdir /data/asked && exec sleep 1234; exit 0"]"#)?;
    shop.run(RUN, 0)?;
    shop.serves(GOOD)?;
    equal("what docker says", &says(host)?, &"healthy".to_owned())
}
