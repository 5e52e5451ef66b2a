#![doc = include_str!("../README.md")]

mod entries;
mod error;
mod file;
mod session;
mod store;

pub use self::store::{SqliteOptions, SqliteStore};
