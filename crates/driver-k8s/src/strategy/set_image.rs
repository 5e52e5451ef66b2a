//! Set other images, and leave everything else.

use rollback_core::{Decision, Proposal, Snapshot as _, Step, StepId, Strategy, View};

use super::{Choices, Question, REQUEST, decide};
use crate::action::K8sAction;
use crate::snapshot::{K8sSnapshot, Source};

/// Sets the images of the destination, where these are all that differs. No revision has to hold it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SetImage {
    choices: Choices,
}

impl SetImage {
    /// With what a person chose.
    #[must_use]
    pub fn new(choices: Choices) -> Self {
        Self { choices }
    }

    fn proposal(&self, view: &View<K8sSnapshot>) -> Result<Proposal<K8sAction>, String> {
        let question = Question::new(view, self.choices)?;
        question.not_there_yet()?;
        let goal = question.goal();
        let images = question.now.template.images_to(&goal.template);
        let images = images.ok_or("more than images would have to be put back")?;
        if images.is_empty() {
            return Err("its images are the same".to_owned());
        }
        let told: Vec<_> =
            images.iter().map(|(container, image)| format!("{container} to {image}")).collect();
        let action = K8sAction::SetImages {
            on: question.on(),
            identity: goal.info().identity,
            resume: question.resumes(),
            cause: question.cause(),
            images,
        };
        let title = format!("set the image of {} in {}", told.join(", "), goal.workload);
        let step = Step::single(StepId::from_static("set-images"), title, action).timeout(REQUEST);
        let proposal = question.proposal(Some(step));
        // Nobody needs the entry that held it.
        let proposal = goal.held_by().into_iter().fold(proposal, Proposal::brings);
        Ok(match goal.source {
            Source::Images => {
                proposal.precondition("the earlier version ran with the configuration of today")
            }
            Source::History { .. } | Source::Workload => proposal,
        })
    }
}

impl Strategy<K8sSnapshot, K8sAction> for SetImage {
    fn name(&self) -> &'static str {
        "set-image"
    }

    fn summary(&self) -> &'static str {
        "set the images of the earlier version, and leave everything else"
    }

    fn propose(&self, view: &View<K8sSnapshot>) -> Decision<K8sAction> {
        decide(self.proposal(view))
    }
}
