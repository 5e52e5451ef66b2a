//! Hosts that are EC2 instances, by their tags or their ids.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rollback_aws_support::instances::{Instance, State, Wanted};
use rollback_core::error::quoted;
use rollback_core::registry::wrong_setting;
use rollback_core::{Error, ErrorKind, Result};
use rollback_ssh_support::{Host, InstanceId, SshSettings, ViaSsm};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const FIND: &str = "find the project's hosts";

/// The instances that a project runs on.
///
/// ```
/// use rollback_driver_ec2_compose::{Address, Instances};
/// let instances: Instances = serde_json::from_value(serde_json::json!({
///     "tags": { "app": "shop", "stage": "prod" }, "address": "ssm"
/// }))?;
/// assert_eq!(instances.address, Address::Ssm);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Instances {
    /// those that have each of these tags with exactly this value; all that run are hosts of the project
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// those with these ids, like i-0123456789abcdef0; all must run
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<InstanceId>,
    /// by what they are reached: private-ip unless told otherwise
    #[serde(default)]
    pub address: Address,
}

/// By what an instance is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
#[non_exhaustive]
pub enum Address {
    /// its address in its network
    #[default]
    PrivateIp,
    /// its address in the internet
    PublicIp,
    /// its name in its network, like ip-10-0-1-17.eu-central-1.compute.internal
    PrivateDns,
    /// its name in the internet
    PublicDns,
    /// Session Manager, which needs the `aws` command and its plugin here, and no open port there
    Ssm,
}

impl Address {
    /// What an instance lacks that cannot be reached so.
    fn what(self) -> &'static str {
        match self {
            Self::PrivateIp => "private address",
            Self::PublicIp => "public address",
            Self::PrivateDns => "private DNS name",
            Self::PublicDns => "public DNS name",
            Self::Ssm => "id",
        }
    }

    fn of(self, instance: &Instance) -> Option<String> {
        match self {
            Self::PrivateIp => instance.private_ip.map(|ip| ip.to_string()),
            Self::PublicIp => instance.public_ip.map(|ip| ip.to_string()),
            Self::PrivateDns => instance.private_dns.clone(),
            Self::PublicDns => instance.public_dns.clone(),
            Self::Ssm => Some(instance.id.clone()),
        }
    }
}

/// Where instances were looked for, and as whom.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) region: String,
    pub(crate) profile: Option<String>,
    pub(crate) account: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.region)?;
        self.account.as_ref().map_or(Ok(()), |account| write!(f, ", account {account}"))
    }
}

impl Place {
    /// The way through Session Manager: the `aws` command does not know our settings.
    fn through(&self, id: InstanceId) -> ViaSsm {
        let way = ViaSsm::new(id).region(self.region.as_str());
        match &self.profile {
            Some(profile) => way.profile(profile.as_str()),
            None => way,
        }
    }
}

/// A host that was found, and how it is reached.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) instance: Instance,
    pub(crate) host: Host,
    pub(crate) ssh: SshSettings,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Picked {
    /// Those that run, by their ids.
    pub(crate) ways: Vec<Way>,
    /// Those that have the tags and do not run, but may again.
    pub(crate) aside: Vec<Instance>,
}

impl Picked {
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ways.iter().any(|way| way.instance.id == id)
    }
}

impl Instances {
    /// Those with all of these tags, by their private addresses.
    pub fn tagged(tags: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let tags = tags.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self { tags: tags.collect(), ids: Vec::new(), address: Address::default() }
    }

    /// Those with these ids, by their private addresses.
    #[must_use]
    pub fn with_ids(ids: Vec<InstanceId>) -> Self {
        Self { tags: BTreeMap::new(), ids, address: Address::default() }
    }

    /// Sets by what they are reached.
    #[must_use]
    pub fn by(mut self, address: Address) -> Self {
        self.address = address;
        self
    }

    pub(crate) fn wanted(&self) -> Wanted {
        match self.ids.is_empty() {
            true => Wanted::Tags(self.tags.clone()),
            false => Wanted::Ids(self.ids.iter().map(ToString::to_string).collect()),
        }
    }

