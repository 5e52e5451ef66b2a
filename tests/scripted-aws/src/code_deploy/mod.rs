//! CodeDeploy for ECS services: blue/green deployments that walk from `Created` to their end by logical time.

mod app_spec;
mod control;
mod create;
mod deployment;
mod groups;
mod listeners;
mod lists;
mod targets;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;

use serde_json::Value;

use self::deployment::Deployment;
use self::groups::Application;
use crate::protocol::Fault;
use crate::world::World;

/// How many deployments a page of `ListDeployments` has.
const PAGE: usize = 100;

/// All applications, deployment groups and deployments of the account.
#[derive(Debug)]
pub(crate) struct State {
    applications: BTreeMap<String, Application>,
    /// Oldest first.
    deployments: Vec<Deployment>,
    /// What AppSpecs were deployed, by application and SHA-256.
    revisions: BTreeMap<(String, String), String>,
    page: usize,
    rollbacks_fail: bool,
}

impl Default for State {
    fn default() -> Self {
        let (applications, revisions) = Default::default();
        Self { applications, deployments: Vec::new(), revisions, page: PAGE, rollbacks_fail: false }
    }
}

impl State {
    fn find(&self, id: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|one| one.id == id)
    }

    fn find_mut(&mut self, id: &str) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|one| one.id == id)
    }
}

pub(crate) fn handle(world: &mut World, op: &str, input: &Value) -> Result<Value, Fault> {
    match op {
        "CreateApplication" => groups::create_application(world, input),
        "GetApplication" => groups::get_application(world, input),
        "ListApplications" => groups::list_applications(world, input),
        "CreateDeploymentGroup" => groups::create_group(world, input),
        "GetDeploymentGroup" => groups::get_group(world, input),
        "ListDeploymentGroups" => groups::list_groups(world, input),
        "BatchGetDeploymentGroups" => groups::batch_get_groups(world, input),
        "GetApplicationRevision" => app_spec::get_revision(world, input),
        "CreateDeployment" => create::create_deployment(world, input),
        "GetDeployment" => lists::get_deployment(world, input),
        "BatchGetDeployments" => lists::batch_get_deployments(world, input),
        "ListDeployments" => lists::list_deployments(world, input),
        "StopDeployment" => control::stop_deployment(world, input),
        "ContinueDeployment" => control::continue_deployment(world, input),
        "GetDeploymentTarget" => targets::get_target(world, input),
        "ListDeploymentTargets" => targets::list_targets(world, input),
        "BatchGetDeploymentTargets" => targets::batch_get_targets(world, input),
        _ => Err(Fault::unknown_operation(op)),
    }
}

/// Moves its deployments to the world's present time. Called at least once per logical second while something moves.
pub(crate) fn step(world: &mut World) {
    for at in 0..world.code_deploy.deployments.len() {
        // A deployment is worked on as a copy: it looks at the rest of the world, and may add another one at the end.
        let mut deployment = world.code_deploy.deployments[at].clone();
        if !deployment.has_ended() {
            walk::step(world, &mut deployment);
            world.code_deploy.deployments[at] = deployment;
        }
    }
}

/// Whether a deployment would move by itself as time passes. One that waits for somebody's word does not, though it stops in the
/// end if nobody says it.
pub(crate) fn moves(world: &World) -> bool {
    world.code_deploy.deployments.iter().any(Deployment::moves)
}

impl World {
    /// Lets a deployment of CodeDeploy fail now with this error code: `HEALTH_CONSTRAINTS`, `HOOK_EXECUTION_FAILURE`, …
    /// False if it is not on its way.
    pub fn fail_deployment(&mut self, id: &str, code: &str) -> bool {
        let at = self.code_deploy.deployments.iter().position(|one| one.id == id && !one.has_ended());
        let Some(at) = at else { return false };
        let mut deployment = self.code_deploy.deployments[at].clone();
        walk::fail(self, &mut deployment, code, walk::words(code));
        self.code_deploy.deployments[at] = deployment;
        true
    }

    /// Whether deployments that roll others back fail themselves.
    pub fn fail_rollbacks(&mut self, fail: bool) {
        self.code_deploy.rollbacks_fail = fail;
    }

    /// How many deployments a page of `ListDeployments` has: 100 where nothing is said.
    pub fn deployments_per_page(&mut self, size: usize) {
        self.code_deploy.page = size.max(1);
    }
}
