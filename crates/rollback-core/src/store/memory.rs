use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Condition, Delete, Key, KeyPrefix, Put, Store, StoreInfo, StoreVersion, Versioned, check_value};
use crate::error::Result;

/// A store in memory, for tests and for tools that need no memory of their own. Clones share their content.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    values: BTreeMap<Key, (Vec<u8>, u64)>,
    writes: u64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    // Each change of the map is one insert or remove, so a panic elsewhere cannot leave it half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(number: u64) -> StoreVersion {
    StoreVersion::new(number.to_string())
}

#[async_trait]
impl Store for MemoryStore {
    fn info(&self) -> StoreInfo {
        StoreInfo::new("memory:", false)
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        let state = self.lock();
        Ok(state
            .values
            .get(key)
            .map(|(value, number)| Versioned { value: value.clone(), version: version(*number) }))
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        check_value(&format!("write {key} to the store in memory"), value)?;
        let mut state = self.lock();
        let found = state.values.get(key).map(|(_, number)| version(*number));
        let holds = match condition {
            Condition::Absent => found.is_none(),
            Condition::Version(wanted) => found.as_ref() == Some(wanted),
            Condition::Any => true,
        };
        if !holds {
            return Ok(Put::Conflict);
        }
        state.writes += 1;
        let number = state.writes;
        state.values.insert(key.clone(), (value.to_vec(), number));
        Ok(Put::Stored(version(number)))
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        let state = self.lock();
        let first = Key(prefix.as_str().to_owned());
        let from = match after {
            Some(key) if *key >= first => Bound::Excluded(key),
            _ => Bound::Included(&first),
        };
        Ok(state
            .values
            .range((from, Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| prefix.covers(key))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn delete(&self, key: &Key, wanted: &StoreVersion) -> Result<Delete> {
        let mut state = self.lock();
        let found = state.values.get(key).map(|(_, number)| version(*number));
        if found.is_some_and(|found| found != *wanted) {
            return Ok(Delete::Conflict);
        }
        state.values.remove(key);
        Ok(Delete::Gone)
    }
}
