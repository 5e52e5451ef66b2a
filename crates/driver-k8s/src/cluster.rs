//! One client for many targets.

use rollback_core::Result;

use crate::client::Shared;
use crate::config::K8sConfig;
use crate::target::K8sTarget;

/// A client whose targets share what they watch and what they know of namespaces: one watch for each kind of object and namespace,
/// however many workloads are waited for. For programs that bring a client of their own; [`K8sDriver`](crate::K8sDriver) does the same
/// with those that it makes.
///
/// ```
/// # fn demo(client: kube::Client) -> rollback_core::Result<()> {
/// use rollback_driver_k8s::{K8sCluster, K8sConfig, Kind};
/// let cluster = K8sCluster::new(client);
/// let web = cluster.target(&K8sConfig::new(Kind::Deployment, "web"))?.erase();
/// let api = cluster.target(&K8sConfig::new(Kind::Deployment, "api"))?.erase();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct K8sCluster {
    client: kube::Client,
    shared: Shared,
}

impl K8sCluster {
    /// Nothing is asked yet. The client's own retries should be off: only the engine decides to send again.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self { client, shared: Shared::default() }
    }

    /// The UID of a namespace, asked for once. Another one than is expected is refused.
    pub(crate) async fn home(&self, namespace: &str, expected: Option<&str>) -> Result<String> {
        self.shared.homes.uid(&self.client, namespace, expected).await
    }

    pub(crate) fn client(&self) -> &kube::Client {
        &self.client
    }

    /// A workload, as by [`K8sTarget::new`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn target(&self, config: &K8sConfig) -> Result<K8sTarget> {
        let target = K8sTarget::new(self.client.clone(), config)?;
        Ok(target.sharing(self.shared.clone()))
    }
}

impl std::fmt::Debug for K8sCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("K8sCluster").field("watches", &self.shared.watches).finish_non_exhaustive()
    }
}
