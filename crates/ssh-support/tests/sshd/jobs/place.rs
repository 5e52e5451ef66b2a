//! Where jobs run in these tests.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::Result;
use rollback_ssh_support::{Command, JobKey, Jobs, LocalShell, Output, RemotePath, Secret, Shell};
use rollback_testkit::harness::ignore;
use tempfile::TempDir;

use crate::server::Server;

/// Where jobs run, and the folder for what they leave.
pub(super) struct Place {
    pub(super) jobs: Jobs,
    pub(super) folder: TempDir,
}

impl Place {
    pub(super) fn with(shell: Arc<dyn Shell>) -> Result<Self, rollback_testkit::harness::Failure> {
        let folder = tempfile::tempdir()?;
        let state = RemotePath::new(folder.path().join("state").display().to_string())?;
        Ok(Self { jobs: Jobs::new(shell).in_folder(state), folder })
    }

    pub(super) fn here() -> Result<Self, rollback_testkit::harness::Failure> {
        Self::with(Arc::new(LocalShell::new()))
    }

    pub(super) fn on(server: &Server) -> Result<Self, rollback_testkit::harness::Failure> {
        Self::with(Arc::new(server.connection()))
    }

    pub(super) fn busybox() -> Result<Self, rollback_testkit::harness::Failure> {
        let Some(program) = busybox() else {
            let why = "busybox is not installed; run: tests/install-servers docker";
            let required = std::env::var_os("ROLLBACK_REQUIRE_ALL")
                .is_some_and(|value| !value.is_empty() && value != "0");
            if !required {
                ignore(why)?;
            }
            return Err(why.into());
        };
        let tools = tempfile::tempdir()?;
        let listed = std::process::Command::new(&program).arg("--list").output()?;
        for tool in String::from_utf8(listed.stdout)?.lines() {
            std::os::unix::fs::symlink(&program, tools.path().join(tool))?;
        }
        // Debian builds its busybox without this one; elsewhere it is there.
        if !tools.path().join("flock").exists() {
            std::os::unix::fs::symlink("/usr/bin/flock", tools.path().join("flock"))?;
        }
        let path = tools.path().display().to_string();
        Self::with(Arc::new(Tools { tools, path }))
    }

    /// Where `sh` is bash, as on Amazon Linux.
    pub(super) fn bash() -> Result<Self, rollback_testkit::harness::Failure> {
        let tools = tempfile::tempdir()?;
        std::os::unix::fs::symlink("/bin/bash", tools.path().join("sh"))?;
        let path = format!("{}:/usr/bin:/bin", tools.path().display());
        Self::with(Arc::new(Tools { tools, path }))
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(super) fn of_job(&self, key: &JobKey, name: &str) -> PathBuf {
        self.folder.path().join("state/jobs").join(key.as_str()).join(name)
    }
}

/// A host that has nothing but these tools.
#[derive(Debug)]
pub(super) struct Tools {
    tools: TempDir,
    path: String,
}

#[async_trait]
impl Shell for Tools {
    fn host(&self) -> &str {
        "a host of our own"
    }

    async fn run(&self, command: &Command) -> Result<Output> {
        let sh = self.tools.path().join("sh").display().to_string();
        let path = format!("PATH={}", self.path);
        // `env -i`, so that nothing of this machine's is found.
        let inner = Command::new("env").args(["-i", &path, "HOME=/", &sh, "-c"]).arg(command.line()?);
        let inner = match command.input() {
            Some(input) => inner.stdin(input.clone()),
            None => inner,
        };
        LocalShell::new().run(&inner.limit(command.time_limit())).await
    }
}

/// Loses the second half of each input.
#[derive(Debug)]
pub(super) struct Half;

#[async_trait]
impl Shell for Half {
    fn host(&self) -> &str {
        "half"
    }

    async fn run(&self, command: &Command) -> Result<Output> {
        let input = command.input().map_or(&[][..], Secret::expose);
        LocalShell::new().run(&command.clone().stdin(Secret::new(&input[..input.len() / 2]))).await
    }
}

/// A host without `flock`.
#[derive(Debug)]
pub(super) struct Bare;

#[async_trait]
impl Shell for Bare {
    fn host(&self) -> &str {
        "bare"
    }

    async fn run(&self, command: &Command) -> Result<Output> {
        let folder = tempfile::tempdir().unwrap();
        for tool in ["sh", "timeout", "setsid", "tail", "mkdir", "cat"] {
            std::os::unix::fs::symlink(format!("/usr/bin/{tool}"), folder.path().join(tool)).unwrap();
        }
        let path = format!("PATH={}", folder.path().display());
        LocalShell::new()
            .run(&Command::new("env").args(["-i", &path, "/bin/sh", "-c"]).arg(command.line()?))
            .await
    }
}

/// The one that is installed for tests, in the folder where this program was built, or the machine's own.
fn busybox() -> Option<PathBuf> {
    let program = std::env::current_exe().ok();
    let built = program.iter().flat_map(|program| program.ancestors().skip(1));
    let installed = built.map(|folder| folder.join("test-servers/docker/busybox"));
    installed.chain(["/usr/bin/busybox".into(), "/bin/busybox".into()]).find(|path| path.exists())
}
