//! How long it takes to be told that what was gone back to crashes again and again, from the first time that the API shows it.

use std::process::{Command, Stdio};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use rollback_tests::kubernetes::{ControlPlane, EXIT_CODE, Space, scenes};
use serde_json::{Value, json};

use super::settings;
use crate::measure::{MILLIS, Samples};
use crate::report::Table;
use crate::{Result, Scale, site};

/// What `kubectl rollout status` waits for, in seconds. Where nobody says it, it is twenty times as long.
fn deadline(scale: &Scale) -> u64 {
    if scale.smoke { 5 } else { 30 }
}

const LOOP: &str = "CrashLoopBackOff";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Rollback,
    Kubectl,
}

impl Way {
    const ALL: [Self; 2] = [Self::Rollback, Self::Kubectl];

    fn name(self) -> &'static str {
        match self {
            Self::Rollback => "rollback run --to version=bad",
            Self::Kubectl => "kubectl rollout undo, rollout status",
        }
    }

    /// The commands, one after the other. The last one says how it ended.
    fn commands(self, space: &Space<'_>, folder: &std::path::Path) -> Result<Vec<Command>> {
        let kubeconfig = space.plane().kubeconfig("admin")?;
        if self == Self::Kubectl {
            let mut undo = space.kubectl_by(&kubeconfig)?;
            undo.args(["rollout", "undo", "deployment/web", "--to-revision=2"]);
            let mut status = space.kubectl_by(&kubeconfig)?;
            status.args(["rollout", "status", "deployment/web"]);
            return Ok(vec![undo, status]);
        }
        settings(folder, space, &kubeconfig)?;
        let mut command = Command::new(site::binary()?);
        command.args(["run", "web", "--to", "version=bad", "--yes", "--reason", "a benchmark"]);
        command.current_dir(folder).env_remove("ROLLBACK_CONFIG");
        Ok(vec![command])
    }
}

/// Both ways in turn.
pub(super) fn measure(plane: &ControlPlane, scale: &Scale) -> Result<Table> {
    let mut table =
        Table::new(["going back to what crashes", "ms from the first crash loop until told", "what is told"]);
    let rounds = if scale.smoke { 1 } else { scale.few().max(5) };
    let mut times: [(Samples, String); 2] = Default::default();
    for round in 0..rounds {
        for turn in 0..Way::ALL.len() {
            let at = (turn + round) % Way::ALL.len();
            let (took, told) = run(plane, Way::ALL[at], scale)?;
            times[at].0.add(took.as_secs_f64());
            times[at].1 = told;
        }
    }
    for (way, (took, told)) in Way::ALL.iter().zip(&times) {
        table.row([way.name().to_owned(), took.show(MILLIS), told.clone()]);
    }
    table.note(format!(
        "{rounds} rounds in turn, medians with quartiles, from the moment that a watch of the pods shows {LOOP} until the command has ended. The \
         Deployment's progressDeadlineSeconds is {} here, and 600 where nobody sets it: that is what kubectl waits for.",
        deadline(scale),
    ));
    Ok(table)
}

/// One time: from the first crash loop that the API showed until the command ended, and what it said.
fn run(plane: &ControlPlane, way: Way, scale: &Scale) -> Result<(Duration, String)> {
    let space = plane.namespace()?;
    scenes::deploy(&space, &["v1", "bad", "v2"])?;
    let deadline = json!({ "spec": { "progressDeadlineSeconds": deadline(scale) } });
    space.patch("deployments", scenes::NAME, &deadline)?;
    scenes::seen(&space, "deployments")?;
    // The first time that it was deployed must not be taken for this one.
    space.until("the bad pods to be gone", "pods", |pods| !pods.iter().any(is_bad))?;
    let folder = tempfile::tempdir_in(scale.folder())?;
    let commands = way.commands(&space, folder.path())?;
    std::thread::scope(|threads| {
        let seen = threads.spawn(|| {
            let shown = space.until_waiting(scenes::NAME, LOOP).map(|_| SystemClock.monotonic());
            shown.map_err(|error| error.to_string())
        });
        let mut last = None;
        for mut command in commands {
            last = Some(command.stdin(Stdio::null()).output()?);
        }
        let ended = SystemClock.monotonic();
        let shown = seen.join().map_err(|_| "the watch of the pods panicked")??;
        let last = last.ok_or("nothing was run")?;
        let told =
            format!("{}{}", String::from_utf8_lossy(&last.stdout), String::from_utf8_lossy(&last.stderr));
        let exit = format!("exit code {EXIT_CODE}");
        let words: &[&str] = match way {
            Way::Rollback => &[LOOP, &exit],
            Way::Kubectl => &["exceeded its progress deadline"],
        };
        if last.status.success() || !words.iter().all(|word| told.contains(word)) {
            return Err(format!("{} told something else: {told}", way.name()).into());
        }
        Ok((ended.saturating_sub(shown), words.join(", ")))
    })
}

fn is_bad(pod: &Value) -> bool {
    pod["spec"]["containers"][0]["image"].as_str().is_some_and(|image| image.ends_with(":bad"))
}
