//! The engine against the toy driver, in virtual time: each terminal state, each guard, leases and resume.

mod leases;
mod multi;
mod plans;
mod setup;
mod states;
