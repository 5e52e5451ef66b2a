//! What is wrong with a file is refused with a clear error, with nothing changed and nothing lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollback_core::store::{Condition, Delete, Key, KeyPrefix, Put, Store, StoreVersion};
use rollback_core::{Effect, Error, ErrorKind};
use rollback_store_sqlite::{MAX_VALUE_BYTES, SqliteOptions, SqliteStore};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tempfile::TempDir;

const SECRET: &[u8] = b"hunter2-hunter2-hunter2";

struct Place {
    folder: TempDir,
    file: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.db");
        Self { folder, file }
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::open(&self.file).unwrap()
    }

    fn impatient(&self) -> SqliteStore {
        SqliteOptions::new().busy_timeout(Duration::from_millis(10)).open(&self.file).unwrap()
    }

    /// A place with one value in it, closed again.
    async fn with_value() -> Self {
        let place = Self::new();
        put(&place.store(), "runs/1", SECRET).await.unwrap();
        place
    }

    fn sql(&self, sql: &str) -> Connection {
        let connection = Connection::open(&self.file).unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    /// Every file with its content. The memory that processes share beside a database holds nothing to keep.
    fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"));
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

async fn put(store: &SqliteStore, text: &str, value: &[u8]) -> rollback_core::Result<StoreVersion> {
    match store.put(&key(text), value, &Condition::Any).await? {
        Put::Stored(version) => Ok(version),
        Put::Conflict => panic!("a conflict without a condition"),
    }
}

async fn value(store: &SqliteStore, text: &str) -> Option<Vec<u8>> {
    store.get(&key(text)).await.unwrap().map(|found| found.value)
}

/// An error must name the file and the next step, leave no doubt, and show no value.
fn check(error: &Error, file: &Path, kind: ErrorKind, transient: bool) {
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
async fn refused(place: &Place, kind: ErrorKind, says: &str) {
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

#[tokio::test]
async fn a_file_that_is_not_sqlite_is_refused() {
    let longer = "my diary ".repeat(2_000);
    for content in ["x", "SQLite format", "SQLite format 3", "important notes\n", longer.as_str()] {
        let place = Place::new();
        fs::write(&place.file, content).unwrap();
        refused(&place, ErrorKind::Invalid, "not a SQLite database").await;
    }
}

#[tokio::test]
async fn the_database_of_another_application_is_refused() {
    for sql in [
        "PRAGMA application_id = 42",
        "CREATE TABLE customers (name)",
        "PRAGMA user_version = 1",
        "PRAGMA journal_mode = wal; CREATE TABLE customers (name)",
    ] {
        let place = Place::new();
        drop(place.sql(sql));
        refused(&place, ErrorKind::Invalid, "another application").await;
    }
}

#[tokio::test]
async fn the_log_of_another_application_is_left_as_it_is() {
    let place = Place::new();
    let other = place.sql("PRAGMA journal_mode = wal; CREATE TABLE customers (name)");
    // As if it was killed: its changes are in the log only.
    other.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    drop(other);
    assert_eq!(place.content().len(), 2, "no log to leave");
    refused(&place, ErrorKind::Invalid, "another application").await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_number() {
    let place = Place::with_value().await;
    drop(place.sql("PRAGMA user_version = 7"));
    refused(&place, ErrorKind::Unsupported, "knows schema version 7").await;
    drop(place.sql("PRAGMA user_version = 1"));
    assert_eq!(value(&place.store(), "runs/1").await.as_deref(), Some(SECRET), "it was lost");
}

#[tokio::test]
async fn a_store_that_lies_about_its_layout_is_corrupt() {
    for sql in ["PRAGMA user_version = 0", "PRAGMA user_version = -1", "ALTER TABLE entries RENAME TO other"]
    {
        let place = Place::with_value().await;
        drop(place.sql(sql));
        refused(&place, ErrorKind::Corrupt, "schema version").await;
    }
    let place = Place::with_value().await;
    drop(place.sql("DELETE FROM counter"));
    let error = put(&place.store(), "runs/1", SECRET).await.unwrap_err();
    check(&error, &place.file, ErrorKind::Corrupt, false);
}

#[tokio::test]
async fn a_locked_database_asks_for_patience() {
    let place = Place::with_value().await;
    let (store, new) = (place.impatient(), Place::new());
    let other = place.sql("BEGIN IMMEDIATE");
    let error = put(&store, "runs/2", SECRET).await.unwrap_err();
    check(&error, &place.file, ErrorKind::Unavailable, true);
    let version = StoreVersion::new("1");
    let error = store.delete(&key("runs/1"), &version).await.unwrap_err();
    check(&error, &place.file, ErrorKind::Unavailable, true);
    // Who only reads does not have to wait.
    assert_eq!(value(&store, "runs/1").await.as_deref(), Some(SECRET));
    drop(other);
    put(&store, "runs/2", SECRET).await.unwrap();

    // The same while the store is about to be set up.
    let other = new.sql("BEGIN EXCLUSIVE");
    let error = put(&new.impatient(), "runs/1", SECRET).await.unwrap_err();
    check(&error, &new.file, ErrorKind::Unavailable, true);
    drop(other);
    put(&new.impatient(), "runs/1", SECRET).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_released_in_time_is_waited_for() {
    let place = Place::with_value().await;
    let store = place.store();
    let other = place.sql("BEGIN IMMEDIATE");
    // The write is on its own thread and waits there, or comes later: either way it succeeds.
    let (written, ()) = tokio::join!(put(&store, "runs/2", SECRET), async {
        tokio::task::yield_now().await;
        drop(other);
    });
    written.unwrap();
}

#[tokio::test]
async fn a_full_database_keeps_what_it_has() {
    let place = Place::new();
    let small = SqliteOptions::new().max_bytes(128 << 10).open(&place.file).unwrap();
    let mut kept = 0;
    let error = loop {
        match put(&small, &format!("runs/{kept}"), &[7; 10_000]).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
    };
    assert!(kept > 3, "only {kept} fit in");
    check(&error, &place.file, ErrorKind::Unavailable, false);
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(value(&small, &format!("runs/{kept}")).await, None, "it was written, despite the error");
    for number in 0..kept {
        assert_eq!(value(&small, &format!("runs/{number}")).await.unwrap(), [7; 10_000]);
    }
    // Room is made by a delete, or by more space.
    let found = small.get(&key("runs/0")).await.unwrap().unwrap();
    assert_eq!(small.delete(&key("runs/0"), &found.version).await.unwrap(), Delete::Gone);
    put(&small, "runs/0", &[8; 10_000]).await.unwrap();
    put(&place.store(), "runs/more", &[9; 100_000]).await.unwrap();
}

#[tokio::test]
async fn a_database_with_no_room_at_all_is_not_set_up_by_halves() {
    let place = Place::new();
    let tiny = SqliteOptions::new().max_bytes(4096).open(&place.file).unwrap();
    let error = put(&tiny, "runs/1", SECRET).await.unwrap_err();
    check(&error, &place.file, ErrorKind::Unavailable, false);
    assert_eq!(value(&place.store(), "runs/1").await, None);
    put(&place.store(), "runs/1", SECRET).await.unwrap();
}

#[tokio::test]
async fn a_folder_and_a_path_through_a_file_are_refused() {
    let place = Place::new();
    fs::create_dir(&place.file).unwrap();
    refused(&place, ErrorKind::Invalid, "it is a folder").await;

    let place = Place::with_value().await;
    let inside = Place { file: place.file.join("state.db"), ..place };
    refused(&inside, ErrorKind::Invalid, "not a folder").await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_followed_but_not_to_nothing() {
    let (place, other) = (Place::with_value().await, Place::new());
    std::os::unix::fs::symlink(&place.file, &other.file).unwrap();
    assert_eq!(value(&other.store(), "runs/1").await.as_deref(), Some(SECRET));
    fs::remove_file(&place.file).unwrap();
    let error = put(&other.store(), "runs/1", SECRET).await.unwrap_err();
    check(&error, &other.file, ErrorKind::Invalid, false);
    assert!(!place.file.exists());
}

#[tokio::test]
async fn a_damaged_database_is_reported() {
    let place = Place::new();
    let store = place.store();
    for number in 0..100 {
        put(&store, &format!("runs/{number:03}"), &[number; 3_000]).await.unwrap();
    }
    drop(store);
    // Whole pages in the middle, also such of the trees' inner nodes.
    let mut bytes = fs::read(&place.file).unwrap();
    let (start, end) = (8 << 12, bytes.len() - (8 << 12));
    bytes[start..end].iter_mut().step_by(7).for_each(|byte| *byte = !*byte);
    fs::write(&place.file, &bytes).unwrap();

    let store = place.store();
    let mut damaged = 0;
    for number in 0..100 {
        if let Err(error) = store.get(&key(&format!("runs/{number:03}"))).await {
            check(&error, &place.file, ErrorKind::Corrupt, false);
            damaged += 1;
        }
    }
    assert!(damaged > 0, "no damage was seen");
}

#[tokio::test]
async fn a_truncated_database_is_corrupt() {
    let place = Place::new();
    put(&place.store(), "runs/1", &[1; 100_000]).await.unwrap();
    let file = fs::OpenOptions::new().write(true).open(&place.file).unwrap();
    file.set_len(3 << 12).unwrap();
    let error = place.store().get(&key("runs/1")).await.unwrap_err();
    check(&error, &place.file, ErrorKind::Corrupt, false);
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused_before_anything_is_opened() {
    let place = Place::new();
    let value = SECRET.repeat(MAX_VALUE_BYTES / SECRET.len() + 1);
    let error = put(&place.store(), "runs/1", &value).await.unwrap_err();
    check(&error, &place.file, ErrorKind::Invalid, false);
    assert_eq!(place.content(), BTreeMap::new());
}

#[tokio::test]
async fn a_file_that_was_removed_or_replaced_takes_no_writes() {
    for replaced in [false, true] {
        let (place, other) = (Place::with_value().await, Place::with_value().await);
        let store = place.store();
        put(&store, "runs/2", SECRET).await.unwrap();
        let aside = place.folder.path().join("aside.db");
        fs::rename(&place.file, &aside).unwrap();
        if replaced {
            fs::copy(&other.file, &place.file).unwrap();
        }
        for error in
            [put(&store, "runs/3", SECRET).await.unwrap_err(), store.get(&key("runs/2")).await.unwrap_err()]
        {
            check(&error, &place.file, ErrorKind::Unavailable, false);
            assert!(error.to_string().contains("removed or replaced"), "{error}");
        }
        // Put back, it goes on.
        fs::rename(&aside, &place.file).unwrap();
        assert_eq!(value(&store, "runs/2").await.as_deref(), Some(SECRET));
        assert_eq!(value(&store, "runs/3").await, None);
    }
}

#[tokio::test]
async fn reading_creates_nothing() {
    let place = Place::new();
    let (store, prefix) = (place.store(), KeyPrefix::new("runs").unwrap());
    assert_eq!(value(&store, "runs/1").await, None);
    assert_eq!(store.list(&prefix, None, 10).await.unwrap(), []);
    assert_eq!(store.delete(&key("runs/1"), &StoreVersion::new("1")).await.unwrap(), Delete::Gone);
    assert_eq!(place.content(), BTreeMap::new());
    // An empty file, as a crash right after creating it leaves it, is an empty store.
    fs::write(&place.file, "").unwrap();
    assert_eq!(value(&store, "runs/1").await, None);
    put(&store, "runs/1", SECRET).await.unwrap();
    assert_eq!(value(&store, "runs/1").await.as_deref(), Some(SECRET));
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_created_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join("a/b/state.db");
    let store = SqliteStore::open(&file).unwrap();
    put(&store, "runs/1", SECRET).await.unwrap();
    assert_eq!(mode(folder.path()), 0o755, "a folder that was there is left alone");
    assert_eq!((mode(&folder.path().join("a")), mode(&folder.path().join("a/b"))), (0o700, 0o700));
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(&folder.path().join("a/b").join(name)), 0o600, "{name}");
    }
}

#[tokio::test]
async fn paths_are_only_paths() {
    for path in ["", "/", "..", "a\0b"] {
        let error = SqliteStore::open(path).unwrap_err();
        assert_eq!(
            (error.kind(), error.next_step().is_some()),
            (ErrorKind::Invalid, true),
            "{path:?}: {error}"
        );
    }
    let place = Place::new();
    for name in [":memory:", "file:x?mode=memory", "-rf", "a b", "ä%20'\"", "state.db?immutable=1"] {
        let file = place.folder.path().join(name);
        put(&SqliteStore::open(&file).unwrap(), "runs/1", SECRET).await.unwrap();
        assert!(fs::metadata(&file).unwrap().len() > 0, "{name}");
        assert_eq!(
            value(&SqliteStore::open(&file).unwrap(), "runs/1").await.as_deref(),
            Some(SECRET),
            "{name}"
        );
    }
    let info = place.store().info();
    assert_eq!((info.url, info.shared), (format!("sqlite:{}", place.file.display()), false));
    let relative = SqliteStore::open("state.db").unwrap();
    assert!(relative.path().is_absolute());
}

#[tokio::test]
async fn a_caller_that_stops_waiting_loses_nothing() {
    let place = Place::with_value().await;
    let store = place.store();
    for number in 0..50 {
        let text = format!("runs/{number}");
        let mut write = Box::pin(put(&store, &text, SECRET));
        let _ = futures_poll(&mut write).await;
        drop(write);
    }
    // The connection is not left inside a transaction of a write whose caller went away.
    put(&store, "runs/last", SECRET).await.unwrap();
    assert_eq!(value(&place.store(), "runs/last").await.as_deref(), Some(SECRET));
    let check: String = place.sql("").query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
    })
    .await
}
