//! The ways in which a service can be put back, one file each. All of them are pure.
//!
//! None sends a desired count: during a rollout ECS's own count may be that of two deployments. None forces a new deployment of
//! what runs already: that would change nothing.

mod code_deploy;
mod code_deploy_stop;
mod deregister;
mod native_stop;
mod re_register;
mod shift_traffic;
#[cfg(test)]
mod tests;
mod update_service;

use std::collections::BTreeMap;

use rollback_core::target::Phase;
use rollback_core::time::Lasting;
use rollback_core::{Decision, Result, Snapshot as _, Step, StepId, View};

pub use self::code_deploy::CodeDeployDeployment;
pub use self::code_deploy_stop::CodeDeployStop;
pub use self::deregister::Deregister;
pub use self::native_stop::NativeStop;
pub use self::re_register::ReRegister;
pub use self::shift_traffic::ShiftTraffic;
pub use self::update_service::UpdateService;
use crate::action::{Destination, EcsAction};
use crate::circumstances::{Circumstances, Controller};
use crate::snapshot::EcsSnapshot;
use crate::task_definition::Registration;

/// Codes of findings that strategies look for: what was found out about the destination when the plan was made.
pub mod finding {
    /// The destination's revision is INACTIVE or being deleted.
    pub const REVISION_INACTIVE: &str = "revision-inactive";
    /// A tag of the destination names another image now than the one that ran.
    pub const IMAGE_MOVED: &str = "image-moved";
}

/// The step that registers the destination again.
const REGISTER: &str = "register";

/// How long a rolling replacement takes, until it is proven: starting, health checks, draining.
const REPLACED: Lasting = Lasting::from_secs(240);
/// How long moving traffic takes where both releases run.
const MOVED: Lasting = Lasting::from_secs(45);

/// What every strategy asks first.
struct Question<'a> {
    view: &'a View<EcsSnapshot>,
    circumstances: &'a Circumstances,
}

impl<'a> Question<'a> {
    fn new(view: &'a View<EcsSnapshot>) -> Result<Self, String> {
        let states = [view.observed.heading.as_ref(), view.observed.settled.known()];
        match states.into_iter().flatten().find_map(|state| state.circumstances.as_deref()) {
            Some(circumstances) => Ok(Self { view, circumstances }),
            None => Err("what the service does now could not be read".to_owned()),
        }
    }

