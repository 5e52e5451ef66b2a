//! What is asked of the API server.

mod connect;
mod fault;
mod home;
mod objects;
mod pulling;
mod selected;
mod selector;
mod shared;
mod watch;
mod wire;
mod witness;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future::{join_all, try_join, try_join3};
use rollback_core::registry::known;
use rollback_core::target::Changes;
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

pub(crate) use self::connect::Connections;
pub(crate) use self::objects::Place;
pub(crate) use self::selected::selected;
pub(crate) use self::shared::{Held, Shared};
use self::watch::Listener;
pub(crate) use self::watch::Watches;
pub(crate) use self::wire::Resource;
pub(crate) use self::wire::escaped;
use self::wire::{Call, METADATA};
use self::witness::Testimonies;
pub(crate) use self::witness::{IN_A_HURRY, PATIENCE};
use crate::config::K8sConfig;
use crate::coupled::Coupled;
use crate::look::Look;
use crate::template::{Reference, Referenced, Template};
use crate::text::{list, text};
use crate::workload::Workload;
use rollback_core::fingerprint::FingerprintKey;

/// Whose changes they are, in `managedFields`.
pub(crate) const MANAGER: &str = "rollback";
const CONFIG_MAPS: Resource = Resource::core("configmaps");
const JOBS: Resource = Resource { group: "batch", version: "v1", plural: "jobs" };
/// How many references are asked about at most.
const MOST_REFERENCES: usize = 64;

/// One workload's API server.
pub(crate) struct Client {
    kube: kube::Client,
    workload: Workload,
    expected: Option<String>,
    secret: Option<FingerprintKey>,
    home: OnceLock<Home>,
    /// As it was when it was last read: it never changes while the workload lives.
    selector: Mutex<Option<String>>,
    shared: Shared,
    asks_registries: bool,
    /// Who is told when something stirs, once the workload is waited for.
    listener: OnceLock<Arc<Listener>>,
    /// What was said of the last failure.
    testimonies: Testimonies,
}

