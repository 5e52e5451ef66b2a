//! Back to what was served at a time, from the bucket's own versions.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Step, StepId, Strategy, View};

use super::then_forget;
use crate::action::SiteAction;
use crate::facts::{Facts, Whence};
use crate::front::Served;
use crate::snapshot::{SiteSnapshot, Source};

/// Puts back the versions that were current at a time: copies what was written over since, removes delete markers where nothing else
/// hides an object, deletes pages that were not there.
///
/// As good as [`ArchiveCopy`](super::ArchiveCopy), which comes first where both can be used: an archive is not taken away by
/// lifecycle rules.
#[derive(Debug, Clone, Default)]
pub struct ObjectVersions(Served);

impl ObjectVersions {
    /// For a site that is served so.
    #[must_use]
    pub const fn new(served: Served) -> Self {
        Self(served)
    }
}

impl Strategy<SiteSnapshot, SiteAction> for ObjectVersions {
    fn name(&self) -> &'static str {
        "object-versions"
    }

    fn summary(&self) -> &'static str {
        "put back the versions of the objects that were served then"
    }

    fn propose(&self, view: &View<SiteSnapshot>) -> Decision<SiteAction> {
        let (at, manifest) = match Facts::of(view).versions {
            Whence::From(Source::Versions(at)) => (Some(at), None),
            Whence::From(Source::Manifest(digest)) => (None, Some(digest)),
            Whence::From(Source::Archive(_)) => (None, None),
            Whence::Somewhere => (view.goal.made_at, None),
            Whence::Nowhere(why) => return Decision::NotApplicable(why),
        };
        let called = at.map_or_else(|| format!("as {}", view.goal.revision), |at| format!("at {at:.0}"));
        let title = format!("put back what was served {called}: assets first, pages last");
        let action = SiteAction::Restore { at, manifest, identity: view.goal.identity };
        let step = Step::convergence(StepId::from_static("restore"), title, action);
        then_forget(&self.0, step.timeout(Lasting::from_secs(3_600)))
    }
}
