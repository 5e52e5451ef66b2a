//! What was seen of a service: plain data as the APIs describe it, and what follows from it.

mod code_deploy;
mod course;
mod data;
mod failing;
mod parts;
mod reasons;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::target::Finding;
use rollback_core::{Digest, Evidence, Identity, Observation, PartState, Reading, Result, Token};
use serde_json::json;

pub use self::code_deploy::{CodeDeployError, CodeDeployInfo, CodeDeployRollback};
pub use self::course::Course;
pub use self::data::{
    Attachment, BreakerConfiguration, CircuitBreaker, ContainerImage, ControllerKind, Deployment,
    DeploymentConfiguration, Detail, Event, LifecycleHook, NetworkInterface, RevisionRef, RolledBack,
    Service, ServiceDeployment, ServiceRevision, Task, TaskContainer, TaskSet,
};
pub(crate) use self::reasons::line;
use crate::arn::TaskDefinitionArn;
use crate::circumstances::{Circumstances, CodeDeployGroup, Traffic};
use crate::snapshot::EcsSnapshot;
use crate::task_definition::Definition;

/// One look at a service. What could not be read says why, and is never taken for absent.
///
/// It holds no environment values: task definitions come in as their redacted [`Definition`]s.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Look {
    /// What `DescribeServices` says.
    pub service: Service,
    /// ECS's own deployments of the service, newest first.
    pub deployments: Reading<Vec<ServiceDeployment>>,
    /// The service revisions that they name.
    pub revisions: Reading<Vec<ServiceRevision>>,
    /// Its tasks: those that run and those that stopped a short while ago.
    pub tasks: Reading<Vec<Task>>,
    /// How many targets of its load balancers are healthy; `Absent` for a service without.
    pub healthy_targets: Reading<u32>,
    /// CodeDeploy's deployments of the service, newest first; `Absent` if it moves nothing here.
    pub code_deploy: Reading<Vec<CodeDeployInfo>>,
    /// The deployment group, if the service has one.
    pub group: Option<CodeDeployGroup>,
    /// How the listener divides requests, if it does.
    pub traffic: Reading<Traffic>,
    /// The content of every task definition that is named in here, as far as it could be read.
    pub definitions: BTreeMap<TaskDefinitionArn, Definition>,
    /// What the tags of revisions name in their registries at this look, by container; asked where nothing else tells it.
    pub(crate) images: BTreeMap<TaskDefinitionArn, BTreeMap<String, Digest>>,
    /// The backend's own time at this look, from its answers.
    pub at: Option<Timestamp>,
}

impl Look {
    /// A look that saw the service and nothing else.
    #[must_use]
    pub fn new(service: Service) -> Self {
        let unasked = || "it was not asked".to_owned();
        Self {
            service,
            deployments: Reading::Unknown(unasked()),
            revisions: Reading::Unknown(unasked()),
            tasks: Reading::Unknown(unasked()),
            healthy_targets: Reading::Absent,
            code_deploy: Reading::Absent,
            group: None,
            traffic: Reading::Absent,
            definitions: BTreeMap::new(),
            images: BTreeMap::new(),
            at: None,
        }
    }

    /// Where the service is and where it is going.
    #[must_use]
    pub fn course(&self) -> Course {
        course::course(self)
    }

    /// The concurrency token: which deployment is meant to run. It changes when somebody deploys, stops a deployment or rolls
    /// one back, and not when tasks come and go, counts change or a rollout completes.
    ///
    /// It begins with when that deployment was made, so that of two tokens it can be told which is the older. Where CodeDeploy
    /// moves the service, it names CodeDeploy's newest deployment.
    #[must_use]
    pub fn token(&self) -> Token {
        if let Some(token) = code_deploy::token(self) {
            return token;
        }
        let primary = self.service.primary();
        let set = self.service.task_sets.iter().find(|set| set.status == "PRIMARY");
        let intent = json!([
            self.service.arn,
            primary.map(|deployment| (&deployment.id, &deployment.task_definition)),
            set.map(|set| (&set.id, &set.task_definition)),
        ]);
        let made = primary.and_then(|deployment| deployment.created_at).unwrap_or_default();
        let digest = Digest::of_bytes(intent.to_string().as_bytes()).short();
        Token::new(format!("ecs/{}/{digest}", made.as_millisecond()))
    }

    /// Whether this shows what was before `after`: ECS answers from copies that may be some seconds old. What shows that the
    /// newer deployment was given up is not older than it, even where an older one is in its place again.
    #[must_use]
    pub fn is_before(&self, after: &Token) -> bool {
        if code_deploy::is_before(self, after) {
            return true;
        }
        let Some((seen, accepted)) = made(&self.token()).zip(made(after)) else { return false };
        let given_up =
            Timestamp::from_millisecond(accepted).is_ok_and(|at| course::given_up(self, at).is_some());
        seen < accepted && !given_up
    }

    /// Whether ECS or CodeDeploy gave up what `after` proves was accepted, and goes or went back by itself; with its reason.
    #[must_use]
    pub fn went_back(&self, after: &Token) -> Option<String> {
        if let Some(why) = code_deploy::went_back(self, after) {
            return Some(why);
        }
        if self.token() == *after {
            return None;
        }
        course::went_back(self, Timestamp::from_millisecond(made(after)?).ok()?)
    }

