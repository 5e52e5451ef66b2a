//! The ways in which a workload can be put back, one file each. All of them are pure.
//!
//! None sets a number of replicas: that is the autoscaler's, or a person's.

mod recorded;
mod revision_undo;
mod set_image;
#[cfg(test)]
mod tests;

use rollback_core::target::{Phase, Reading};
use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Result, Risk, Snapshot as _, Step, StepId, View};

pub use self::recorded::{ApplyRecorded, RestoreConfiguration};
pub use self::revision_undo::RevisionUndo;
pub use self::set_image::SetImage;
use crate::action::{K8sAction, On};
use crate::circumstances::{Blocking, Circumstances};
use crate::snapshot::{K8sSnapshot, Source};
use crate::workload::Kind;

/// What a person chose, where there is a choice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choices {
    /// Whether a paused Deployment is resumed by the same request.
    pub resume_paused: bool,
    /// Whether tools that apply manifests are told of the rollback once it is proven.
    pub tell_appliers: bool,
}

impl Choices {
    /// Sets whether a paused Deployment is resumed by the same request.
    #[must_use]
    pub fn resume_paused(mut self, resume: bool) -> Self {
        self.resume_paused = resume;
        self
    }

    /// Sets whether tools that apply manifests are told of the rollback once it is proven.
    #[must_use]
    pub fn tell_appliers(mut self, tell: bool) -> Self {
        self.tell_appliers = tell;
        self
    }
}

/// How long one request may take.
const REQUEST: Lasting = Lasting::from_secs(30);

/// What every strategy asks first.
struct Question<'a> {
    view: &'a View<K8sSnapshot>,
    /// What the workload is set to.
    now: &'a K8sSnapshot,
    circumstances: &'a Circumstances,
    choices: Choices,
}

impl<'a> Question<'a> {
    fn new(view: &'a View<K8sSnapshot>, choices: Choices) -> Result<Self, String> {
        let now = view.observed.heading.as_ref().or(view.observed.settled.known());
        let now = now.ok_or(match view.observed.settled {
            Reading::Absent => "the workload does not exist",
            _ => "what the workload is set to could not be read",
        })?;
        let circumstances = now.circumstances.as_deref().ok_or("how the workload was found is not known")?;
        if view.goal.workload != now.workload {
            return Err(format!("the destination is a state of {}", view.goal.workload));
        }
        if let Some(owner) = &circumstances.owner {
            return Err(format!(
                "the workload belongs to {owner}, which would change it back: put that back instead"
            ));
        }
        if circumstances.on_delete {
            return Err(
                "its update strategy is OnDelete: nothing would be replaced until somebody deletes pods"
                    .to_owned(),
            );
        }
        if circumstances.paused && !choices.resume_paused {
            return Err("its rollouts are paused: resume it, or set `resume_paused`".to_owned());
        }
        Ok(Self { view, now, circumstances, choices })
    }

