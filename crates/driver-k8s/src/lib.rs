//! The rollback driver for Deployments, StatefulSets and DaemonSets of Kubernetes.
#![doc = include_str!("../README.md")]

mod act;
mod action;
mod appliers;
mod circumstances;
mod client;
mod cluster;
pub mod config;
mod contents;
mod coupled;
mod history;
mod image;
mod inspect;
mod job;
mod labels;
mod look;
mod manifest;
mod patch;
mod permissions;
mod quantity;
mod registry;
mod select;
mod snapshot;
pub mod strategy;
mod target;
mod template;
mod text;
mod workload;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::registry::Expand;
use rollback_core::{Capabilities, ComponentName, Driver, DynTarget, Error, ErrorKind, Result};
use serde_json::Value;

pub use self::action::{Count, K8sAction, On, Was};
pub use self::circumstances::{Blocking, Circumstances};
pub use self::cluster::K8sCluster;
pub use self::config::K8sConfig;
pub use self::contents::K8sContents;
pub use self::coupled::{Content, Coupled};
pub use self::manifest::Named;
pub use self::permissions::{
    MANIFEST_VERBS, Rule, cluster_role, cluster_rules, contents_role, contents_rules, role, rules, selecting,
};
pub use self::snapshot::{K8sSnapshot, Source};
pub use self::target::K8sTarget;
pub use self::template::{Reference, Referenced, Template};
pub use self::workload::{Kind, Workload};
use crate::client::Connections;

/// The name in `driver = "k8s"`.
const NAME: &str = "k8s";

/// Makes [`K8sTarget`]s from configuration. Targets in one cluster share a connection. With a `selector` instead of a name, a
/// configuration stands for many: see [`Expand`].
#[derive(Clone, Default)]
pub struct K8sDriver {
    connections: Connections,
}

impl fmt::Debug for K8sDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("K8sDriver").finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for K8sDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "a Deployment, StatefulSet or DaemonSet of Kubernetes"
    }

    fn config_schema(&self) -> Value {
        select::schema()
    }

    fn capabilities(&self) -> Capabilities {
        K8sTarget::capabilities()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        if select::is_selection(&config) {
            let why = "it stands for all workloads that its selector selects";
            return Err(Error::new(ErrorKind::Invalid, format!("set up component {component:?}"), why)
                .next("choose one of its parts"));
        }
        let mut config = K8sConfig::read(component, &config)?;
        let connection = self.connections.open(&config).await?;
        config.namespace.get_or_insert(connection.namespace);
        Ok(connection.cluster.target(&config)?.erase())
    }

    fn expand(&self) -> Option<&dyn Expand> {
        Some(self)
    }
}
