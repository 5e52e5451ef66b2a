//! Replace the symlink, nothing else.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Strategy, View};

use super::{already, switch};
use crate::action::LocalAction;
use crate::snapshot::LocalRelease;

/// Replaces the symlink. For whatever reads its files through `current`: static sites, programs that are started
/// for each request.
#[derive(Debug, Clone)]
pub struct SwitchSymlink {
    restart: Option<Lasting>,
}

impl SwitchSymlink {
    /// `restart` is the time limit of the restart command, if there is one.
    #[must_use]
    pub const fn new(restart: Option<Lasting>) -> Self {
        Self { restart }
    }
}

impl Strategy<LocalRelease, LocalAction> for SwitchSymlink {
    fn name(&self) -> &'static str {
        "switch-symlink"
    }

    fn summary(&self) -> &'static str {
        "replace the current symlink, nothing else"
    }

    fn propose(&self, view: &View<LocalRelease>) -> Decision<LocalAction> {
        if self.restart.is_some() {
            return Decision::NotApplicable(
                "a restart command is configured: a switch alone would leave the old process running"
                    .to_owned(),
            );
        }
        if let Some(name) = already(view) {
            return Decision::NotApplicable(format!(
                "current already points to that content, release {name}"
            ));
        }
        Decision::Propose(Proposal::new(vec![switch(&view.goal)]).expected(Lasting::from_secs(1)))
    }
}