    /// Looks at their form. Asks nobody.
    pub(crate) fn check(&self) -> Result<()> {
        let next = "write either tags = { app = \"shop\" } or ids = [\"i-0123456789abcdef0\"]";
        match (self.tags.is_empty(), self.ids.is_empty()) {
            (true, true) => return Err(wrong_setting("instances", "{}", "would be every instance", next)),
            (false, false) => {
                return Err(wrong_setting("instances", "{…}", "has both tags and ids", next));
            }
            _ => {}
        }
        // <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html>
        let plain = |text: &str, longest: usize| {
            text.chars().count() <= longest && text.trim() == text && !text.chars().any(char::is_control)
        };
        let is_tag = |key: &str, value: &str| !key.is_empty() && plain(key, 128) && plain(value, 256);
        if let Some((key, value)) = self.tags.iter().find(|(key, value)| !is_tag(key, value)) {
            let next = "use keys of 1 to 128 characters, values of up to 256, and no blanks around them";
            return Err(wrong_setting("instances.tags", &format!("{key}={value}"), "is no tag", next));
        }
        if let Some(id) = self.ids.iter().find(|id| !id.as_str().starts_with("i-")) {
            let next = "write it like i-0123456789abcdef0";
            return Err(wrong_setting("instances.ids", id.as_str(), "is no EC2 instance", next));
        }
        let different: BTreeSet<_> = self.ids.iter().collect();
        if different.len() < self.ids.len() {
            return Err(wrong_setting("instances.ids", "…", "names one twice", "name each once"));
        }
        Ok(())
    }

    /// Of what EC2 told, the hosts.
    pub(crate) fn pick(&self, all: Vec<Instance>, ssh: &SshSettings, place: &Place) -> Result<Picked> {
        let (running, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|instance| instance.state == State::Running);
        if let (false, Some(_)) = (self.ids.is_empty(), others.first()) {
            let message = format!("{} in {place}", states(&others));
            return Err(Error::new(ErrorKind::Unavailable, FIND, message)
                .transient(false)
                .next("start it, or take it out of `ids`: what does not run is neither changed nor proven"));
        }
        if running.is_empty() {
            return Err(self.nothing(&others, place));
        }
        let mut ways: Vec<Way> = Vec::new();
        for instance in running {
            let way = self.way(instance, ssh, place)?;
            if let Some(other) = ways.iter().find(|other| other.host == way.host) {
                let message = format!("{} and {} are both at {}", other.instance, way.instance, way.host);
                return Err(Error::new(ErrorKind::Invalid, FIND, message)
                    .next("they are in different networks: name more tags, or write address = \"ssm\""));
            }
            ways.push(way);
        }
        let aside = others.into_iter().filter(|instance| !instance.state.is_gone()).collect();
        Ok(Picked { ways, aside })
    }

    /// What EC2 tells is as hostile as any text from outside.
    fn way(&self, instance: Instance, ssh: &SshSettings, place: &Place) -> Result<Way> {
        let Some(at) = self.address.of(&instance) else {
            let message = format!("{instance} has no {}", self.address.what());
            let next = "set `address` to what it is reached by: private-ip, public-ip, private-dns, public-dns or ssm";
            return Err(Error::new(ErrorKind::NotFound, FIND, message).next(next));
        };
        let odd = |error: &Error| {
            let message = format!("the {} of {instance}: {}", self.address.what(), error.message());
            Error::new(ErrorKind::Invalid, FIND, message)
                .next("see whether endpoint_url and AWS_ENDPOINT_URL name the right server")
        };
        let host = Host::new(at).map_err(|error| odd(&error))?;
        let ssh = match self.address {
            Address::Ssm => {
                let id = InstanceId::new(instance.id.as_str()).map_err(|error| odd(&error))?;
                ssh.clone().via_ssm(place.through(id))
            }
            _ => ssh.clone(),
        };
        ssh.check()?;
        Ok(Way { instance, host, ssh })
    }

    fn nothing(&self, others: &[Instance], place: &Place) -> Error {
        let wanted: Vec<_> =
            self.tags.iter().map(|(key, value)| format!("{}={}", quoted(key), quoted(value))).collect();
        let others = if others.is_empty() { String::new() } else { format!("; {}", states(others)) };
        let message = format!("no running instance has the tags {} in {place}{others}", wanted.join(", "));
        Error::new(ErrorKind::NotFound, FIND, message).next(
            "check the tags (upper and lower case count), the region and the account: aws sts get-caller-identity",
        )
    }
}

/// `i-0123456789abcdef0 ("web-1") is stopped, …`, the first few of them.
fn states(all: &[Instance]) -> String {
    let mut told: Vec<_> =
        all.iter().take(5).map(|instance| format!("{instance} is {}", instance.state)).collect();
    if all.len() > told.len() {
        told.push(format!("and {} more", all.len() - told.len()));
    }
    told.join(", ")
}
