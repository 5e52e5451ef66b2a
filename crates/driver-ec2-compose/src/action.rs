//! What can be done on a host.

use std::collections::BTreeMap;

use rollback_core::document::decode_exact;
use rollback_core::{Action, Document, Error, ErrorKind, Identity, Result};
use rollback_ssh_support::Host;
use serde::{Deserialize, Serialize};

use crate::commands::DeployCommand;
use crate::image::ServiceImage;
use crate::names::Service;

/// One change on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ComposeAction {
    /// Sees to it that images are there: what is missing is pulled by its digest.
    Fetch {
        /// Where.
        host: Host,
        /// Which.
        images: BTreeMap<Service, ServiceImage>,
    },
    /// Has services run these images.
    Up {
        /// Where.
        host: Host,
        /// Which.
        images: BTreeMap<Service, ServiceImage>,
        /// What ran there when it was planned: where something else runs by now, nothing is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Identity>,
        /// How.
        way: Way,
        /// Whether it lands only when no container waits for its health check any more: hosts follow.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        until_known: bool,
        /// The hosts of the batch before, and those that had it and were not well: where one of them has failed, nothing is done.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        behind: Vec<Host>,
    },
    /// Runs a command once the services are up.
    Run {
        /// Where.
        host: Host,
        /// Which. Values that it is fed are named, and read when it is run.
        command: Box<DeployCommand>,
    },
}

/// How services come to run other images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Way {
    /// A file beside the project's own that pins images, and `up` of the services alone.
    Pin,
    /// The tags that the compose files name, moved to these images on the host, and `up` of the services alone.
    Retag,
    /// The whole project down and up again, pinned.
    WholeProject,
}

impl ComposeAction {
    /// The host that it works on.
    #[must_use]
    pub fn host(&self) -> &Host {
        match self {
            Self::Fetch { host, .. } | Self::Up { host, .. } | Self::Run { host, .. } => host,
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Fetch { images, .. } | Self::Up { images, .. } if images.is_empty() => {
                Err(Error::new(ErrorKind::Corrupt, "read a compose action", "it names no service"))
            }
            Self::Fetch { .. } | Self::Up { .. } => Ok(()),
            Self::Run { command, .. } => command.check(),
        }
    }
}

impl Document for ComposeAction {
    const SCHEMA: &'static str = "compose-action/1";

    fn decode(schema: &str, body: serde_json::Value) -> Result<Self> {
        let action: Self = decode_exact(schema, body)?;
        action.check()?;
        Ok(action)
    }
}

impl Action for ComposeAction {}
