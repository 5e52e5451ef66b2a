//! Looks that are a moment old.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lease::Head;
use crate::name::ComponentName;
use crate::snapshot::{Identity, SnapshotRecord};
use crate::target::{Inspection, Observation, TargetInfo};

/// For how long a look counts as one of this moment. Somebody who reads a plan and confirms it takes longer.
const FRESH: Duration = Duration::from_secs(2);
/// Of larger plans nothing is kept: looking again is little beside what they do.
const MOST: usize = 16;

/// What was seen of a component while a plan was made: applied right away, it need not be looked at again.
#[derive(Debug, Default)]
pub(crate) struct FreshLooks(Mutex<BTreeMap<ComponentName, FreshLook>>);

/// One of them.
#[derive(Debug)]
pub(crate) struct FreshLook {
    /// When it was made, by the monotonic clock.
    pub(crate) at: Duration,
    /// Of what.
    pub(crate) target: TargetInfo,
    pub(crate) observed: Observation<SnapshotRecord>,
    /// What was inspected for this destination; `None` for an urgent plan.
    pub(crate) inspection: Option<Inspection>,
    pub(crate) to: Identity,
    /// How often its lease had been taken then; `None` if somebody held it.
    pub(crate) epoch: Option<u64>,
}

impl FreshLook {
    /// Whether nobody held the lease between the look and now, who holds it and found this head.
    pub(crate) fn is_undisturbed(&self, found: Option<&Head>) -> bool {
        self.epoch == Some(found.map_or(0, |head| head.epoch))
    }
}

impl FreshLooks {
    /// Whether looks of a plan of so many components are kept.
    pub(crate) fn are_kept(components: usize) -> bool {
        components <= MOST
    }

    pub(crate) fn keep(&self, name: &ComponentName, look: FreshLook) {
        self.lock().insert(name.clone(), look);
    }

    /// The look at a component for this destination, if it is fresh. It is given once.
    pub(crate) fn take(&self, name: &ComponentName, to: Identity, now: Duration) -> Option<FreshLook> {
        let look = self.lock().remove(name)?;
        (look.to == to && now.saturating_sub(look.at) <= FRESH).then_some(look)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ComponentName, FreshLook>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
