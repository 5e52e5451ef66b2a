#![doc = include_str!("../README.md")]

mod envelope;
mod error;
mod exact;
#[cfg(feature = "_http")]
mod http;
mod location;
#[cfg(feature = "_http")]
mod open;
mod store;
mod watch;

pub use self::location::{Bucket, Provider};
#[cfg(feature = "_http")]
pub use self::open::BucketOptions;
pub use self::store::BucketStore;
