//! The bad revision is deregistered afterwards, where that is wanted.

use rollback_core::{Decision, Snapshot as _, Step, StepId, Strategy, View};

use crate::action::EcsAction;
use crate::snapshot::EcsSnapshot;
use crate::task_definition::Registration;

/// Another strategy, after which the revision that was left is deregistered: once the destination is proven, and only if nothing
/// uses it any more.
#[derive(Debug, Clone, Copy)]
pub struct Deregister<S> {
    before: S,
    wanted: bool,
}

impl<S> Deregister<S> {
    /// After `before`, if it is `wanted`.
    #[must_use]
    pub fn after(before: S, wanted: bool) -> Self {
        Self { before, wanted }
    }
}

impl<S: Strategy<EcsSnapshot, EcsAction>> Strategy<EcsSnapshot, EcsAction> for Deregister<S> {
    fn name(&self) -> &'static str {
        self.before.name()
    }

    fn summary(&self) -> &'static str {
        self.before.summary()
    }

    fn propose(&self, view: &View<EcsSnapshot>) -> Decision<EcsAction> {
        match (self.before.propose(view), bad(view)) {
            (Decision::Propose(proposal), Some(bad)) if self.wanted => {
                let title = format!("deregister {}, unless something uses it", bad.task_definition.short());
                let action = EcsAction::Deregister { revision: bad.task_definition.clone() };
                let step = Step::single(StepId::from_static("deregister"), title, action);
                Decision::Propose(proposal.afterwards(step))
            }
            (decision, _) => decision,
        }
    }
}

/// What is left: where the service is going, else where it is. Not what has the content of the destination.
fn bad(view: &View<EcsSnapshot>) -> Option<&EcsSnapshot> {
    let left = view.observed.heading.as_ref().or(view.observed.settled.known())?;
    let usable = matches!(left.registration, Registration::Active | Registration::Unknown);
    let differs = left.task_definition != view.goal.task_definition
        && left.info().identity != view.goal.info().identity;
    (usable && differs).then_some(left)
}
