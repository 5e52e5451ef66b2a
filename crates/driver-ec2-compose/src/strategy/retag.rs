use rollback_core::time::Lasting;
use rollback_core::{Decision, Risk, Strategy, View};

use super::Hosts;
use crate::action::{ComposeAction, Way};
use crate::snapshot::ComposeSnapshot;

/// Moves the tags that the compose files name, and brings just these services up: for projects that insist on `:latest`.
#[derive(Debug, Clone)]
pub struct Retag {
    hosts: Hosts,
    allowed: bool,
}

impl Retag {
    pub(crate) fn new(hosts: Hosts, allowed: bool) -> Self {
        Self { hosts, allowed }
    }
}

impl Strategy<ComposeSnapshot, ComposeAction> for Retag {
    fn name(&self) -> &'static str {
        "retag"
    }

    fn summary(&self) -> &'static str {
        "move the tags that the compose files name on each host, and bring these services up"
    }

    fn propose(&self, view: &View<ComposeSnapshot>) -> Decision<ComposeAction> {
        if !self.allowed {
            return Decision::NotApplicable("the settings do not allow it: `retag = true`".to_owned());
        }
        self.hosts.propose(view, Way::Retag, |proposal| {
            proposal.downtime(Lasting::from_secs(1)).risk(Risk::Medium).precondition(
                "nothing pulls those tags meanwhile: `up --pull always` would bring the registry's back",
            )
        })
    }
}