    fn goal(&self) -> &'a EcsSnapshot {
        &self.view.goal
    }

    /// The controller must be this one.
    fn moved_by(&self, wanted: Controller) -> Result<(), String> {
        let found = self.circumstances.controller;
        if found == wanted {
            Ok(())
        } else {
            Err(format!("the service is moved by {found}, not by {wanted}"))
        }
    }

    /// Refuses where nothing is left to do: at rest, on the same content and images, on every part.
    fn not_there_yet(&self) -> Result<(), String> {
        let heading = self.view.observed.heading.as_ref();
        let same = |heading: &EcsSnapshot| heading.task_definition == self.goal().task_definition;
        let set = heading.is_some_and(same) && self.goal().registration != Registration::Unregistered;
        if let (true, Phase::Failed(why)) = (set, &self.view.observed.phase) {
            let name = self.goal().task_definition.short();
            return Err(format!(
                "the service is set to {name} already, and setting it again changes nothing: {why}"
            ));
        }
        let Some(settled) = self.view.observed.settled.known() else { return Ok(()) };
        let (goal, runs) = (self.goal().info().identity, settled.info().identity);
        // Where nobody knows which image the goal's tag meant, its content has to do.
        let unresolved = self.goal().digests.is_empty() && self.goal().definition == settled.definition;
        let clean =
            self.view.observed.parts.iter().all(|part| part.identity.is_none_or(|found| found == runs));
        if self.view.observed.heading.is_none() && (goal == runs || unresolved) && clean {
            return Err(format!(
                "the service already rests on the content of {}",
                self.goal().task_definition.short()
            ));
        }
        Ok(())
    }

    /// Refuses where it is not known what is on its way.
    fn read(&self, what: &str) -> Result<(), String> {
        let why = self.circumstances.unread.get(what);
        why.map_or(Ok(()), |why| Err(format!("what is on its way could not be read: {why}")))
    }

    /// At rest on the very revision: moving it there again would change nothing.
    fn is_set_to_goal(&self) -> bool {
        let settled = self.view.observed.settled.known();
        self.view.observed.heading.is_none()
            && settled.is_some_and(|state| state.task_definition == self.goal().task_definition)
    }

    /// Set to the very revision, and ECS gave up bringing it there: it begins no new deployment of what it is set to.
    fn has_failed_to_reach_goal(&self) -> bool {
        let heading = self.view.observed.heading.as_ref();
        matches!(self.view.observed.phase, Phase::Failed(_))
            && heading.is_some_and(|state| state.task_definition == self.goal().task_definition)
    }

    fn found(&self, code: &str) -> bool {
        self.view.inspection.findings.iter().any(|finding| finding.code == code)
    }

    /// Why the destination's revision cannot be used as it is.
    fn needs_registering(&self) -> Option<String> {
        let name = self.goal().task_definition.short();
        match self.goal().registration {
            Registration::DeleteInProgress => return Some(format!("{name} is being deleted")),
            Registration::Inactive => return Some(format!("{name} is INACTIVE")),
            Registration::Unregistered => {
                let family = self.goal().task_definition.family();
                return Some(format!("no revision of {family} has this content"));
            }
            Registration::Active | Registration::Unknown => {}
        }
        if self.found(finding::REVISION_INACTIVE) {
            return Some(format!("{name} is INACTIVE"));
        }
        if self.is_set_to_goal() && self.not_there_yet().is_ok() {
            return Some(format!(
                "the service is set to {name} already, and not all its tasks run the images that {name} ran"
            ));
        }
        self.found(finding::IMAGE_MOVED)
            .then(|| format!("a tag in {name} names another image now than the one that ran"))
    }

    /// Registers the destination again, with each image pinned whose digest is known.
    fn register(&self) -> Step<EcsAction> {
        let goal = self.goal();
        let known = goal.images().into_iter().filter_map(|(name, image)| Some((name, image.digest()?)));
        // An image that is written with its digest needs no pin, and pinning it changes nothing.
        let pin: BTreeMap<_, _> = known.collect();
        let title = format!("register the content of {} as a new revision", goal.task_definition.short());
        let action = EcsAction::Register {
            from: goal.task_definition.clone(),
            pin,
            environment_of: goal.environment_of.clone(),
        };
        // What was registered can be deregistered, and harms nobody.
        Step::single(StepId::from_static(REGISTER), title, action).timeout(Lasting::from_secs(30))
    }

    /// Where a later step of a proposal with [`register`](Self::register) goes.
    fn registered(&self) -> Destination {
        Destination::RegisteredBy(StepId::from_static(REGISTER))
    }

    fn revision(&self) -> Destination {
        Destination::Revision(self.goal().task_definition.clone())
    }

    fn update(&self, to: Destination) -> Step<EcsAction> {
        let goal = self.goal();
        let what = match &to {
            Destination::Revision(arn) => arn.short(),
            Destination::RegisteredBy(_) => "the revision that was just registered".to_owned(),
        };
        let name = goal.service.resource().rsplit('/').next().unwrap_or_default();
        let action = EcsAction::UpdateService { service: goal.service.clone(), to };
        let title = format!("move service {name} to {what}");
        Step::single(StepId::from_static("update-service"), title, action).timeout(Lasting::from_secs(30))
    }

    /// A deployment that is on its way is replaced. That is allowed, and slower than stopping it.
    fn replaces(&self) -> Option<String> {
        self.circumstances.native.as_ref().map(|moving| {
            let id = moving.arn.resource().rsplit('/').next().unwrap_or_default();
            format!("deployment {id}, which is on its way, may be replaced")
        })
    }
}

/// The answer of a strategy whose reasons against it are errors.
fn decide(answer: Result<rollback_core::Proposal<EcsAction>, String>) -> Decision<EcsAction> {
    match answer {
        Ok(proposal) => Decision::Propose(proposal),
        Err(why) => Decision::NotApplicable(why),
    }
}
