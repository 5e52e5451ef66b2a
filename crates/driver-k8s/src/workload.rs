//! Which workload is meant, and where the API has it.

use std::fmt;

use rollback_core::error::quoted;
use rollback_core::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::is_name;

/// The kinds of workload that keep a history of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A Deployment; its history is its ReplicaSets.
    Deployment,
    /// A StatefulSet; its history is its ControllerRevisions.
    StatefulSet,
    /// A DaemonSet; its history is its ControllerRevisions.
    DaemonSet,
}

impl Kind {
    /// As it is called in `kind:`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// As it is called in paths and roles.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
        }
    }

    /// What keeps its history, as it is called in paths and roles.
    #[must_use]
    pub const fn history(self) -> &'static str {
        match self {
            Self::Deployment => "replicasets",
            Self::StatefulSet | Self::DaemonSet => "controllerrevisions",
        }
    }

    /// One entry of its history, as it is called in `kind:`.
    #[must_use]
    pub const fn history_name(self) -> &'static str {
        match self {
            Self::Deployment => "ReplicaSet",
            Self::StatefulSet | Self::DaemonSet => "ControllerRevision",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A workload by its name. Names say nothing about the cluster: that is what the namespace's UID is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Workload {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub name: String,
}

impl Workload {
    /// A workload by its name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when a name is none that Kubernetes takes.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Result<Self> {
        let found = Self { kind, namespace: namespace.into(), name: name.into() };
        found.check()?;
        Ok(found)
    }

    /// Names end up in paths: what is no name is refused wherever it comes from.
    pub(crate) fn check(&self) -> Result<()> {
        for (what, name) in [("namespace", &self.namespace), ("name", &self.name)] {
            if !is_name(name) {
                let why = format!("{what} {} is none that Kubernetes takes", quoted(name));
                return Err(Error::new(ErrorKind::Invalid, format!("use a {}", self.kind), why)
                    .next("write it in small letters, digits and `-`, as `kubectl get` shows it"));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_lead_elsewhere_are_refused() {
        for name in ["", "../secrets", "a/b", "A", "-a", "a?x=1", &"a".repeat(254)] {
            assert!(Workload::new(Kind::Deployment, "shop", name).is_err(), "{name}");
            assert!(Workload::new(Kind::Deployment, name, "web").is_err(), "{name}");
        }
        let web = Workload::new(Kind::StatefulSet, "shop", "web.v2").unwrap();
        assert_eq!(web.to_string(), "StatefulSet shop/web.v2");
    }
}
