//! Which hosts a project has: those that are named, or those that EC2 tells of when they are first needed.

use std::fmt;
use std::sync::Arc;

use rollback_aws_support::instances::State;
use rollback_core::Result;
use rollback_ssh_support::{Connections, SshSettings};
use tokio::sync::OnceCell;

use super::HostClient;
use super::aws::Aws;
use crate::instances::{Instances, Picked};

/// The hosts of a project.
pub(crate) enum Fleet {
    Named(Vec<HostClient>),
    Sought(Box<Sought>),
}

/// Hosts that are looked for. Once found, they stay the same: what was planned for some is not done to others.
pub(crate) struct Sought {
    instances: Instances,
    ssh: SshSettings,
    aws: Aws,
    found: OnceCell<(Vec<HostClient>, Picked)>,
}

impl Fleet {
    pub(crate) fn sought(instances: Instances, ssh: SshSettings, aws: Aws) -> Self {
        Self::Sought(Box::new(Sought { instances, ssh, aws, found: OnceCell::new() }))
    }

    /// All hosts. A failure to find them is not kept.
    pub(crate) async fn hosts(&self) -> Result<&[HostClient]> {
        match self {
            Self::Named(hosts) => Ok(hosts),
            // Boxed: everything that asks a host would hold the whole search otherwise.
            Self::Sought(sought) => Ok(&sought.found.get_or_try_init(|| Box::pin(sought.find())).await?.0),
        }
    }

    /// All hosts, if they were found already.
    pub(crate) fn known(&self) -> Option<&[HostClient]> {
        match self {
            Self::Named(hosts) => Some(hosts),
            Self::Sought(sought) => sought.found.get().map(|(hosts, _)| hosts.as_slice()),
        }
    }

    /// What EC2 told, where it was asked.
    pub(crate) fn picked(&self) -> Option<&Picked> {
        match self {
            Self::Named(_) => None,
            Self::Sought(sought) => sought.found.get().map(|(_, picked)| picked),
        }
    }

    /// What came up since the hosts were found, as what nobody looked at: a scaling group starts machines in the middle of a rollback.
    pub(crate) async fn strays(&self) -> Vec<String> {
        let Self::Sought(sought) = self else { return Vec::new() };
        let Some((_, picked)) = sought.found.get() else { return Vec::new() };
        match sought.aws.instances(&sought.instances.wanted()).await {
            Ok(now) => {
                let new = now.iter().filter(|one| one.state == State::Running && !picked.has(&one.id));
                new.map(|one| format!("what runs on {one}, which was started meanwhile: plan again"))
                    .collect()
            }
            Err(error) => vec![format!("which instances there are now: {error}")],
        }
    }
}

impl Sought {
    async fn find(&self) -> Result<(Vec<HostClient>, Picked)> {
        let all = self.aws.instances(&self.instances.wanted()).await?;
        let is_plain = all.iter().any(|one| one.state == State::Running);
        let place = self.aws.place(!is_plain).await?;
        let picked = self.instances.pick(all, &self.ssh, &place)?;
        let mut hosts = Vec::new();
        for way in &picked.ways {
            let connection = Connections::shared().to(&way.host, &way.ssh)?;
            hosts.push(HostClient::new(way.host.clone(), Arc::new(connection)));
        }
        tracing::debug!(%place, hosts = hosts.len(), aside = picked.aside.len(), "found the project's hosts");
        Ok((hosts, picked))
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(hosts) => f.debug_list().entries(hosts.iter().map(|host| host.host.as_str())).finish(),
            None => f.write_str("not looked for yet"),
        }
    }
}
