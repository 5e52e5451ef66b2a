//! What a person configures.

use std::fmt;
use std::sync::Arc;

use rollback_aws_support::AwsSettings;
use rollback_core::error::quoted;
use rollback_core::fingerprint::FingerprintKey;
use rollback_core::registry::{read_known_settings, wrong_setting};
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, Error, ErrorKind, Result};
use rollback_ssh_support::{Connections, Host, LocalShell, RemotePath, Shell, SshSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::aws::Aws;
use crate::client::fleet::Fleet;
use crate::client::{Client, HostClient};
use crate::commands::DeployCommand;
use crate::instances::{Address, Instances};
use crate::names::{Project, Service};
use crate::target::ComposeTarget;

/// The configuration of one compose project on one or many hosts.
///
/// ```
/// # use rollback_core::ComponentName;
/// use rollback_driver_ec2_compose::ComposeConfig;
/// let config = serde_json::json!({
///     "project": "shop", "services": ["backend", "worker"], "hosts": ["web-1", "web-2"],
///     "ssh": { "user": "deploy" }
/// });
/// let config = ComposeConfig::read(&ComponentName::new("shop")?, &config)?;
/// assert_eq!((config.hosts.len(), config.batch), (2, 1));
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct ComposeConfig {
    /// the compose project, as `docker compose ls` shows it
    pub project: Project,
    /// the services that are rolled back together; the image tag of the first is the version
    #[schemars(length(min = 1))]
    pub services: Vec<Service>,
    /// the hosts that it runs on
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<Host>,
    /// the EC2 instances that it runs on, in place of hosts
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Instances>,
    /// it runs on this machine itself: no SSH, and no hosts
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub here: bool,
    /// how hosts are reached
    #[serde(default)]
    pub ssh: SshSettings,
    /// how many hosts are changed at a time; one unless told otherwise
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub batch: u32,
    /// the project's folder on its hosts; left out, as its containers say
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<RemotePath>,
    /// the compose files there, in their order; left out, as its containers say
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// the file that `--env-file` names; left out, as its containers say
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<String>,
    /// whether `docker-compose` 1 deploys it; left out, as its containers say
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose_v1: Option<bool>,
    /// whether a rollback may move the tags that the compose files name; left out, images are pinned and no tag is touched
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retag: bool,
    /// whether the whole project may be taken down and brought up; left out, the other services are never touched
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole_project: bool,
    /// how long pulling may take on a host; 10m unless told otherwise
    #[serde(default = "ten_minutes")]
    #[schemars(with = "String")]
    pub pull_timeout: Lasting,
    /// how long `up` may take on a host; 5m unless told otherwise
    #[serde(default = "five_minutes")]
    #[schemars(with = "String")]
    pub up_timeout: Lasting,
    /// how long containers have to end before they are killed, in whole seconds; left out, as the project says, else 10s
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub stop_timeout: Option<Lasting>,
    /// whether ECR is asked for images and logins where images are in it; left out, it is
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub ask_ecr: bool,
    /// whether the last lines that a container wrote before it ended are told with the failure; left out, they are
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub show_logs: bool,
    /// commands that are run once the services are up
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<DeployCommand>,
    /// the secret key of the digest that stands for the rendered configuration, sixteen characters at least; the same for everybody who
    /// operates the project. Write it as `${NAME}`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint_key: Option<String>,
    /// Where to and as whom values for commands are read.
    #[serde(flatten)]
    #[schemars(skip)]
    pub aws: AwsSettings,
}

/// How a project is deployed, where its containers do not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deployed {
    pub(crate) directory: Option<RemotePath>,
    pub(crate) files: Vec<String>,
    pub(crate) env_file: Option<String>,
    pub(crate) compose_v1: Option<bool>,
    /// How long containers have to end.
    pub(crate) stop_timeout: Option<Lasting>,
}

