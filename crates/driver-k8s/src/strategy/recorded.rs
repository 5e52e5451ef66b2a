//! Put back a state from what is kept of it: its pod template, and its ConfigMaps.

use rollback_core::contents::Kept;
use rollback_core::target::Reading;
use rollback_core::{Artifact, Decision, Proposal, Risk, Snapshot as _, Step, StepId, Strategy, View};

use super::{Choices, Question, REQUEST, decide};
use crate::action::{K8sAction, On, Was};
use crate::coupled::Coupled;
use crate::snapshot::K8sSnapshot;
use crate::template::Referenced;

/// Puts back what is kept of a recorded state: when its revision was pruned, when ConfigMaps were changed with it, or when the
/// workload is gone.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyRecorded {
    choices: Choices,
}

/// Puts ConfigMaps back that were changed although the workload was not, and restarts the pods.
#[derive(Debug, Clone, Copy, Default)]
pub struct RestoreConfiguration {
    choices: Choices,
}

impl ApplyRecorded {
    /// With what a person chose.
    #[must_use]
    pub fn new(choices: Choices) -> Self {
        Self { choices }
    }

    fn proposal(&self, view: &View<K8sSnapshot>) -> Result<Proposal<K8sAction>, String> {
        let kept = kept(view)?;
        let goal = &view.goal;
        if is_gone(view) {
            let on = On { workload: goal.workload.clone(), uid: String::new() };
            let maps = put_back(view, &on, kept)?;
            let cause = super::cause(goal);
            let title = format!("make {} again as {} was recorded", goal.workload, goal.info().label());
            let make =
                Step::single(StepId::from_static("make-again"), title, K8sAction::MakeAgain { on, cause });
            let make = make.timeout(REQUEST).with_contents(kept.clone()).after(ids(&maps));
            let proposal = Proposal::new(maps.into_iter().chain([make]).collect())
                .risk(Risk::Medium)
                .expected(super::expected(goal.workload.kind, 0))
                .precondition("it gets as many replicas as it had when it was recorded");
            return Ok(brings(proposal, goal));
        }
        let question = Question::new(view, self.choices)?;
        if question.is_set() {
            return Err(format!("the workload is set to {} already", goal.info().label()));
        }
        let maps = put_back(view, &question.on(), kept)?;
        let action = K8sAction::SetKept {
            on: question.on(),
            identity: goal.info().identity,
            resume: question.resumes(),
            cause: question.cause(),
        };
        let title =
            format!("set {} to the pod template that was recorded of {}", goal.workload, goal.info().label());
        let set = Step::single(StepId::from_static("set-kept"), title, action).timeout(REQUEST);
        let set = set.with_contents(kept.clone()).after(ids(&maps));
        let mut proposal = question.proposal(Some(set)).risk(Risk::Medium);
        proposal.steps.splice(0..0, maps);
        Ok(brings(proposal, goal))
    }
}

impl RestoreConfiguration {
    /// With what a person chose.
    #[must_use]
    pub fn new(choices: Choices) -> Self {
        Self { choices }
    }

    fn proposal(&self, view: &View<K8sSnapshot>) -> Result<Proposal<K8sAction>, String> {
        let question = Question::new(view, self.choices)?;
        if !question.is_set() {
            return Err("more than configuration would have to be put back".to_owned());
        }
        if question.is_paused() {
            return Err(
                "its rollouts are paused, so its pods cannot be restarted: resume it first".to_owned()
            );
        }
        let kept = kept(view)?;
        let maps = put_back(view, &question.on(), kept)?;
        if maps.is_empty() {
            return Err("its ConfigMaps hold what they held when it was recorded".to_owned());
        }
        let title = format!("restart {}, so that its pods read that", view.goal.workload);
        let action = K8sAction::Restart { on: question.on() };
        let restart = Step::single(StepId::from_static("restart"), title, action).timeout(REQUEST);
        let restart = restart.after(ids(&maps));
        // All pods go, so each that is not ready would be waited for, whatever it runs.
        let mut proposal = question.proposal_without(Some(restart), question.unready());
        proposal = proposal.risk(Risk::Medium).restarts();
        proposal.steps.splice(0..0, maps);
        Ok(brings(proposal, &view.goal))
    }
}

