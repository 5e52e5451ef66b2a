//! Looks that are a moment old.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
}

impl FreshLooks {
    /// Keeps a look that belongs to a plan of so many components.
    pub(crate) fn keep(&self, name: &ComponentName, components: usize, look: impl FnOnce() -> FreshLook) {
        if components <= MOST {
            self.lock().insert(name.clone(), look());
        }
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
