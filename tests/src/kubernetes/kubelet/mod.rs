//! What nodes do, played: pods are bound to nodes, and their containers live as their images say.
//!
//! It waits for what the API server tells, and asks again only when that cannot be reached. What containers are is a
//! matter of [`Fate`]; all that takes time takes the same time each time.

mod fate;
mod life;
mod logs;
mod schedule;
mod status;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::AbortHandle;

pub use self::fate::Fate;
pub(super) use self::fate::Registry;
use self::life::{Life, event};
pub(super) use self::logs::{Logs, serve};
use self::schedule::Nodes;
pub use self::status::{EXIT_CODE, LAST_WORDS};
use super::worker::{Api, Change, uid, watch};
use crate::Result;

/// How long a `slow` container takes to be ready.
pub const SLOW: Duration = Duration::from_secs(3);
/// How long a `decay` container is ready.
pub const DECAY: Duration = Duration::from_secs(4);

/// The nodes of a cluster, and all that runs on them.
#[derive(Debug)]
pub(super) struct Kubelet {
    api: Api,
    registry: Arc<Registry>,
    logs: Arc<Logs>,
    nodes: Nodes,
    lives: HashMap<String, Stage>,
}

/// How far a pod is.
#[derive(Debug)]
enum Stage {
    /// Told that it fits nowhere.
    Unschedulable,
    /// Sent to a node.
    Bound,
    /// On a node, where it lives.
    Lives(AbortHandle),
    /// Told to end.
    Ending,
}

impl Kubelet {
    /// Makes the nodes, whose logs are told at `port`.
    pub(super) async fn register(api: Api, registry: Arc<Registry>, count: usize, port: u16) -> Result<Self> {
        let nodes = Nodes::new(count);
        for name in nodes.names() {
            let node = schedule::node(name, port).to_string().into_bytes();
            api.ask("POST", "/api/v1/nodes", "application/json", node).await?;
            // A new node is held for not ready, and the controller that would look again does not run.
            let path = format!("/api/v1/nodes/{name}");
            let free = json!({ "spec": { "taints": null } }).to_string().into_bytes();
            api.ask("PATCH", &path, "application/merge-patch+json", free).await?;
        }
        Ok(Self { api, registry, logs: Arc::default(), nodes, lives: HashMap::new() })
    }

    /// What containers write.
    pub(super) fn logs(&self) -> Arc<Logs> {
        Arc::clone(&self.logs)
    }

    /// Looks after all pods until it is aborted.
    pub(super) async fn run(mut self) {
        let api = self.api.clone();
        watch(&api, "/api/v1/pods", "", |change| {
            match change {
                Change::All(pods) => {
                    let there: Vec<&str> = pods.iter().map(uid).collect();
                    let gone = self.lives.extract_if(|uid, _| !there.contains(&uid.as_str()));
                    gone.for_each(|(_, stage)| stage.stop());
                    pods.iter().for_each(|pod| self.see(pod));
                }
                Change::Set(pod) => self.see(&pod),
                Change::Gone(pod) => {
                    if let Some(stage) = self.lives.remove(uid(&pod)) {
                        stage.stop();
                    }
                }
            }
            ControlFlow::Continue(())
        })
        .await;
    }

    /// Does what is to be done next for a pod.
    fn see(&mut self, pod: &Value) {
        let stage = self.lives.get(uid(pod));
        let has_node = pod["spec"]["nodeName"].is_string();
        let next = match stage {
            Some(Stage::Ending) => return,
            _ if pod["metadata"]["deletionTimestamp"].is_string() => {
                self.send("DELETE", &path_of(pod, ""), "application/json", &farewell(pod));
                Stage::Ending
            }
            None | Some(Stage::Unschedulable | Stage::Bound) if has_node => {
                self.keep_logs(pod);
                let life = Life::new(self.api.clone(), Arc::clone(&self.registry), pod.clone());
                Stage::Lives(tokio::spawn(life.live()).abort_handle())
            }
            None => self.schedule(pod),
            Some(_) => return,
        };
        if let Some(before) = self.lives.insert(uid(pod).to_owned(), next) {
            before.stop();
        }
    }

    fn keep_logs(&self, pod: &Value) {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (word(&pod["metadata"]["namespace"]), word(&pod["metadata"]["name"]));
        for container in pod["spec"]["containers"].as_array().into_iter().flatten() {
            let key = format!("{namespace}/{name}/{}", word(&container["name"]));
            self.logs.keep(key, word(&container["image"]));
        }
    }

    fn schedule(&mut self, pod: &Value) -> Stage {
        match self.nodes.choose(pod) {
            Ok(node) => {
                let target = json!({ "apiVersion": "v1", "kind": "Node", "name": node });
                let metadata = json!({ "name": pod["metadata"]["name"], "uid": uid(pod) });
                let binding =
                    json!({ "apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target });
                self.send("POST", &path_of(pod, "/binding"), "application/json", &binding);
                Stage::Bound
            }
            Err(why) => {
                let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why });
                let body =
                    json!({ "metadata": { "uid": uid(pod) }, "status": { "conditions": [condition] } });
                self.send("PATCH", &path_of(pod, "/status"), "application/merge-patch+json", &body);
                let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
                let events = format!("/api/v1/namespaces/{namespace}/events");
                let warning = event(pod, "default-scheduler", "FailedScheduling", &why);
                self.send("POST", &events, "application/json", &warning);
                Stage::Unschedulable
            }
        }
    }

    /// Sends it meanwhile. When the pod is gone by then, it no longer matters.
    fn send(&self, method: &'static str, path: &str, content: &'static str, body: &Value) {
        let (api, path, body) = (self.api.clone(), path.to_owned(), body.to_string().into_bytes());
        tokio::spawn(async move {
            let _ = api.ask(method, &path, content, body).await;
        });
    }
}

impl Stage {
    fn stop(self) {
        if let Self::Lives(task) = self {
            task.abort();
        }
    }
}

fn path_of(pod: &Value, part: &str) -> String {
    let word = |name: &str| pod["metadata"][name].as_str().unwrap_or_default();
    format!("/api/v1/namespaces/{}/pods/{}{part}", word("namespace"), word("name"))
}

/// It has ended, and need not be kept; another pod of the same name is not meant.
fn farewell(pod: &Value) -> Value {
    json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": uid(pod) } })
}
