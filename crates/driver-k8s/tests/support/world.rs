//! One workload in one namespace of the scripted double, with up to three releases.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use rollback_core::{DynTarget, Result};
use rollback_driver_k8s::{K8sConfig, K8sTarget, Kind};
use rollback_scripted_kubernetes::{Behaviour, Cluster, Does, workload};
use rollback_testkit::driver::{Fault, Fixture, Release};
use serde_json::{Value, json};

const NAMESPACE: &str = "shop";
const NAME: &str = "web";
const SECRET: &str = "correct horse battery staple";

pub(crate) struct World {
    cluster: Cluster,
    kind: Kind,
    deploys: AtomicU64,
}

fn image(release: Release) -> String {
    format!("registry.example:5000/shop/web:v{}", release.number())
}

/// The image of a ReplicaSet or ControllerRevision.
fn image_of(entry: &Value) -> &str {
    let template = entry.pointer("/spec/template").or_else(|| entry.pointer("/data/spec/template"));
    template
        .and_then(|template| template.pointer("/spec/containers/0/image"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

impl World {
    pub(crate) fn new(kind: Kind) -> Self {
        let cluster = Cluster::new();
        for (kind, name) in [("ConfigMap", "web-config"), ("Secret", "web-db")] {
            cluster.create(
                NAMESPACE,
                &json!({ "kind": kind, "metadata": { "name": name }, "data": { "password": SECRET } }),
            );
        }
        Self { cluster, kind, deploys: AtomicU64::new(0) }
    }

    fn plural(&self) -> &'static str {
        self.kind.resource()
    }

    fn connect(&self, config: &K8sConfig) -> Result<Arc<dyn DynTarget>> {
        Ok(K8sTarget::new(self.cluster.client(NAMESPACE), config)?.erase())
    }

    /// Sets the workload to a release and waits for nothing.
    fn begin(&self, release: Release) {
        self.deploys.fetch_add(1, Ordering::Relaxed);
        if self.cluster.get(self.plural(), NAMESPACE, NAME).is_some() {
            return self.cluster.set_image(self.plural(), NAMESPACE, NAME, &image(release));
        }
        let mut made = workload(self.plural(), NAME, &image(release), 2);
        let container = &mut made["spec"]["template"]["spec"]["containers"][0];
        container["env"] = json!([
            { "name": "API_KEY", "value": SECRET },
            { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "web-db", "key": "password" } } },
        ]);
        container["envFrom"] = json!([{ "configMapRef": { "name": "web-config" } }]);
        self.cluster.create(NAMESPACE, &made);
    }

    /// The ReplicaSet or ControllerRevision of a release.
    fn entry(&self, release: Release) -> Option<Value> {
        let all = self.cluster.list(self.kind.history(), NAMESPACE);
        all.into_iter().find(|entry| image_of(entry) == image(release))
    }

    fn remove_entry(&self, release: Release) -> bool {
        let name = self.entry(release).and_then(|entry| Some(entry["metadata"]["name"].as_str()?.to_owned()));
        name.is_some_and(|name| self.cluster.remove(self.kind.history(), NAMESPACE, &name))
    }

    fn change_first_pod(&self, change: impl FnOnce(&mut Value)) {
        let pods = self.cluster.list("pods", NAMESPACE);
        let name = pods[0]["metadata"]["name"].as_str().unwrap_or_default();
        self.cluster.change("pods", NAMESPACE, name, change);
    }

    /// The first pod was made from a release, as in a rollout that was held.
    fn mix(&self, release: Release) -> bool {
        let Some(entry) = self.entry(release) else { return false };
        let name = entry["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let label = match self.kind {
            Kind::DaemonSet => name.rsplit('-').next().unwrap_or_default().to_owned(),
            _ => name,
        };
        self.change_first_pod(|pod| match self.kind {
            Kind::Deployment => {
                pod["metadata"]["ownerReferences"][0]["uid"] = entry["metadata"]["uid"].clone();
            }
            _ => pod["metadata"]["labels"]["controller-revision-hash"] = json!(label),
        });
        true
    }
}

#[async_trait]
impl Fixture for World {
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        self.connect(&K8sConfig::new(self.kind, NAME).namespace(NAMESPACE))
    }

    // In the namespace of the context.
    async fn alias(&self) -> Result<Option<Arc<dyn DynTarget>>> {
        self.connect(&K8sConfig::new(self.kind, NAME)).map(Some)
    }

    async fn deploy(&self, release: Release) -> Result<()> {
        self.begin(release);
        self.cluster.settle();
        Ok(())
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        match fault {
            Fault::Refuse => self
                .cluster
                .inject(Does::Answers(429, json!({ "kind": "Status", "reason": "TooManyRequests" }))),
            Fault::LoseRequest => self.cluster.inject(Does::LosesRequest),
            Fault::LoseAnswer => self.cluster.inject(Does::LosesAnswer),
            Fault::Delay => self.cluster.inject(Does::Delays),
            Fault::Deliver => self.cluster.deliver(),
            Fault::RemoveArtifact(release) => return Ok(self.remove_entry(release)),
            Fault::ScaleToZero if self.kind != Kind::DaemonSet => {
                self.cluster
                    .change(self.plural(), NAMESPACE, NAME, |object| object["spec"]["replicas"] = json!(0));
                self.cluster.settle();
            }
            // No node is left for it.
            Fault::ScaleToZero => {
                self.cluster.change(self.plural(), NAMESPACE, NAME, |object| {
                    object["metadata"]["labels"]["nodes"] = json!("0");
                });
                for pod in self.cluster.list("pods", NAMESPACE) {
                    self.cluster.remove(
                        "pods",
                        NAMESPACE,
                        pod["metadata"]["name"].as_str().unwrap_or_default(),
                    );
                }
                self.cluster.settle();
            }
            Fault::MixParts(release) => return Ok(self.mix(release)),
            Fault::Begin(release) => {
                self.cluster.behave(&image(release), Behaviour::Slow(20));
                self.begin(release);
                (0..3).for_each(|_| self.cluster.tick());
            }
            Fault::Fail(release) => {
                self.cluster.behave(&image(release), Behaviour::Crash);
                self.begin(release);
                self.cluster.settle();
            }
            Fault::RestartPart => self.change_first_pod(|pod| {
                let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0);
                pod["status"]["containerStatuses"][0]["restartCount"] = json!(restarts + 1);
            }),
            Fault::DenyReads => {
                for resource in [self.kind.history(), "configmaps", "secrets"] {
                    self.cluster.deny(format!("get {resource}"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    async fn effects(&self) -> Result<Option<u64>> {
        Ok(Some(self.deploys.load(Ordering::Relaxed) + self.cluster.landed()))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    // Its time is not ours.
    async fn pause(&self) {
        self.cluster.tick();
    }
}
