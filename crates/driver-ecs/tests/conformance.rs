//! The driver against the conformance kit.

fn main() {}
