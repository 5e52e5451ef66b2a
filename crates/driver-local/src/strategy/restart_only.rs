//! Restart what runs: the repair after a switch whose restart is missing.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Strategy, View};

use super::{RESTART_DOWNTIME, already, restart};
use crate::action::LocalAction;
use crate::snapshot::{LocalRelease, ReleaseName};

/// Runs the restart command where `current` is right already and the process is not.
#[derive(Debug, Clone)]
pub struct RestartOnly {
    restart: Option<Lasting>,
}

impl RestartOnly {
    /// `restart` is the time limit of the restart command, if there is one.
    #[must_use]
    pub const fn new(restart: Option<Lasting>) -> Self {
        Self { restart }
    }

    fn proposal(view: &View<LocalRelease>, live: &ReleaseName, limit: Lasting) -> Proposal<LocalAction> {
        let proposal = Proposal::new(vec![restart(live, limit)])
            .expected(Lasting::from_secs(10))
            .downtime(RESTART_DOWNTIME)
            .precondition("the restart command starts what current points to");
        if view.capabilities.restarts { proposal.restarts() } else { proposal }
    }
}

impl Strategy<LocalRelease, LocalAction> for RestartOnly {
    fn name(&self) -> &'static str {
        "restart-only"
    }

    fn summary(&self) -> &'static str {
        "run the restart command; current is right already"
    }

    fn propose(&self, view: &View<LocalRelease>) -> Decision<LocalAction> {
        let Some(limit) = self.restart else {
            return Decision::NotApplicable("no restart command is configured".to_owned());
        };
        let Some(live) = already(view) else {
            return Decision::NotApplicable(
                "current points to something else: a restart would not change that".to_owned(),
            );
        };
        Decision::Propose(Self::proposal(view, live, limit))
    }
}
