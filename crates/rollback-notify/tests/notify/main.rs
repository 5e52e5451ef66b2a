//! Notices, sinks and the notifier, against servers on this machine.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod github;
mod http;
mod incident;
mod made;
mod notifier;
mod server;
mod smtp;
mod sns;