/// What the target is to do, beside where.
#[derive(Clone)]
pub(crate) struct Choices {
    pub(crate) deployed: Deployed,
    pub(crate) batch: usize,
    pub(crate) retag: bool,
    pub(crate) whole_project: bool,
    pub(crate) pull_timeout: Lasting,
    pub(crate) up_timeout: Lasting,
    pub(crate) show_logs: bool,
    pub(crate) fingerprint: FingerprintKey,
    pub(crate) commands: Arc<[DeployCommand]>,
    pub(crate) aws: Aws,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_yes(yes: &bool) -> bool {
    *yes
}

fn ten_minutes() -> Lasting {
    Lasting::from_secs(600)
}

fn five_minutes() -> Lasting {
    Lasting::from_secs(300)
}

impl ComposeConfig {
    /// A project on hosts that are reached as `ssh` reaches them.
    #[must_use]
    pub fn new(project: Project, services: Vec<Service>, hosts: Vec<Host>) -> Self {
        Self {
            project,
            services,
            hosts,
            instances: None,
            here: false,
            ssh: SshSettings::new(),
            batch: one(),
            directory: None,
            files: Vec::new(),
            env_file: None,
            compose_v1: None,
            retag: false,
            whole_project: false,
            pull_timeout: ten_minutes(),
            up_timeout: five_minutes(),
            stop_timeout: None,
            ask_ecr: true,
            show_logs: true,
            commands: Vec::new(),
            fingerprint_key: None,
            aws: AwsSettings::new(),
        }
    }

    /// Reads and checks settings. Nothing is asked of a host.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] with the setting that does not fit and what to write instead.
    pub fn read(component: &ComponentName, config: &Value) -> Result<Self> {
        let read: Self = read_known_settings(component, config, &Self::schema())?;
        read.check()?;
        Ok(read)
    }

