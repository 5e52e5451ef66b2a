#![doc = include_str!("../README.md")]

pub mod caller;
pub mod coalesce;
pub mod config;
pub mod error;
pub mod pacing;
pub mod verbatim;

pub use self::caller::Caller;
pub use self::coalesce::{Batcher, Batchers};
pub use self::config::{AwsSettings, Session, Sessions};
pub use self::error::{Call, explain};
pub use self::pacing::{Pacer, Quota, Scope};
