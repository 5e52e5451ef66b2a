//! The real kubectl, as an operator has it.

use std::path::Path;
use std::process::Command;

use super::ControlPlane;
use super::assets;
use crate::servers::StartError;
use crate::{Ran, Result, Running};

/// The command `kubectl` with a kubeconfig, in a namespace. What it keeps between two calls is kept with the control plane.
pub(super) fn command(plane: &ControlPlane, kubeconfig: &Path, namespace: &str) -> Result<Command> {
    let mut command = Command::new(assets::kubectl()?);
    command.env("KUBECONFIG", kubeconfig).env("HOME", plane.folder());
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name);
    }
    command.args(["--namespace", namespace]);
    Ok(command)
}

/// Runs it to its end.
pub(super) fn run(mut command: Command, arguments: &[&str]) -> Result<Ran> {
    command.args(arguments);
    Running::start(command)?.end()
}

impl ControlPlane {
    /// Whether there is a kubectl to compare with, and of which version: `v1.32.4`.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn kubectl_version(&self) -> Result<String, StartError> {
        let mut command = Command::new(assets::kubectl()?);
        command.args(["version", "--client", "--output=json"]).env("HOME", self.folder());
        let failed = |error: &dyn std::fmt::Display| StartError::Failed(format!("kubectl: {error}"));
        let output = command.output().map_err(|error| failed(&error))?;
        let told: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|error| failed(&error))?;
        Ok(told["clientVersion"]["gitVersion"].as_str().unwrap_or_default().to_owned())
    }
}
