//! Against a real sshd on this machine.
//!
//! Where none is installed these are shown as ignored, and fail with `ROLLBACK_REQUIRE_ALL=1`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod jobs;
mod keys;
mod losses;
mod server;

use std::process::ExitCode;

use rollback_testkit::harness::Suite;

fn main() -> ExitCode {
    keys::suite().and(commands::suite()).and(losses::suite()).and(jobs::suite()).run()
}

/// A suite in real time.
fn suite(name: &str) -> Suite {
    Suite::new(name)
}
