//! What a person configures, and the target made from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollback_core::time::Lasting;
use rollback_core::{Bound, DynTarget, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::Client;
use crate::strategy::{RestartOnly, SwitchAndRestart, SwitchSymlink};
use crate::target::{Commands, LocalTarget};

/// The configuration of one releases folder. It is its own builder.
///
/// Paths may be relative to the directory in which [`build`](Self::build) is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LocalConfig {
    /// The folder that holds one folder for each release.
    pub releases: PathBuf,
    /// The symlink that names the live release. Left out: `current` beside the releases folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<PathBuf>,
    /// The command that makes a switch take effect, as program and arguments. No shell reads it. It runs in the
    /// folder that holds `current`, and should return once the new process has written its pid file. What it leaves
    /// running must not write to the command's own output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Vec<String>>,
    /// After how long the restart command is stopped. One minute unless told otherwise.
    #[serde(default = "one_minute")]
    pub restart_timeout: Lasting,
    /// The file in which the running process keeps its id. With it, a proof also says which release that process
    /// was started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_file: Option<PathBuf>,
    /// A command that exits with 0 while what runs is well. It is stopped after ten seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Vec<String>>,
}

fn one_minute() -> Lasting {
    Lasting::from_secs(60)
}

impl LocalConfig {
    /// A static site: nothing has to be restarted.
    pub fn new(releases: impl Into<PathBuf>) -> Self {
        Self {
            releases: releases.into(),
            current: None,
            restart: None,
            restart_timeout: one_minute(),
            pid_file: None,
            health: None,
        }
    }

    /// Sets the symlink.
    #[must_use]
    pub fn current(mut self, current: impl Into<PathBuf>) -> Self {
        self.current = Some(current.into());
        self
    }

    /// Sets the restart command: program and arguments.
    #[must_use]
    pub fn restart(mut self, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.restart = Some(argv.into_iter().map(Into::into).collect());
        self
    }

    /// Sets after how long the restart command is stopped.
    #[must_use]
    pub fn restart_timeout(mut self, limit: Lasting) -> Self {
        self.restart_timeout = limit;
        self
    }

    /// Sets the pid file.
    #[must_use]
    pub fn pid_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pid_file = Some(path.into());
        self
    }

    /// Sets the health command: program and arguments.
    #[must_use]
    pub fn health(mut self, argv: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.health = Some(argv.into_iter().map(Into::into).collect());
        self
    }

    /// The target. Nothing is read yet: a releases folder that is not there shows at the first look.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for settings that cannot be meant.
    pub fn build(&self) -> Result<LocalTarget> {
        let releases = absolute("releases", &self.releases)?;
        let current = match &self.current {
            Some(current) => absolute("current", current)?,
            None => releases.parent().unwrap_or(Path::new("/")).join("current"),
        };
        if current == releases || current.file_name().is_none() {
            return Err(invalid(
                "current",
                format!("{current:?} cannot be the symlink"),
                "name another path",
            ));
        }
        if self.restart_timeout == Lasting::from_secs(0) {
            return Err(invalid("restart_timeout", "no time is left to restart", "write it like 60s"));
        }
        let pid_file = self.pid_file.as_deref().map(|path| absolute("pid_file", path)).transpose()?;
        let commands = Commands {
            restart: self.restart.as_deref().map(|argv| command("restart", argv)).transpose()?,
            restart_timeout: self.restart_timeout.as_duration(),
            health: self.health.as_deref().map(|argv| command("health", argv)).transpose()?,
            tells_incarnations: pid_file.is_some(),
        };
        Ok(LocalTarget::new(Client::new(releases, current, pid_file), commands))
    }

    /// The target with all its strategies, ready for an engine.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn connect(&self) -> Result<Arc<dyn DynTarget>> {
        let limit = self.restart.is_some().then_some(self.restart_timeout);
        Ok(Bound::new(crate::NAME, self.build()?)
            .strategy(SwitchSymlink::new(limit))
            .strategy(SwitchAndRestart::new(limit))
            .strategy(RestartOnly::new(limit))
            .erase())
    }

    /// The JSON Schema of this type.
    #[must_use]
    pub fn schema() -> Value {
        let path = |text: &str| json!({ "type": "string", "minLength": 1, "description": text });
        let argv = |text: &str| json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "description": text });
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "local",
            "type": "object",
            "additionalProperties": false,
            "required": ["releases"],
            "properties": {
                "releases": path("the folder that holds one folder for each release"),
                "current": path("the symlink that names the live release; default: `current` beside `releases`"),
                "restart": argv("the command that makes a switch take effect, run without a shell"),
                "restart_timeout": path("after how long the restart command is stopped; default: 60s"),
                "pid_file": path("the file in which the running process keeps its id"),
                "health": argv("a command that exits with 0 while what runs is well"),
            },
        })
    }
}

fn invalid(key: &str, message: impl Into<String>, next: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("use setting {key:?}"), message).next(next)
}

/// Made absolute, without following symlinks: they may be changed while we run.
fn absolute(key: &str, path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| {
        invalid(key, format!("{path:?} is not a path"), "write an absolute path").with_source(error)
    })
}

/// A relative path to a program is meant from here, not from where it will run.
fn command(key: &str, argv: &[String]) -> Result<Vec<String>> {
    let Some((program, arguments)) = argv.split_first().filter(|(program, _)| !program.is_empty()) else {
        return Err(invalid(
            key,
            "it names no program",
            "write it like [\"systemctl\", \"restart\", \"web\"]",
        ));
    };
    if argv.iter().any(|word| word.contains('\0')) {
        return Err(invalid(key, "a NUL character cannot be handed to a program", "remove it"));
    }
    let program = if program.contains('/') {
        let path = absolute(key, Path::new(program))?;
        path.into_os_string()
            .into_string()
            .map_err(|_| invalid(key, "its path is not UTF-8", "move the program"))?
    } else {
        program.clone()
    };
    Ok(std::iter::once(program).chain(arguments.iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_knows_exactly_the_settings() {
        let full = LocalConfig::new("r").current("c").restart(["x"]).pid_file("p").health(["y"]);
        let written = serde_json::to_value(&full).unwrap();
        let mut keys: Vec<_> = written.as_object().unwrap().keys().cloned().collect();
        let schema = LocalConfig::schema();
        let mut known: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        known.sort();
        assert_eq!(keys, known);
        assert_eq!(serde_json::from_value::<LocalConfig>(written).unwrap(), full);
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused_with_advice() {
        let none: [&str; 0] = [];
        for config in [
            LocalConfig::new(""),
            LocalConfig::new("r").restart(none),
            LocalConfig::new("r").restart([""]),
            LocalConfig::new("r").health(["a\0b"]),
            LocalConfig::new("r").restart_timeout(Lasting::from_secs(0)),
            LocalConfig::new("r").current("r"),
            LocalConfig::new("r").current("/"),
        ] {
            let error = config.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{config:?}");
            assert!(error.next_step().is_some(), "{config:?}");
        }
        assert!(serde_json::from_value::<LocalConfig>(json!({ "releases": "r", "curent": "c" })).is_err());
    }

    #[test]
    fn a_relative_program_is_found_from_here() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(command("restart", &["./up.sh".into()]).unwrap(), [here.join("up.sh").to_str().unwrap()]);
        assert_eq!(command("restart", &["true".into(), "./x".into()]).unwrap(), ["true", "./x"]);
    }
}
