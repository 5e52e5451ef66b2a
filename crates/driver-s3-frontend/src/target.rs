//! The target itself: each method asks the bucket and says what that means.

use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, PartState, Reading};
use rollback_core::{
    ActionContext, Bound, Capabilities, DynTarget, Evidence, Goal, Landing, Observation, PartId, Receipt,
    Result, Target, TargetId, TargetInfo, Token,
};

use crate::action::SiteAction;
use crate::diff::Change;
use crate::site::Site;
use crate::snapshot::SiteSnapshot;
use crate::strategy::{ArchiveCopy, ObjectVersions};
use crate::{history, inspect};

/// A static site in a bucket.
#[derive(Debug, Clone)]
pub struct SiteTarget {
    site: Site,
}

impl SiteTarget {
    pub(crate) fn new(site: Site) -> Self {
        Self { site }
    }

    /// What it can do. S3 itself refuses to write over what somebody else wrote since, object by object.
    pub(crate) fn capabilities() -> Capabilities {
        Capabilities::default().history()
    }

    /// The target with all its strategies, ready for an engine.
    #[must_use]
    pub fn erase(self) -> Arc<dyn DynTarget> {
        // An archive is not taken away by lifecycle rules: of two ways that are as good, it comes first.
        Bound::new(crate::NAME, self).strategy(ArchiveCopy).strategy(ObjectVersions).erase()
    }

    /// The one part: what is served.
    fn part(snapshot: Option<&SiteSnapshot>) -> Result<PartState> {
        let part = PartId::new("live")?;
        Ok(PartState::verified(part, snapshot.map(|snapshot| snapshot.identity)))
    }
}

#[async_trait]
impl Target for SiteTarget {
    type Snapshot = SiteSnapshot;
    type Action = SiteAction;

    async fn info(&self) -> Result<TargetInfo> {
        let session = self.site.client.session();
        let caller = session.caller().await?;
        // Buckets have names that are their own in a whole partition.
        let id = format!("arn:{}:s3:::{}/{}", caller.partition(), self.site.client.bucket(), self.site.live);
        Ok(TargetInfo::new(TargetId::new(id)?, caller.account())
            .with_caller(caller.arn())
            .with_capabilities(Self::capabilities()))
    }

    /// S3 shows at once what was written. <https://aws.amazon.com/s3/consistency/>
    async fn observe(&self, _after: Option<&Token>) -> Result<Observation<SiteSnapshot>> {
        let seen = self.site.see().await?;
        let part = Self::part(seen.snapshot.as_ref())?;
        let settled = seen.snapshot.map_or(Reading::Absent, Reading::Known);
        Ok(Observation::settled(settled, seen.tally.token()).part(part))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SiteSnapshot>>> {
        history::of(&self.site, query).await
    }

    async fn inspect(&self, from: Option<&SiteSnapshot>, to: &SiteSnapshot) -> Result<Inspection> {
        inspect::inspect(&self.site, from, to).await
    }

    async fn apply(&self, cx: &ActionContext, action: &SiteAction) -> Result<Landing> {
        match action {
            SiteAction::Copy { release: Some(release), identity, .. } => {
                self.site.put_back(cx, release, *identity).await
            }
            SiteAction::Copy { release: None, seen, identity } => {
                self.site.put_back_from_anywhere(cx, *seen, *identity).await
            }
            SiteAction::Restore { at, identity } => self.site.restore(cx, *at, *identity).await,
        }
    }

    /// A convergence need not leave a mark: the token says whether anything moved, and the contents where to.
    async fn probe(&self, cx: &ActionContext, action: &SiteAction) -> Result<Landing> {
        let seen = self.site.see().await?;
        let token = seen.tally.token();
        if cx.expected.as_ref() == Some(&token) {
            return Ok(Landing::NotApplied { why: "nothing was written since it was sent".to_owned() });
        }
        if seen.snapshot.is_some_and(|live| live.identity == action.identity()) {
            return Ok(Landing::Applied(Receipt::default().with_token(token).presumed()));
        }
        Ok(Landing::Unknown { why: "something was written, and not all of it".to_owned() })
    }

    async fn prove(&self, goal: &Goal<SiteSnapshot>) -> Result<Evidence> {
        let identity = goal.snapshot.identity;
        if goal.snapshot.sources.is_empty() {
            // Nobody knows where it is to be had, and nobody need look for it if it is what is listed.
            let seen = self.site.see().await?;
            if seen.listed == identity {
                let part = Self::part(Some(&goal.snapshot))?;
                let objects = goal.snapshot.objects;
                return Ok(Evidence::default()
                    .part(part)
                    .compared(format!("keys, sizes and contents of {objects} objects")));
            }
        }
        let Some(compared) = self.site.locate(&goal.snapshot).await? else {
            let seen = self.site.see().await?;
            let part = Self::part(seen.snapshot.as_ref())?;
            return Ok(Evidence::default().part(part).compared("keys, sizes and contents of all objects"));
        };
        let mut retained = 0;
        let mut amiss = compared.release.identity() != identity;
        for change in &compared.changes {
            match change {
                Change::Extra(listed) if !self.site.order.is_entry_point(&listed.key) => retained += 1,
                _ => amiss = true,
            }
        }
        let mut part = Self::part((!amiss).then_some(&goal.snapshot))?;
        if amiss {
            part = Self::part(self.site.see().await?.snapshot.as_ref())?;
        }
        let mut evidence = Evidence::default()
            .part(part)
            .compared(format!("keys, sizes and contents of {} objects", compared.counts.same));
        if retained > 0 {
            evidence =
                evidence.compared(format!("{retained} assets of other releases are kept for open tabs"));
        }
        Ok(evidence)
    }
}
