//! The probes against real servers and real programs.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod http;
mod log;
mod prometheus;
mod support;
mod tcp_and_command;
mod tls;
