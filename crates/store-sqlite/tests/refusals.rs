//! What is wrong with a database is refused with a clear error, with nothing changed and nothing lost.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{Place, SECRET, check, key, put, refused, value};
use rollback_core::ErrorKind;
use rollback_core::store::{Delete, MAX_VALUE_BYTES, Store, StoreVersion};
use rollback_store_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

fn impatient(place: &Place) -> SqliteStore {
    SqliteOptions::new().busy_timeout(Duration::from_millis(10)).open(&place.file).unwrap()
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
    drop(place.sql("ALTER TABLE entries RENAME COLUMN version TO edition"));
    let error = put(&place.store(), "runs/1", SECRET).await.unwrap_err();
    check(&error, &place.file, ErrorKind::Corrupt, false);
}

#[tokio::test]
async fn a_locked_database_asks_for_patience() {
    let place = Place::with_value().await;
    let (store, new) = (impatient(&place), Place::new());
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
    let error = put(&impatient(&new), "runs/1", SECRET).await.unwrap_err();
    check(&error, &new.file, ErrorKind::Unavailable, true);
    drop(other);
    put(&impatient(&new), "runs/1", SECRET).await.unwrap();
}

/// Another writer, which has the lock when this returns, computes for a while and then gives up.
fn busy_writer(file: &Path) -> std::thread::JoinHandle<()> {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    std::thread::spawn(move || {
        let sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500000) \
                   SELECT count(*) FROM c";
        connection.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
        connection.execute_batch("ROLLBACK").unwrap();
    })
}

#[tokio::test]
async fn a_lock_that_is_released_in_time_is_waited_for() {
    // A store in use, and one that is about to be set up, where SQLite itself does not wait.
    for place in [Place::with_value().await, Place::new()] {
        let other = busy_writer(&place.file);
        put(&place.store(), "runs/2", SECRET).await.unwrap();
        other.join().unwrap();
        assert_eq!(value(&place.store(), "runs/2").await.as_deref(), Some(SECRET));
    }
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
