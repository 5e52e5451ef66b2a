//! Back to a release in the archive.

use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Result, Step, StepId, Strategy, View};

use serde_json::Value;

use crate::action::SiteAction;
use crate::names::Release;
use crate::snapshot::SiteSnapshot;

/// Copies what differs from the release's copy in the archive.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ArchiveCopy;

impl ArchiveCopy {
    fn steps(view: &View<SiteSnapshot>) -> Result<Option<Vec<Step<SiteAction>>>> {
        // A repair is planned without an inspection: then the copy is looked for when it is needed.
        let release = match &view.inspection.facts["release"] {
            Value::Null => view.goal.release().cloned(),
            Value::Bool(_) => return Ok(None),
            known => Release::new(known.as_str().unwrap_or_default()).ok(),
        };
        let called = release.as_ref().map_or(view.goal.revision.as_str(), Release::as_str);
        let title = format!("copy what differs from release {called}: assets first, pages last");
        let action = SiteAction::Copy { release, identity: view.goal.identity };
        let step = Step::convergence(StepId::new("copy")?, title, action);
        Ok(Some(vec![step.timeout(Lasting::from_secs(3_600))]))
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
        match Self::steps(view) {
            Ok(Some(steps)) => Decision::Propose(Proposal::new(steps)),
            Ok(None) => Decision::NotApplicable("no copy of it is in the archive".to_owned()),
            Err(error) => Decision::NotApplicable(error.to_string()),
        }
    }
}
