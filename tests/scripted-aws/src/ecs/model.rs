//! What there is in ECS.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Behaviour;

/// A service keeps this many events.
const EVENTS: usize = 100;

#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) arn: String,
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) struct TaskDefinition {
    pub(super) arn: String,
    pub(super) family: String,
    pub(super) revision: u32,
    /// `ACTIVE`, `INACTIVE` or `DELETE_IN_PROGRESS`.
    pub(super) status: &'static str,
    /// As it is described.
    pub(super) body: Map<String, Value>,
    pub(super) tags: Vec<Value>,
}

/// Who moves a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Ecs,
    CodeDeploy,
    External,
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) arn: String,
    pub(super) cluster: String,
    pub(super) cluster_arn: String,
    pub(super) name: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub(super) status: &'static str,
    pub(super) desired: u32,
    pub(super) controller: Controller,
    /// All that was asked for, as it was asked for last.
    pub(super) settings: Map<String, Value>,
    pub(super) task_definition: String,
    pub(super) created_at: Timestamp,
    pub(super) tags: Vec<Value>,
    /// Newest first.
    pub(super) events: Vec<Event>,
    /// Newest first: the primary one.
    pub(super) deployments: Vec<Deployment>,
    /// Newest first.
    pub(super) history: Vec<ServiceDeployment>,
    pub(super) revisions: Vec<Revision>,
    pub(super) task_sets: Vec<Deployment>,
    /// The revision of the last deployment that was completed.
    pub(super) last_completed: Option<String>,
    /// Whether the steady state was told.
    pub(super) steady: bool,
    /// When it was told last that a task cannot be placed.
    pub(super) impaired_at: Option<Timestamp>,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) at: Timestamp,
    pub(super) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rollout {
    InProgress,
    Completed,
    Failed,
}

/// An entry of a service's `deployments`, or a task set.
#[derive(Debug)]
pub(super) struct Deployment {
    /// `ecs-svc/123`.
    pub(super) id: String,
    /// `PRIMARY`, `ACTIVE`, or, for a task set, `DRAINING`.
    pub(super) status: &'static str,
    pub(super) task_definition: String,
    /// The ARN of its service revision.
    pub(super) revision: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) rollout: Rollout,
    pub(super) reason: String,
    pub(super) failed_tasks: u32,
    /// Whether it starts tasks.
    pub(super) launches: bool,
    /// The target groups that its tasks are registered in.
    pub(super) target_groups: Vec<String>,
    /// Of a task set: the deployment of CodeDeploy that made it.
    pub(super) external_id: Option<String>,
}

/// The states of a service deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    InProgress,
    Successful,
    StopRequested,
    Stopped,
    RollbackRequested,
    RollbackInProgress,
    RollbackSuccessful,
    RollbackFailed,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::InProgress => "IN_PROGRESS",
            Self::Successful => "SUCCESSFUL",
            Self::StopRequested => "STOP_REQUESTED",
            Self::Stopped => "STOPPED",
            Self::RollbackRequested => "ROLLBACK_REQUESTED",
            Self::RollbackInProgress => "ROLLBACK_IN_PROGRESS",
            Self::RollbackSuccessful => "ROLLBACK_SUCCESSFUL",
            Self::RollbackFailed => "ROLLBACK_FAILED",
        }
    }

    pub(super) fn in_flight(self) -> bool {
        !matches!(self, Self::Successful | Self::Stopped | Self::RollbackSuccessful | Self::RollbackFailed)
    }
}

#[derive(Debug)]
pub(super) struct ServiceDeployment {
    pub(super) arn: String,
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) stopped_at: Option<Timestamp>,
    pub(super) updated_at: Timestamp,
    /// The ARNs of the revisions that ran before.
    pub(super) sources: Vec<String>,
    /// The ARN of the revision that it is to bring.
    pub(super) target: String,
    /// As it was when it began.
    pub(super) configuration: Value,
    /// Of blue/green deployments.
    pub(super) stage: Option<&'static str>,
    pub(super) stage_since: Timestamp,
    pub(super) hooks: Vec<Hook>,
    pub(super) rollback: Option<Rollback>,
    /// Whether the circuit breaker tripped.
    pub(super) tripped: bool,
    pub(super) failures: u32,
}

impl ServiceDeployment {
    pub(super) fn end(&mut self, status: Status, reason: Option<String>, now: Timestamp) {
        self.status = status;
        self.reason = reason;
        self.finished_at = Some(now);
        self.updated_at = now;
        if status == Status::Stopped {
            self.stopped_at = Some(now);
        }
    }
}