    /// Whether the deployment of CodeDeploy that `after` proves was accepted has moved all requests and only keeps the earlier
    /// tasks for a while: for whoever asked for it, the service rests.
    #[must_use]
    pub fn has_arrived(&self, after: &Token) -> bool {
        code_deploy::has_arrived(self, after)
    }

    /// What this look tells as the token, had this deployment of CodeDeploy been the newest.
    pub(crate) fn token_of_code_deploy(&self, id: &str) -> Token {
        code_deploy::token_of(self, id)
    }

    /// The parts of the service: one for each thing that runs, and one for what should run.
    ///
    /// # Errors
    ///
    /// As [`Identity::of`].
    pub fn parts(&self) -> Result<Vec<PartState>> {
        parts::parts(self, None)
    }

    /// Everything that speaks for and against the service running `goal`.
    ///
    /// # Errors
    ///
    /// As [`Identity::of`].
    pub fn evidence(&self, goal: &EcsSnapshot) -> Result<Evidence> {
        parts::evidence(self, goal)
    }

    /// ECS's own words for why something does not run or did not stay, the most telling first. At most eight, each short.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        reasons::reasons(self)
    }

    /// What somebody should know who is about to choose where to go.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        reasons::findings(self)
    }

    /// What was going on.
    #[must_use]
    pub fn circumstances(&self) -> Circumstances {
        course::circumstances(self)
    }

    /// What core is told, with each state as `snapshot` makes it of a revision.
    ///
    /// # Errors
    ///
    /// As [`parts`](Self::parts).
    pub fn observation(
        &self,
        snapshot: impl Fn(&TaskDefinitionArn) -> Reading<EcsSnapshot>,
    ) -> Result<Observation<EcsSnapshot>> {
        let course = self.course();
        let circumstances = self.circumstances();
        let state = |arn: &TaskDefinitionArn| match snapshot(arn) {
            Reading::Known(mut state) => {
                state.circumstances = Some(Box::new(circumstances.clone()));
                if state.digests.is_empty() {
                    state.digests = self.resolved(arn);
                }
                Reading::Known(state)
            }
            other => other,
        };
        let settled = match &course.settled {
            Reading::Known(arn) => state(arn),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(why) => Reading::Unknown(why.clone()),
        };
        let mut observed = Observation::settled(settled, self.token()).in_phase(course.phase);
        if let Some(Reading::Known(heading)) = course.heading.as_ref().map(state) {
            observed = observed.heading_to(heading);
        }
        for part in self.parts()? {
            observed = observed.part(part);
        }
        Ok(observed)
    }

    /// The digests that ECS resolved a revision's images to when it last deployed it, else those that all its tasks run, else what its
    /// tags name now, if that was asked.
    #[must_use]
    pub fn resolved(&self, arn: &TaskDefinitionArn) -> BTreeMap<String, Digest> {
        let revisions = self.revisions.known().into_iter().flatten();
        let newest =
            revisions.filter(|r| r.task_definition.as_ref() == Some(arn)).max_by_key(|r| r.created_at);
        let images = newest.into_iter().flat_map(|r| &r.container_images);
        let resolved: BTreeMap<_, _> = images
            .filter_map(|image| {
                Some((image.container_name.clone(), image.image_digest.as_deref()?.parse().ok()?))
            })
            .collect();
        if !resolved.is_empty() {
            return resolved;
        }
        let tasks: Vec<_> =
            self.running().filter(|task| task.task_definition.as_ref() == Some(arn)).collect();
        let mut all = tasks.iter().map(|task| task.digests());
        let Some(first) = all.next() else { return self.images.get(arn).cloned().unwrap_or_default() };
        if all.all(|other| other == first) { first } else { BTreeMap::new() }
    }

    fn running(&self) -> impl Iterator<Item = &Task> {
        self.tasks.known().into_iter().flatten().filter(|task| task.last_status == "RUNNING")
    }

    /// The newest deployment of ECS's own that is not at its end.
    fn native_in_flight(&self) -> Option<&ServiceDeployment> {
        self.deployments.known()?.iter().find(|deployment| deployment.is_in_flight())
    }

    fn code_deploy_in_flight(&self) -> Option<&CodeDeployInfo> {
        self.code_deploy.known()?.iter().find(|deployment| deployment.is_in_flight())
    }

    /// The task definition of a service revision.
    fn task_definition_of(&self, revision: &str) -> Option<&TaskDefinitionArn> {
        let revisions = self.revisions.known()?;
        revisions.iter().find(|r| r.arn == revision)?.task_definition.as_ref()
    }

    fn identity(
        &self,
        arn: &TaskDefinitionArn,
        digests: &BTreeMap<String, Digest>,
    ) -> Result<Option<Identity>> {
        self.definitions.get(arn).map(|definition| definition.identity(digests)).transpose()
    }
}

/// When the deployment of a token was made, in milliseconds.
fn made(token: &Token) -> Option<i64> {
    token.as_str().strip_prefix("ecs/")?.split_once('/')?.0.parse().ok()
}
