//! What was usual for the version that was well last, kept for whoever judges the next one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::condition::Baseline;
use rollback_core::store::{Condition, KeyPrefix, Records};
use rollback_core::{ComponentName, EnvironmentName, Result, SnapshotInfo};
use serde::{Deserialize, Serialize};

/// What was usual for a version that was well for its soak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Usual {
    /// The version that it was learnt from.
    pub version: SnapshotInfo,
    /// Until when.
    pub at: Timestamp,
    /// What was usual, by trigger.
    pub triggers: BTreeMap<String, Baseline>,
}

impl Usual {
    /// What was usual for `version` until `at`.
    #[must_use]
    pub fn new(version: SnapshotInfo, at: Timestamp, triggers: BTreeMap<String, Baseline>) -> Self {
        Self { version, at, triggers }
    }
}

/// What was usual for the components of one environment: a guard that begins after the deploy, and a watcher that was started again, know
/// it from here.
#[derive(Debug, Clone)]
pub struct Usuals {
    records: Records,
    prefix: KeyPrefix,
}

impl Usuals {
    /// Those of `environment`.
    ///
    /// # Errors
    ///
    /// Never for parsed names; keys are checked all the same.
    pub fn new(records: Records, environment: &EnvironmentName) -> Result<Self> {
        let prefix = KeyPrefix::new(&format!("usual/{environment}"))?;
        Ok(Self { records, prefix })
    }

    /// What was usual for the version of `component` that was well last, if one was.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn of(&self, component: &ComponentName) -> Result<Option<Usual>> {
        let key = self.prefix.key(component.as_str())?;
        Ok(self.records.get::<Usual>(&key).await?.map(|record| record.value))
    }

    /// Keeps it, in place of what was there.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn keep(&self, component: &ComponentName, usual: &Usual) -> Result<()> {
        let key = self.prefix.key(component.as_str())?;
        // Of two watchers that saw the same, either is right.
        self.records.put(&key, usual, &Condition::Any).await.map(drop)
    }
}
