//! The life of one pod, from the moment that it has a node.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::fate::{Fate, Registry};
use super::status::{EXIT_CODE, State, Status, written};
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
        for number in 0..self.status.init.len() {
            if Fate::of(self.status.init[number].image()) != Fate::Good {
                // What else could happen to it is not played.
                self.status.init[number]
                    .wait("CrashLoopBackOff", "back-off restarting failed init container".into());
                return self.tell().await;
            }
            self.status.init[number].run(&self.registry, true);
            self.status.init[number].end(0);
        }
        let containers = 0..self.status.containers.len();
        let fates: Vec<Fate> =
            containers.clone().map(|n| Fate::of(self.status.containers[n].image())).collect();
        let ends = self.pod["spec"]["restartPolicy"].as_str().is_some_and(|policy| policy != "Always");
        for number in containers.clone() {
            match fates[number] {
                Fate::Missing => {
                    let refused = self.refused(number);
                    self.status.containers[number].wait("ErrImagePull", refused);
                }
                Fate::Good | Fate::Decaying => self.status.containers[number].run(&self.registry, true),
                Fate::Slow | Fate::Crashing => self.status.containers[number].run(&self.registry, false),
            }
        }
        self.tell().await?;
        if ends {
            return self.end_once(&fates).await;
        }
        // The first that is not good decides: tests have one at a time.
        let Some(number) = containers.into_iter().find(|number| fates[*number] != Fate::Good) else {
            return Ok(());
        };
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
        let (image, refused) = (self.status.containers[number].image().to_owned(), self.refused(number));
        self.warn("Failed", &format!("Failed to pull image \"{image}\": {refused}")).await?;
        self.status.containers[number]
            .wait("ImagePullBackOff", format!("Back-off pulling image \"{image}\": ErrImagePull: {refused}"));
        self.tell().await
    }

    /// What the registry says of an image that it does not have.
    fn refused(&self, number: usize) -> String {
        let image = self.status.containers[number].image();
        format!(
            "rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": failed to resolve reference \
             \"{image}\": {image}: not found"
        )
    }

    fn name(&self) -> &str {
        self.pod["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.pod["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// Tells the API server how it is. A pod of the same name that is another one is not meant.
    async fn tell(&mut self) -> Result<(), Gone> {
        debug_assert!(
            !self.status.containers.iter().any(|c| matches!(c.state, State::Ended { code } if code < 0))
        );
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
