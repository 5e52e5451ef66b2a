//! A host that is played, for the tests of drivers (feature `testing`).

use std::fmt;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rollback_core::Result;

use crate::command::{Command, Output};
use crate::shell::Shell;

type Answer = dyn Fn(&[String], &Command) -> Result<Output> + Send + Sync;

/// A host whose answers a test gives, and which remembers what it was asked.
///
/// ```
/// use rollback_ssh_support::testing::ScriptedShell;
/// use rollback_ssh_support::{Command, Output, Shell};
/// # async fn example() -> rollback_core::Result<()> {
/// let host = ScriptedShell::new("web-1", |argv, _| match argv.iter().map(String::as_str).collect::<Vec<_>>()[..] {
///     ["docker", "ps", "-q"] => Ok(Output::new(0, "4f1e\n", "")),
///     _ => Ok(Output::new(127, "", "not found")),
/// });
/// assert_eq!(host.run(&Command::new("docker").args(["ps", "-q"])).await?.text(), "4f1e");
/// assert_eq!(host.ran(), [["docker", "ps", "-q"]]);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub struct ScriptedShell {
    host: String,
    answer: Box<Answer>,
    ran: Mutex<Vec<Vec<String>>>,
}

impl ScriptedShell {
    /// A host of this name, which answers a program with its arguments so.
    pub fn new(
        host: impl Into<String>,
        answer: impl Fn(&[String], &Command) -> Result<Output> + Send + Sync + 'static,
    ) -> Self {
        Self { host: host.into(), answer: Box::new(answer), ran: Mutex::default() }
    }

    /// Programs and arguments that it was asked to run, in that order.
    #[must_use]
    pub fn ran(&self) -> Vec<Vec<String>> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Shell for ScriptedShell {
    fn host(&self) -> &str {
        &self.host
    }

    async fn run(&self, command: &Command) -> Result<Output> {
        // What a real shell would refuse to make a line of is refused here too.
        command.line()?;
        let argv = command.argv()?;
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(argv.clone());
        (self.answer)(&argv, command)
    }
}

impl fmt::Debug for ScriptedShell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedShell").field("host", &self.host).finish_non_exhaustive()
    }
}
