//! Replace the symlink, then restart.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Risk, Strategy, View};

use super::{RESTART_DOWNTIME, already, restart, switch};
use crate::action::LocalAction;
use crate::snapshot::LocalRelease;

/// Replaces the symlink and runs the restart command after it.
#[derive(Debug, Clone)]
pub struct SwitchAndRestart {
    restart: Option<Lasting>,
}

impl SwitchAndRestart {
    /// `restart` is the time limit of the restart command, if there is one.
    #[must_use]
    pub const fn new(restart: Option<Lasting>) -> Self {
        Self { restart }
    }

    fn proposal(view: &View<LocalRelease>, limit: Lasting) -> Proposal<LocalAction> {
        let switch = switch(&view.goal);
        let restart = restart(&view.goal.name, limit).after([switch.id.clone()]);
        let proposal = Proposal::new(vec![switch, restart])
            .expected(Lasting::from_secs(10))
            .downtime(RESTART_DOWNTIME)
            .risk(Risk::Medium)
            .precondition("the restart command starts what current points to");
        if view.capabilities.restarts { proposal.restarts() } else { proposal }
    }
}

impl Strategy<LocalRelease, LocalAction> for SwitchAndRestart {
    fn name(&self) -> &'static str {
        "switch-and-restart"
    }

    fn summary(&self) -> &'static str {
        "replace the current symlink, then run the restart command"
    }

    fn propose(&self, view: &View<LocalRelease>) -> Decision<LocalAction> {
        let Some(limit) = self.restart else {
            return Decision::NotApplicable("no restart command is configured".to_owned());
        };
        if let Some(name) = already(view) {
            return Decision::NotApplicable(format!(
                "current already points to that content, release {name}"
            ));
        }
        Decision::Propose(Self::proposal(view, limit))
    }
}
