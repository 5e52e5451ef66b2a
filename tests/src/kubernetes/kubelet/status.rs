//! What a kubelet tells of a pod.

use jiff::Timestamp;
use rollback_core::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::fate::Registry;

/// What a crashing container writes before it ends.
pub const LAST_WORDS: &str = "starting\nfatal: no table \"orders\" in the database\n";
/// With what it ends.
pub const EXIT_CODE: i32 = 1;

/// Where one container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting { reason: &'static str, message: String },
    Running { ready: bool },
    Ended { code: i32 },
}

/// A container, how often it was started again, and when it ended last.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) spec: Value,
    pub(super) state: State,
    pub(super) restarts: u32,
    pub(super) last: Option<Value>,
    image_id: String,
    since: Timestamp,
}

impl Container {
    pub(super) fn of(spec: &Value) -> Self {
        Self {
            spec: spec.clone(),
            state: State::Waiting { reason: "ContainerCreating", message: String::new() },
            restarts: 0,
            last: None,
            image_id: String::new(),
            since: SystemClock.now(),
        }
    }

    pub(super) fn image(&self) -> &str {
        self.spec["image"].as_str().unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.spec["name"].as_str().unwrap_or_default()
    }

    /// It runs the image that its tag means now.
    pub(super) fn run(&mut self, registry: &Registry, ready: bool) {
        self.image_id = registry.id(self.image());
        self.since = SystemClock.now();
        self.state = State::Running { ready };
    }

    pub(super) fn ready(&mut self) {
        self.state = State::Running { ready: true };
    }

    pub(super) fn end(&mut self, code: i32) {
        self.state = State::Ended { code };
        self.last = Some(self.ended(code));
    }

    pub(super) fn wait(&mut self, reason: &'static str, message: String) {
        self.state = State::Waiting { reason, message };
    }

    fn ended(&self, code: i32) -> Value {
        let reason = if code == 0 { "Completed" } else { "Error" };
        let mut ended = json!({
            "exitCode": code,
            "reason": reason,
            "startedAt": written(self.since),
            "finishedAt": written(SystemClock.now()),
        });
        if code != 0 && self.spec["terminationMessagePolicy"] == "FallbackToLogsOnError" {
            ended["message"] = json!(LAST_WORDS);
        }
        ended
    }

    fn status(&self) -> Value {
        let state = match &self.state {
            State::Waiting { reason, message } if message.is_empty() => {
                json!({ "waiting": { "reason": reason } })
            }
            State::Waiting { reason, message } => {
                json!({ "waiting": { "reason": reason, "message": message } })
            }
            State::Running { .. } => json!({ "running": { "startedAt": written(self.since) } }),
            State::Ended { .. } => json!({ "terminated": self.last }),
        };
        let before = match &self.state {
            State::Ended { .. } => json!({}),
            _ => self.last.as_ref().map_or(json!({}), |last| json!({ "terminated": last })),
        };
        json!({
            "name": self.name(),
            "image": self.image(),
            "imageID": self.image_id,
            "ready": self.is_ready(),
            "started": matches!(self.state, State::Running { .. }),
            "restartCount": self.restarts,
            "state": state,
            "lastState": before,
        })
    }

    fn is_ready(&self) -> bool {
        self.state == State::Running { ready: true }
    }
}

/// The status of a pod: its init containers, if it has any, and its containers.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) init: Vec<Container>,
    pub(super) containers: Vec<Container>,
    started: Timestamp,
    turned: Timestamp,
    was_ready: bool,
    restarts_nothing: bool,
}

impl Status {
    pub(super) fn of(pod: &Value) -> Self {
        let all =
            |name: &str| pod["spec"][name].as_array().into_iter().flatten().map(Container::of).collect();
        let now = SystemClock.now();
        Self {
            init: all("initContainers"),
            containers: all("containers"),
            started: now,
            turned: now,
            was_ready: false,
            restarts_nothing: pod["spec"]["restartPolicy"].as_str().is_some_and(|policy| policy != "Always"),
        }
    }

    /// As it is sent to the API server.
    pub(super) fn told(&mut self) -> Value {
        let ready = self.containers.iter().all(Container::is_ready);
        if ready != self.was_ready {
            (self.was_ready, self.turned) = (ready, SystemClock.now());
        }
        let ended = |wanted: fn(i32) -> bool| {
            self.containers
                .iter()
                .any(|container| matches!(container.state, State::Ended { code } if wanted(code)))
        };
        let begun = |container: &Container| !container.image_id.is_empty();
        let initialised =
            self.init.iter().all(|container| matches!(container.state, State::Ended { code: 0 }));
        let phase = match () {
            () if self.restarts_nothing && ended(|code| code != 0) => "Failed",
            () if self.restarts_nothing && ended(|code| code == 0) => "Succeeded",
            () if initialised && self.containers.iter().all(begun) => "Running",
            () => "Pending",
        };
        let condition = |kind: &str, holds: bool, since: Timestamp, reason: &str| {
            let status = if holds { "True" } else { "False" };
            let mut told = json!({ "type": kind, "status": status, "lastTransitionTime": written(since) });
            if !holds {
                told["reason"] = json!(reason);
            }
            told
        };
        json!({
            "phase": phase,
            "hostIP": "127.0.0.1",
            "podIP": "127.0.0.1",
            "startTime": written(self.started),
            "conditions": [
                condition("Initialized", initialised, self.started, "ContainersNotInitialized"),
                condition("Ready", ready, self.turned, "ContainersNotReady"),
                condition("ContainersReady", ready, self.turned, "ContainersNotReady"),
                condition("PodScheduled", true, self.started, ""),
            ],
            "initContainerStatuses": self.init.iter().map(Container::status).collect::<Vec<_>>(),
            "containerStatuses": self.containers.iter().map(Container::status).collect::<Vec<_>>(),
        })
    }
}

/// Kubernetes writes whole seconds.
pub(super) fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
