//! The store in object storage over a real S3 protocol: conformance, races, and everything that a network does.

mod errors;
mod lost;
mod objects;
mod races;
mod support;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::store::Store;
use rollback_core::{Error, ErrorKind, Result};
use rollback_testkit::harness::{CaseResult, Suite};
use rollback_testkit::store::{StoreFixture, suite};
use rollback_tests::servers::{Ministack, StartError, need};

use self::support::Place;

struct Emulator;

#[async_trait]
impl StoreFixture for Emulator {
    type Place = Place;

    async fn empty(&self) -> Result<Place> {
        let wrong = |why: String| Error::new(ErrorKind::Other, "make a bucket", why);
        let place = Place::new(Ministack::shared().map_err(|error| wrong(error.to_string()))?.account());
        place.account.make_bucket(&place.bucket()).map_err(|error| wrong(error.to_string()))?;
        Ok(place)
    }

    async fn open(&self, place: &Place) -> Result<Arc<dyn Store>> {
        // Each with connections of its own.
        Ok(Arc::new(place.open()?))
    }

    fn persistent(&self) -> bool {
        true
    }
}

fn main() -> ExitCode {
    // A busy machine and an emulator in Python: thousands of requests take their time.
    let mut all =
        Suite::new("object").limit(Duration::from_secs(600)).case("ministack_runs", true, ministack_runs);
    all = objects::add(errors::add(lost::add(races::add(all))));
    // Without the emulator the case above says so, and fails where everything is required.
    if !matches!(Ministack::shared(), Err(StartError::Missing(_))) {
        all = all.and(suite("object, S3 emulator", Emulator));
    }
    all.run()
}

async fn ministack_runs() -> CaseResult {
    need(Ministack::shared()).map(drop)
}
