//! Putting a compose project back on a host, beside the commands of a runbook over SSH.

pub(crate) mod fleet;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::hosts::{BAD, Bed, Compose, GOOD, Host, STUBBORN, Setup};
use rollback_tests::servers::StartError;

use crate::measure::{MILLIS, Samples, number};
use crate::report::{Section, Table};
use crate::{Result, Scale, site};

/// Who does not end when it is asked to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stubborn {
    Nobody,
    Neighbour,
    /// The bad version itself; it is given no time.
    Service,
}

/// What hosts run.
const CASES: [(&str, Compose, Stubborn); 6] = [
    ("compose 2", Compose::V2, Stubborn::Nobody),
    ("compose 1", Compose::V1, Stubborn::Nobody),
    ("compose 2, a neighbour that ignores SIGTERM", Compose::V2, Stubborn::Neighbour),
    ("compose 1, a neighbour that ignores SIGTERM", Compose::V1, Stubborn::Neighbour),
    ("compose 2, the bad version ignores SIGTERM, `stop_timeout = \"0s\"`", Compose::V2, Stubborn::Service),
    ("compose 1, the bad version ignores SIGTERM, `stop_timeout = \"0s\"`", Compose::V1, Stubborn::Service),
];

/// All times of one way, in one case.
#[derive(Default)]
struct Times {
    down: Samples,
    all: Samples,
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let mut table = Table::new([
        "a project on a host",
        "ms without an answer",
        "of the runbook's",
        "ms in all",
        "of the runbook's",
    ]);
    let rounds = if scale.smoke { 1 } else { 5 };
    for (name, compose, stubborn) in CASES.into_iter().take(if scale.smoke { 1 } else { CASES.len() }) {
        let setup = Setup::hosts(1).compose(compose);
        let bed = match Bed::start(if stubborn == Stubborn::Neighbour {
            setup.stubborn_neighbour()
        } else {
            setup
        }) {
            Ok(bed) => bed,
            Err(error @ StartError::Failed(_)) => return Err(error.to_string().into()),
            Err(missing) => {
                table.note(format!("Not measured: {missing}"));
                break;
            }
        };
        let times = rounds_of(&bed, stubborn, rounds, scale)?;
        let [_, runbook, _] = &times;
        for (way, times) in WAYS.iter().zip(&times) {
            table.row([
                format!("{name}: {way}"),
                times.down.show(MILLIS),
                number(times.down.over(&runbook.down).median()),
                times.all.show(MILLIS),
                number(times.all.over(&runbook.all).median()),
            ]);
        }
    }
    table.note(format!(
        "Hosts with SSH, Docker, compose and a registry of their own on this machine; {rounds} rounds in turn, medians with quartiles. A client asks the \
         service every 20 ms. The targets: a quarter of the runbook's time without an answer with compose 2, a third with compose 1, and half of its time \
         in all."
    ));
    Ok(Section { name: "compose", tables: vec![table] })
}

/// What is done in each round. The last goes nowhere: nobody who replaces a container can be without it for less than that.
const WAYS: [&str; 3] = ["rollback run", "the runbook", "`docker restart` of the good version"];

/// How it is gone back.
const HOW: [&str; 6] = ["--to", "last-good", "--yes", "--no-quarantine", "--reason", "a benchmark"];

/// A component with this host.
fn component(bed: &Bed, name: &str, host: &Host) -> String {
    format!(
        "[components.{name}]\ndriver = \"ec2-compose\"\nproject = {:?}\nservices = [\"backend\"]\nhosts = [{:?}]\nask_ecr = false\nssh = {{ config_file = {:?} }}\n",
        host.project(),
        host.name(),
        bed.ssh_config()
    )
}

/// What the command writes.
fn rollback(folder: &Path, words: &[&str]) -> Result<Vec<u8>> {
    let mut command = Command::new(site::binary()?);
    let done = command.args(words).current_dir(folder).env_remove("ROLLBACK_CONFIG").output()?;
    match done.status.success() {
        true => Ok(done.stdout),
        false => Err(format!("rollback {words:?}: {}", String::from_utf8_lossy(&done.stdout)).into()),
    }
}

fn rounds_of(bed: &Bed, stubborn: Stubborn, rounds: usize, scale: &Scale) -> Result<[Times; 3]> {
    let host = bed.hosts.first().ok_or("no host")?;
    let folder = tempfile::tempdir_in(scale.folder())?;
    let (bad, more) = match stubborn {
        Stubborn::Service => (STUBBORN, "stop_timeout = \"0s\"\n"),
        _ => (BAD, ""),
    };
    std::fs::write(folder.path().join("rollback.toml"), component(bed, "web", host) + more)?;
    host.until_answers(200, GOOD)?;
    rollback(folder.path(), &["record", "web", "--good"])?;
    let restart = format!("docker restart $({} ps -q backend)", host.compose_command());
    let mut times: [Times; 3] = Default::default();
    for _ in 0..rounds {
        for (at, one) in times.iter_mut().enumerate() {
            if at < 2 {
                host.deploy(bad)?;
                host.until_answers(500, bad)?;
            }
            let (down, all) = timed(host, || match at {
                0 => rollback(folder.path(), &[&["run", "web"][..], &HOW].concat()).map(drop),
                1 => bed.runbook(&[host], GOOD).map(drop),
                _ => host.run(&restart).map(drop),
            })?;
            one.down.add(down.as_secs_f64());
            one.all.add(all.as_secs_f64());
        }
    }
    Ok(times)
}

/// How long nobody answered, and how long it took until the good version did.
fn timed(host: &Host, back: impl FnOnce() -> Result<()>) -> Result<(Duration, Duration)> {
    let poller = host.poll()?;
    let began = SystemClock.monotonic();
    back()?;
    let took = SystemClock.monotonic().saturating_sub(began);
    host.until_answers(200, GOOD)?;
    Ok((poller.stop()?.downtime(), took))
}
