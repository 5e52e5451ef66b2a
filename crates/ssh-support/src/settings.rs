//! How to reach hosts.

use std::path::{Path, PathBuf};

use rollback_core::registry::wrong_setting;
use rollback_core::time::Lasting;
use rollback_core::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::host_key::HostKey;
use crate::names::{Hop, InstanceId, User};

/// How to reach hosts: part of a driver's settings. It is its own builder.
///
/// What is left out is as `ssh` has it: its configuration files, the agent, the default keys, `~/.ssh/known_hosts`. Host keys are always
/// checked strictly, whatever those files say.
///
/// ```
/// use rollback_ssh_support::SshSettings;
/// let settings: SshSettings = serde_json::from_value(serde_json::json!({
///     "user": "deploy",
///     "jump": ["admin@bastion.example.com"],
///     "host_keys": ["SHA256:4SMzqvllidYkhIGFQ+lL9NlAptucwGHsN1cQXuirn+Q"],
/// }))?;
/// settings.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
#[non_exhaustive]
pub struct SshSettings {
    /// the user to log in as; left out, what ssh's configuration says, or your own name
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// the port; left out, what ssh's configuration says, or 22
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// the private key's file, and no other key; left out, the agent and ssh's own keys
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<PathBuf>,
    /// the file of the known host keys; left out, ~/.ssh/known_hosts and the system's
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<PathBuf>,
    /// the only host keys that are accepted, as SHA256:… fingerprints or whole public keys; known_hosts is not asked then
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub host_keys: Vec<HostKey>,
    /// a configuration file in place of ~/.ssh/config and the system's; /dev/null for none
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_file: Option<PathBuf>,
    /// the hosts to go through, in that order, like admin@bastion:2222
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jump: Vec<Hop>,
    /// reach an EC2 instance by Session Manager, which needs the `aws` command and its plugin
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via_ssm: Option<ViaSsm>,
    /// how long a connection may take to come about; 10s unless told otherwise
    #[schemars(with = "String")]
    pub connect_timeout: Lasting,
    /// how often a silent host is asked whether it is still there; three questions without an answer end the connection. 5s unless told otherwise
    #[schemars(with = "String")]
    pub keepalive: Lasting,
    /// how many commands run at once on one connection; 8 unless told otherwise: servers allow 10
    #[schemars(range(min = 1, max = 100))]
    pub sessions: u8,
}

/// The way through Session Manager.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[non_exhaustive]
pub struct ViaSsm {
    /// the instance's id, like i-0123456789abcdef0
    pub instance: InstanceId,
    /// the AWS region; left out, what the `aws` command takes
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// the AWS profile; left out, what the `aws` command takes
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl ViaSsm {
    /// The way to this instance, in the region and with the profile that the `aws` command takes.
    #[must_use]
    pub fn new(instance: InstanceId) -> Self {
        Self { instance, region: None, profile: None }
    }

    /// Sets the region.
    #[must_use]
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the profile.
    #[must_use]
    pub fn profile(mut self, profile: impl Into<String>) -> Self {
        self.profile = Some(profile.into());
        self
    }
}

impl Default for SshSettings {
    fn default() -> Self {
        Self {
            user: None,
            port: None,
            identity_file: None,
            known_hosts: None,
            host_keys: Vec::new(),
            config_file: None,
            jump: Vec::new(),
            via_ssm: None,
            connect_timeout: Lasting::from_secs(10),
            keepalive: Lasting::from_secs(5),
            sessions: 8,
        }
    }
}

impl SshSettings {
    /// As `ssh` does it by itself.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the user.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.user = Some(user);
        self
    }