/// Whether there is no such workload, which is certain.
fn is_gone(view: &View<K8sSnapshot>) -> bool {
    view.observed.settled == Reading::Absent && view.observed.heading.is_none()
}

fn kept(view: &View<K8sSnapshot>) -> Result<&Kept, String> {
    view.kept.as_ref().ok_or_else(|| {
        "its contents are not kept: `contents` in the configuration makes `rollback record` keep them"
            .to_owned()
    })
}

fn ids(steps: &[Step<K8sAction>]) -> Vec<StepId> {
    steps.iter().map(|step| step.id.clone()).collect()
}

/// A step for each ConfigMap that holds something else now; for each of them where nobody looked.
fn put_back(view: &View<K8sSnapshot>, on: &On, kept: &Kept) -> Result<Vec<Step<K8sAction>>, String> {
    let Some(then) = &view.goal.coupled else { return Ok(Vec::new()) };
    let now = now(view);
    let mut steps = Vec::new();
    for (number, (name, content)) in then.config_maps().into_iter().enumerate() {
        let was = match &now {
            None => Was::Unknown,
            Some(now) => match now.config_maps().get(name) {
                Some(now) if *now == content => continue,
                Some(now) => Was::Holding((*now).to_owned()),
                None if now.is_unread() => return Err("not all of its ConfigMaps can be read".to_owned()),
                None => Was::Missing,
            },
        };
        if then.is_immutable(name) && matches!(was, Was::Holding(_)) {
            return Err(format!(
                "ConfigMap {name} is immutable and holds something else now: it was deleted and made anew"
            ));
        }
        let title = match was {
            Was::Missing => format!("make ConfigMap {name} again"),
            Was::Holding(_) => format!("put ConfigMap {name} back"),
            Was::Unknown => format!("put ConfigMap {name} back, if it was changed"),
        };
        let action = K8sAction::PutConfigMap {
            on: on.clone(),
            name: name.to_owned(),
            was,
            content: content.to_owned(),
        };
        let id = StepId::new(format!("config-map-{number}")).map_err(|error| error.to_string())?;
        steps.push(Step::single(id, title, action).timeout(REQUEST).with_contents(kept.clone()));
    }
    Ok(steps)
}

/// What belongs to the destination as it is now, if it was looked at.
fn now(view: &View<K8sSnapshot>) -> Option<Coupled> {
    let facts = view.inspection.facts.get(crate::inspect::COUPLED)?;
    serde_json::from_value(facts.clone()).ok()
}

/// What is made again need not exist.
fn brings(proposal: Proposal<K8sAction>, goal: &K8sSnapshot) -> Proposal<K8sAction> {
    let maps = goal.coupled.iter().flat_map(|coupled| coupled.config_maps().into_keys());
    let maps = maps.map(|name| Artifact::new(Referenced::ConfigMap.name(), name));
    let proposal = maps.chain(goal.held_by()).fold(proposal.coupled(), Proposal::brings);
    proposal.precondition("Secrets that it refers to hold what they hold today: they are not kept")
}

impl Strategy<K8sSnapshot, K8sAction> for ApplyRecorded {
    fn name(&self) -> &'static str {
        "apply-recorded"
    }

    fn summary(&self) -> &'static str {
        "put back the recorded pod template and ConfigMaps"
    }

    fn propose(&self, view: &View<K8sSnapshot>) -> Decision<K8sAction> {
        decide(self.proposal(view))
    }
}

impl Strategy<K8sSnapshot, K8sAction> for RestoreConfiguration {
    fn name(&self) -> &'static str {
        "restore-configuration"
    }

    fn summary(&self) -> &'static str {
        "put back the recorded ConfigMaps, and restart the pods"
    }

    fn propose(&self, view: &View<K8sSnapshot>) -> Decision<K8sAction> {
        decide(self.proposal(view))
    }
}
