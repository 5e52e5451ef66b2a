//! Many Deployments in one plan, on the real control plane: memory, requests and watches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::kubernetes::{ControlPlane, Front, Space, manifest};
use rollback_tests::proxy::Exchange;
use serde_json::{Value, json};

use crate::measure::number;
use crate::report::{Section, Table};
use crate::{Result, Scale, memory, site};

/// What one command took.
struct Took {
    seconds: f64,
    peak_kib: u64,
    requests: BTreeMap<String, usize>,
}

impl Took {
    fn all(&self) -> usize {
        self.requests.values().sum()
    }

    fn watches(&self) -> usize {
        self.requests.iter().filter(|(what, _)| what.starts_with("WATCH")).map(|(_, times)| times).sum()
    }
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let mut table =
        Table::new(["Deployments", "command", "s", "peak memory, MiB", "requests", "for each", "watches"]);
    let mut all: Vec<(String, u32, Took)> = Vec::new();
    let Some(plane) = super::control_plane(&mut table)? else {
        return Ok(Section { name: "k8s-fleet", tables: vec![table] });
    };
    // Five hundred rollouts at once are more than the nodes can play on the machine that is measured.
    let (plans, runs): (&[u32], &[u32]) = if scale.smoke { (&[5], &[1]) } else { (&[500], &[1, 50]) };
    for (command, size) in
        runs.iter().map(|size| ("run", *size)).chain(plans.iter().map(|size| ("plan", *size)))
    {
        let space = plane.namespace()?;
        furnish(&space, size)?;
        let commands: &[&str] = if command == "run" { &["plan", "run"] } else { &["plan"] };
        for command in commands {
            let took = run(&plane, &space, command, scale)?;
            table.row([
                size.to_string(),
                format!("rollback {command}"),
                number(took.seconds),
                number(took.peak_kib as f64 / 1024.0),
                took.all().to_string(),
                number(took.all() as f64 / f64::from(size)),
                took.watches().to_string(),
            ]);
            all.push((format!("{size}, {command}"), size, took));
        }
        if command == "run" {
            expect(&space, "v1")?;
        }
    }
    table.note(format!(
        "Kubernetes 1.{} with nodes that are played, each Deployment of one pod with two revisions, all of them one block with a selector; once each. Requests pass a proxy that only \
         counts. The targets: at most 150 MB, no more requests for each than for one alone, and shared watches.",
        plane.minor()
    ));
    Ok(Section { name: "k8s-fleet", tables: vec![table, asked(&all)] })
}

/// What is asked of each, as far as it is asked of every second one at least.
fn asked(all: &[(String, u32, Took)]) -> Table {
    let mut table =
        Table::new(std::iter::once("asked of each").chain(all.iter().map(|(label, ..)| label.as_str())));
    let share = |(_, size, took): &(String, u32, Took), what: &str| {
        took.requests.get(what).map_or(0.0, |times| *times as f64 / f64::from(*size))
    };
    let kinds: BTreeSet<_> = all.iter().flat_map(|(.., took)| took.requests.keys()).collect();
    for what in kinds.into_iter().filter(|what| all.iter().any(|one| one.1 > 1 && share(one, what) >= 0.5)) {
        let counts = all.iter().map(|one| match share(one, what) {
            none if none < 0.5 => "-".to_owned(),
            share => number(share),
        });
        table.row(std::iter::once(what.clone()).chain(counts));
    }
    table
}

/// Deployments that were at v1 and run v2.
fn furnish(space: &Space<'_>, size: u32) -> Result<()> {
    for number in 0..size {
        let mut made = manifest::deployment(&name(number), "v1", 1);
        made["metadata"]["labels"]["part-of"] = json!("fleet");
        space.create(&made)?;
    }
    settled(space, size)?;
    for number in 0..size {
        space.set_image("deployments", &name(number), "v2")?;
    }
    settled(space, size)
}

fn name(number: u32) -> String {
    format!("web-{number:03}")
}

