//! The Kubernetes driver against the conformance kit, on the real control plane.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use rollback_core::{DynTarget, Error, ErrorKind, Result};
use rollback_driver_k8s::{K8sConfig, K8sTarget, Kind};
use rollback_testkit::driver::{Fault, FaultLine, Fixture, Release, main_of, suite};
use rollback_tests::kubernetes::{ControlPlane, Space, client, manifest};
use rollback_tests::servers::StartError;
use serde_json::{Value, json};

const NAME: &str = "web";
const SECRET: &str = "correct horse battery staple";

struct World {
    plane: &'static ControlPlane,
    space: Space<'static>,
    kind: Kind,
    line: FaultLine,
    deploys: AtomicU64,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Other, "arrange the workload", error.to_string())
}

fn version(release: Release) -> String {
    format!("v{}", release.number())
}

fn container(version: &str) -> Value {
    let env = json!([{ "name": "API_KEY", "value": SECRET }]);
    json!({ "name": "web", "image": manifest::image(version), "env": env })
}

impl World {
    fn new(kind: Kind) -> Result<Self> {
        let plane = ControlPlane::shared().map_err(failed)?;
        let space = plane.namespace().map_err(failed)?;
        Ok(Self { plane, space, kind, line: FaultLine::default(), deploys: AtomicU64::new(0) })
    }

    fn set(&self, version: &str) -> Result<()> {
        let spec = json!({ "containers": [container(version)] });
        let patch = json!({ "spec": { "template": { "spec": spec } } });
        self.space.patch(self.kind.resource(), NAME, &patch).map(drop).map_err(failed)
    }

    async fn connect(&self) -> Result<Arc<dyn DynTarget>> {
        let client = client(&self.plane.kubeconfig("admin").map_err(failed)?).await.map_err(failed)?;
        let config = K8sConfig::new(self.kind, NAME).namespace(self.space.name());
        Ok(self.line.wrap(K8sTarget::new(client, &config)?.erase()))
    }
}

#[async_trait]
impl Fixture for World {
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        self.connect().await
    }

    async fn deploy(&self, release: Release) -> Result<()> {
        self.deploys.fetch_add(1, Ordering::Relaxed);
        let resource = self.kind.resource();
        if self.space.get(resource, NAME).is_ok() {
            self.set(&version(release))?;
        } else {
            let mut made = match self.kind {
                Kind::Deployment => manifest::deployment(NAME, &version(release), 2),
                Kind::StatefulSet => manifest::stateful_set(NAME, &version(release), 2),
                Kind::DaemonSet => manifest::daemon_set(NAME, &version(release)),
            };
            made["spec"]["template"]["spec"]["containers"] = json!([container(&version(release))]);
            self.space.create(&made).map_err(failed)?;
        }
        self.space.until_rolled_out(resource, NAME).map_err(failed)?;
        Ok(())
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        match fault {
            Fault::ScaleToZero if self.kind != Kind::DaemonSet => {
                self.space
                    .patch(self.kind.resource(), NAME, &json!({ "spec": { "replicas": 0 } }))
                    .map_err(failed)?;
                self.space.until_rolled_out(self.kind.resource(), NAME).map_err(failed)?;
                Ok(true)
            }
            Fault::RemoveArtifact(release) => {
                let entries = self.space.list(self.kind.history()).map_err(failed)?;
                let image = manifest::image(&version(release));
                for entry in entries.iter().filter(|entry| entry.to_string().contains(&image)) {
                    let name = entry["metadata"]["name"].as_str().unwrap_or_default();
                    self.space.delete(self.kind.history(), name).map_err(failed)?;
                }
                Ok(true)
            }
            // The bad image in the place of that release's.
            Fault::Fail(_) => {
                self.deploys.fetch_add(1, Ordering::Relaxed);
                self.set("bad")?;
                self.space.until_waiting(NAME, "CrashLoopBackOff").map_err(failed)?;
                Ok(true)
            }
            // A lost node: the pod is made anew.
            Fault::RestartPart => {
                let pods = self.space.list("pods").map_err(failed)?;
                let pod = pods[0]["metadata"]["name"].as_str().unwrap_or_default();
                self.space.delete("pods", pod).map_err(failed)?;
                self.space.until_rolled_out(self.kind.resource(), NAME).map_err(failed)?;
                Ok(true)
            }
            other => self.line.inject(other).await,
        }
    }

    async fn effects(&self) -> Result<Option<u64>> {
        Ok(Some(self.deploys.load(Ordering::Relaxed) + self.line.landed()))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }
}

fn main() -> ExitCode {
    let missing = match ControlPlane::shared() {
        Err(StartError::Missing(why)) => Some(why),
        _ => None,
    };
    let kinds = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
    main_of(kinds.map(|kind| suite(kind.resource(), async move || World::new(kind)).missing(missing.clone())))
}