/// The namespace, by what tells it from one of the same name in another cluster.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) uid: String,
    pub(crate) key: FingerprintKey,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("workload", &self.workload).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(kube: kube::Client, workload: Workload, config: &K8sConfig) -> Result<Self> {
        let secret = config.fingerprint_key.as_ref();
        let secret = secret.map(|key| FingerprintKey::secret(crate::NAME, key.as_bytes())).transpose()?;
        let expected = config.namespace_uid.clone();
        Ok(Self {
            kube,
            workload,
            expected,
            secret,
            home: OnceLock::new(),
            selector: Mutex::default(),
            shared: Shared::default(),
            asks_registries: config.ask_registries,
            listener: OnceLock::new(),
            testimonies: Testimonies::showing_logs(config.show_logs),
        })
    }

    /// Shares with others on the same connection what they watch and know.
    pub(crate) fn sharing(mut self, shared: Shared) -> Self {
        self.shared = shared;
        self
    }

    /// Tells when something stirs from now on, once it is known what belongs to the workload.
    pub(crate) fn changes(&self) -> Changes {
        let Some(listener) = self.listener.get() else { return Changes::default() };
        for resource in [self.apps(), Resource::core("pods")] {
            self.shared.watches.listen(&self.kube, &self.workload.namespace, resource, listener);
        }
        listener.changes()
    }

    pub(crate) fn workload(&self) -> &Workload {
        &self.workload
    }

    fn apps(&self) -> Resource {
        Resource::apps(self.workload.kind.resource())
    }

    fn call(&self, verb: &'static str, resource: Resource) -> Call<'_> {
        Call::new(verb, resource, Some(&self.workload.namespace))
    }

    /// Which namespace this is. Asked once, and before anything else: in the wrong cluster nothing more is read.
    pub(crate) async fn home(&self) -> Result<&Home> {
        if let Some(home) = self.home.get() {
            return Ok(home);
        }
        let name = self.workload.namespace.as_str();
        let uid = self.shared.homes.uid(&self.kube, name, self.expected.as_deref()).await?;
        let key = self.secret.clone().unwrap_or_else(|| FingerprintKey::public(crate::NAME, &uid));
        Ok(self.home.get_or_init(|| Home { uid, key }))
    }

    /// The workload as it is now.
    pub(crate) async fn object(&self) -> Result<Value> {
        let name = self.workload.name.as_str();
        match self.call("get", self.apps()).named(name).send(&self.kube).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.with_others(error).await),
            answer => answer,
        }
    }

    /// Says which workloads there are, if that may be known.
    async fn with_others(&self, error: Error) -> Error {
        let Ok(all) = self.call("list", self.apps()).accept(LIST_METADATA).send(&self.kube).await else {
            return error;
        };
        let names: Vec<_> =
            list(&all, "/items").iter().filter_map(|one| text(one, "/metadata/name")).collect();
        let shown = names.iter().take(30).copied();
        let next = match names.is_empty() {
            true => format!("namespace {} has no {}", self.workload.namespace, self.workload.kind.resource()),
            false => known(self.workload.kind.resource(), &self.workload.name, shown),
        };
        error.next(next)
    }

    async fn list(&self, resource: Resource, selector: &str) -> Result<Vec<Value>> {
        let query = match selector {
            "" => String::new(),
            selector => format!("labelSelector={}", escaped(selector)),
        };
        let mut answer = self.call("list", resource).query(query).send(&self.kube).await?;
        let items = answer.get_mut("items").map(Value::take);
        match items {
            Some(Value::Array(items)) => Ok(items),
            _ => Err(Error::new(
                ErrorKind::Corrupt,
                format!("list {}", resource.with_group()),
                "the answer has no items",
            )),
        }
    }

    /// Its history and pods, by its labels; whose they are is checked when they are read.
    async fn surroundings(&self, selector: &str) -> Result<(Vec<Value>, Vec<Value>)> {
        let history = Resource::apps(self.workload.kind.history());
        try_join(self.list(history, selector), self.list(Resource::core("pods"), selector)).await
    }

    /// The workload with its history and pods: three requests, at once where its labels are known.
    pub(crate) async fn see(&self) -> Result<Look> {
        let home = self.home().await?;
        let known = self.selector.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (object, around) = match &known {
            Some(selector) => {
                let read = try_join(self.object(), self.surroundings(selector)).await?;
                (read.0, Some(read.1))
            }
            None => (self.object().await?, None),
        };
        let selector =
            selector::query(object.pointer("/spec/selector").unwrap_or(&Value::Null)).unwrap_or_default();
        let (history, pods) = match around.filter(|_| known.as_ref() == Some(&selector)) {
            Some(around) => around,
            None => self.surroundings(&selector).await?,
        };
        *self.selector.lock().unwrap_or_else(PoisonError::into_inner) = Some(selector);
        self.listener.get_or_init(|| {
            let labels = object.pointer("/spec/selector/matchLabels").cloned().unwrap_or_default();
            Listener::new(&self.workload.name, serde_json::from_value(labels).unwrap_or_default())
        });
        Look::new(&self.workload, &home.key, object, &history, &pods)
    }

    /// The ReplicaSet or ControllerRevision of this name.
    pub(crate) async fn entry(&self, name: &str) -> Result<Value> {
        self.call("get", Resource::apps(self.workload.kind.history())).named(name).send(&self.kube).await
    }

    /// The workload together with an entry of its history.
    pub(crate) async fn object_and_entry(&self, name: &str) -> Result<(Value, Result<Value>)> {
        let (_, object, entry) =
            try_join3(self.home(), self.object(), async { Ok(self.entry(name).await) }).await?;
        Ok((object, entry))
    }

    /// Sends a patch, once, or has it checked by everything that would check it.
    pub(crate) async fn patch(&self, operations: &Value, dry_run: bool) -> Result<Value> {
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        let query = format!("fieldManager={MANAGER}{dry_run}");
        let name = self.workload.name.as_str();
        self.call("patch", self.apps()).named(name).query(query).body(operations).send(&self.kube).await
    }

    /// Makes the workload.
    pub(crate) async fn create(&self, object: &Value) -> Result<Value> {
        let query = format!("fieldManager={MANAGER}");
        self.call("create", self.apps()).query(query).body(object).send(&self.kube).await
    }

    pub(crate) async fn config_map(&self, name: &str) -> Result<Value> {
        self.call("get", CONFIG_MAPS).named(name).send(&self.kube).await
    }

    pub(crate) async fn patch_config_map(&self, name: &str, operations: &Value) -> Result<Value> {
        let query = format!("fieldManager={MANAGER}");
        self.call("patch", CONFIG_MAPS).named(name).query(query).body(operations).send(&self.kube).await
    }

    pub(crate) async fn create_config_map(&self, object: &Value) -> Result<Value> {
        let query = format!("fieldManager={MANAGER}");
        self.call("create", CONFIG_MAPS).query(query).body(object).send(&self.kube).await
    }

    pub(crate) async fn create_job(&self, job: &Value) -> Result<Value> {
        self.call("create", JOBS).body(job).send(&self.kube).await
    }

    pub(crate) async fn job(&self, name: &str) -> Result<Value> {
        self.call("get", JOBS).named(name).send(&self.kube).await
    }

    /// The pods with these labels.
    pub(crate) async fn pods(&self, selector: &str) -> Result<Vec<Value>> {
        self.list(Resource::core("pods"), selector).await
    }

    pub(crate) async fn pod(&self, name: &str) -> Result<Value> {
        self.call("get", Resource::core("pods")).named(name).send(&self.kube).await
    }

    /// Deletes a pod, if it is still that one.
    pub(crate) async fn delete_pod(&self, name: &str, uid: &str) -> Result<Value> {
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": { "uid": uid } });
        self.call("delete", Resource::core("pods")).named(name).body(&options).send(&self.kube).await
    }

    /// What is in the namespace of a kind, all of it.
    pub(crate) async fn all(&self, resource: Resource) -> Result<Vec<Value>> {
        self.list(resource, "").await
    }

    /// Whether the caller may do something. It is a question, although it is asked with POST.
    pub(crate) async fn may(&self, verb: &str, resource: Resource) -> Result<bool> {
        let attributes = json!({
            "namespace": self.workload.namespace, "verb": verb, "group": resource.group, "resource": resource.plural,
        });
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": attributes },
        });
        let reviews =
            Resource { group: "authorization.k8s.io", version: "v1", plural: "selfsubjectaccessreviews" };
        let answer = Call::new("create", reviews, None).body(&review).send(&self.kube).await?;
        Ok(crate::text::flag(&answer, "/status/allowed"))
    }

    /// A referenced object: without its content, except for ConfigMaps, and for Secrets if their digests help nobody to guess.
    pub(crate) async fn reference(&self, reference: &Reference) -> Result<Value> {
        let whole = match reference.kind {
            Referenced::ConfigMap => true,
            Referenced::Secret => self.secret.as_ref().is_some_and(FingerprintKey::is_secret),
            Referenced::ServiceAccount | Referenced::PersistentVolumeClaim => false,
        };
        let call = self.call("get", Resource::core(reference.kind.resource())).named(&reference.name);
        let call = if whole { call } else { call.accept(METADATA) };
        call.send(&self.kube).await
    }

    /// Each referenced object, with what became of asking for it.
    pub(crate) async fn references(&self, template: &Template) -> Vec<(Reference, Result<Value>)> {
        let wanted: Vec<_> = template.references().into_iter().take(MOST_REFERENCES).collect();
        let answers = join_all(wanted.iter().map(|reference| self.reference(reference))).await;
        wanted.into_iter().zip(answers).collect()
    }

    /// The ConfigMaps and Secrets of a template as they are now.
    pub(crate) fn coupled(&self, key: &FingerprintKey, read: &[(Reference, Result<Value>)]) -> Coupled {
        let mut coupled = Coupled::default();
        for (reference, answer) in read.iter().filter(|(reference, _)| Coupled::covers(reference.kind)) {
            match answer {
                Ok(object) => coupled.add(reference, object, key),
                Err(error) if error.kind() == ErrorKind::NotFound => coupled.missing(reference),
                Err(_) => coupled.unread(reference),
            }
        }
        coupled
    }
}

/// A list without content.
const LIST_METADATA: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
