#![doc = include_str!("../README.md")]

pub mod arn;
pub mod asking;
pub mod caller;
pub mod coalesce;
pub mod config;
#[cfg(feature = "ecr")]
pub mod ecr;
pub mod error;
pub mod image;
#[cfg(feature = "instances")]
pub mod instances;
pub mod pacing;
#[cfg(feature = "parameters")]
pub mod parameters;
pub mod secret;
pub mod text;
pub mod verbatim;

pub use self::arn::Arn;
pub use self::caller::Caller;
pub use self::coalesce::{Batcher, Batchers};
pub use self::config::{AwsSettings, Session, Sessions};
pub use self::error::{Call, explain};
pub use self::image::{EcrRegistry, ImageRef, Registry};
pub use self::pacing::{Pacer, Quota, Scope};
pub use self::secret::Secret;