/// Until all of them run what they are to run. They are looked at after pauses: a watch tells of each change of each.
fn settled(space: &Space<'_>, size: u32) -> Result<()> {
    let is_settled = |web: &Value| {
        let status = &web["status"];
        let counts = ["replicas", "updatedReplicas", "availableReplicas"];
        status["observedGeneration"] == web["metadata"]["generation"]
            && counts.iter().all(|count| status[*count] == 1)
    };
    let mut left = size as usize;
    for _ in 0..600 {
        left = space.list("deployments")?.iter().filter(|web| !is_settled(web)).count();
        if left == 0 {
            return Ok(());
        }
        rollback_tests::pause(Duration::from_millis(500));
    }
    Err(format!("{left} of {size} Deployments did not come to rest").into())
}

fn expect(space: &Space<'_>, version: &str) -> Result<()> {
    let image = manifest::image(version);
    let of = |web: &Value| web["spec"]["template"]["spec"]["containers"][0]["image"] == image.as_str();
    match space.list("deployments")?.iter().filter(|web| !of(web)).count() {
        0 => Ok(()),
        others => Err(format!("{others} Deployments are not at {version}").into()),
    }
}

fn run(plane: &ControlPlane, space: &Space<'_>, command: &str, scale: &Scale) -> Result<Took> {
    let front = plane.front()?;
    let folder = tempfile::tempdir_in(scale.folder())?;
    configure(folder.path(), space, &front)?;
    let mut rollback = Command::new(site::binary()?);
    rollback.args([command, "--to", "previous", "--reason", "a benchmark", "--quiet"]);
    rollback.args((command == "run").then_some("--yes"));
    rollback.current_dir(folder.path()).env_remove("ROLLBACK_CONFIG").stdin(Stdio::null());
    let told = std::fs::File::create(folder.path().join("told"))?;
    let began = SystemClock.monotonic();
    let child = rollback.stdout(told.try_clone()?).stderr(told).spawn()?;
    let (peak_kib, done) = memory::watched(child, || {})?;
    let seconds = SystemClock.monotonic().saturating_sub(began).as_secs_f64();
    if !done {
        let told = std::fs::read_to_string(folder.path().join("told"))?;
        let end: String = told.lines().rev().take(5).collect::<Vec<_>>().join("\n");
        return Err(format!("rollback {command} failed: {end}").into());
    }
    let mut requests = BTreeMap::new();
    for exchange in front.proxy().log() {
        *requests.entry(kind_of(&exchange)).or_default() += 1;
    }
    Ok(Took { seconds, peak_kib, requests })
}

/// One block for all of them.
fn configure(folder: &Path, space: &Space<'_>, front: &Front<'_>) -> Result<()> {
    let (namespace, kubeconfig) = (space.name(), front.kubeconfig("admin")?);
    let text = format!(
        "[components.fleet]\ndriver = \"k8s\"\nkind = \"deployment\"\nselector = \"part-of=fleet\"\nnamespace = \"{namespace}\"\nkubeconfig = {kubeconfig:?}\n"
    );
    Ok(std::fs::write(folder.join("rollback.toml"), text)?)
}

/// A request without names: `GET deployments`.
fn kind_of(exchange: &Exchange) -> String {
    let (path, query) = exchange.path.split_once('?').unwrap_or((&exchange.path, ""));
    let words: Vec<_> = path.trim_matches('/').split('/').collect();
    let at = words.iter().position(|word| *word == "namespaces");
    let rest = at.map_or(&words[..], |at| words.get(at + 2..).unwrap_or_default());
    let plural = rest.first().or(words.last()).copied().unwrap_or_default();
    let plural = if at.is_some() && rest.is_empty() { "namespaces" } else { plural };
    let verb = match (exchange.method.as_str(), rest.len()) {
        _ if query.contains("watch=true") => "WATCH",
        ("PATCH", _) if query.contains("dryRun") => "PATCH (dry run of)",
        ("GET", 1) => "LIST",
        (method, _) => method,
    };
    format!("{verb} {plural}")
}
