//! What it takes to put an ECS service back with what people use today, and with this command: time until ECS took the rollback, time until it
//! is done, and calls, with 40 ms on the way of each request.
//!
//! ```console
//! $ tests/install-servers ministack docker ecs-deploy
//! $ cargo run -p rollback-tests --example contenders
//! ```
//!
//! `AWS_CLI` names the AWS command, if not the first one on the search path is to be taken, and `ROLLBACK` ours: without it the
//! debug build is measured.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::ecs_bed::{CRASHING, EcsBed, EcsService};
use rollback_tests::proxy::{Fault, Faults, Proxy, Rule};
use rollback_tests::{Ran, Result, Running};

const LATENCY: Duration = Duration::from_millis(40);
/// As many revisions are younger than the good one.
const BAD: usize = 19;
const ROUNDS: usize = 3;
const OURS: &str = "rollback";

/// One way back.
struct Contender {
    name: &'static str,
    script: &'static str,
    /// The last argument of the script.
    by: fn() -> String,
}

const CONTENDERS: [Contender; 4] = [
    Contender { name: "runbook, revision known", script: "by-revision", by: || "1".to_owned() },
    Contender { name: "runbook, found by tag", script: "by-tag", by: || "v1".to_owned() },
    Contender { name: "ecs-deploy", script: "ecs-deploy", by: || "1".to_owned() },
    Contender { name: OURS, script: "", by: String::new },
];

/// What one run took.
struct Took {
    accepted: Duration,
    calls_until: usize,
    done: Duration,
    calls: usize,
}

fn main() -> Result<()> {
    let bed = EcsBed::start("contenders")?;
    println!("{:28} {:>12} {:>6} {:>10} {:>6}", "", "accepted", "calls", "done", "calls");
    // Names of contenders, if not all of them are wanted.
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    for contender in
        CONTENDERS.iter().filter(|c| wanted.is_empty() || wanted.iter().any(|name| name == c.name))
    {
        let mut all = (0..ROUNDS).map(|_| run(&bed, contender)).collect::<Result<Vec<Took>>>()?;
        all.sort_by_key(|took| took.accepted);
        let Some(took) = all.get(ROUNDS / 2) else { continue };
        let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());
        println!(
            "{:28} {:>12} {:>6} {:>10} {:>6}",
            contender.name,
            seconds(took.accepted),
            took.calls_until,
            seconds(took.done),
            took.calls
        );
    }
    Ok(())
}

fn run(bed: &EcsBed, contender: &Contender) -> Result<Took> {
    let service = bed.service(1)?;
    outdated(&service)?;
    let proxy = Proxy::http(("127.0.0.1", bed.ministack().server().port()))?;
    proxy.faults(Faults::none().rule(Rule::new(Fault::delay(LATENCY))));

    let began = SystemClock.monotonic();
    let ran = match contender.name {
        OURS => ours(&service, &proxy)?,
        _ => script(&service, &proxy, contender)?,
    };
    let done = SystemClock.monotonic() - began;
    if ran.code != Some(0) {
        return Err(format!("{}: {ran}", contender.name).into());
    }
    service.until_rolled_out("v1")?;

    let log = proxy.log();
    let place = log.iter().position(|exchange| exchange.operation.as_deref() == Some("UpdateService"));
    let place = place.ok_or("nobody called UpdateService")?;
    let accepted = log[place].answered.ok_or("UpdateService was not answered")?.saturating_sub(began);
    Ok(Took { accepted, calls_until: place + 1, done, calls: log.len() })
}

/// Nineteen revisions that are no good, the last of which runs.
fn outdated(service: &EcsService) -> Result<()> {
    for _ in 1..BAD {
        service.register(CRASHING)?;
    }
    service.deploy("v2")?;
    service.until_rolled_out("v2")
}

/// The command of this workspace, as it was built last, or the one that `ROLLBACK` names.
fn ours(service: &EcsService, proxy: &Proxy) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    let (cluster, name) = (service.cluster(), service.name());
    let settings =
        format!("[components.web]\ndriver = \"ecs\"\ncluster = \"{cluster}\"\nservice = \"{name}\"\n");
    std::fs::write(folder.path().join("rollback.toml"), settings)?;
    let built = std::env::current_exe()?.with_file_name("../e2e-rollback");
    let mut command = Command::new(std::env::var_os("ROLLBACK").map_or(built, PathBuf::from));
    command.args(["run", "web", "--to", "revision=1", "--yes"]).current_dir(folder.path());
    command.envs(service.account().behind(proxy.port()).environment());
    Running::start(command)?.end()
}

fn script(service: &EcsService, proxy: &Proxy, contender: &Contender) -> Result<Ran> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("runbook").join(contender.script));
    command.args([service.cluster(), service.name(), service.name(), &(contender.by)()]);
    command.envs(service.account().behind(proxy.port()).environment());
    command.env("AWS_PAGER", "").env("ECS_DEPLOY", ecs_deploy(root));
    Running::start(command)?.end()
}

fn ecs_deploy(root: &Path) -> PathBuf {
    root.join("../target/test-servers/ecs-deploy/bin/ecs")
}
