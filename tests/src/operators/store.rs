//! The store as a machine sees it: counts takeovers, and is broken on purpose where the test is tested.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rollback_core::Result;
use rollback_core::lease::Head;
use rollback_core::store::{
    Condition, Delete, Key, KeyPrefix, Put, Store, StoreInfo, StoreVersion, Versioned,
};
use serde::Deserialize;

use super::settings::{Flaw, Settings};
use super::told::Told;

/// A store that looks at heads as they pass.
pub(super) struct Watched {
    inner: Arc<dyn Store>,
    settings: Settings,
    /// The heads that were seen held, by their version: who held them.
    held: Mutex<BTreeMap<StoreVersion, Head>>,
}

#[derive(Deserialize)]
struct Stamped {
    body: Head,
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn Store>, settings: Settings) -> Self {
        Self { inner, settings, held: Mutex::new(BTreeMap::new()) }
    }

    fn saw(&self, key: &Key, found: &Versioned) {
        let Some(head) = head(key, &found.value) else { return };
        if head.holder.is_some() {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(found.version.clone(), head);
        }
    }

    /// A head that was held is somebody else's now.
    fn wrote(&self, key: &Key, value: &[u8], condition: &Condition) {
        let (Some(now), Condition::Version(version)) = (head(key, value), condition) else { return };
        let before = self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(version);
        let Some(before) = before.filter(|before| before.owner != now.owner) else { return };
        let host = |head: &Head| head.holder.as_ref().map(|holder| holder.host.clone());
        let told = Told::TookOver { own: host(&before) == host(&now) };
        // Only a count is lost.
        let _ = told.append(&self.settings.world, &self.settings.machine);
    }
}

fn head(key: &Key, value: &[u8]) -> Option<Head> {
    let stamped = key.as_str().starts_with("heads/").then(|| serde_json::from_slice::<Stamped>(value).ok());
    stamped.flatten().map(|stamped| stamped.body)
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl Store for Watched {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    async fn get(&self, key: &Key) -> Result<Option<Versioned>> {
        let found = self.inner.get(key).await?;
        if let Some(found) = &found {
            self.saw(key, found);
        }
        Ok(found)
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> Result<Put> {
        let wanted =
            if self.settings.flaw == Some(Flaw::IgnoresConditions) { &Condition::Any } else { condition };
        let put = self.inner.put(key, value, wanted).await?;
        if let Put::Stored(_) = put {
            self.wrote(key, value, condition);
        }
        Ok(put)
    }

    async fn list(&self, prefix: &KeyPrefix, after: Option<&Key>, limit: usize) -> Result<Vec<Key>> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<Delete> {
        self.inner.delete(key, version).await
    }
}
