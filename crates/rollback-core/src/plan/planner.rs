//! Makes plans.
