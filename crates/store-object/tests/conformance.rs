//! The store keeps the contract of stores over a faultless bucket: one in memory.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::memory::InMemory;
use rollback_core::Result;
use rollback_core::store::Store;
use rollback_store_object::BucketStore;
use rollback_testkit::store::{StoreFixture, suite};

struct Memory;

#[async_trait]
impl StoreFixture for Memory {
    type Place = InMemory;

    async fn empty(&self) -> Result<InMemory> {
        Ok(InMemory::new())
    }

    async fn open(&self, place: &InMemory) -> Result<Arc<dyn Store>> {
        // Clones share their content.
        let bucket = "s3://bucket/conformance".parse()?;
        Ok(Arc::new(BucketStore::over(bucket, Arc::new(place.clone()))))
    }

    fn persistent(&self) -> bool {
        true
    }
}

fn main() -> ExitCode {
    suite("object, in memory", Memory).run()
}
