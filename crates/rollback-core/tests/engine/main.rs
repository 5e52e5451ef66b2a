//! The engine against the toy driver, in virtual time: each terminal state, each guard, leases and resume.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod afterwards;
mod changes;
mod check;
mod clean;
mod contents;
mod holding;
mod leases;
mod ledger;
mod multi;
mod plans;
mod remembers;
mod setup;
mod soak;
mod states;
mod trial;
