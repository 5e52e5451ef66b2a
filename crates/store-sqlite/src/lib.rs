#![doc = include_str!("../README.md")]

mod entries;
mod error;
mod file;
mod session;
mod store;

pub use self::store::{SqliteOptions, SqliteStore};

/// The largest value that the store takes, in bytes: one mebibyte, as the contract of stores says.
pub const MAX_VALUE_BYTES: usize = 1 << 20;
