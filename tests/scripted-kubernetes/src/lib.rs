//! A scripted double of the Kubernetes API, for tests: see the README.
#![doc = include_str!("../README.md")]

mod api;
mod controllers;
mod json_patch;
mod kubelet;
mod store;
mod watching;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

pub use self::api::{Call, Does};
pub use self::kubelet::Behaviour;
use self::store::Store;

/// How many steps a cluster is given to come to rest.
const PATIENCE: usize = 500;

/// A cluster. Clones are handles onto the same one.
#[derive(Clone, Default)]
pub struct Cluster(Arc<Mutex<World>>);

/// Everything there is.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) behaviours: BTreeMap<String, Behaviour>,
    /// What containers write before they crash, by their image.
    pub(crate) logs: BTreeMap<String, String>,
    /// Why no pod can be made, when none can.
    pub(crate) refused: Option<String>,
    pub(crate) calls: Vec<Call>,
    /// What happens to the next request that changes something.
    pub(crate) next: Option<Does>,
    /// Who is told of every change.
    pub(crate) watchers: Vec<watching::Watcher>,
    /// How each watch ends right after it was opened, if it does.
    pub(crate) watches_end: Option<String>,
    /// What the next reads are answered with.
    pub(crate) reads: VecDeque<u16>,
    pub(crate) delayed: Vec<api::Request>,
    /// `verb resource`, when not everything is allowed.
    pub(crate) allowed: Option<BTreeSet<String>>,
    pub(crate) denied: BTreeSet<String>,
    /// It is from before 1.21.
    pub(crate) is_old: bool,
    /// Controllers do nothing while this is set.
    pub(crate) controllers_stopped: bool,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// An empty cluster, in which everything is allowed and every image starts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an object, and its namespace if there is none; without one, in the whole cluster. Its `kind` says where it goes.
    pub fn create(&self, namespace: &str, object: &Value) -> Value {
        let mut world = self.world();
        if !namespace.is_empty() {
            world.store.namespace(namespace);
        }
        let plural = store::plural(object["kind"].as_str().unwrap_or_default());
        world.store.create(&plural, namespace, object.clone())
    }

    /// An object as it is.
    #[must_use]
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.world().store.get(plural, namespace, name).cloned()
    }

    /// All objects of a kind.
    #[must_use]
    pub fn list(&self, plural: &str, namespace: &str) -> Vec<Value> {
        self.world().store.list(plural, namespace)
    }

    /// Changes an object as somebody else would: with a new resource version, and a new generation if its spec changed.
    ///
    /// # Panics
    ///
    /// When there is no such object.
    pub fn change(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Value {
        let mut world = self.world();
        let mut object = world.store.get(plural, namespace, name).cloned().expect("the object exists");
        change(&mut object);
        world.store.update(plural, namespace, object)
    }

    /// Removes an object.
    pub fn remove(&self, plural: &str, namespace: &str, name: &str) -> bool {
        self.world().store.remove(plural, namespace, name).is_some()
    }

    /// `kubectl set image`, on the first container.
    pub fn set_image(&self, plural: &str, namespace: &str, name: &str, image: &str) {
        self.change(plural, namespace, name, |object| {
            object["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        });
    }

    /// Says what becomes of pods with this image.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        self.world().behaviours.insert(image.to_owned(), behaviour);
    }

    /// Says what a container with this image writes before it crashes.
    pub fn writes(&self, image: &str, log: impl Into<String>) {
        self.world().logs.insert(image.to_owned(), log.into());
    }

    /// It does not know `policy/v1`, as API servers before 1.21.
    pub fn be_old(&self) {
        self.world().is_old = true;
    }

    /// No pod can be made from now on, for this reason: a quota, a policy.
    pub fn refuse_pods(&self, why: impl Into<String>) {
        self.world().refused = Some(why.into());
    }

    /// One step of every controller and of every pod.
    pub fn tick(&self) {
        let mut world = self.world();
        world.tick();
        world.tell_watchers();
    }

    /// Steps until nothing changes any more.
    ///
    /// # Panics
    ///
    /// When it does not come to rest.
    pub fn settle(&self) {
        let mut world = self.world();
        for _ in 0..PATIENCE {
            let before = world.store.version();
            world.tick();
            if world.store.version() == before {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Stops the controllers, or starts them again: an API server that answers while nobody acts.
    pub fn stop_controllers(&self, stopped: bool) {
        self.world().controllers_stopped = stopped;
    }

    /// Decides on the next request that changes something.
    pub fn inject(&self, does: Does) {
        self.world().next = Some(does);
    }

    /// Ends all watches that are open: with an `ERROR` event of this code, as with 410 when what was asked for is too old; or with
    /// nothing, as when the API server goes away.
    pub fn end_watches(&self, code: Option<u16>) {
        self.world().end_watches(&code.map(api::error_event).unwrap_or_default());
    }

    /// Every watch ends like that from now on, right after it was opened.
    pub fn end_every_watch(&self, code: u16) {
        self.world().watches_end = Some(api::error_event(code));
    }

    /// The next reads are answered with these. After 429 it asks to wait for a second.
    pub fn answer_reads(&self, codes: &[u16]) {
        self.world().reads.extend(codes);
    }

    /// What was delayed lands now.
    pub fn deliver(&self) {
        let mut world = self.world();
        for request in std::mem::take(&mut world.delayed) {
            let _ = world.answer(&request);
        }
    }

    /// Allows nothing but this: `patch deployments`.
    pub fn allow_only(&self, allowed: impl IntoIterator<Item = String>) {
        self.world().allowed = Some(allowed.into_iter().collect());
    }

    /// Denies this from now on: `get secrets`.
    pub fn deny(&self, what: impl Into<String>) {
        self.world().denied.insert(what.into());
    }

    /// Every request so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// How many requests changed something.
    #[must_use]
    pub fn landed(&self) -> u64 {
        self.world()
            .calls
            .iter()
            .filter(|call| call.changes && call.status.is_some_and(|status| status < 300))
            .count() as u64
    }

    /// How many watches are open.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.world().watchers.iter().filter(|watcher| watcher.is_open()).count()
    }

    /// A client for it, with a default namespace. Call it inside a runtime.
    #[must_use]
    pub fn client(&self, namespace: &str) -> kube::Client {
        kube::Client::new(api::Service::new(self.clone()), namespace)
    }
}

/// A workload of one container called as itself, as the API would have it: `deployments`, `statefulsets` or `daemonsets`.
#[must_use]
pub fn workload(plural: &str, name: &str, image: &str, replicas: u64) -> Value {
    let kind = store::kind(plural);
    let template = json!({ "metadata": { "labels": { "app": name } }, "spec": { "containers": [{ "name": name, "image": image }] } });
    let mut spec = json!({ "selector": { "matchLabels": { "app": name } }, "template": template });
    match kind {
        "DaemonSet" => {}
        _ => spec["replicas"] = json!(replicas),
    }
    // A cluster has as many nodes as its DaemonSets say here.
    json!({ "kind": kind, "metadata": { "name": name, "labels": { "nodes": replicas.to_string() } }, "spec": spec })
}
