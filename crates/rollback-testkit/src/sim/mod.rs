//! A simulated world, a driver over it, and injected faults.
//!
//! - [`World`] is a deployed thing: parts, releases by number, a token; [`ToyTarget`] is a complete driver over it.
//! - [`Flaw`] breaks that driver in one way; the conformance kit must catch each.
//! - [`Process`], [`FaultStore`] and [`FaultTarget`] let a process of an engine die, freeze, and see bad weather.
//! - [`scenario`] plays a whole script made from one seed, in virtual time, and checks the invariants.
//!
//! ```
//! let outcome = rollback_testkit::sim::scenario(7);
//! println!("{:?}: {:?}", outcome.counts, outcome.violations);
//! ```

mod book;
mod check;
mod clock;
mod facts;
mod fault_store;
mod fault_target;
mod flaw;
mod forms;
mod gate;
mod lab;
mod process;
mod random;
mod scenario;
mod script;
mod session;
mod settings;
mod strategy;
mod toy;
mod toy_look;
mod toy_tidies;
mod trace;
mod world;
mod world_state;

pub use self::book::{Book, Learnt, Look, Looked, Sent};
pub use self::clock::ManualClock;
pub use self::fault_store::{FaultStore, Weather};
pub use self::fault_target::{FaultGap, FaultTarget};
pub use self::flaw::Flaw;
pub use self::forms::{ToyAction, ToyContents, ToySnapshot};
pub use self::process::{Aimed, Blow, Fuse, Place, Process};
pub use self::random::{Random, SeededEntropy};
pub use self::scenario::{Outcome, scenario, traced_scenario};
pub use self::script::{Event, Mishap, Mood, Operator, Rescuer, Script};
pub use self::session::Session;
pub use self::settings::{Settings, Way};
pub use self::toy::{Gap, ToyTarget};
pub use self::trace::Trace;
pub use self::world::{Change, Landed, Left, Moment, Part, Picture, Request, Swept, Trouble, World};
