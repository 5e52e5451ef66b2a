//! Emulators and other servers: started on a free loopback port, with their output kept, and gone with the test.
//!
//! ```no_run
//! use rollback_testkit::harness::CaseResult;
//! use rollback_tests::servers::{Ministack, need};
//!
//! async fn a_case() -> CaseResult {
//!     // Ignored where ministack is not installed; a failure there when ROLLBACK_REQUIRE_ALL is 1.
//!     let aws = need(Ministack::shared())?;
//!     let account = aws.account();
//!     account.make_bucket(&format!("releases-{}", account.id()))?;
//!     // … hand `account.environment()` to a process, or `account.endpoint()`, `key()` and `secret()` to a client
//!     Ok(())
//! }
//! ```
//!
//! What is started here never outlives the process that started it, however that ends: see [`Server`].

mod aws;
mod docker;
mod docker_api;
pub(crate) mod http;
mod install;
mod log;
mod owner;
mod server;

use std::fmt;

use rollback_testkit::harness::{Failure, ignore};

pub(crate) use self::aws::this_test;
pub use self::aws::{Account, Ministack, Moto};
pub(crate) use self::docker::is_on_path;
pub use self::docker::{Docker, Place, Registries, static_busybox};
pub use self::docker_api::{Container, Engine};
pub(crate) use self::install::target_folder;
pub(crate) use self::log::{create as new_log, tail as end_of_log};
pub use self::server::{Launch, Ready, Server};

/// Why there is no server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// It is not installed here. The text says what installs it.
    Missing(String),
    /// It is installed, and does not start. The text shows the end of what it wrote.
    Failed(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StartError {}

/// Whether a test that cannot run here has to fail: `ROLLBACK_REQUIRE_ALL` is set to something other than `0`.
#[must_use]
pub fn all_required() -> bool {
    std::env::var_os("ROLLBACK_REQUIRE_ALL").is_some_and(|value| !value.is_empty() && value != "0")
}

/// The server, for a case of a [`Suite`](rollback_testkit::harness::Suite).
///
/// # Errors
///
/// Ends the case: shown as ignored, with what would install the server, where it is missing; as failed where it does
/// not start, or where [all is required](all_required).
pub fn need<T>(started: Result<T, StartError>) -> Result<T, Failure> {
    need_if(all_required(), started)
}

fn need_if<T>(required: bool, started: Result<T, StartError>) -> Result<T, Failure> {
    started.map_err(|error| match error {
        StartError::Missing(why) if !required => ignore(why).err().unwrap_or_else(|| Failure::new("ignored")),
        error => Failure::new(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use rollback_testkit::harness::{Outcome, Suite};

    use super::*;

    fn outcome(required: bool, error: StartError) -> Outcome {
        let suite = Suite::new("s").case("other", true, || async {});
        let suite = suite.case("a", true, move || async move { need_if(required, Err::<(), _>(error)) });
        suite.outcomes().unwrap().remove(1).1
    }

    #[test]
    fn only_a_missing_server_is_ignored_and_only_where_not_all_is_required() {
        let missing = || StartError::Missing("run: tests/install-servers moto".to_owned());
        assert_eq!(outcome(false, missing()), Outcome::Ignored(missing().to_string()));
        assert_eq!(outcome(true, missing()), Outcome::Failed(missing().to_string()));
        let failed = StartError::Failed("it ended".to_owned());
        assert_eq!(outcome(false, failed), Outcome::Failed("it ended".to_owned()));
    }
}
