//! What becomes of pods: their image decides.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::World;

/// What becomes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// It is ready in the next step.
    Start,
    /// It is ready after so many steps.
    Slow(u64),
    /// It crashes again and again.
    Crash,
    /// Its image is not there.
    MissingImage,
    /// It runs, and never says that it is ready.
    NeverReady,
    /// No node has room for it.
    Unschedulable,
}

/// The digest behind a tag, the same each time.
pub(crate) fn image_id(image: &str) -> String {
    let repository = image.rsplit_once(':').map_or(image, |(repository, _)| repository);
    let digest: String = Sha256::digest(image).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{repository}@sha256:{digest}")
}

impl World {
    /// One step of every pod.
    pub(crate) fn run_pods(&mut self) {
        for (namespace, mut pod) in self.store.everywhere("pods") {
            if pod["status"]["phase"] == "Succeeded" {
                continue;
            }
            let container = pod["spec"]["containers"][0].clone();
            let image = container["image"].as_str().unwrap_or_default().to_owned();
            let age = pod["metadata"]["annotations"]["age"]
                .as_str()
                .and_then(|age| age.parse::<u64>().ok())
                .unwrap_or(0);
            let behaviour = self.behaviours.get(&image).copied().unwrap_or(Behaviour::Start);
            let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or(0);
            let waits = matches!(behaviour, Behaviour::Slow(steps) if age < steps);
            let first = pod["spec"]["initContainers"][0].clone();
            let first_image = first["image"].as_str().unwrap_or_default();
            let never = self.behaviours.get(first_image) == Some(&Behaviour::Crash);
            let status = match behaviour {
                _ if never => {
                    let mut status = crashing(&first);
                    status["initContainerStatuses"] = status["containerStatuses"].take();
                    status["containerStatuses"] = json!([{ "name": container["name"], "image": image, "ready": false,
                        "restartCount": 0, "state": { "waiting": { "reason": "PodInitializing" } } }]);
                    status
                }
                _ if waits => json!({ "phase": "Pending" }),
                Behaviour::Start | Behaviour::Slow(_) => running(&container, &image, restarts, true),
                Behaviour::NeverReady => running(&container, &image, restarts, false),
                Behaviour::Crash => crashing(&container),
                Behaviour::MissingImage => {
                    // As kubelets before 1.31 tell it: what the registry said is in an event only.
                    let said = format!("Failed to pull image \"{image}\": {image}: not found");
                    self.event(&namespace, &pod, "Failed", &said);
                    let message = format!("Back-off pulling image \"{image}\"");
                    waiting(&container, "ImagePullBackOff", &message, &json!({}))
                }
                Behaviour::Unschedulable => {
                    json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
                    "reason": "Unschedulable", "message": "0/2 nodes are available: 2 Insufficient cpu." }] })
                }
            };
            if pod["status"] == status && !waits {
                continue;
            }
            pod["status"] = status;
            pod["metadata"]["annotations"]["age"] = json!((age + 1).to_string());
            self.store.update("pods", &namespace, pod);
        }
    }
}

fn running(container: &Value, image: &str, restarts: u64, ready: bool) -> Value {
    let said = if ready { "True" } else { "False" };
    json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": said }], "containerStatuses": [{
        "name": container["name"], "image": image, "imageID": image_id(image), "ready": ready, "restartCount": restarts,
        "state": { "running": {} } }] })
}

fn crashing(container: &Value) -> Value {
    let last = json!({ "terminated": { "exitCode": 1, "reason": "Error" } });
    waiting(container, "CrashLoopBackOff", "back-off 10s restarting failed container", &last)
}

fn waiting(container: &Value, reason: &str, message: &str, last: &Value) -> Value {
    json!({ "phase": "Pending", "conditions": [{ "type": "Ready", "status": "False" }], "containerStatuses": [{
        "name": container["name"], "image": container["image"], "ready": false, "restartCount": 2,
        "state": { "waiting": { "reason": reason, "message": message } }, "lastState": last }] })
}

/// Whether a pod says that it is ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}