    /// Sets the port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Sets the private key's file.
    #[must_use]
    pub fn identity_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.identity_file = Some(path.into());
        self
    }

    /// Sets the file of the known host keys.
    #[must_use]
    pub fn known_hosts(mut self, path: impl Into<PathBuf>) -> Self {
        self.known_hosts = Some(path.into());
        self
    }

    /// Accepts this host key, and none that was not named.
    #[must_use]
    pub fn host_key(mut self, key: HostKey) -> Self {
        self.host_keys.push(key);
        self
    }

    /// Sets the configuration file.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// Adds a hop on the way.
    #[must_use]
    pub fn jump(mut self, hop: Hop) -> Self {
        self.jump.push(hop);
        self
    }

    /// Goes through Session Manager.
    #[must_use]
    pub fn via_ssm(mut self, way: ViaSsm) -> Self {
        self.via_ssm = Some(way);
        self
    }

    /// Sets how long a connection may take to come about.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Lasting) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how often a silent host is asked whether it is still there.
    #[must_use]
    pub fn keepalive(mut self, every: Lasting) -> Self {
        self.keepalive = every;
        self
    }

    /// Sets how many commands run at once on one connection.
    #[must_use]
    pub fn sessions(mut self, most: u8) -> Self {
        self.sessions = most;
        self
    }

    /// The `properties` of a JSON Schema for these settings, for drivers that have them among their own.
    #[must_use]
    pub fn properties() -> Map<String, Value> {
        match schemars::schema_for!(Self).to_value().get_mut("properties").map(Value::take) {
            Some(Value::Object(properties)) => properties,
            _ => Map::new(),
        }
    }

    /// Looks at the form of each setting. Asks nobody and opens no file.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with the setting that does not fit and what to write instead.
    pub fn check(&self) -> Result<()> {
        let paths = [
            ("identity_file", &self.identity_file),
            ("known_hosts", &self.known_hosts),
            ("config_file", &self.config_file),
        ];
        for (key, path) in paths {
            if let Some(path) = path.as_deref().filter(|path| !is_plain(path)) {
                return Err(wrong_setting(
                    key,
                    &path.to_string_lossy(),
                    "is no path that ssh takes",
                    PLAIN_PATH,
                ));
            }
        }
        for (key, value) in [("connect_timeout", self.connect_timeout), ("keepalive", self.keepalive)] {
            if !(1..=3_600).contains(&value.as_duration().as_secs()) {
                return Err(wrong_setting(
                    key,
                    &value.to_string(),
                    "is out of bounds",
                    "write it like 5s: a second to an hour",
                ));
            }
        }
        if self.port == Some(0) || !(1..=100).contains(&self.sessions) {
            let key = if self.port == Some(0) { "port" } else { "sessions" };
            return Err(wrong_setting(
                key,
                "0",
                "is out of bounds",
                "leave it out, or write a number that counts",
            ));
        }
        if self.via_ssm.is_some() && !self.jump.is_empty() {
            let next = "leave out either `jump` or `via_ssm`";
            return Err(wrong_setting(
                "via_ssm",
                "…",
                "goes without other hops, and `jump` names some",
                next,
            ));
        }
        self.via_ssm.as_ref().map_or(Ok(()), ViaSsm::check)
    }
}

const PLAIN_PATH: &str =
    "write it without quotes, '%', '$', '\\' and control characters, absolute or beginning with ~/";

/// Nothing that ssh's configuration would read as more than a path.
fn is_plain(path: &Path) -> bool {
    let Some(text) = path.to_str() else { return false };
    let rooted = path.is_absolute() || text.starts_with("~/");
    rooted
        && !text.contains(|c: char| {
            c.is_control() || matches!(c, '"' | '\'' | '%' | '$' | '\\' | '*' | '?' | '[')
        })
}

impl ViaSsm {
    fn check(&self) -> Result<()> {
        // They become part of a line that a shell reads.
        let plain = |text: &str| {
            let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            (1..=128).contains(&text.len()) && !text.starts_with('-') && text.chars().all(right)
        };
        for (key, value) in [("region", &self.region), ("profile", &self.profile)] {
            if let Some(value) = value.as_deref().filter(|value| !plain(value)) {
                let what = format!("via_ssm.{key}");
                return Err(wrong_setting(
                    &what,
                    value,
                    "is out of the ordinary",
                    "use letters, digits, '-', '_' and '.'",
                ));
            }
        }
        Ok(())
    }

