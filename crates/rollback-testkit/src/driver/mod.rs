//! Conformance cases for driver authors.
//!
//! The author says how to make a world of their own (a folder, an emulator, a fake) by implementing [`Fixture`], and
//! runs [`suite`] over it. Each case checks one rule of the [`Target`](rollback_core::Target) contract; a failure names
//! the rule. What a fixture cannot arrange, and what the driver does not claim, shows as ignored; a suite that
//! executed nothing has failed.
//!
//! ```
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use rollback_core::{DynTarget, Result};
//! use rollback_testkit::driver::{Fault, Fixture, Release, suite};
//! use rollback_testkit::sim::{ManualClock, Settings, ToyTarget, World};
//!
//! /// A world of its own for each case.
//! struct MyFixture {
//!     world: World,
//! }
//!
//! #[async_trait]
//! impl Fixture for MyFixture {
//!     async fn target(&self) -> Result<Arc<dyn DynTarget>> {
//!         Ok(ToyTarget::new("web", self.world.clone()).erase())
//!     }
//!
//!     async fn deploy(&self, release: Release) -> Result<()> {
//!         self.world.deploy(release.number(), "a pipeline")
//!     }
//!
//!     // Optional: the more faults it can arrange, the more cases run.
//!     async fn inject(&self, fault: Fault) -> Result<bool> {
//!         match fault {
//!             Fault::RemoveArtifact(release) => self.world.remove(release.number()),
//!             _ => return Ok(false),
//!         }
//!         Ok(true)
//!     }
//! }
//!
//! let suite = suite("toy", async || {
//!     Ok(MyFixture { world: World::new(Settings::default(), Arc::new(ManualClock::new())) })
//! });
//! // In a test with `harness = false`, call `suite.main()` instead.
//! let results = suite.check();
//! assert!(results.failures().is_empty(), "{:#?}", results.failures());
//! ```

mod act;
mod altered;
mod bench;
mod case;
mod envelopes;
mod fault_line;
mod faults;
mod fixture;
mod history;
mod look;
mod plan;
mod proof;
mod say;
mod tidies;

pub use self::altered::altered;
pub use self::case::{Case, CaseResult, Needs, Results, Suite, Verdict, main_of, suite};
pub use self::fault_line::FaultLine;
pub use self::fixture::{Fault, Fixture, Release};

/// Every case of the kit, in the order in which they run.
#[must_use]
pub fn cases() -> Vec<Case> {
    let looking = [look::cases(), history::cases(), envelopes::cases()].concat();
    [looking, plan::cases(), proof::cases(), act::cases(), faults::cases(), tidies::cases()].concat()
}
