//! Conformance cases for drivers and stores, and a simulated world with injected faults.

pub mod driver;
pub mod harness;
pub mod sim;
pub mod store;
