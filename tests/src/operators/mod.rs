//! Machines that operate the same targets and have only a store in common.
//!
//! Each machine is a process of its own ([`Machine`]), which plans, applies, cancels and resumes at random, many runs at
//! once. The targets are files that every process of this computer can see, but that is the world's doing and nothing
//! that operators talk over: each target [keeps a log](Line) of who acted on it and when, and what the store's head said at
//! that moment. [`Findings`] reads these logs and the reports afterwards and says what must not be.

mod check;
mod forms;
mod log;
mod machine;
mod settings;
mod store;
mod target;
mod told;

pub use self::check::Findings;
pub use self::log::{Line, TargetLog};
pub use self::machine::Machine;
pub use self::settings::{Flaw, Settings, TTL};
pub use self::told::{Tally, Told};
