//! The ways in which a site can be put back, one file each. All of them are pure.

mod archive_copy;
#[cfg(test)]
mod front_tests;
mod object_versions;
mod pointer;
#[cfg(test)]
mod tests;

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Step, StepId};

pub use self::archive_copy::ArchiveCopy;
pub use self::object_versions::ObjectVersions;
pub use self::pointer::Pointer;
use crate::action::SiteAction;
use crate::front::Served;
use crate::names::DistributionId;

/// Why nothing is written where a release is served from the archive itself.
pub(crate) const NOT_A_COPY: &str = "what is served is the archive itself, and nothing is ever written there";
/// How long edges are waited for.
const FORGOTTEN: Lasting = Lasting::from_secs(900);
/// How long it takes with an invalidation, which is mostly done within a minute or two.
const WITH_FORGETTING: Lasting = Lasting::from_secs(120);

/// What has the distribution forget what a step changed.
fn invalidation(distribution: &DistributionId, after: &Step<SiteAction>) -> Step<SiteAction> {
    let title = format!("have the distribution {distribution} forget what was changed");
    let action = SiteAction::Invalidate { distribution: distribution.clone() };
    let step = Step::convergence(StepId::from_static("invalidate"), title, action);
    step.after([after.id.clone()]).timeout(FORGOTTEN)
}

/// A step that writes, and what follows it where a distribution is in front.
fn then_forget(served: &Served, step: Step<SiteAction>) -> Decision<SiteAction> {
    if served.from_archive {
        return Decision::NotApplicable(NOT_A_COPY.to_owned());
    }
    let Some(distribution) = &served.distribution else {
        return Decision::Propose(Proposal::new(vec![step]));
    };
    let invalidate = invalidation(distribution, &step);
    Decision::Propose(Proposal::new(vec![step, invalidate]).expected(WITH_FORGETTING))
}
