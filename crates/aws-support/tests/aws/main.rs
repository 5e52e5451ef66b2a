//! What is read of AWS, against the double, over HTTP.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bed;
mod ecr;
mod login;
mod parameters;
mod quiet;
