//! Notices, sinks and the notifier, against servers on this machine.

mod github;
mod http;
mod incident;
mod made;
mod notifier;
mod server;
mod smtp;
mod sns;
