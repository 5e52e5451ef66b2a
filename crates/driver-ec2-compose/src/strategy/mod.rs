//! How a project is put back: images that are fetched first, then hosts in batches.

mod pin;
mod retag;
#[cfg(test)]
mod tests;
mod whole_project;

use std::collections::BTreeMap;
use std::sync::Arc;

use rollback_core::target::{Health, PartState};
use rollback_core::time::Lasting;
use rollback_core::{Decision, Proposal, Result, Step, StepId, View};
use rollback_ssh_support::Host;

pub use self::pin::Pin;
pub use self::retag::Retag;
pub use self::whole_project::WholeProject;
use crate::action::{ComposeAction, Way};
use crate::commands::{DeployCommand, Where};
use crate::snapshot::ComposeSnapshot;

/// What strategies have in common.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// How many are changed at a time.
    pub(crate) batch: usize,
    pub(crate) pull: Lasting,
    pub(crate) up: Lasting,
    /// What is run once the services are up.
    pub(crate) commands: Arc<[DeployCommand]>,
}

/// What looks cost on top of what a command may take.
const LOOKING: Lasting = Lasting::from_secs(60);

/// At most so many hosts fetch images at a time: they share a registry.
const FETCHING: usize = 16;

impl Hosts {
    /// What has to be fetched, wherever it is missing.
    fn fetches(&self, view: &View<ComposeSnapshot>) -> Result<Vec<Step<ComposeAction>>> {
        let mut fetches = Vec::new();
        for part in &view.observed.parts {
            let host = Host::new(part.part.as_str())?;
            if !lacks(view, &host) {
                continue;
            }
            let id = StepId::new(format!("fetch-{host}"))?;
            let action = ComposeAction::Fetch { host: host.clone(), images: view.goal.images.clone() };
            let title = format!("have {} on {host}", named(view));
            let step = Step::convergence(id, title, action);
            fetches.push(step.on_part(part.part.clone()).timeout(self.pull));
        }
        Ok(fetches)
    }

    /// Everything is fetched before the first container is touched; then one batch after the other, and none after one that failed.
    fn steps(&self, view: &View<ComposeSnapshot>, way: Way) -> Result<Vec<Step<ComposeAction>>> {
        let goal = view.goal.identity();
        let (fetches, mut ups) = (self.fetches(view)?, Vec::new());
        let wanting = view.observed.parts.iter().filter(|part| part.identity != Some(goal));
        let mut before: Vec<StepId> = fetches.iter().map(|step| step.id.clone()).collect();
        let wanting: Vec<_> = wanting.collect();
        let mut batches = wanting.chunks(self.batch.max(1)).peekable();
        // Who has it already and is not well is no reason to go on either.
        let ill =
            |part: &&PartState| part.identity == Some(goal) && matches!(part.health, Health::Unhealthy(_));
        let ill = view.observed.parts.iter().filter(ill).map(|part| Host::new(part.part.as_str()));
        let mut behind = ill.collect::<Result<Vec<_>>>()?;
        while let Some(batch) = batches.next() {
            let mut these = Vec::new();
            // The last ones are waited for by the engine, with all the others.
            let until_known = batches.peek().is_some();
            for part in batch {
                let step = self.up(view, part, way, (until_known, &behind))?.after(before.iter().cloned());
                these.push(step.id.clone());
                ups.push(step);
            }
            before = these;
            behind = batch.iter().map(|part| Host::new(part.part.as_str())).collect::<Result<_>>()?;
        }
        // Where nothing is to be changed, nothing has to be there.
        if ups.is_empty() {
            return Ok(ups);
        }
        let runs = self.runs(view, before)?;
        Ok(fetches.into_iter().chain(ups).chain(runs).collect())
    }

    /// The declared commands, one after the other, once every host runs what it should.
    fn runs(
        &self,
        view: &View<ComposeSnapshot>,
        mut before: Vec<StepId>,
    ) -> Result<Vec<Step<ComposeAction>>> {
        let mut runs = Vec::new();
        for command in self.commands.iter() {
            let hosts = match command.hosts {
                Where::One => 1,
                Where::Every => view.observed.parts.len(),
            };
            let mut these = Vec::new();
            for part in view.observed.parts.iter().take(hosts) {
                let host = Host::new(part.part.as_str())?;
                let id = StepId::new(format!("run-{}-{host}", command.name))?;
                let action = ComposeAction::Run { host: host.clone(), command: Box::new(command.clone()) };
                let limit = Lasting::new(command.timeout.as_duration() + LOOKING.as_duration());
                let title = format!("{} on {host}", command.title());
                let step = Step::single(id.clone(), title, action).after(before.iter().cloned());
                let step = step.on_part(part.part.clone()).timeout(limit);
                runs.push(if command.reversible { step } else { step.irreversible() });
                these.push(id);
            }
            before = these;
        }
        Ok(runs)
    }

    fn up(
        &self,
        view: &View<ComposeSnapshot>,
        part: &PartState,
        way: Way,
        (until_known, behind): (bool, &[Host]),
    ) -> Result<Step<ComposeAction>> {
        let host = Host::new(part.part.as_str())?;
        let images: BTreeMap<_, _> = view.goal.images.clone();
        let title = match way {
            Way::Pin => format!("pin {} on {host}, and bring its services up", named(view)),
            Way::Retag => format!("move tags to {} on {host}, and bring its services up", named(view)),
            Way::WholeProject => {
                format!("take the project down on {host}, and bring it up with {}", named(view))
            }
        };
        let action = ComposeAction::Up {
            host: host.clone(),
            images,
            from: part.identity,
            way,
            until_known,
            behind: behind.to_vec(),
        };
        let limit = Lasting::new(self.up.as_duration() + LOOKING.as_duration());
        Ok(Step::convergence(StepId::new(format!("up-{host}"))?, title, action)
            .on_part(part.part.clone())
            .timeout(limit))
    }

    /// A proposal of this way, or why there is none.
    fn propose(
        &self,
        view: &View<ComposeSnapshot>,
        way: Way,
        shape: impl FnOnce(Proposal<ComposeAction>) -> Proposal<ComposeAction>,
    ) -> Decision<ComposeAction> {
        match self.steps(view, way) {
            Err(error) => Decision::NotApplicable(error.to_string()),
            Ok(steps) if steps.is_empty() => {
                Decision::NotApplicable("every host runs these images already".to_owned())
            }
            Ok(steps) => {
                let hosts =
                    steps.iter().filter(|step| matches!(step.action, ComposeAction::Up { .. })).count();
                let rounds = u64::try_from(hosts.div_ceil(self.batch.max(1))).unwrap_or(1).max(1);
                // Steps of one batch wait for those of the one before: that is what keeps to batches.
                let together = u32::try_from(hosts.clamp(1, FETCHING).max(self.batch)).unwrap_or(1);
                let proposal =
                    Proposal::new(steps).parallel(together).expected(Lasting::from_secs(10 + 15 * rounds));
                Decision::Propose(shape(proposal))
            }
        }
    }
}

/// Whether a host lacks images, as far as that was looked at: a repair is planned without.
fn lacks(view: &View<ComposeSnapshot>, host: &Host) -> bool {
    match view.inspection.facts["lacking"].as_array() {
        Some(lacking) => lacking.iter().any(|one| one == host.as_str()),
        None => true,
    }
}

/// The state that is gone back to, for titles.
fn named(view: &View<ComposeSnapshot>) -> String {
    match view.goal.main_image() {
        Some(image) => image.to_string(),
        None => view.goal.revision.to_string(),
    }
}
