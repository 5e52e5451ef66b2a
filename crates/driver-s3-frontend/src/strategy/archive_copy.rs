//! Back to a release in the archive.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Step, StepId, Strategy, View};

use super::then_forget;
use crate::action::SiteAction;
use crate::facts::{Facts, Whence};
use crate::front::Served;
use crate::names::Release;
use crate::snapshot::SiteSnapshot;

/// Copies what differs from the release's copy in the archive.
#[derive(Debug, Clone, Default)]
pub struct ArchiveCopy(Served);

impl ArchiveCopy {
    /// For a site that is served so.
    #[must_use]
    pub const fn new(served: Served) -> Self {
        Self(served)
    }
}

impl Strategy<SiteSnapshot, SiteAction> for ArchiveCopy {
    fn name(&self) -> &'static str {
        "archive-copy"
    }

    fn summary(&self) -> &'static str {
        "copy what differs from the release's copy in the archive"
    }

    fn propose(&self, view: &View<SiteSnapshot>) -> Decision<SiteAction> {
        let (release, seen) = match Facts::of(view).archive {
            Whence::From(release) => (Some(release), None),
            Whence::Somewhere => (None, view.goal.made_at),
            Whence::Nowhere(why) => return Decision::NotApplicable(why),
        };
        let called = release.as_ref().map_or(view.goal.revision.as_str(), Release::as_str);
        let title = format!("copy what differs from release {called}: assets first, pages last");
        let action = SiteAction::Copy { release, seen, identity: view.goal.identity };
        let step = Step::convergence(StepId::from_static("copy"), title, action);
        then_forget(&self.0, step.timeout(Lasting::from_secs(3_600)))
    }
}
