//! What tests of files share.

#![expect(unreachable_pub, reason = "every test target is a crate of its own")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rollback_core::store::{Condition, Key, KeyPrefix, Put, Store, StoreVersion};
use rollback_core::{Effect, Error, ErrorKind};
use rollback_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

pub const SECRET: &[u8] = b"hunter2-hunter2-hunter2";

pub struct Place {
    pub folder: TempDir,
    pub file: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.db");
        Self { folder, file }
    }

    pub fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.file).unwrap()
    }

    /// A place with one value in it, closed again.
    pub async fn with_value() -> Self {
        let place = Self::new();
        put(&place.store(), "runs/1", SECRET).await.unwrap();
        place
    }

    pub fn sql(&self, sql: &str) -> Connection {
        let connection = Connection::open(&self.file).unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    /// Every file with its content. The memory that processes share beside a database holds nothing to keep.
    pub fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"));
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }
}

pub fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub async fn put(store: &SqliteStore, text: &str, value: &[u8]) -> rollback_core::Result<StoreVersion> {
    match store.put(&key(text), value, &Condition::Any).await? {
        Put::Stored(version) => Ok(version),
        Put::Conflict => panic!("a conflict without a condition"),
    }
}

pub async fn value(store: &SqliteStore, text: &str) -> Option<Vec<u8>> {
    store.get(&key(text)).await.unwrap().map(|found| found.value)
}

/// An error must name the file and the next step, leave no doubt, and show no value.
pub fn check(error: &Error, file: &Path, kind: ErrorKind, transient: bool) {
    let shown = format!("{error}\n{error:?}");
    assert_eq!(
        (error.kind(), error.is_transient(), error.effect()),
        (kind, transient, Effect::None),
        "{shown}"
    );
    assert!(shown.contains(file.to_str().unwrap()), "it does not name the file: {shown}");
    assert!(error.next_step().is_some(), "it does not say what to do: {shown}");
    assert!(!shown.contains("hunter2"), "it shows a value: {shown}");
}

/// Every method must refuse in the same way and change nothing in the folder.
pub async fn refused(place: &Place, kind: ErrorKind, says: &str) {
    let before = place.content();
    {
        let store = place.store();
        let prefix = KeyPrefix::new("runs").unwrap();
        for error in [
            store.get(&key("runs/1")).await.unwrap_err(),
            store.list(&prefix, None, 10).await.unwrap_err(),
            store.put(&key("runs/1"), SECRET, &Condition::Any).await.unwrap_err(),
            store.delete(&key("runs/1"), &StoreVersion::new("1")).await.unwrap_err(),
        ] {
            check(&error, &place.file, kind, false);
            assert!(error.to_string().contains(says), "{error} does not say {says:?}");
        }
    }
    assert_eq!(place.content(), before, "something changed");
}