    /// Looks at the form of each setting. Asks nobody.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for settings that cannot be meant.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, why: &str, next: &str| {
            Err(Error::new(ErrorKind::Invalid, format!("use setting {key:?}"), why).next(next))
        };
        if self.services.is_empty() {
            return wrong("services", "it names none", "name the services that are rolled back together");
        }
        let twice = |all: &[String]| all.iter().enumerate().any(|(at, one)| all[..at].contains(one));
        let services: Vec<_> = self.services.iter().map(ToString::to_string).collect();
        let hosts: Vec<_> = self.hosts.iter().map(ToString::to_string).collect();
        if twice(&services) || twice(&hosts) {
            return wrong("services", "a service or host is named twice", "name each once");
        }
        self.check_hosts()?;
        if !(1..=64).contains(&self.batch) {
            return wrong("batch", "it is no number of hosts", "write a number from 1 to 64");
        }
        if let Some(file) = self.files.iter().chain(&self.env_file).find(|file| !is_file(file)) {
            let next = "write it from the root, or from the project's folder, without control characters";
            return Err(wrong_setting("files", file, "is no path", next));
        }
        for (key, time) in [("pull_timeout", self.pull_timeout), ("up_timeout", self.up_timeout)] {
            if time < Lasting::from_secs(1) {
                return wrong(key, "no time is left", "write it like 5m");
            }
        }
        // Compose takes whole seconds.
        let whole = |time: Lasting| time.as_duration().subsec_nanos() == 0 && time < self.up_timeout;
        if self.stop_timeout.is_some_and(|time| !whole(time)) {
            return wrong(
                "stop_timeout",
                "compose takes whole seconds, and less than `up_timeout`",
                "write it like 2s",
            );
        }
        let names: Vec<_> = self.commands.iter().map(|command| command.name.clone()).collect();
        if twice(&names) {
            return wrong("commands", "two have the same name", "give each its own");
        }
        self.commands.iter().try_for_each(DeployCommand::check)?;
        self.aws.check()?;
        self.ssh.check()
    }

    /// Where it runs is said once.
    fn check_hosts(&self) -> Result<()> {
        let wrong = |key: &str, why: &str, next: &str| {
            Err(Error::new(ErrorKind::Invalid, format!("use setting {key:?}"), why).next(next))
        };
        let ways = [!self.hosts.is_empty(), self.instances.is_some(), self.here];
        match ways.iter().filter(|said| **said).count() {
            1 => {}
            0 => {
                let next =
                    "name the hosts, or the tags of EC2 instances, or write `here = true` for this machine";
                return wrong("hosts", "it names none", next);
            }
            _ => {
                return wrong(
                    "hosts",
                    "`hosts`, `instances` and `here` exclude each other",
                    "leave one of them",
                );
            }
        }
        if self.ssh.via_ssm.is_some() && (self.hosts.len() > 1 || self.instances.is_some()) {
            let next = "write instances = { ids = […], address = \"ssm\" }, which goes to each its own way";
            return wrong("ssh", "`via_ssm` leads to one instance", next);
        }
        let Some(instances) = &self.instances else { return Ok(()) };
        instances.check()?;
        if instances.address == Address::Ssm {
            if !self.ssh.jump.is_empty() {
                return wrong("ssh", "Session Manager goes without other hops", "leave out `jump`");
            }
            if self.aws.role_arn.is_some() {
                let next = "name a `profile` of the shared AWS configuration that takes on the role";
                return wrong("role_arn", "the `aws` command that reaches instances does not know it", next);
            }
        }
        Ok(())
    }

    /// The JSON Schema of this type.
    #[must_use]
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        schema["title"] = "ec2-compose".into();
        schema["additionalProperties"] = false.into();
        if let Some(properties) = schema["properties"].as_object_mut() {
            properties.extend(AwsSettings::properties());
        }
        schema
    }

    /// The target. Nothing is asked of a host yet.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn build(&self) -> Result<ComposeTarget> {
        self.check()?;
        let over_ssh =
            |host| -> Result<Arc<dyn Shell>> { Ok(Arc::new(Connections::shared().to(host, &self.ssh)?)) };
        match (&self.instances, self.here) {
            (Some(instances), _) => {
                let aws = Aws::new(self.aws.clone(), self.ask_ecr);
                self.over(Fleet::sought(instances.clone(), self.ssh.clone(), aws))
            }
            (None, true) => self.build_over(vec![Arc::new(LocalShell::new())]),
            (None, false) => self.build_over(self.hosts.iter().map(over_ssh).collect::<Result<_>>()?),
        }
    }

    /// The target over shells of the embedding program's own, one for each of the configured hosts (one, with `here`): connections that
    /// it has already, or a double. Not for `instances`, whose hosts nobody knows yet.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and when there is not one shell for each host.
    pub fn build_over(&self, shells: Vec<Arc<dyn Shell>>) -> Result<ComposeTarget> {
        self.check()?;
        let names = if self.here { vec![Host::new("localhost")?] } else { self.hosts.clone() };
        if names.is_empty() || names.len() != shells.len() {
            let message = format!("there are {} hosts and {} shells", names.len(), shells.len());
            return Err(Error::new(ErrorKind::Invalid, "reach the hosts", message));
        }
        let clients = names.into_iter().zip(shells).map(|(host, shell)| HostClient::new(host, shell));
        self.over(Fleet::Named(clients.collect()))
    }

    fn over(&self, fleet: Fleet) -> Result<ComposeTarget> {
        let fingerprint = match &self.fingerprint_key {
            Some(key) => FingerprintKey::secret(crate::NAME, key.as_bytes())?,
            None => FingerprintKey::public(crate::NAME, self.project.as_str()),
        };
        let choices = Choices {
            deployed: Deployed {
                directory: self.directory.clone(),
                files: self.files.clone(),
                env_file: self.env_file.clone(),
                compose_v1: self.compose_v1,
                stop_timeout: self.stop_timeout,
            },
            batch: usize::try_from(self.batch).unwrap_or(1),
            retag: self.retag,
            whole_project: self.whole_project,
            pull_timeout: self.pull_timeout,
            up_timeout: self.up_timeout,
            show_logs: self.show_logs,
            fingerprint,
            commands: self.commands.clone().into(),
            aws: Aws::new(self.aws.clone(), self.ask_ecr),
        };
        Ok(ComposeTarget::new(Client::new(self.project.clone(), self.services.clone(), fleet), choices))
    }
}

fn is_file(path: &str) -> bool {
    !path.is_empty() && path.len() <= 1024 && !path.starts_with('-') && !path.chars().any(char::is_control)
}

