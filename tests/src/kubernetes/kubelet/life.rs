//! The life of one pod, from the moment that it has a node.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::fate::{Fate, Registry};
use super::status::{Container, EXIT_CODE, Status, written};
use super::{DECAY, SLOW};
use crate::kubernetes::worker::{Api, uid};

/// How long a container runs that crashes.
const RUNS: Duration = Duration::from_millis(100);
/// How long it waits at first until it is started again, and at most. With real kubelets it is ten seconds, and five minutes.
const BACK_OFF: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(8);
/// How often it is started again.
const RESTARTS: u32 = 40;

/// One pod, and what is needed to tell of it.
#[derive(Debug)]
pub(super) struct Life {
    api: Api,
    registry: Arc<Registry>,
    pod: Value,
    status: Status,
}

/// Nobody wants to know any more: the pod is gone.
#[derive(Debug)]
pub(super) struct Gone;

impl Life {
    pub(super) fn new(api: Api, registry: Arc<Registry>, pod: Value) -> Self {
        let status = Status::of(&pod);
        Self { api, registry, pod, status }
    }

    /// Lives until nothing more happens to it.
    pub(super) async fn live(mut self) {
        // That the pod is gone is the usual end.
        let _ = self.lived().await;
    }

    async fn lived(&mut self) -> Result<(), Gone> {
        if !self.initialise() {
            return self.tell().await;
        }
        let fates = self.start();
        self.tell().await?;
        if self.pod["spec"]["restartPolicy"].as_str().is_some_and(|policy| policy != "Always") {
            return self.end_once(&fates).await;
        }
        // The first that is not good decides: tests have one at a time.
        let Some(number) = fates.iter().position(|fate| *fate != Fate::Good) else { return Ok(()) };
        match fates[number] {
            Fate::Good => Ok(()),
            Fate::Missing => self.pull_in_vain(number).await,
            Fate::Crashing => self.crash(number).await,
            Fate::Slow => {
                SystemClock.sleep(SLOW).await;
                self.status.containers[number].ready();
                self.tell().await
            }
            Fate::Decaying => {
                SystemClock.sleep(DECAY).await;
                self.crash(number).await
            }
        }
    }

    /// Runs the init containers. Whether all of them ended well; what else could happen to them is not played.
    fn initialise(&mut self) -> bool {
        for container in &mut self.status.init {
            if Fate::of(container.image()) != Fate::Good {
                container.wait("CrashLoopBackOff", "back-off restarting failed init container".to_owned());
                return false;
            }
            container.run(&self.registry, true);
            container.end(0);
        }
        true
    }

    /// Starts the containers.
    fn start(&mut self) -> Vec<Fate> {
        let fate = |container: &mut Container| {
            let fate = Fate::of(container.image());
            match fate {
                Fate::Missing => container.wait("ErrImagePull", refused(container.image())),
                Fate::Good | Fate::Decaying => container.run(&self.registry, true),
                Fate::Slow | Fate::Crashing => container.run(&self.registry, false),
            }
            fate
        };
        self.status.containers.iter_mut().map(fate).collect()
    }

    /// A pod that is to end, as those of jobs are: the good ones end well.
    async fn end_once(&mut self, fates: &[Fate]) -> Result<(), Gone> {
        if let Some(number) = fates.iter().position(|fate| *fate == Fate::Missing) {
            return self.pull_in_vain(number).await;
        }
        SystemClock.sleep(RUNS).await;
        for (number, fate) in fates.iter().enumerate() {
            let code = if matches!(fate, Fate::Crashing | Fate::Decaying) { EXIT_CODE } else { 0 };
            self.status.containers[number].end(code);
        }
        self.tell().await
    }

    async fn crash(&mut self, number: usize) -> Result<(), Gone> {
        let mut pause = BACK_OFF;
        for restarts in 0..RESTARTS {
            if restarts > 0 {
                let container = &mut self.status.containers[number];
                container.restarts = restarts;
                container.run(&self.registry, false);
                self.tell().await?;
            }
            SystemClock.sleep(RUNS).await;
            self.status.containers[number].end(EXIT_CODE);
            self.tell().await?;
            // The first time it is started again at once.
            if restarts == 0 {
                continue;
            }
            let container = self.status.containers[number].name().to_owned();
            let message = format!(
                "back-off {}s restarting failed container={container} pod={}_{}({})",
                pause.as_secs(),
                self.name(),
                self.namespace(),
                uid(&self.pod),
            );
            self.status.containers[number].wait("CrashLoopBackOff", message);
            self.tell().await?;
            self.warn("BackOff", "Back-off restarting failed container").await?;
            SystemClock.sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
        Ok(())
    }

    async fn pull_in_vain(&mut self, number: usize) -> Result<(), Gone> {
        let image = self.status.containers[number].image().to_owned();
        let refused = refused(&image);
        self.warn("Failed", &format!("Failed to pull image \"{image}\": {refused}")).await?;
        self.status.containers[number]
            .wait("ImagePullBackOff", format!("Back-off pulling image \"{image}\": ErrImagePull: {refused}"));
        self.tell().await
    }

    fn name(&self) -> &str {
        self.pod["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.pod["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// Tells the API server how it is. A pod of the same name that is another one is not meant.
    async fn tell(&mut self) -> Result<(), Gone> {
        let status = self.status.told();
        let body = json!({ "metadata": { "uid": uid(&self.pod) }, "status": status });
        let path = format!("/api/v1/namespaces/{}/pods/{}/status", self.namespace(), self.name());
        self.send("PATCH", &path, "application/merge-patch+json", &body).await
    }

    async fn warn(&self, reason: &str, message: &str) -> Result<(), Gone> {
        let path = format!("/api/v1/namespaces/{}/events", self.namespace());
        self.send("POST", &path, "application/json", &event(&self.pod, "kubelet", reason, message)).await
    }

    /// Bounded: the API server may be away for a moment. What it refuses it will refuse again.
    async fn send(&self, method: &str, path: &str, content: &str, body: &Value) -> Result<(), Gone> {
        for _ in 0..100 {
            match self.api.ask(method, path, content, body.to_string().into_bytes()).await {
                Ok(_) => return Ok(()),
                Err(error) if error.downcast_ref().is_some_and(|e| matches!(e, kube::Error::Api(_))) => {
                    return Err(Gone);
                }
                Err(_) => SystemClock.sleep(RUNS).await,
            }
        }
        Err(Gone)
    }
}

/// What the registry says of an image that it does not have.
fn refused(image: &str) -> String {
    format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": failed to resolve reference \
         \"{image}\": {image}: not found"
    )
}

/// A warning about a pod.
pub(super) fn event(pod: &Value, from: &str, reason: &str, message: &str) -> Value {
    let now = written(SystemClock.now());
    let (metadata, name) = (&pod["metadata"], pod["metadata"]["name"].as_str().unwrap_or_default());
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "generateName": format!("{name}."), "namespace": metadata["namespace"] },
        "involvedObject": {
            "apiVersion": "v1", "kind": "Pod", "name": name, "namespace": metadata["namespace"], "uid": metadata["uid"],
        },
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": { "component": from },
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    })
}
