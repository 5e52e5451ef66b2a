//! Putting a Deployment back on the real control plane of Kubernetes, beside `kubectl rollout undo`.

mod crash;
pub(crate) mod fleet;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::kubernetes::{ControlPlane, Front, Space, scenes};
use rollback_tests::proxy::Exchange;
use rollback_tests::servers::StartError;

use crate::measure::{MILLIS, Samples, number};
use crate::report::{Section, Table};
use crate::{Result, Scale, site};

/// A way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Rollback,
    Urgent,
    Kubectl,
}

impl Way {
    const ALL: [Self; 3] = [Self::Rollback, Self::Urgent, Self::Kubectl];

    fn name(self) -> &'static str {
        match self {
            Self::Rollback => "rollback run --to previous",
            Self::Urgent => "the same, --urgent",
            Self::Kubectl => "kubectl rollout undo, rollout status",
        }
    }

    /// The commands, one after the other.
    fn commands(self, front: &Front<'_>, space: &Space<'_>, folder: &Path) -> Result<Vec<Command>> {
        let kubeconfig = front.kubeconfig("admin")?;
        if self == Self::Kubectl {
            let line = |words: [&str; 3]| -> Result<Command> {
                let mut command = space.kubectl_by(&kubeconfig)?;
                command.args(words);
                Ok(command)
            };
            return Ok(vec![
                line(["rollout", "undo", "deployment/web"])?,
                line(["rollout", "status", "deployment/web"])?,
            ]);
        }
        settings(folder, space, &kubeconfig)?;
        let mut command = Command::new(site::binary()?);
        command.args(["run", "web", "--to", "previous", "--yes", "--reason", "a benchmark"]);
        command.args((self == Self::Urgent).then_some("--urgent"));
        command.current_dir(folder).env_remove("ROLLBACK_CONFIG");
        Ok(vec![command])
    }
}

/// All times of one way.
#[derive(Default)]
struct Times {
    accepted: Samples,
    done: Samples,
    until: usize,
    calls: usize,
}

pub(crate) fn measure(scale: &Scale) -> Result<Section> {
    let mut table = Table::new([
        "a Deployment",
        "ms until the patch is accepted",
        "of the first",
        "requests until then",
        "ms until done",
        "requests",
    ]);
    let Some(plane) = control_plane(&mut table)? else {
        return Ok(Section { name: "k8s", tables: vec![table] });
    };
    let mut times: [Times; 3] = Default::default();
    let rounds = if scale.smoke { 1 } else { scale.few().max(5) };
    // The first warms caches up, kubectl's on the disk too.
    for round in 0..=rounds {
        for turn in 0..Way::ALL.len() {
            let at = (turn + round) % Way::ALL.len();
            let (accepted, done, until, calls) = run(&plane, Way::ALL[at], scale)?;
            if round > 0 || scale.smoke {
                times[at].accepted.add(accepted.as_secs_f64());
                times[at].done.add(done.as_secs_f64());
                (times[at].until, times[at].calls) = (until, calls);
            }
        }
    }
    for (way, one) in Way::ALL.iter().zip(&times) {
        table.row([
            way.name().to_owned(),
            one.accepted.show(MILLIS),
            format!("{} times", number(one.accepted.over(&times[0].accepted).median())),
            one.until.to_string(),
            one.done.show(MILLIS),
            one.calls.to_string(),
        ]);
    }
    table.note(format!(
        "The API server, etcd and controllers of Kubernetes 1.{}, {} and nodes that are played, on this machine; {rounds} rounds in turn, \
         medians with quartiles. Requests pass a proxy that only counts. kubectl's cache is warm.",
        plane.minor(),
        plane.kubectl_version().map_or_else(|_| "no kubectl".to_owned(), |version| format!("kubectl {version}")),
    ));
    Ok(Section { name: "k8s", tables: vec![table, crash::measure(&plane, scale)?] })
}

/// A control plane; where there is none, the table says so.
fn control_plane(table: &mut Table) -> Result<Option<ControlPlane>> {
    match ControlPlane::start("benchmarks") {
        Ok(plane) => Ok(Some(plane)),
        Err(error @ StartError::Failed(_)) => Err(error.to_string().into()),
        Err(missing) => {
            table.note(format!("Not measured: {missing}"));
            Ok(None)
        }
    }
}

/// What the command is configured with.
fn settings(folder: &Path, space: &Space<'_>, kubeconfig: &Path) -> Result<()> {
    let settings = format!(
        "[components.web]\ndriver = \"k8s\"\nkind = \"deployment\"\nname = \"web\"\nnamespace = \"{}\"\nkubeconfig = {kubeconfig:?}\n",
        space.name()
    );
    Ok(std::fs::write(folder.join("rollback.toml"), settings)?)
}

/// One time: until accepted, until done, requests until accepted, requests.
fn run(plane: &ControlPlane, way: Way, scale: &Scale) -> Result<(Duration, Duration, usize, usize)> {
    let space = plane.namespace()?;
    scenes::deploy(&space, &["v1", "v2"])?;
    let front = plane.front()?;
    let folder = tempfile::tempdir_in(scale.folder())?;
    let commands = way.commands(&front, &space, folder.path())?;
    let began = SystemClock.monotonic();
    for mut command in commands {
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            return Err(format!("{}: {}", way.name(), String::from_utf8_lossy(&output.stderr)).into());
        }
    }
    let done = SystemClock.monotonic().saturating_sub(began);
    if space.version("deployments", scenes::NAME)? != "v1" {
        return Err(format!("{} left another version", way.name()).into());
    }
    let log = front.proxy().log();
    let patch = log.iter().position(is_patch).ok_or("nothing was patched")?;
    let accepted = log[patch].answered.ok_or("the patch was not answered")?.saturating_sub(began);
    Ok((accepted, done, patch + 1, log.len()))
}

/// Not the rehearsal of one.
fn is_patch(exchange: &Exchange) -> bool {
    exchange.method == "PATCH" && !exchange.path.contains("dryRun")
}
