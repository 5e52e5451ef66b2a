//! Stores by the scheme of their URL.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::registry::known;
use rollback_core::store::{
    Condition, Delete, Key, KeyPrefix, MemoryStore, Put, StoreInfo, StoreVersion, Versioned,
};
use rollback_core::{Error, ErrorKind, Result, Store};
#[cfg(feature = "object-store")]
use rollback_store_object::{Bucket, BucketOptions, Provider};

use crate::defaults;

/// Opens stores of one scheme.
#[async_trait]
pub trait StoreOpener: Send + Sync + 'static {
    /// The scheme in `store = "scheme:…"`.
    fn scheme(&self) -> &'static str;

    /// Opens the store. `location` is what follows the scheme's colon; relative paths begin in `folder`.
    ///
    /// # Errors
    ///
    /// What keeps it from being opened, and what to do about it.
    async fn open(&self, location: &str, folder: &Path) -> Result<Arc<dyn Store>>;
}

/// The schemes that a binary was built with.
#[derive(Clone, Default)]
pub(crate) struct Stores {
    openers: BTreeMap<&'static str, Arc<dyn StoreOpener>>,
}

impl Stores {
    /// SQLite files, memory for trying things out, and object storage where it is compiled in.
    pub(crate) fn built_in() -> Self {
        let stores = Self::default().with(Sqlite).with(Memory);
        #[cfg(feature = "object-store")]
        let stores = [Provider::S3, Provider::Google, Provider::Azure]
            .into_iter()
            .fold(stores, |stores, provider| stores.with(ObjectStorage(provider)));
        stores
    }

    pub(crate) fn with(mut self, opener: impl StoreOpener) -> Self {
        self.openers.insert(opener.scheme(), Arc::new(opener));
        self
    }

    pub(crate) async fn open(&self, url: &str, folder: &Path) -> Result<Arc<dyn Store>> {
        let schemes = || self.openers.keys().copied();
        let wrong = |message: &str| Error::new(ErrorKind::Invalid, "open the store", message);
        // The whole URL may hold credentials: only its scheme is shown.
        let Some((scheme, location)) = url.split_once(':') else {
            return Err(wrong("store has no scheme").next("write it like sqlite:.rollback/state.db"));
        };
        match self.openers.get(scheme) {
            Some(opener) => opener.open(location, folder).await,
            None => {
                let message = format!("there is no store with the scheme {scheme:?}");
                Err(wrong(&message).next(known("schemes", scheme, schemes())))
            }
        }
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.openers.keys()).finish()
    }
}

struct Sqlite;

#[async_trait]
impl StoreOpener for Sqlite {
    fn scheme(&self) -> &'static str {
        "sqlite"
    }

    async fn open(&self, location: &str, folder: &Path) -> Result<Arc<dyn Store>> {
        let file = folder.join(location.strip_prefix("//").unwrap_or(location));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::new(ErrorKind::Unavailable, format!("create {}", folder.display()), error.to_string())
                    .transient(false)
                    .next("make it writable, or set another store in rollback.toml")
            })?;
        }
        defaults::sqlite(file)
    }
}

struct Memory;

#[async_trait]
impl StoreOpener for Memory {
    fn scheme(&self) -> &'static str {
        "memory"
    }

    async fn open(&self, _: &str, _: &Path) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

#[cfg(feature = "object-store")]
struct ObjectStorage(Provider);

#[cfg(feature = "object-store")]
#[async_trait]
impl StoreOpener for ObjectStorage {
    fn scheme(&self) -> &'static str {
        self.0.scheme()
    }

    async fn open(&self, location: &str, _: &Path) -> Result<Arc<dyn Store>> {
        let bucket = Bucket::parse(self.0, location)?;
        Ok(Arc::new(BucketOptions::new().open_bucket(bucket)?))
    }
}

const BREAK_GLASS: &str = ".rollback/break-glass.db";

/// Where the journal of break-glass runs is.
pub(crate) fn break_glass_file(folder: &Path) -> PathBuf {
    folder.join(BREAK_GLASS)
}

/// The journal of break-glass runs, beside the configuration.
pub(crate) async fn break_glass(folder: &Path) -> Result<Arc<dyn Store>> {
    Sqlite.open(BREAK_GLASS, folder).await
}

/// A store that could not be opened. Every call says why, so that break-glass can go on without it.
#[derive(Debug)]
pub(crate) struct DownStore {
    why: String,
}

impl DownStore {
    pub(crate) fn new(error: &Error) -> Self {
        Self { why: error.to_record().message }
    }

    fn fail<T>(&self) -> Result<T> {
        Err(Error::new(ErrorKind::Unavailable, "use the shared store", format!("it is down: {}", self.why))
            .transient(false))
    }
}

#[async_trait]
impl Store for DownStore {
    fn info(&self) -> StoreInfo {
        StoreInfo::new("down:", true)
    }

    async fn get(&self, _: &Key) -> Result<Option<Versioned>> {
        self.fail()
    }

    async fn put(&self, _: &Key, _: &[u8], _: &Condition) -> Result<Put> {
        self.fail()
    }

    async fn list(&self, _: &KeyPrefix, _: Option<&Key>, _: usize) -> Result<Vec<Key>> {
        self.fail()
    }

    async fn delete(&self, _: &Key, _: &StoreVersion) -> Result<Delete> {
        self.fail()
    }
}