    /// ssh's ProxyCommand: see "Allow and control permissions for SSH connections through Session Manager" in the guide of AWS Systems Manager.
    pub(crate) fn proxy_command(&self) -> Result<String, Error> {
        self.check()?;
        let option = |name: &str, value: &Option<String>| {
            value.as_ref().map_or(String::new(), |value| format!(" --{name} {value}"))
        };
        Ok(format!(
            "aws ssm start-session --target {} --document-name AWS-StartSSHSession --parameters portNumber=%p{}{}",
            self.instance,
            option("region", &self.region),
            option("profile", &self.profile),
        ))
    }
}

/// The refusal of settings that are no settings at all.
///
/// # Errors
///
/// [`ErrorKind::Invalid`], for JSON that does not fit, and as [`SshSettings::check`].
pub fn read(settings: Value) -> Result<SshSettings> {
    let read: SshSettings = serde_json::from_value(settings)
        .map_err(|error| Error::new(ErrorKind::Invalid, "read the settings for ssh", error.to_string()))?;
    read.check()?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn full() -> Value {
        json!({
            "user": "deploy", "port": 2222, "identity_file": "~/.ssh/deploy", "known_hosts": "/etc/rollback/known hosts",
            "host_keys": ["SHA256:4SMzqvllidYkhIGFQ+lL9NlAptucwGHsN1cQXuirn+Q"], "config_file": "/dev/null", "jump": ["a@b:1"],
            "connect_timeout": "5s", "keepalive": "2s", "sessions": 4,
        })
    }

    #[test]
    fn every_setting_is_read_written_and_known_to_the_schema() {
        let settings = read(full()).unwrap();
        assert_eq!(serde_json::to_value(&settings).unwrap(), full());
        let mut known: Vec<_> =
            full().as_object().unwrap().keys().cloned().chain(["via_ssm".to_owned()]).collect();
        known.sort();
        assert_eq!(SshSettings::properties().keys().cloned().collect::<Vec<_>>(), known);
        for (name, property) in SshSettings::properties() {
            assert!(property["description"].is_string(), "{name}: {property}");
            assert!(!property.to_string().contains("$ref"), "{name}: {property}");
        }
        assert_eq!(read(json!({})).unwrap(), SshSettings::new());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_advice() {
        for (key, value) in [
            ("user", json!("-l")),
            ("port", json!(0)),
            ("identity_file", json!("deploy.pem")),
            ("identity_file", json!("/a\" -oProxyCommand=id")),
            ("known_hosts", json!("/a%h")),
            ("known_hosts", json!("/a\nStrictHostKeyChecking no")),
            ("config_file", json!("/${HOME}/x")),
            ("host_keys", json!(["MD5:00"])),
            ("jump", json!(["-oProxyCommand=id"])),
            ("connect_timeout", json!("0s")),
            ("keepalive", json!("100ms")),
            ("sessions", json!(0)),
            ("via_ssm", json!({ "instance": "i-0123456789abcdef0" })),
            ("StrictHostKeyChecking", json!("no")),
        ] {
            let mut settings = full();
            settings[key] = value.clone();
            assert_eq!(read(settings).unwrap_err().kind(), ErrorKind::Invalid, "{key} {value}");
        }
    }

    #[test]
    fn session_manager_is_asked_as_aws_documents_it() {
        let way = ViaSsm::new(InstanceId::new("i-0123456789abcdef0").unwrap());
        let plain = "aws ssm start-session --target i-0123456789abcdef0 --document-name AWS-StartSSHSession --parameters portNumber=%p";
        assert_eq!(way.proxy_command().unwrap(), plain);
        let prod = way.clone().region("eu-central-1").profile("prod").proxy_command().unwrap();
        assert_eq!(prod, format!("{plain} --region eu-central-1 --profile prod"));
        for hostile in ["", "a;id", "$(id)", "-x", "a b", "a%h"] {
            assert!(way.clone().region(hostile).proxy_command().is_err(), "{hostile:?}");
        }
    }
}
