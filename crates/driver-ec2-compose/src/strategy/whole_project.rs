use rollback_core::time::Lasting;
use rollback_core::{Decision, Risk, Strategy, View};

use super::Hosts;
use crate::action::{ComposeAction, Way};
use crate::snapshot::ComposeSnapshot;

/// Takes the whole project down on each host and brings it up again: only where the settings allow it.
#[derive(Debug, Clone)]
pub struct WholeProject {
    hosts: Hosts,
    allowed: bool,
}

impl WholeProject {
    pub(crate) fn new(hosts: Hosts, allowed: bool) -> Self {
        Self { hosts, allowed }
    }
}

impl Strategy<ComposeSnapshot, ComposeAction> for WholeProject {
    fn name(&self) -> &'static str {
        "whole-project"
    }

    fn summary(&self) -> &'static str {
        "take the whole project down and bring it up with the images pinned"
    }

    fn propose(&self, view: &View<ComposeSnapshot>) -> Decision<ComposeAction> {
        if !self.allowed {
            return Decision::NotApplicable(
                "the settings do not allow it: `whole_project = true`".to_owned(),
            );
        }
        self.hosts.propose(view, Way::WholeProject, |proposal| {
            // Ten seconds are what an application that ignores SIGTERM is given, each.
            proposal.downtime(Lasting::from_secs(15)).risk(Risk::High)
        })
    }
}
