//! A deployment and what is told of it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::app_spec::AppSpec;
use crate::protocol::{epoch, texts};

/// The states that the API knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Queued,
    InProgress,
    Ready,
    Succeeded,
    Failed,
    Stopped,
}

impl Status {
    /// All that `ListDeployments` filters by, `Baking` apart: the double has none.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Queued => "Queued",
            Self::InProgress => "InProgress",
            Self::Ready => "Ready",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Stopped => "Stopped",
        }
    }
}

/// What it is at. The status alone does not tell: it is `InProgress` from installing to terminating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits to begin.
    Waiting,
    /// The green task set starts.
    Installing,
    /// Somebody has to say that traffic may move.
    AwaitingTraffic,
    /// Traffic moves.
    Shifting,
    /// All traffic is at green; blue is kept for a while.
    AwaitingTermination,
    /// Of a rollback: traffic goes back to blue.
    Returning,
    /// Of a rollback: green is taken away.
    Clearing,
    /// It is over.
    Ended,
}

/// One event of its life, as the target tells them.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) status: &'static str,
    pub(super) began: Option<Timestamp>,
    pub(super) ended: Option<Timestamp>,
}

/// A request to stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    pub(super) at: Timestamp,
    pub(super) roll_back: bool,
}

/// What became of rolling it back, or which one it rolls back.
#[derive(Debug, Clone, Default)]
pub(super) struct Rollback {
    pub(super) by: Option<String>,
    pub(super) of: Option<String>,
    pub(super) message: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) id: String,
    pub(super) application: String,
    pub(super) group: String,
    pub(super) config: String,
    pub(super) spec: AppSpec,
    pub(super) description: Option<String>,
    pub(super) creator: &'static str,
    pub(super) status: Status,
    pub(super) phase: Phase,
    /// Since when it is in this phase.
    pub(super) since: Timestamp,
    pub(super) created: Timestamp,
    pub(super) started: Option<Timestamp>,
    pub(super) completed: Option<Timestamp>,
    pub(super) error: Option<(String, String)>,
    pub(super) rollback: Rollback,
    /// The group as it was when this was created, with what `CreateDeployment` said instead.
    pub(super) settings: Value,
    pub(super) previous: Option<AppSpec>,
    pub(super) cluster: String,
    pub(super) service: String,
    /// The task set that took traffic before, and its target group's ARN.
    pub(super) blue: Option<(String, String)>,
    /// The task set that it made, and its target group's ARN.
    pub(super) green: Option<(String, String)>,
    pub(super) events: Vec<Event>,
    /// How much of the traffic green has, in percent.
    pub(super) shifted: u16,
    pub(super) stop: Option<Stop>,
    /// Somebody said that it may go on.
    pub(super) go_on: bool,
}

impl Deployment {
    pub(super) fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Whether it goes on by itself.
    pub(super) fn moves(&self) -> bool {
        let waits = self.phase == Phase::AwaitingTraffic && !self.go_on && self.stop.is_none();
        !self.has_ended() && !waits
    }

    pub(super) fn enter(&mut self, phase: Phase, now: Timestamp) {
        self.phase = phase;
        self.since = now;
        self.go_on = false;
    }

    /// Whether this deployment's configuration has it rolled back after such an event.
    pub(super) fn rolls_back_on(&self, event: &str) -> bool {
        let config = &self.settings["autoRollbackConfiguration"];
        config["enabled"] == true && texts(config, "events").contains(&event)
    }

    /// An option of its blue/green configuration.
    pub(super) fn blue_green(&self, option: &str, key: &str) -> &Value {
        &self.settings["blueGreenDeploymentConfiguration"][option][key]
    }

    /// The one target of a deployment to ECS.
    pub(super) fn target(&self) -> String {
        format!("{}:{}", self.cluster, self.service)
    }

    pub(super) fn begins(&mut self, event: &str, now: Timestamp) {
        if let Some(event) = self.events.iter_mut().find(|one| one.name == event) {
            event.status = "InProgress";
            event.began = Some(now);
        }
    }

    pub(super) fn succeeds(&mut self, events: &[&str], now: Timestamp) {
        for event in self.events.iter_mut().filter(|one| events.contains(&one.name)) {
            event.status = "Succeeded";
            event.began = event.began.or(Some(now));
            event.ended = Some(now);
        }
    }

    /// What was under way failed, and the rest does not come.
    pub(super) fn breaks_off(&mut self, now: Timestamp) {
        for event in &mut self.events {
            match event.status {
                "InProgress" => (event.status, event.ended) = ("Failed", Some(now)),
                "Pending" => event.status = "Skipped",
                _ => {}
            }
        }
    }

    fn tell_rollback(&self) -> Option<Value> {
        let Rollback { by, of, message } = &self.rollback;
        let mut told = Map::new();
        for (key, value) in [
            ("rollbackDeploymentId", by),
            ("rollbackTriggeringDeploymentId", of),
            ("rollbackMessage", message),
        ] {
            if let Some(value) = value {
                told.insert(key.to_owned(), value.clone().into());
            }
        }
        (!told.is_empty()).then_some(Value::Object(told))
    }

    /// As `GetDeployment` tells it. For ECS it comes without `deploymentOverview`.
    pub(super) fn tell(&self) -> Value {
        let mut told = json!({
            "applicationName": self.application,
            "deploymentGroupName": self.group,
            "deploymentConfigName": self.config,
            "deploymentId": self.id,
            "revision": self.spec.tell(),
            "status": self.status.name(),
            "createTime": epoch(self.created),
            "creator": self.creator,
            "ignoreApplicationStopFailures": false,
            "updateOutdatedInstancesOnly": false,
            "instanceTerminationWaitTimeStarted": self.termination_began(),
            "fileExistsBehavior": "DISALLOW",
            "deploymentStatusMessages": [],
            "computePlatform": "ECS",
        });
        let mut also = |key: &str, value: Option<Value>| {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                told[key] = value;
            }
        };
        also("startTime", self.started.map(epoch));
        also("completeTime", self.completed.map(epoch));
        also("description", self.description.clone().map(Value::from));
        also("previousRevision", self.previous.as_ref().map(AppSpec::tell));
        let error = self.error.as_ref();
        also("errorInformation", error.map(|(code, message)| json!({ "code": code, "message": message })));
        also("rollbackInfo", self.tell_rollback());
        for key in [
            "autoRollbackConfiguration",
            "deploymentStyle",
            "blueGreenDeploymentConfiguration",
            "loadBalancerInfo",
            "overrideAlarmConfiguration",
        ] {
            also(key, self.settings.get(key).cloned());
        }
        told
    }

    /// Whether the wait before blue is terminated has begun. It stays so.
    fn termination_began(&self) -> bool {
        let kept = self.blue_green("terminateBlueInstancesOnDeploymentSuccess", "action") == "KEEP_ALIVE";
        let shifted = self.phase == Phase::AwaitingTermination || self.status == Status::Succeeded;
        shifted && !kept && self.creator == "user"
    }

    /// As its group tells it.
    pub(super) fn tell_last(&self) -> Value {
        let mut told = json!({
            "deploymentId": self.id,
            "status": self.status.name(),
            "createTime": epoch(self.created),
        });
        if let Some(completed) = self.completed {
            told["endTime"] = epoch(completed);
        }
        told
    }
}