    fn goal(&self) -> &'a K8sSnapshot {
        &self.view.goal
    }

    /// Whether the workload is set to the destination already.
    fn is_set(&self) -> bool {
        self.now.info().identity == self.goal().info().identity
    }

    /// Refuses where nothing is left to do.
    fn not_there_yet(&self) -> Result<(), String> {
        if !self.is_set() || self.resumes() || !self.in_the_way().is_empty() {
            return Ok(());
        }
        let label = self.goal().info().label();
        Err(match &self.view.observed.phase {
            Phase::Settled => format!("the workload already rests on the content of {label}"),
            Phase::Failed(why) => {
                format!("the workload is set to {label} already, and setting it again changes nothing: {why}")
            }
            _ => format!("the workload is set to {label} already, and on its way"),
        })
    }

    /// The pods that a StatefulSet would wait for, though they are to go.
    fn in_the_way(&self) -> Vec<&'a Blocking> {
        let goal = self.goal().info().identity;
        self.circumstances.unready.iter().filter(|pod| pod.identity != goal).collect()
    }

    fn resumes(&self) -> bool {
        self.choices.resume_paused && self.circumstances.paused
    }

    fn on(&self) -> On {
        On { workload: self.now.workload.clone(), uid: self.circumstances.uid.clone() }
    }

    fn is_paused(&self) -> bool {
        self.circumstances.paused
    }

    /// The pods that a StatefulSet would wait for if all of them were to go.
    fn unready(&self) -> Vec<&'a Blocking> {
        self.circumstances.unready.iter().collect()
    }

    fn cause(&self) -> String {
        cause(self.goal())
    }

    /// The steps, with those pods deleted after them that would hold them up.
    fn proposal(&self, change: Option<Step<K8sAction>>) -> Proposal<K8sAction> {
        self.proposal_without(change, self.in_the_way())
    }

    /// The steps, with these pods deleted after them.
    fn proposal_without(
        &self,
        change: Option<Step<K8sAction>>,
        in_the_way: Vec<&Blocking>,
    ) -> Proposal<K8sAction> {
        let first = change.as_ref().map(|step| step.id.clone());
        let mut steps: Vec<_> = change.into_iter().collect();
        for pod in in_the_way {
            let title =
                format!("delete pod {}, which is not ready and would be waited for: {}", pod.pod, pod.why);
            let action =
                K8sAction::DeletePod { on: self.on(), pod: pod.pod.clone(), pod_uid: pod.uid.clone() };
            // A pod's name is at most 253 bytes long; a step's is shorter.
            let name: String = format!("delete-{}", pod.pod).chars().take(190).collect();
            let id = StepId::new(name).unwrap_or_else(|_| StepId::from_static("delete-pod"));
            steps.push(Step::single(id, title, action).timeout(REQUEST).after(first.clone()));
        }
        let mut proposal = Proposal::new(steps).expected(self.expected());
        proposal = proposal.precondition("there is capacity for the pods that start before others stop");
        if self.circumstances.recreates {
            proposal = proposal.risk(Risk::Medium).downtime(Lasting::from_secs(60));
        }
        if self.circumstances.partition > 0 {
            let kept = self.circumstances.partition;
            proposal = proposal.precondition(format!(
                "the partition holds back the pods below {kept}: they keep what they run"
            ));
        }
        if self.resumes() {
            proposal = proposal
                .risk(Risk::Medium)
                .precondition("the paused rollout may be resumed, as `resume_paused` says");
        }
        self.told_afterwards(proposal)
    }

    /// What tools remember is put right once everything is proven: it is no part of the rollback.
    fn told_afterwards(&self, proposal: Proposal<K8sAction>) -> Proposal<K8sAction> {
        if !(self.choices.tell_appliers && self.circumstances.applied) {
            return proposal;
        }
        let left = match &self.now.source {
            Source::History { name, .. } => Some(name.clone()),
            Source::Workload | Source::Images => None,
        };
        let title = format!("tell tools that apply {} of the rollback", self.now.workload);
        let action = K8sAction::TellAppliers { on: self.on(), left };
        let id = StepId::from_static("tell-appliers");
        proposal.afterwards(Step::convergence(id, title, action).timeout(REQUEST))
    }

    fn expected(&self) -> Lasting {
        expected(self.now.workload.kind, self.circumstances.replicas)
    }
}

/// What is written as the change cause.
fn cause(goal: &K8sSnapshot) -> String {
    let label: String = goal.info().label().chars().filter(|c| !c.is_control()).take(200).collect();
    format!("rollback to {label}")
}

/// Until it is proven: all at once for a Deployment, one after the other elsewhere.
fn expected(kind: Kind, replicas: u64) -> Lasting {
    Lasting::from_secs(match kind {
        Kind::Deployment => 180,
        Kind::StatefulSet | Kind::DaemonSet => (60 + 60 * replicas).min(1_800),
    })
}

/// The answer of a strategy whose reasons against it are errors.
fn decide(answer: Result<Proposal<K8sAction>, String>) -> Decision<K8sAction> {
    match answer {
        Ok(proposal) => Decision::Propose(proposal),
        Err(why) => Decision::NotApplicable(why),
    }
}
