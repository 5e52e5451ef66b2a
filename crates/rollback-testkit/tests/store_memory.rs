//! The store in memory keeps the contract of stores.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::Result;
use rollback_core::store::{MemoryStore, Store};
use rollback_testkit::store::{StoreFixture, suite};

struct Memory;

#[async_trait]
impl StoreFixture for Memory {
    type Place = MemoryStore;

    async fn empty(&self) -> Result<MemoryStore> {
        Ok(MemoryStore::new())
    }

    async fn open(&self, place: &MemoryStore) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(place.clone()))
    }

    fn persistent(&self) -> bool {
        false
    }
}

fn main() -> ExitCode {
    suite("memory", Memory).run()
}