#[derive(Debug)]
pub(super) struct Hook {
    pub(super) id: String,
    pub(super) stage: &'static str,
    pub(super) kind: String,
    pub(super) target: Option<String>,
    /// `AWAITING_ACTION`, `IN_PROGRESS`, `SUCCEEDED`, `FAILED` or `TIMED_OUT`.
    pub(super) status: &'static str,
    pub(super) since: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) timeout_action: Option<String>,
}

#[derive(Debug)]
pub(super) struct Rollback {
    pub(super) reason: String,
    pub(super) at: Timestamp,
    pub(super) revision: String,
}

#[derive(Debug, Clone)]
pub(super) struct Revision {
    pub(super) arn: String,
    pub(super) task_definition: String,
    pub(super) created_at: Timestamp,
    /// Containers with their images and digests.
    pub(super) images: Vec<(String, String, String)>,
    /// The service's settings as they were.
    pub(super) settings: Map<String, Value>,
    pub(super) target_groups: Vec<String>,
}

/// Where a task is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Provisioning,
    Pending,
    Running,
    Deactivating,
    Stopping,
    Stopped,
}

#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) digest: String,
    pub(super) port: Option<u16>,
    pub(super) checked: bool,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) arn: String,
    pub(super) cluster: String,
    pub(super) cluster_arn: String,
    pub(super) service: Option<String>,
    pub(super) group: String,
    /// The deployment or the task set that started it, or what RunTask was told.
    pub(super) started_by: Option<String>,
    pub(super) task_definition: String,
    pub(super) launch_type: String,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) stopping_at: Option<Timestamp>,
    pub(super) stopped_at: Option<Timestamp>,
    pub(super) phase: Phase,
    pub(super) since: Timestamp,
    pub(super) stop_code: Option<&'static str>,
    pub(super) stopped_reason: Option<String>,
    pub(super) containers: Vec<Container>,
    pub(super) behaviour: Behaviour,
    /// Whether its health checks pass; none until they are known.
    pub(super) healthy: Option<bool>,
    pub(super) ip: String,
    pub(super) target_groups: Vec<String>,
    pub(super) overrides: Value,
    pub(super) tags: Vec<Value>,
    /// Whether it ended without being told to, and its deployment has not been told.
    pub(super) failed: bool,
}

impl Task {
    pub(super) fn is_live(&self) -> bool {
        self.phase <= Phase::Running
    }

    pub(super) fn is_good(&self) -> bool {
        self.phase == Phase::Running && self.healthy == Some(true)
    }

    pub(super) fn belongs_to(&self, owner: &str) -> bool {
        self.started_by.as_deref() == Some(owner)
    }

    pub(super) fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it changes by itself as time passes.
    pub(super) fn moves(&self) -> bool {
        match self.phase {
            Phase::Stopped => false,
            Phase::Running => {
                let to_come = matches!(
                    self.behaviour,
                    Behaviour::Crash | Behaviour::CrashAfter(_) | Behaviour::Unhealthy
                );
                self.healthy.is_none() || to_come
            }
            _ => true,
        }
    }
}

impl Service {
    pub(super) fn key(&self) -> (String, String) {
        (self.cluster.clone(), self.name.clone())
    }

    pub(super) fn event(&mut self, id: String, at: Timestamp, message: String) {
        self.events.insert(0, Event { id, at, message });
        self.events.truncate(EVENTS);
    }

    pub(super) fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.status == "PRIMARY")
    }

    pub(super) fn primary_mut(&mut self) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.status == "PRIMARY")
    }

    /// The service deployment that is not at its end.
    pub(super) fn moving(&self) -> Option<&ServiceDeployment> {
        self.history.first().filter(|newest| newest.status.in_flight())
    }

    pub(super) fn moving_mut(&mut self) -> Option<&mut ServiceDeployment> {
        self.history.first_mut().filter(|newest| newest.status.in_flight())
    }

    pub(super) fn revision(&self, arn: &str) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.arn == arn)
    }

    /// A part of its `deploymentConfiguration`.
    pub(super) fn configured(&self, name: &str) -> Option<&Value> {
        self.settings.get("deploymentConfiguration")?.get(name)
    }

    pub(super) fn is_blue_green(&self) -> bool {
        let strategy = self.configured("strategy").and_then(Value::as_str);
        matches!(strategy, Some("BLUE_GREEN" | "CANARY" | "LINEAR"))
    }
}
