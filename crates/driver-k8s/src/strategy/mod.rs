//! The ways in which a workload can be put back, one file each. All of them are pure.
//!
//! None sets a number of replicas: that is the autoscaler's, or a person's.

mod revision_undo;
mod set_image;
#[cfg(test)]
mod tests;

use rollback_core::target::Phase;
use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Result, Risk, Snapshot as _, Step, StepId, View};

pub use self::revision_undo::RevisionUndo;
pub use self::set_image::SetImage;
use crate::action::{K8sAction, On};
use crate::circumstances::{Blocking, Circumstances};
use crate::snapshot::K8sSnapshot;
use crate::workload::Kind;

/// How long one request may take.
const REQUEST: Lasting = Lasting::from_secs(30);

/// What every strategy asks first.
struct Question<'a> {
    view: &'a View<K8sSnapshot>,
    /// What the workload is set to.
    now: &'a K8sSnapshot,
    circumstances: &'a Circumstances,
    resume: bool,
}

impl<'a> Question<'a> {
    fn new(view: &'a View<K8sSnapshot>, resume: bool) -> Result<Self, String> {
        let now = view.observed.heading.as_ref().or(view.observed.settled.known());
        let now = now.ok_or("what the workload is set to could not be read")?;
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
        if circumstances.paused && !resume {
            return Err("its rollouts are paused: resume it, or set `resume_paused`".to_owned());
        }
        Ok(Self { view, now, circumstances, resume })
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
        self.resume && self.circumstances.paused
    }

    fn on(&self) -> On {
        On { workload: self.now.workload.clone(), uid: self.circumstances.uid.clone() }
    }

    fn cause(&self) -> String {
        let label: String =
            self.goal().info().label().chars().filter(|c| !c.is_control()).take(200).collect();
        format!("rollback to {label}")
    }

    /// The steps, with those pods deleted after them that would hold them up.
    fn proposal(&self, change: Option<Step<K8sAction>>) -> Proposal<K8sAction> {
        let first = change.as_ref().map(|step| step.id.clone());
        let mut steps: Vec<_> = change.into_iter().collect();
        let in_the_way = self.in_the_way();
        for pod in &in_the_way {
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
        proposal
    }

    /// Until it is proven: all at once for a Deployment, one after the other elsewhere.
    fn expected(&self) -> Lasting {
        let replicas = self.circumstances.replicas;
        Lasting::from_secs(match self.now.workload.kind {
            Kind::Deployment => 180,
            Kind::StatefulSet | Kind::DaemonSet => (60 + 60 * replicas).min(1_800),
        })
    }
}

/// The answer of a strategy whose reasons against it are errors.
fn decide(answer: Result<Proposal<K8sAction>, String>) -> Decision<K8sAction> {
    match answer {
        Ok(proposal) => Decision::Propose(proposal),
        Err(why) => Decision::NotApplicable(why),
    }
}
