//! What all targets of one connection know together, so that a fleet asks once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock, within};
use rollback_core::{ErrorKind, Result};
use serde_json::Value;
use tokio::sync::Mutex;

use super::home::Homes;
use super::wire::{Call, Resource};
use super::{Client, Watches, witness};
use crate::text::list;

/// For how long it is known what nodes have: long enough for one plan of many targets.
const FRESH: Duration = Duration::from_secs(60);
/// How many nodes are asked about: of large clusters, some. A node that runs many pods takes twenty kilobytes, and somebody waits.
const MOST_NODES: usize = 100;
const BUDGETS: &str = "poddisruptionbudgets";

/// What all targets of one connection have together.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    pub(crate) watches: Watches,
    pub(crate) homes: Homes,
    known: Arc<Known>,
}

#[derive(Default)]
struct Known {
    /// The API server is older than 1.21: budgets are elsewhere.
    old_budgets: AtomicBool,
    /// What nodes have, and when that was asked.
    images: Mutex<Option<(Duration, Arc<Held>)>>,
}

/// Which images nodes have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// By name, on how many of so many nodes.
    On(BTreeMap<String, usize>, usize),
    /// Nodes may not be listed: most callers may not.
    Closed,
    /// They could not be listed now.
    Unread,
}

impl Client {
    /// The disruption budgets of the namespace, and whether an empty selector in them means all pods: the older form of the API, which
    /// servers before 1.21 have alone, means none by it.
    pub(crate) async fn budgets(&self) -> Result<(Vec<Value>, bool)> {
        let old = &self.shared.known.old_budgets;
        if !old.load(Ordering::Relaxed) {
            let newer = Resource { group: "policy", version: "v1", plural: BUDGETS };
            match self.all(newer).await {
                // A list is never missing: what is, is its place in the API.
                Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::NotFound) => {
                    old.store(true, Ordering::Relaxed);
                }
                answer => return answer.map(|all| (all, true)),
            }
        }
        let older = Resource { group: "policy", version: "v1beta1", plural: BUDGETS };
        Ok((self.all(older).await?, false))
    }

    /// Which images nodes have. Whoever asks while others do gets the same answer.
    pub(crate) async fn held(&self) -> Arc<Held> {
        let mut images = self.shared.known.images.lock().await;
        let now = SystemClock.monotonic();
        if let Some((_, held)) = images.as_ref().filter(|(at, _)| now.saturating_sub(*at) < FRESH) {
            return Arc::clone(held);
        }
        let nodes = Call::new("list", Resource::core("nodes"), None).query(format!("limit={MOST_NODES}"));
        let held = Arc::new(match within(&SystemClock, witness::IN_A_HURRY, nodes.send(&self.kube)).await {
            Some(Ok(found)) => counted(&found),
            Some(Err(error)) if error.kind() == ErrorKind::Denied => Held::Closed,
            Some(Err(_)) | None => Held::Unread,
        });
        *images = Some((now, Arc::clone(&held)));
        held
    }
}

/// What nodes say of themselves: the largest images that they have, fifty by default.
fn counted(found: &Value) -> Held {
    let mut counts = BTreeMap::new();
    let nodes = list(found, "/items");
    for node in nodes {
        let images = list(node, "/status/images").iter().flat_map(|image| list(image, "/names"));
        for name in images.filter_map(Value::as_str) {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    Held::On(counts, nodes.len())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use serde_json::json;

    use super::*;
    use crate::config::K8sConfig;
    use crate::workload::{Kind, Workload};

    #[test]
    fn images_are_counted_by_node() {
        let node =
            |names: &[&str]| json!({ "status": { "images": [{ "names": names }, { "names": null }] } });
        let found = json!({ "items": [node(&["r/web:v1", "r/web@sha256:1"]), node(&["r/web:v1"]), {}] });
        let wanted = BTreeMap::from([("r/web:v1".to_owned(), 2), ("r/web@sha256:1".to_owned(), 1)]);
        assert_eq!(counted(&found), Held::On(wanted, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_asks_once() {
        let cluster = rollback_scripted_kubernetes::Cluster::new();
        cluster.be_old();
        let shared = Shared::default();
        let client = |name: &str| {
            let workload = Workload::new(Kind::Deployment, "shop", name).unwrap();
            let config = K8sConfig::new(Kind::Deployment, name);
            let client = Client::new(cluster.client("shop"), workload, &config).unwrap();
            client.sharing(shared.clone())
        };
        let fleet: Vec<_> = (0..20).map(|number| client(&format!("web-{number}"))).collect();
        join_all(fleet.iter().map(Client::held)).await;
        let asked = |resource: &str| cluster.calls().iter().filter(|call| call.resource == resource).count();
        assert_eq!(asked("nodes"), 1);
        for client in &fleet {
            assert_eq!(client.budgets().await.unwrap(), (Vec::new(), false));
        }
        assert_eq!(asked("poddisruptionbudgets.policy"), fleet.len() + 1, "one of them learned it for all");
    }
}
