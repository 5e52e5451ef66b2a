//! Commands that are run once the services are up: migrations, static files, seed data. Only those that are declared for rollbacks.

use rollback_aws_support::parameters::ParameterRef;
use rollback_core::Result;
use rollback_core::registry::wrong_setting;
use rollback_core::time::Lasting;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::Service;

/// A command that is run after a rollback brought the services up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[non_exhaustive]
pub struct DeployCommand {
    /// what it is called in plans and reports: letters, digits and '-'
    pub name: String,
    /// when it is run; nothing but `rollback` is known
    pub on: On,
    /// program and arguments, which no shell reads
    #[schemars(length(min = 1))]
    pub run: Vec<String>,
    /// the service in one of whose containers it is run; left out, on the host in the project's folder
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// on `one` host, the first, or on `every` host; one unless told otherwise
    #[serde(default)]
    pub hosts: Where,
    /// what it is fed on standard input, a line for each: ssm:/shop/db-password, secretsmanager:shop/db#password
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub stdin: Vec<ParameterRef>,
    /// whether a rollback may still go back to where it came from once this was run; left out, it may not
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reversible: bool,
    /// how long it may take; 5m unless told otherwise
    #[serde(default = "five_minutes")]
    #[schemars(with = "String")]
    pub timeout: Lasting,
}

/// When a command is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum On {
    /// After a rollback.
    Rollback,
}

/// Where a command is run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum Where {
    /// On the first host, once all run what they should: what is done to something that they share.
    #[default]
    One,
    /// On every host.
    Every,
}

fn five_minutes() -> Lasting {
    Lasting::from_secs(300)
}

impl DeployCommand {
    /// A command that is run on one host, after a rollback.
    pub fn new(name: impl Into<String>, run: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: name.into(),
            on: On::Rollback,
            run: run.into_iter().map(Into::into).collect(),
            service: None,
            hosts: Where::One,
            stdin: Vec::new(),
            reversible: false,
            timeout: five_minutes(),
        }
    }

    /// Looks at the form of each setting.
    pub(crate) fn check(&self) -> Result<()> {
        let name = &self.name;
        let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if name.is_empty() || name.len() > 30 || !letters {
            let next = "use up to 30 letters, digits and '-'";
            return Err(wrong_setting("commands.name", name, "is no name of a command", next));
        }
        let program = self.run.first().map_or("", String::as_str);
        if program.is_empty() || program.starts_with('-') || self.run.iter().any(|word| word.contains('\0')) {
            let next = "write it like [\"python\", \"manage.py\", \"migrate\"]";
            return Err(wrong_setting("commands.run", program, "is no program", next));
        }
        if self.timeout < Lasting::from_secs(1) {
            return Err(wrong_setting("commands.timeout", "0s", "leaves no time", "write it like 5m"));
        }
        Ok(())
    }

    /// What it does, for plans: arguments are shown, so they are no place for secrets.
    pub(crate) fn title(&self) -> String {
        let shown: String = self.run.join(" ").chars().filter(|c| !c.is_control()).take(80).collect();
        match &self.service {
            Some(service) => format!("run {} ({shown} in {service})", self.name),
            None => format!("run {} ({shown})", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_command_is_refused() {
        let migrate = DeployCommand::new("migrate", ["python", "manage.py", "migrate"]);
        assert!(migrate.check().is_ok());
        for wrong in [
            DeployCommand::new("", ["true"]),
            DeployCommand::new("a b", ["true"]),
            DeployCommand::new("a".repeat(31), ["true"]),
            DeployCommand::new("a", [""; 0]),
            DeployCommand::new("a", [""]),
            DeployCommand::new("a", ["-x"]),
            DeployCommand::new("a", ["a\0b"]),
            DeployCommand { timeout: Lasting::from_secs(0), ..migrate.clone() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn nothing_is_run_that_was_not_declared_for_rollbacks() {
        let text = r#"{ "name": "migrate", "run": ["true"] }"#;
        assert!(serde_json::from_str::<DeployCommand>(text).is_err(), "`on` must be said");
        let text = r#"{ "name": "migrate", "on": "deploy", "run": ["true"] }"#;
        assert!(serde_json::from_str::<DeployCommand>(text).is_err());
    }
}
