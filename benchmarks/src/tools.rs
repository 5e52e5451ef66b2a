//! The commands of others that are compared with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, machine};

/// Where tools are installed: below the target folder, which is in no repository.
fn folder() -> Result<PathBuf> {
    Ok(machine::target_folder()?.join("benchmark-tools"))
}

/// The program with this name: an installed one, else the first on the search path.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let named =
        std::env::var_os(format!("BENCHMARK_{}", name.to_uppercase().replace('-', "_"))).map(PathBuf::from);
    let installed = folder().ok().map(|folder| folder.join("bin").join(name));
    let searched = std::env::var_os("PATH");
    let searched = searched.iter().flat_map(std::env::split_paths).map(|folder| folder.join(name));
    named.into_iter().chain(installed).chain(searched).find(|path| path.is_file())
}

/// The version that a tool tells.
pub(crate) fn version(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_version = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    let words = told.split(|c: char| c.is_whitespace() || c == '/');
    words.filter(|word| word.contains('.')).find(is_version).map(str::to_owned)
}

/// Installs what can be installed without rights on the machine: the AWS command and s3-pit-restore, into an environment of their own,
/// and rclone out of Debian's package.
pub(crate) fn install() -> Result<()> {
    let folder = folder()?;
    run(Command::new("python3").arg("-m").arg("venv").arg(&folder))?;
    run(Command::new(folder.join("bin/pip")).args(["install", "--quiet", "awscli", "s3-pit-restore"]))?;
    if find("rclone").is_none()
        && let Err(error) = rclone(&folder)
    {
        eprintln!("there is no rclone ({error}): install it, or name one in BENCHMARK_RCLONE");
    }
    if find("kubectl").is_none() {
        eprintln!("there is no kubectl: install it, or name one in BENCHMARK_KUBECTL");
    }
    Ok(())
}

/// Fetched and unpacked: nothing of the machine changes.
fn rclone(folder: &Path) -> Result<()> {
    let unpacked = tempfile::tempdir_in(folder)?;
    // The sandbox of apt may not write where we may.
    let fetch = ["-q", "-o", "APT::Sandbox::User=root", "download", "rclone"];
    run(Command::new("apt-get").args(fetch).current_dir(unpacked.path()))?;
    let mut files = std::fs::read_dir(unpacked.path())?.flatten().map(|file| file.path());
    let package = files.find(|path| path.extension().is_some_and(|is| is == "deb")).ok_or("no package")?;
    run(Command::new("dpkg-deb").arg("-x").arg(package).arg(unpacked.path()))?;
    Ok(std::fs::copy(unpacked.path().join("usr/bin/rclone"), folder.join("bin/rclone")).map(drop)?)
}

fn run(command: &mut Command) -> Result<()> {
    if command.status()?.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}
