//! The store in SQLite keeps the contract of stores.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::store::Store;
use rollback_core::{Error, ErrorKind, Result};
use rollback_store_sqlite::SqliteStore;
use rollback_testkit::store::{StoreFixture, suite};
use tempfile::TempDir;

struct Sqlite;

#[async_trait]
impl StoreFixture for Sqlite {
    type Place = TempDir;

    async fn empty(&self) -> Result<TempDir> {
        tempfile::tempdir()
            .map_err(|error| Error::new(ErrorKind::Other, "make a folder", "no luck").with_source(error))
    }

    async fn open(&self, place: &TempDir) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(SqliteStore::open(place.path().join("state.db"))?))
    }

    fn persistent(&self) -> bool {
        true
    }
}

fn main() -> ExitCode {
    suite("sqlite", Sqlite).run()
}
