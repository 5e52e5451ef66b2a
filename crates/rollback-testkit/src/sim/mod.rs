//! A simulated world, a driver over it, and injected faults.

mod clock;
mod flaw;
mod forms;
mod random;
mod settings;
mod strategy;
mod toy;
mod world;

pub use self::clock::ManualClock;
pub use self::flaw::Flaw;
pub use self::forms::{ToyAction, ToySnapshot};
pub use self::random::{Random, SeededEntropy};
pub use self::settings::{Settings, Way};
pub use self::toy::{Gap, ToyTarget};
pub use self::world::{Change, Landed, Part, Picture, Request, Trouble, World};
