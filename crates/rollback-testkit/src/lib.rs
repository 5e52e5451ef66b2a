//! Conformance suites for the authors of drivers and stores of rollback, and what they are built from.

pub mod harness;
pub mod store;
