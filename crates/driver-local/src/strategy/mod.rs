//! The ways to put a release back, one file each.

mod restart_only;
mod switch_and_restart;
mod switch_symlink;

use rollback_core::time::Lasting;
use rollback_core::{Identity, Step, StepId, View};

pub use self::restart_only::RestartOnly;
pub use self::switch_and_restart::SwitchAndRestart;
pub use self::switch_symlink::SwitchSymlink;

use crate::action::LocalAction;
use crate::snapshot::{LocalRelease, ReleaseName};

/// What a restart is taken to cost users, until it was measured.
const RESTART_DOWNTIME: Lasting = Lasting::from_secs(2);

/// What the engine waits beyond the driver's own time limit, so that the driver's clearer error is the one seen.
const GRACE: Lasting = Lasting::from_secs(10);

/// The live release, if it already holds what the goal holds.
fn already(view: &View<LocalRelease>) -> Option<&ReleaseName> {
    view.observed.settled.known().filter(|live| live.digest == view.goal.digest).map(|live| &live.name)
}

fn switch(goal: &LocalRelease) -> Step<LocalAction> {
    let action = LocalAction::Switch { to: goal.name.clone(), identity: Identity(goal.digest) };
    Step::single(StepId::from_static("switch"), format!("point current at release {}", goal.name), action)
}

/// Restarting twice comes to the same as restarting once, so it may be repeated after an unclear answer. It is
/// not a single effect: no mark could tell whether *this* request restarted it.
fn restart(on: &ReleaseName, limit: Lasting) -> Step<LocalAction> {
    let action = LocalAction::Restart { on: on.clone() };
    let title = format!("run the restart command on release {on}");
    let limit = Lasting::new(limit.as_duration() + GRACE.as_duration());
    Step::convergence(StepId::from_static("restart"), title, action).timeout(limit)
}

#[cfg(test)]
mod tests;
