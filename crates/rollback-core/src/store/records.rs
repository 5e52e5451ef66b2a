//! Typed records over a [`Store`], with nonces that settle lost answers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt as _;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Condition, Delete, Key, KeyPrefix, Put, Store, StoreInfo, StoreVersion};
use crate::error::{Effect, Error, ErrorKind, Result};
use crate::name::Entropy;
use crate::time::Clock;

/// How often a store call is tried before it counts as failed, and the first pause between two tries.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// After that long no further try begins. A store that is silent is told within two of its time-outs, not within six:
/// a person waits, and a lease runs out meanwhile.
const PATIENCE: Duration = Duration::from_secs(8);

/// How many records are read at once.
const READS: usize = 16;

/// Typed JSON records in a [`Store`].
///
/// Each value is written with a nonce. A `put` whose answer was lost is settled by reading back: our nonce
/// there = it landed. Transient store errors are waited out here (six tries, pauses from 50 ms doubling, none after eight
/// seconds), so that callers see either an answer or a store that is really gone.
#[derive(Debug, Clone)]
pub struct Records {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// A record with the version it was read at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<T> {
    /// The value.
    pub value: T,
    /// Its version in the store.
    pub version: StoreVersion,
}

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Written and durable.
    Stored(StoreVersion),
    /// Somebody else's value is there. Nothing of ours was written, or, after a lost answer, it was and has been
    /// replaced since.
    Conflict,
}

#[derive(Serialize, Deserialize)]
struct Stamped<T> {
    nonce: String,
    body: T,
}

