//! Many hosts, some at a time: the time that this takes beside that of the slowest, and memory.

use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::hosts::{BAD, Bed, GOOD, Setup};
use rollback_tests::servers::StartError;
use serde_json::Value;

use crate::measure::number;
use crate::report::{Section, Table};
use crate::{Result, Scale, memory, site};

/// How many components the engine changes at a time.
const BATCH: usize = 16;
/// What `ssh` calls itself while it holds a connection of ours: the folder with its socket.
const MASTERS: &str = "rollback-ssh.";

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let mut table = Table::new([
        "hosts",
        "at a time",
        "s in all",
        "slowest host, s",
        "in all, of slowest times batches",
        "peak memory, MiB",
        "a host, MB",
        "ssh beside it, a host, MB",
    ]);
    let hosts = if scale.smoke { 2 } else { 50 };
    match Bed::start(Setup::shared(hosts)) {
        Ok(bed) => {
            let (batch, took) = (BATCH.min(hosts), run(&bed, scale)?);
            let (batches, count) = (hosts.div_ceil(batch) as f64, hosts as f64);
            let mb = |kib: u64| kib as f64 * 1.024e-3;
            table.row([
                hosts.to_string(),
                batch.to_string(),
                number(took.all.as_secs_f64()),
                number(took.slowest),
                number(took.all.as_secs_f64() / (took.slowest * batches)),
                number(took.peak_kib as f64 / 1024.0),
                number(mb(took.peak_kib) / count),
                number(mb(took.ssh_kib) / count),
            ]);
        }
        Err(error @ StartError::Failed(_)) => return Err(error.to_string().into()),
        Err(missing) => table.note(format!("Not measured: {missing}")),
    }
    table.note(
        "Hosts with SSH and compose 2, a component each, and one Docker daemon for all of them, once. In all: from the start of the command to its end, with every look, \
         every image found and every host proven. A host: from when `up` was sent to when it was done there, by the journal. The targets: at most 1.5 of the slowest host times the number of \
         batches, and 3 MB a host.",
    );
    Ok(Section { name: "compose-fleet", tables: vec![table] })
}

struct Took {
    all: Duration,
    /// In seconds.
    slowest: f64,
    peak_kib: u64,
    ssh_kib: u64,
}

fn run(bed: &Bed, scale: &Scale) -> Result<Took> {
    let folder = tempfile::tempdir_in(scale.folder())?;
    let text: String = bed.hosts.iter().map(|host| super::component(bed, host.name(), host)).collect();
    std::fs::write(folder.path().join("rollback.toml"), text)?;
    for host in &bed.hosts {
        host.until_answers(200, GOOD)?;
        super::rollback(folder.path(), &["record", host.name(), "--good"])?;
    }
    bed.each(|host| host.deploy(BAD))?;
    let mut command = Command::new(site::binary()?);
    command.arg("run").args(super::HOW);
    command.current_dir(folder.path()).env_remove("ROLLBACK_CONFIG").stdin(Stdio::null());
    let told = std::fs::File::create(folder.path().join("told"))?;
    let began = SystemClock.monotonic();
    let child = command.stdout(told.try_clone()?).stderr(told).spawn()?;
    let mut ssh_kib = 0;
    let (peak_kib, done) = memory::watched(child, || ssh_kib = ssh_kib.max(memory::together_kib(MASTERS)))?;
    let all = SystemClock.monotonic().saturating_sub(began);
    if !done {
        return Err(std::fs::read_to_string(folder.path().join("told"))?.into());
    }
    for host in &bed.hosts {
        host.until_answers(200, GOOD)?;
    }
    let shown = super::rollback(folder.path(), &["runs", "--output", "json"])?;
    let runs: Value = serde_json::from_slice(&shown)?;
    let run = runs["runs"][0]["run"].as_str().ok_or("no run")?;
    let shown = super::rollback(folder.path(), &["show", run, "--output", "json"])?;
    Ok(Took { all, slowest: slowest(&serde_json::from_slice(&shown)?)?, peak_kib, ssh_kib })
}

/// The longest time between the sending of `up` and its end, by the journal.
fn slowest(shown: &Value) -> Result<f64> {
    let journals = find(shown, "journal").and_then(Value::as_object).ok_or("no journal")?;
    let mut longest = 0.0_f64;
    for (name, journal) in journals {
        let at = |what: &str| -> Result<Timestamp> {
            let lines = journal.as_array().into_iter().flatten();
            let line = lines.into_iter().find(|line| {
                line[1].as_str().is_some_and(|text| text.starts_with("up") && text.contains(what))
            });
            let at = line.and_then(|line| line[0].as_str());
            Ok(at.ok_or_else(|| format!("{name}: nothing {what}"))?.parse()?)
        };
        longest = longest.max((at(": applied")? - at("to be sent")?).total(jiff::Unit::Second)?);
    }
    Ok(longest)
}

/// The first value of that name, wherever it is.
fn find<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(name).or_else(|| map.values().find_map(|one| find(one, name))),
        Value::Array(all) => all.iter().find_map(|one| find(one, name)),
        _ => None,
    }
}
