#![doc = include_str!("../README.md")]

pub mod command;
mod connection;
pub mod host_key;
pub mod job;
pub mod names;
pub mod settings;
pub mod shell;
#[cfg(feature = "testing")]
pub mod testing;
mod trouble;

pub use self::command::{Command, Output, Secret, quote};
pub use self::connection::{Connection, Connections};
pub use self::host_key::HostKey;
pub use self::job::{Finished, JobState, Jobs};
pub use self::names::{Hop, Host, InstanceId, JobKey, RemotePath, User};
pub use self::settings::{SshSettings, ViaSsm};
pub use self::shell::{LocalShell, Shell};