impl Records {
    /// Records in `store`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, clock, entropy }
    }

    /// What sort of store is behind it.
    #[must_use]
    pub fn info(&self) -> StoreInfo {
        self.store.info()
    }

    /// The record under `key`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] when it cannot be read as `T`; else the store's error.
    pub async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<Record<T>>> {
        let Some(found) = self.read(key).await? else { return Ok(None) };
        let stamped: Stamped<T> = serde_json::from_slice(&found.value).map_err(|error| {
            Error::new(
                ErrorKind::Corrupt,
                format!("read {key} from {}", self.info().url),
                "it is not a record",
            )
            .next("it was written by another program or a newer version; keep a copy before removing it")
            .with_source(error)
        })?;
        Ok(Some(Record { value: stamped.body, version: found.version }))
    }

    /// The records under these keys, in their order, read several at a time: a store may be some way off. `None` for
    /// those that are not there (any more).
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), the first of them.
    pub async fn get_all<T>(&self, keys: &[Key]) -> Result<Vec<Option<Record<T>>>>
    where
        T: DeserializeOwned + Send,
    {
        let reads: Vec<_> = keys.iter().map(|key| self.get(key).boxed()).collect();
        stream::iter(reads).buffered(READS).try_collect().await
    }

    /// What all records under `prefix` say, in the order of their keys. One that is removed meanwhile is left out.
    pub(crate) async fn values<T>(&self, prefix: &KeyPrefix) -> Result<Vec<T>>
    where
        T: DeserializeOwned + Send,
    {
        let found = self.get_all(&self.keys(prefix).await?).await?;
        Ok(found.into_iter().flatten().map(|record| record.value).collect())
    }

    /// Writes `value` if `condition` holds.
    ///
    /// # Errors
    ///
    /// The store's error, with [`Effect::Unknown`] when even reading back failed.
    pub async fn put<T: Serialize>(&self, key: &Key, value: &T, condition: &Condition) -> Result<Written> {
        let nonce = crate::digest::Digest::of_bytes(&self.entropy.bytes()).short();
        let bytes = serde_json::to_vec(&Stamped { nonce: nonce.clone(), body: value }).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("write {key}"), "it is not JSON").with_source(error)
        })?;
        // Once an answer was lost, the write may have landed: a conflict then may be with ourselves.
        let mut doubtful = false;
        let mut pause = FIRST_PAUSE;
        let began = self.clock.monotonic();
        for tried in 1.. {
            let again = match self.store.put(key, &bytes, condition).await {
                Ok(Put::Stored(version)) => return Ok(Written::Stored(version)),
                Ok(Put::Conflict) if !doubtful => return Ok(Written::Conflict),
                Ok(Put::Conflict) => return self.ours(key, &nonce).await,
                Err(error) => error,
            };
            if again.effect() != Effect::None {
                doubtful = true;
                if let Written::Stored(version) = self.ours(key, &nonce).await? {
                    return Ok(Written::Stored(version));
                }
            }
            if tried == TRIES || !again.is_transient() || self.is_late(began) {
                return Err(if doubtful { again.with_effect(Effect::Unknown) } else { again });
            }
            self.clock.sleep(pause).await;
            pause *= 2;
        }
        unreachable!("the loop ends by returning")
    }

    /// Changes the record under `key`, reading it again when somebody else was first. Whether there is one.
    ///
    /// # Errors
    ///
    /// The store's; [`ErrorKind::Conflict`] when others change it all the time.
    pub async fn modify<T>(&self, key: &Key, change: impl Fn(&mut T) + Send) -> Result<bool>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
    {
        // Each conflict is somebody else's success, so a hundred of them in a row is no accident.
        for _ in 0..100 {
            let Some(mut record) = self.get::<T>(key).await? else { return Ok(false) };
            change(&mut record.value);
            if let Written::Stored(_) =
                self.put(key, &record.value, &Condition::Version(record.version)).await?
            {
                return Ok(true);
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("change {key}"), "others change it all the time")
            .transient(true)
            .next("try again"))
    }

    /// Removes a record that still has `version`. Whether it was removed.
    ///
    /// # Errors
    ///
    /// The store's error.
    pub async fn delete(&self, key: &Key, version: &StoreVersion) -> Result<bool> {
        let gone = self.patiently(|| async { self.store.delete(key, version).await }).await?;
        Ok(gone == Delete::Gone)
    }

    /// Removes a record as it is now. Whether it was removed.
    pub(crate) async fn remove(&self, key: &Key) -> Result<bool> {
        match self.get::<serde_json::Value>(key).await? {
            Some(record) => self.delete(key, &record.version).await,
            None => Ok(false),
        }
    }

    /// All keys under `prefix`, in order.
    ///
    /// # Errors
    ///
    /// The store's error.
    pub async fn keys(&self, prefix: &KeyPrefix) -> Result<Vec<Key>> {
        const PAGE: usize = 500;
        let mut keys: Vec<Key> = Vec::new();
        loop {
            let page = self.patiently(|| async { self.store.list(prefix, keys.last(), PAGE).await }).await?;
            let full = page.len() == PAGE;
            keys.extend(page);
            if !full {
                return Ok(keys);
            }
        }
    }

    async fn read(&self, key: &Key) -> Result<Option<super::Versioned>> {
        self.patiently(|| async { self.store.get(key).await }).await
    }

    /// Whether the value under `key` is the one written with `nonce`.
    async fn ours(&self, key: &Key, nonce: &str) -> Result<Written> {
        let found = self.read(key).await.map_err(|error| error.with_effect(Effect::Unknown))?;
        let ours = found.filter(|found| {
            serde_json::from_slice::<Stamped<serde::de::IgnoredAny>>(&found.value)
                .is_ok_and(|stamped| stamped.nonce == nonce)
        });
        Ok(ours.map_or(Written::Conflict, |found| Written::Stored(found.version)))
    }

    /// Whether no further try is worth beginning.
    fn is_late(&self, began: Duration) -> bool {
        self.clock.monotonic().saturating_sub(began) >= PATIENCE
    }

    /// Repeats a call that may be repeated while its errors are transient.
    async fn patiently<T, F: Future<Output = Result<T>>>(&self, call: impl Fn() -> F) -> Result<T> {
        let mut pause = FIRST_PAUSE;
        let mut tried = 1;
        let began = self.clock.monotonic();
        loop {
            match call().await {
                Err(error) if error.is_transient() && tried < TRIES && !self.is_late(began) => {
                    tracing::debug!(%error, tried, "the store asks for patience");
                }
                done => return done,
            }
            self.clock.sleep(pause).await;
            pause *= 2;
            tried += 1;
        }
    }
}