impl fmt::Debug for ComposeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComposeConfig")
            .field("project", &self.project)
            .field("services", &self.services)
            .field("hosts", &self.hosts)
            .field("instances", &self.instances)
            .field("fingerprint_key", &self.fingerprint_key.as_ref().map(|_| quoted("…")))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(change: impl FnOnce(&mut Value)) -> Result<ComposeConfig> {
        let mut config = json!({ "project": "shop", "services": ["web"], "hosts": ["web-1"] });
        change(&mut config);
        ComposeConfig::read(&ComponentName::new("shop").unwrap(), &config)
    }

    #[test]
    fn the_schema_knows_exactly_the_settings() {
        let mut full = read(|_| ()).unwrap();
        full.directory = Some(RemotePath::new("/srv/shop").unwrap());
        full.files = vec!["compose.yaml".into()];
        full.env_file = Some(".env".into());
        full.stop_timeout = Some(Lasting::from_secs(2));
        (full.compose_v1, full.retag, full.whole_project, full.here) = (Some(true), true, true, true);
        (full.ask_ecr, full.show_logs) = (false, false);
        full.instances = Some(Instances::tagged([("app", "shop")]));
        full.fingerprint_key = Some("0123456789abcdef".into());
        full.commands.push(DeployCommand::new("migrate", ["true"]));
        full.aws = AwsSettings::new().region("eu-west-1").profile("prod");
        full.aws.role_arn = Some("arn:aws:iam::123456789012:role/r".into());
        full.aws.external_id = Some("x".into());
        full.aws.endpoint_url = Some("http://127.0.0.1:1".into());
        let written = serde_json::to_value(&full).unwrap();
        let schema = ComposeConfig::schema();
        let keys = |value: &Value| {
            value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(keys(&written), keys(&schema["properties"]));
        assert!(!format!("{full:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_advice() {
        for (key, value) in [
            ("project", json!("Shop")),
            ("services", json!([])),
            ("services", json!(["web", "web"])),
            ("services", json!(["-f"])),
            ("hosts", json!([])),
            ("hosts", json!(["-oProxyCommand=x"])),
            ("here", json!(true)),
            ("instances", json!({ "tags": { "app": "shop" } })),
            ("batch", json!(0)),
            ("batch", json!(65)),
            ("directory", json!("srv/shop")),
            ("files", json!(["-f"])),
            ("up_timeout", json!("0s")),
            ("stop_timeout", json!("1500ms")),
            ("stop_timeout", json!("1h")),
            ("fingerprint", json!("typo")),
            ("ssh", json!({ "usr": "x" })),
        ] {
            let error = read(|config| config[key] = value.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{key} = {value}");
            assert!(error.next_step().is_some(), "{key} = {value}: {error}");
        }
    }

    #[test]
    fn where_it_runs_is_said_once() {
        let to = |more: Value| {
            read(|config| {
                config.as_object_mut().unwrap().remove("hosts");
                config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            })
        };
        let ids = json!({ "ids": ["i-0123456789abcdef0"] });
        let ssm = json!({ "tags": { "app": "shop" }, "address": "ssm" });
        let way = json!({ "via_ssm": { "instance": "i-0123456789abcdef0" } });
        for good in [
            json!({ "instances": ids, "ssh": { "jump": ["bastion"] } }),
            json!({ "instances": ids, "role_arn": "arn:aws:iam::123456789012:role/r" }),
            json!({ "instances": ssm, "ssh": { "user": "deploy" } }),
            json!({ "hosts": ["web"], "ssh": way }),
        ] {
            let config = to(good.clone()).unwrap();
            // Nobody is asked, and nothing is looked for, yet.
            let target = config.build().unwrap();
            assert_eq!(
                format!("{target:?}").contains("not looked for"),
                config.instances.is_some(),
                "{good}"
            );
        }
        for bad in [
            json!({}),
            json!({ "instances": ids, "here": true }),
            json!({ "instances": ids, "hosts": ["web"] }),
            json!({ "instances": {} }),
            json!({ "instances": ids, "ssh": way }),
            json!({ "hosts": ["web", "db"], "ssh": way }),
            json!({ "instances": ssm, "ssh": { "jump": ["bastion"] } }),
            json!({ "instances": ssm, "role_arn": "arn:aws:iam::123456789012:role/r" }),
        ] {
            let error = to(bad.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
            assert!(error.next_step().is_some(), "{bad}: {error}");
        }
        let nobody = to(json!({ "instances": ids })).unwrap().build_over(Vec::new());
        assert_eq!(nobody.unwrap_err().kind(), ErrorKind::Invalid);
    }
}
