//! The conformance suite for implementations of [`Store`].
//!
//! The author of a store describes how to get an empty place and how to open handles onto it; [`suite`] does
//! the rest. In a test target with `harness = false`:
//!
//! ```
//! use std::process::ExitCode;
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use rollback_core::store::{MemoryStore, Store};
//! use rollback_testkit::store::{StoreFixture, suite};
//!
//! struct Memory;
//!
//! #[async_trait]
//! impl StoreFixture for Memory {
//!     type Place = MemoryStore;
//!
//!     async fn empty(&self) -> rollback_core::Result<MemoryStore> {
//!         Ok(MemoryStore::new())
//!     }
//!
//!     async fn open(&self, place: &MemoryStore) -> rollback_core::Result<Arc<dyn Store>> {
//!         Ok(Arc::new(place.clone()))
//!     }
//!
//!     fn persistent(&self) -> bool {
//!         false
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     suite("memory", Memory).run()
//! }
//! ```

mod conditions;
mod listing;
mod races;
mod values;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::Result;
use rollback_core::store::{Condition, Delete, Key, Put, Store, StoreVersion};

use crate::harness::{CaseResult, Failure, Need, Suite};

/// How to reach the store under test.
///
/// # Contract
///
/// - Each place is empty and shared with nobody: cases run at the same time.
/// - All handles that are opened onto one place see the same content.
/// - A place keeps whatever it needs (a temporary folder, a server) until it is dropped.
#[async_trait]
pub trait StoreFixture: Send + Sync + 'static {
    /// Where the content of one store is: a folder, a bucket, a shared map.
    type Place: Send + Sync + 'static;

    /// A place with nothing in it.
    async fn empty(&self) -> Result<Self::Place>;

    /// A handle onto what is at `place`, as another process would open it: with no state shared with other
    /// handles, where the store allows that.
    async fn open(&self, place: &Self::Place) -> Result<Arc<dyn Store>>;

    /// Whether the content outlives its last handle. Cases about reopening are ignored where it does not.
    fn persistent(&self) -> bool;
}

/// Every case of the contract of [`Store`], against the store that `fixture` opens.
pub fn suite<F: StoreFixture>(name: impl Into<String>, fixture: F) -> Suite {
    let cases = Cases { suite: Suite::new(name), fixture: Arc::new(fixture) };
    let cases = values::add(cases);
    let cases = conditions::add(cases);
    let cases = listing::add(cases);
    races::add(cases).suite
}

/// Opens handles onto one place.
#[async_trait]
trait Open: Send + Sync {
    async fn open(&self) -> Result<Arc<dyn Store>>;
}

struct Opener<F: StoreFixture> {
    fixture: Arc<F>,
    place: F::Place,
}

#[async_trait]
impl<F: StoreFixture> Open for Opener<F> {
    async fn open(&self) -> Result<Arc<dyn Store>> {
        self.fixture.open(&self.place).await
    }
}

/// A suite being filled with cases that each get a place of their own.
struct Cases<F> {
    suite: Suite,
    fixture: Arc<F>,
}

impl<F: StoreFixture> Cases<F> {
    /// Adds a case about one handle.
    fn one<B, R>(self, name: &str, body: B) -> Self
    where
        B: FnOnce(Arc<dyn Store>) -> R + Send + 'static,
        R: Future<Output = CaseResult> + 'static,
    {
        self.many(name, true, |place| async move { body(place.open().await?).await })
    }

    /// Adds a case that opens its handles itself.
    fn many<B, R>(self, name: &str, need: impl Into<Need>, body: B) -> Self
    where
        B: FnOnce(Arc<dyn Open>) -> R + Send + 'static,
        R: Future<Output = CaseResult> + 'static,
    {
        let fixture = Arc::clone(&self.fixture);
        let suite = self.suite.case(name, need, || async move {
            let place = fixture.empty().await?;
            body(Arc::new(Opener { fixture, place })).await
        });
        Self { suite, ..self }
    }
}

fn key(text: &str) -> Result<Key> {
    Key::new(text)
}

/// The version of a `put` that must be stored.
async fn stored(
    store: &dyn Store,
    key: &Key,
    value: &[u8],
    condition: Condition,
) -> Result<StoreVersion, Failure> {
    match store.put(key, value, &condition).await? {
        Put::Stored(version) => Ok(version),
        Put::Conflict => {
            Err(Failure::new(format!("put of {key} if {condition:?}: a conflict, though it holds")))
        }
    }
}

/// Fails unless a `put` meets a conflict and leaves `kept` under the key, with the version that it had.
async fn refused(
    store: &dyn Store,
    key: &Key,
    condition: Condition,
    kept: Option<(&[u8], &StoreVersion)>,
) -> CaseResult {
    if let Put::Stored(_) = store.put(key, b"must not be written", &condition).await? {
        return Err(Failure::new(format!("put of {key} if {condition:?}: stored, though it does not hold")));
    }
    holds(store, key, kept).await
}

/// Fails unless exactly `expected` is under `key`.
async fn holds(store: &dyn Store, key: &Key, expected: Option<(&[u8], &StoreVersion)>) -> CaseResult {
    let found = store.get(key).await?;
    let found = found.as_ref().map(|found| (found.value.as_slice(), &found.version));
    if found == expected {
        return Ok(());
    }
    let shown = |side: Option<(&[u8], &StoreVersion)>| {
        side.map_or("nothing".to_owned(), |(value, version)| format!("{} as {version:?}", brief(value)))
    };
    Err(Failure::new(format!("under {key}: found {}, expected {}", shown(found), shown(expected))))
}

/// Fails unless a delete answers `expected`.
async fn deleted(store: &dyn Store, key: &Key, version: &StoreVersion, expected: Delete) -> CaseResult {
    let found = store.delete(key, version).await?;
    crate::harness::equal(&format!("delete of {key} at {version:?}"), &found, &expected)
}

/// A value as text, shortened: values of a mebibyte have no place in a message.
fn brief(value: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(value).chars().take(40).collect();
    format!("{text:?} ({} bytes)", value.len())
}
