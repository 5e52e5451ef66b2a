//! Paths, permissions and what happens to the file itself.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::{Place, SECRET, check, key, put, refused, value};
use rollback_core::ErrorKind;
use rollback_core::store::{Delete, KeyPrefix, Store, StoreVersion};
use rollback_store_sqlite::SqliteStore;

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
