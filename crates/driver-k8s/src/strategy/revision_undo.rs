//! Put back the pod template of an earlier revision.

use rollback_core::target::Reading;
use rollback_core::{Decision, Proposal, Snapshot as _, Step, StepId, Strategy, View};

use super::{Choices, Question, REQUEST, decide};
use crate::action::K8sAction;
use crate::snapshot::{K8sSnapshot, Source};

/// Puts back the pod template that a ReplicaSet or ControllerRevision holds, in one request.
#[derive(Debug, Clone, Copy, Default)]
pub struct RevisionUndo {
    choices: Choices,
}

impl RevisionUndo {
    /// With what a person chose.
    #[must_use]
    pub fn new(choices: Choices) -> Self {
        Self { choices }
    }

    fn proposal(&self, view: &View<K8sSnapshot>) -> Result<Proposal<K8sAction>, String> {
        let question = Question::new(view, self.choices)?;
        let goal = question.goal();
        if question.is_set() && !question.resumes() && !question.in_the_way().is_empty() {
            return Ok(question.proposal(None));
        }
        let Source::History { name, uid } = &goal.source else {
            let kind = goal.workload.kind.history_name();
            return Err(format!("no {kind} holds {}", goal.info().label()));
        };
        question.not_there_yet()?;
        let entry = goal.held_by();
        let mut gone = view.inspection.artifacts.iter().filter(|one| one.presence == Reading::Absent);
        if gone.any(|one| Some(&one.artifact) == entry.as_ref()) {
            return Err(format!("{} {name} does not exist any more", goal.workload.kind.history_name()));
        }
        let action = K8sAction::SetTemplate {
            on: question.on(),
            from: name.clone(),
            from_uid: uid.clone(),
            identity: goal.info().identity,
            resume: question.resumes(),
            cause: question.cause(),
        };
        let title = format!("set {} to the pod template of revision {}", goal.workload, goal.info().label());
        let step = Step::single(StepId::from_static("set-template"), title, action).timeout(REQUEST);
        Ok(question.proposal(Some(step)))
    }
}

impl Strategy<K8sSnapshot, K8sAction> for RevisionUndo {
    fn name(&self) -> &'static str {
        "revision-undo"
    }

    fn summary(&self) -> &'static str {
        "put back the pod template of the earlier revision"
    }

    fn propose(&self, view: &View<K8sSnapshot>) -> Decision<K8sAction> {
        decide(self.proposal(view))
    }
}
