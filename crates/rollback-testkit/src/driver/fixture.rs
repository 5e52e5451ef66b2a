//! What a driver author provides.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::time::{Clock, SystemClock};
use rollback_core::{DynTarget, Result, SnapshotRecord};

/// A release that a fixture can deploy. Their contents differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Release {
    /// The earlier one, that cases roll back to.
    One,
    /// The one that runs when a case begins.
    Two,
    /// A third, that somebody else deploys in between.
    Three,
}

impl Release {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// Something that a case wants to go wrong, or to be different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The next mutating call is refused cleanly: throttled, say.
    Refuse,
    /// The next mutating call never arrives, and its caller gets no answer.
    LoseRequest,
    /// The next mutating call lands, and its caller gets no answer.
    LoseAnswer,
    /// The next mutating call gets no answer, and lands only on [`Fault::Deliver`].
    Delay,
    /// What was delayed lands now.
    Deliver,
    /// The next convergence fails after its first part.
    StopHalfway,
    /// What this release is made of is removed; what runs goes on running.
    RemoveArtifact(Release),
    /// Every part is scaled to nothing.
    ScaleToZero,
    /// The first part runs this release, and the others what they did.
    MixParts(Release),
    /// Somebody else began to deploy this release, and it is still on its way.
    Begin(Release),
    /// Somebody else deployed this release, it did not start, and the world has come to rest as it does then.
    Fail(Release),
    /// The first part restarted by itself: a crash, a lost node. Nothing was deployed, and looks show it by now.
    RestartPart,
    /// The driver's caller may no longer read whether what releases are made of is there.
    DenyReads,
}

/// One world of a driver, made afresh for each case and dropped after it.
///
/// Two methods are required. The others are for convenience and have defaults that say "not supported": the
/// cases that need them are then ignored.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// A new handle onto the same world, as a second process would have it.
    async fn target(&self) -> Result<Arc<dyn DynTarget>>;

    /// A handle onto the same world, found in another way: another address, a path through a symlink, a name instead of
    /// an id. `None`: there is only one way.
    async fn alias(&self) -> Result<Option<Arc<dyn DynTarget>>> {
        Ok(None)
    }

    /// Deploys a release by foreign means, not through the driver, and waits until the world rests there.
    async fn deploy(&self, release: Release) -> Result<()>;

    /// Arranges a fault. `false`: it cannot.
    async fn inject(&self, fault: Fault) -> Result<bool> {
        let _ = fault;
        Ok(false)
    }

    /// How many changes landed so far, by whomever. `None`: it does not count.
    async fn effects(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Snapshots written under older schemas, which the driver must still read.
    async fn older_snapshots(&self) -> Result<Vec<SnapshotRecord>> {
        Ok(Vec::new())
    }

    /// Another deployed thing of the same backend, with the same releases and names where it may have them: whatever is done to this
    /// world's own, it must stay as it is. `None`: there is none.
    async fn neighbour(&self) -> Result<Option<Arc<dyn DynTarget>>> {
        Ok(None)
    }

    /// Texts that are secret in this world: none of them may show anywhere.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Lets a little time pass between two looks at something that moves.
    async fn pause(&self) {
        SystemClock.sleep(Duration::from_millis(50)).await;
    }

    /// How many pauses a case waits for the world to come to rest.
    fn patience(&self) -> u32 {
        600
    }
}
