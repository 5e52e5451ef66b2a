//! A store that counts what is asked of another one, and how long that takes.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::store::{
    Condition, Delete, Key, KeyPrefix, Put, Store, StoreInfo, StoreVersion, Versioned,
};
use rollback_core::time::{Clock as _, SystemClock};

/// What was asked of a store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Every write that was made durable: its key and the size of its value.
    pub(crate) writes: Vec<(String, usize)>,
    /// Gets and lists.
    pub(crate) reads: usize,
    /// The time spent waiting for the store.
    pub(crate) waited: Duration,
    /// The time that the twin took for the same writes.
    pub(crate) twin: Duration,
}

/// Writes what the counted store writes, once more, somewhere else: to be compared with.
pub(crate) trait Twin: fmt::Debug + Send + Sync + 'static {
    /// Writes it.
    fn write(&self, key: &str, value: &[u8]);
}

/// Counts what is asked of a store.
#[derive(Debug)]
pub(crate) struct Counting {
    inner: Arc<dyn Store>,
    twin: Option<Box<dyn Twin>>,
    counts: Mutex<Counts>,
}

impl Counting {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self { inner, twin: None, counts: Mutex::default() })
    }

    /// Has each write done a second time, by `twin`: both then meet the same moods of the disk.
    pub(crate) fn beside(inner: Arc<dyn Store>, twin: impl Twin) -> Arc<Self> {
        Arc::new(Self { inner, twin: Some(Box::new(twin)), counts: Mutex::default() })
    }

    fn twin(&self, key: &Key, value: &[u8]) {
        let Some(twin) = &self.twin else { return };
        let began = SystemClock.monotonic();
        twin.write(key.as_str(), value);
        self.lock().twin += SystemClock.monotonic().saturating_sub(began);
    }

    /// What was counted since the last time.
    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(&self, call: impl Future<Output = T>) -> T {
        let began = SystemClock.monotonic();
        let answer = call.await;
        self.lock().waited += SystemClock.monotonic().saturating_sub(began);
        answer
    }
}

#[async_trait]
impl Store for Counting {
    fn info(&self) -> StoreInfo {
        self.inner.info()
    }

    async fn get(&self, key: &Key) -> rollback_core::Result<Option<Versioned>> {
        self.lock().reads += 1;
        self.ask(self.inner.get(key)).await
    }

    async fn put(&self, key: &Key, value: &[u8], condition: &Condition) -> rollback_core::Result<Put> {
        // Turn by turn: whoever syncs first may pay for the other.
        let twin_first = self.lock().writes.len().is_multiple_of(2);
        if twin_first {
            self.twin(key, value);
        }
        let put = self.ask(self.inner.put(key, value, condition)).await?;
        if matches!(put, Put::Stored(_)) {
            self.lock().writes.push((key.as_str().to_owned(), value.len()));
        }
        if !twin_first {
            self.twin(key, value);
        }
        Ok(put)
    }

    async fn list(
        &self,
        prefix: &KeyPrefix,
        after: Option<&Key>,
        limit: usize,
    ) -> rollback_core::Result<Vec<Key>> {
        self.lock().reads += 1;
        self.ask(self.inner.list(prefix, after, limit)).await
    }

    async fn delete(&self, key: &Key, version: &StoreVersion) -> rollback_core::Result<Delete> {
        let gone = self.ask(self.inner.delete(key, version)).await?;
        if gone == Delete::Gone {
            self.lock().writes.push((key.as_str().to_owned(), 0));
        }
        Ok(gone)
    }
}
