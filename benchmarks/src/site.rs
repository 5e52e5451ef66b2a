//! The command as it is shipped, and a site to use it on.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, Scale, machine};

/// The command, built now. Without optimisation, where nothing is learnt from it, what is there will do.
pub(crate) fn binary() -> Result<PathBuf> {
    let binary = machine::target_folder()?.join("rollback");
    if !machine::is_release() && binary.exists() {
        return Ok(binary);
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "-p", "rollback-cli"]).current_dir(machine::workspace());
    if machine::is_release() {
        cargo.arg("--release");
    }
    if !cargo.status()?.success() {
        return Err("the command could not be built".into());
    }
    Ok(binary)
}

/// Two releases, the newer one running and recorded as good.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) binary: PathBuf,
}

impl Site {
    pub(crate) fn new(scale: &Scale) -> Result<Self> {
        let site = Self { folder: tempfile::tempdir_in(scale.folder())?, binary: binary()? };
        let releases = site.path().join("releases");
        for release in ["v1", "v2"] {
            fs::create_dir_all(releases.join(release))?;
            fs::write(releases.join(release).join("index.html"), release)?;
        }
        site.deploy()?;
        let releases = serde_json::Value::from(releases.to_string_lossy());
        let settings = format!("[components.web]\ndriver = \"local\"\nreleases = {releases}\n");
        fs::write(site.path().join("rollback.toml"), settings)?;
        site.run(&site.binary, &["record", "web", "--good"])?;
        Ok(site)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts the newer release there, as somebody's pipeline would.
    pub(crate) fn deploy(&self) -> Result<()> {
        let (new, current) = (self.path().join("new"), self.path().join("current"));
        symlink("releases/v2", &new)?;
        Ok(fs::rename(new, current)?)
    }

    /// Runs a program in the site's folder.
    pub(crate) fn run(&self, program: &Path, arguments: &[&str]) -> Result<()> {
        let output = self.command(program, arguments).output()?;
        if output.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} {}: {told}", program.display(), arguments.join(" ")).into())
    }

    pub(crate) fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path()).env_remove("ROLLBACK_CONFIG").stdin(Stdio::null());
        command
    }
}
