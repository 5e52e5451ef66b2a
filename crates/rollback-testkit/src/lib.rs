//! Conformance cases for drivers and stores, and a simulated world with injected faults.

pub mod driver;
pub mod harness;
mod runner;
pub mod sim;
pub mod store;
