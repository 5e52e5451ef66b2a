//! The programs of a control plane: where they are, and of which version.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::servers::{StartError, target_folder};

/// What a control plane is made of.
const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];
const INSTALL: &str = "run: tests/install-servers kubernetes";
const NAMED: &str = "put them there (setup-envtest brings no kube-controller-manager), or unset it and run: tests/install-servers kubernetes";

/// A folder with the programs of a control plane.
#[derive(Debug, Clone)]
pub(super) struct Assets {
    folder: PathBuf,
    /// The second number of the version of Kubernetes: 20 in v1.20.2.
    pub(super) minor: u32,
}

impl Assets {
    /// Those in the folder that `KUBEBUILDER_ASSETS` names, or those that were built.
    pub(super) fn find() -> Result<Self, StartError> {
        let folder = match named() {
            Some(folder) => complete(folder, "KUBEBUILDER_ASSETS names a folder", NAMED)?,
            None => built()?,
        };
        let minor = minor_of(&folder.join("kube-apiserver"))?;
        Ok(Self { folder, minor })
    }

    pub(super) fn etcd(&self) -> PathBuf {
        self.folder.join("etcd")
    }

    pub(super) fn api_server(&self) -> PathBuf {
        self.folder.join("kube-apiserver")
    }

    pub(super) fn controllers(&self) -> PathBuf {
        self.folder.join("kube-controller-manager")
    }
}

/// The kubectl that is compared with: `ROLLBACK_TEST_KUBECTL`, the machine's own, or the one that was installed.
pub(super) fn kubectl() -> Result<PathBuf, StartError> {
    if let Some(path) = std::env::var_os("ROLLBACK_TEST_KUBECTL").filter(|path| !path.is_empty()) {
        return Ok(path.into());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&folders).map(|folder| folder.join("kubectl"));
    let known =
        on_path.chain(named().map(|folder| folder.join("kubectl"))).chain([built_folder().join("kubectl")]);
    let missing =
        || StartError::Missing(format!("there is no kubectl; {INSTALL}, or install kubernetes-client"));
    known.into_iter().find(|path| path.is_file()).ok_or_else(missing)
}

fn named() -> Option<PathBuf> {
    std::env::var_os("KUBEBUILDER_ASSETS").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn built_folder() -> PathBuf {
    target_folder().join("test-servers").join("kubernetes")
}

fn built() -> Result<PathBuf, StartError> {
    let folder = built_folder();
    // Written last: half an installation has none.
    if folder.join("installed").is_file() {
        return complete(folder, "there is a folder", INSTALL);
    }
    let missing = "there is no control plane of Kubernetes";
    Err(StartError::Missing(format!("{missing}; {INSTALL}, or set KUBEBUILDER_ASSETS to a folder with one")))
}

fn complete(folder: PathBuf, which: &str, next: &str) -> Result<PathBuf, StartError> {
    let missing: Vec<&str> = PROGRAMS.into_iter().filter(|name| !folder.join(name).is_file()).collect();
    if missing.is_empty() {
        return Ok(folder);
    }
    let (missing, folder) = (missing.join(" and "), folder.display());
    Err(StartError::Missing(format!("{which} without {missing}: {folder}; {next}")))
}

/// Options come and go with versions.
fn minor_of(api_server: &Path) -> Result<u32, StartError> {
    let failed = |why: String| StartError::Failed(format!("{} --version: {why}", api_server.display()));
    let output =
        Command::new(api_server).arg("--version").output().map_err(|error| failed(error.to_string()))?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    minor_in(&told).ok_or_else(|| failed(format!("no version in {told:?}")))
}

fn minor_in(told: &str) -> Option<u32> {
    told.trim().strip_prefix("Kubernetes v1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_as_programs_tell_it() {
        assert_eq!(minor_in("Kubernetes v1.20.2\n"), Some(20));
        assert_eq!(minor_in("Kubernetes v1.33.0-alpha.1+0123456789abcd\n"), Some(33));
        assert_eq!(minor_in("etcd Version: 3.4.23"), None);
    }

    #[test]
    fn a_folder_that_lacks_a_program_is_named_with_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("etcd"), "").unwrap();
        let error = complete(folder.path().to_owned(), "there is a folder", INSTALL).unwrap_err().to_string();
        assert!(error.contains("without kube-apiserver and kube-controller-manager"), "{error}");
        assert!(error.contains("tests/install-servers kubernetes"), "{error}");
    }
}
