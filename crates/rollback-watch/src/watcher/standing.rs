//! How all components stand, so that each can be seen beside the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollback_core::ComponentName;
use rollback_core::time::Lasting;

/// A component that was deployed this long before a trouble has not been changed as far as that is concerned.
const LONG_AGO: Lasting = Lasting::from_secs(3_600);

/// How a component stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing {
    /// The triggers that see trouble.
    pub(crate) troubles: Vec<String>,
    /// Since when.
    pub(crate) since: Option<Duration>,
    /// When it was changed last, if that was seen.
    pub(crate) changed: Option<Duration>,
    /// Whether it is being rolled back by this process.
    pub(crate) acting: bool,
}

/// How all stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<BTreeMap<ComponentName, Standing>>>);

impl Board {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ComponentName, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, component: &ComponentName, change: impl FnOnce(&mut Standing)) {
        change(self.lock().entry(component.clone()).or_default());
    }

    pub(crate) fn is_acting(&self, component: &ComponentName) -> bool {
        self.lock().get(component).is_some_and(|standing| standing.acting)
    }

    /// Others that nobody changed and that fail in one of these ways since `since` or longer. What began later may well come from this one.
    pub(crate) fn others(&self, than: &ComponentName, triggers: &[String], since: Duration) -> Vec<String> {
        let fails = |standing: &Standing| {
            let unchanged =
                |began: Duration| standing.changed.is_none_or(|at| at + LONG_AGO.as_duration() < began);
            let same = standing.troubles.iter().any(|trouble| triggers.contains(trouble));
            same && standing.since.is_some_and(|began| began <= since && unchanged(began))
        };
        let board = self.lock();
        let others = board.iter().filter(|(name, standing)| *name != than && fails(standing));
        others.map(|(name, _)| name.to_string()).take(10).collect()
    }
}
