//! The distribution serves another release of the archive.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Step, StepId, Strategy, View};

use super::invalidation;
use crate::action::SiteAction;
use crate::facts::{Facts, Whence};
use crate::front::Served;
use crate::names::{DistributionId, Release};
use crate::snapshot::SiteSnapshot;

/// How long CloudFront takes to bring a change to its edges, and to forget.
const EXPECTED: Lasting = Lasting::from_secs(300);

/// Moves the distribution's origin path to the release's folder in the archive: the same work for any size.
#[derive(Debug, Clone, Default)]
pub struct Pointer(Served);

impl Pointer {
    /// For a site that is served so.
    #[must_use]
    pub const fn new(served: Served) -> Self {
        Self(served)
    }

    fn steps(
        view: &View<SiteSnapshot>,
        distribution: &DistributionId,
        release: Option<Release>,
    ) -> Vec<Step<SiteAction>> {
        let called = release.as_ref().map_or(view.goal.revision.as_str(), Release::as_str);
        let title = format!("let the distribution {distribution} serve release {called}");
        let (distribution_id, identity) = (distribution.clone(), view.goal.identity);
        let point = SiteAction::Point { distribution: distribution_id, release, identity };
        let point = Step::single(StepId::from_static("point"), title, point);
        let invalidate = invalidation(distribution, &point);
        vec![point, invalidate]
    }
}

impl Strategy<SiteSnapshot, SiteAction> for Pointer {
    fn name(&self) -> &'static str {
        "pointer"
    }

    fn summary(&self) -> &'static str {
        "let the distribution serve the release straight from the archive"
    }

    fn propose(&self, view: &View<SiteSnapshot>) -> Decision<SiteAction> {
        let distribution = match &self.0 {
            Served { distribution: Some(distribution), from_archive: true } => distribution,
            Served { distribution: Some(_), .. } => {
                let why = "what is served is a copy: `pointer` is not set";
                return Decision::NotApplicable(why.to_owned());
            }
            Served { .. } => return Decision::NotApplicable("no `distribution` is set".to_owned()),
        };
        let release = match Facts::of(view).archive {
            Whence::From(release) => Some(release),
            Whence::Somewhere => None,
            Whence::Nowhere(why) => return Decision::NotApplicable(why),
        };
        Decision::Propose(Proposal::new(Self::steps(view, distribution, release)).expected(EXPECTED))
    }
}
