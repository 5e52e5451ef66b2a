use rollback_core::time::Lasting;
use rollback_core::{Decision, Risk, Strategy, View};

use super::Hosts;
use crate::action::{ComposeAction, Way};
use crate::snapshot::ComposeSnapshot;

/// Pins the images in a file beside the project's own, and brings just these services up.
#[derive(Debug, Clone)]
pub struct Pin(Hosts);

impl Pin {
    pub(crate) fn new(hosts: Hosts) -> Self {
        Self(hosts)
    }
}

impl Strategy<ComposeSnapshot, ComposeAction> for Pin {
    fn name(&self) -> &'static str {
        "pin"
    }

    fn summary(&self) -> &'static str {
        "pin the images in a file of its own, bring these services up, touch nothing else"
    }

    fn propose(&self, view: &View<ComposeSnapshot>) -> Decision<ComposeAction> {
        self.0.propose(view, Way::Pin, |proposal| proposal.downtime(Lasting::from_secs(1)).risk(Risk::Low))
    }
}
