//! The target itself: each method asks the bucket and says what that means.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, PartState, Reading};
use rollback_core::time::Lasting;
use rollback_core::{
    ActionContext, Anticipates, Bound, Capabilities, DynTarget, Evidence, Goal, Landing, Leftovers,
    Observation, Occasion, PartId, Receipt, Remembers, Result, Target, TargetId, TargetInfo, Tidies, Tidying,
    Token,
};

use crate::action::SiteAction;
use crate::parts::Parts;
use crate::past::Thought;
use crate::site::Site;
use crate::snapshot::SiteSnapshot;
use crate::strategy::{ArchiveCopy, ObjectVersions, Pointer};
use crate::{history, inspect};

/// How long a request whose answer was lost may still be on its way to CloudFront: until then a distribution that is as it was says
/// nothing. The SDK gives a connection up sooner; AWS names no number.
const LAG: Lasting = Lasting::from_secs(10);

/// A static site in a bucket.
#[derive(Debug, Clone)]
pub struct SiteTarget {
    site: Site,
}

impl SiteTarget {
    pub(crate) fn new(site: Site) -> Self {
        Self { site }
    }

    /// With other limits for copies, so that tests need no object of 5 GiB: what has more bytes than `above` is copied in parts of
    /// `each`, and S3 takes no parts of less than 5 MiB.
    #[doc(hidden)]
    #[must_use]
    pub fn copying_in_parts(mut self, above: u64, each: u64) -> Self {
        self.site.parts = Parts::new(above, each);
        self
    }

    /// What it can do. S3 itself refuses to write over what somebody else wrote since, object by object.
    pub(crate) fn capabilities() -> Capabilities {
        Capabilities::default().history().tidies()
    }

    /// The target with all its strategies, ready for an engine.
    #[must_use]
    pub fn erase(self) -> Arc<dyn DynTarget> {
        let (served, is_pointer) = (self.site.front.served(), self.site.front.pointer().is_some());
        // An archive is not taken away by lifecycle rules: of two ways that are as good, it comes first.
        let bound = Bound::new(crate::NAME, self)
            .anticipating()
            .strategy(Pointer::new(served.clone()))
            .strategy(ArchiveCopy::new(served.clone()))
            .strategy(ObjectVersions::new(served))
            .tidying();
        // A release that is served from the archive is there as a whole.
        if is_pointer { bound } else { bound.remembering() }.erase()
    }
}

/// The one part: what is served.
pub(crate) fn part(snapshot: Option<&SiteSnapshot>) -> Result<PartState> {
    let part = PartId::new("live")?;
    Ok(PartState::verified(part, snapshot.map(|snapshot| snapshot.identity)))
}

#[async_trait]
impl Target for SiteTarget {
    type Snapshot = SiteSnapshot;
    type Action = SiteAction;

    async fn info(&self) -> Result<TargetInfo> {
        let session = self.site.client.session();
        let caller = session.caller().await?;
        let (partition, account) = (caller.partition(), caller.account());
        // Buckets have names that are their own in a whole partition; distributions belong to an account.
        let (id, capabilities) = match self.site.front.pointer() {
            Some(cloudfront) => (
                format!("arn:{partition}:cloudfront::{account}:distribution/{}", cloudfront.id()),
                Self::capabilities().refuses_stale_writers().in_flight().with_visibility_lag(LAG),
            ),
            None => (
                format!("arn:{partition}:s3:::{}/{}", self.site.client.bucket(), self.site.live),
                Self::capabilities(),
            ),
        };
        Ok(TargetInfo::new(TargetId::new(id)?, account)
            .with_caller(caller.arn())
            .with_capabilities(capabilities))
    }

    /// S3 shows at once what was written. <https://aws.amazon.com/s3/consistency/>
    async fn observe(&self, after: Option<&Token>) -> Result<Observation<SiteSnapshot>> {
        if let Some(cloudfront) = self.site.front.pointer() {
            return self.site.pointed_to(cloudfront).await?.observation();
        }
        let seen = self.site.observe(after).await?;
        let part = part(seen.snapshot.as_ref())?;
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
        if matches!(action, SiteAction::Copy { .. } | SiteAction::Restore { .. }) {
            self.site.begins(cx);
            self.site.give_up_leftovers().await;
        }
        match action {
            SiteAction::Copy { release: Some(release), identity, .. } => {
                self.site.put_back(cx, release, *identity).await
            }
            SiteAction::Copy { release: None, seen, identity } => {
                self.site.put_back_from_anywhere(cx, *seen, *identity).await
            }
            SiteAction::Restore { at, manifest, identity } => {
                let thought = Thought { at: *at, manifest: *manifest, seen: None };
                self.site.restore(cx, thought, *identity).await
            }
            SiteAction::Point { distribution, release, identity } => {
                self.site.point(cx, distribution, release.as_ref(), *identity).await
            }
            SiteAction::Invalidate { distribution } => self.site.invalidate(cx, distribution).await,
        }
    }

    /// A convergence need not leave a mark: the token says whether anything moved, and the contents where to.
    async fn probe(&self, cx: &ActionContext, action: &SiteAction) -> Result<Landing> {
        let identity = match action {
            SiteAction::Copy { identity, .. } | SiteAction::Restore { identity, .. } => *identity,
            SiteAction::Point { distribution, release, identity } => {
                return self.site.pointed(cx, distribution, release.as_ref(), *identity).await;
            }
            SiteAction::Invalidate { distribution } => return self.site.invalidated(cx, distribution).await,
        };
        let seen = self.site.see().await?;
        let token = seen.tally.token();
        if cx.expected.as_ref() == Some(&token) {
            return Ok(Landing::NotApplied { why: "nothing was written since it was sent".to_owned() });
        }
        if seen.snapshot.is_some_and(|live| live.identity == identity) {
            return Ok(Landing::Applied(Receipt::default().with_token(token).presumed()));
        }
        Ok(Landing::Unknown { why: "something was written, and not all of it".to_owned() })
    }

    async fn prove(&self, goal: &Goal<SiteSnapshot>) -> Result<Evidence> {
        self.site.prove(goal).await
    }
}

#[async_trait]
impl Anticipates for SiteTarget {
    async fn anticipate(&self, query: &HistoryQuery) {
        history::anticipate(&self.site, query).await;
    }
}

#[async_trait]
impl Remembers for SiteTarget {
    async fn remember(&self, snapshot: &SiteSnapshot, occasion: Occasion) -> Result<()> {
        self.site.remember_state(snapshot, occasion).await
    }
}

#[async_trait]
impl Tidies for SiteTarget {
    async fn leftovers(&self, now: Timestamp) -> Result<Leftovers> {
        self.site.leftovers(now).await
    }

    async fn tidy(&self, tidying: &Tidying) -> Result<Leftovers> {
        self.site.tidy(tidying).await
    }
}
