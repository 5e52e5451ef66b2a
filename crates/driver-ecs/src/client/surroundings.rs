//! What stands around a service, as the APIs tell it: secrets, parameters, alarms, scaling, the revision itself.
//!
//! Nothing here fails: what cannot be read is [`Reading::Unknown`] with AWS's words, which name the permission that is missing.
//! Therefore core does not repeat these calls, and a throttled one is repeated here, at the pace that is allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::join_all;
use rollback_aws_support::asking::{Asker, TOGETHER, gathered, reading};
use rollback_aws_support::ecr::Ecr;
use rollback_aws_support::pacing::ecs;
use rollback_aws_support::{Batcher, Batchers, Pacer, Quota, Session};
use rollback_core::Reading;
use rollback_core::time::Clock;

use super::api::Memory;
use super::around::{alarms, parameters, scaling, secret};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::CodeDeployGroup;
use crate::inspect::{AutoRollback, Scaling, SecretFacts, SecretId};
use crate::task_definition::Registration;

/// How many revisions' statuses are remembered, and for how long.
const REGISTRATIONS: usize = 8192;
const SHORT_WHILE: Duration = Duration::from_secs(300);
/// How many things one call takes, as the APIs document it.
const PARAMETERS: usize = 10;
const ALARMS: usize = 100;
const SCALABLE: usize = 50;

/// A guess, which throttle answers correct.
const CODE_DEPLOY: Quota = Quota::new("codedeploy", "group read", 10, 10.0);

/// Asks what stands around services. Cheap to clone: clones gather their look-ups into common calls, so targets of one process
/// should share one.
#[derive(Clone)]
pub(crate) struct Surroundings {
    inner: Arc<Inner>,
}

struct Inner {
    asker: Asker,
    ecr: Ecr,
    secrets: Batchers<SecretId, (), Reading<SecretFacts>>,
    parameters: Batchers<String, String, Reading<()>>,
    alarms: Batcher<String, Reading<String>>,
    scaling: Batcher<String, Reading<Scaling>>,
    /// Revisions with their status and when it was read, by the pacer's clock.
    registrations: Memory<String, (Duration, Registration)>,
}

impl Surroundings {
    pub(crate) fn new(session: Session, pacer: Pacer, clock: Arc<dyn Clock>) -> Self {
        let asker = Asker::new(session, pacer);
        let (of_secrets, of_parameters) = (asker.clone(), asker.clone());
        let (of_alarms, of_scaling) = (asker.clone(), asker.clone());
        let (first, second) = (Arc::clone(&clock), Arc::clone(&clock));
        let inner = Inner {
            ecr: Ecr::new(asker.session().clone(), asker.pacer().clone()),
            secrets: Batchers::new(move |id: &SecretId| {
                let (asker, id) = (of_secrets.clone(), id.clone());
                Batcher::single(Arc::clone(&first), TOGETHER, move || {
                    let (asker, id) = (asker.clone(), id.clone());
                    async move { Ok(secret(asker, id).await) }
                })
            }),
            parameters: Batchers::new(move |region: &String| {
                let (asker, region) = (of_parameters.clone(), region.clone());
                Batcher::new(Arc::clone(&second), PARAMETERS, TOGETHER, move |names| {
                    parameters(asker.clone(), region.clone(), names)
                })
            }),
            alarms: Batcher::new(Arc::clone(&clock), ALARMS, TOGETHER, move |names| {
                alarms(of_alarms.clone(), names)
            }),
            registrations: Memory::new(REGISTRATIONS),
            scaling: Batcher::new(clock, SCALABLE, TOGETHER, move |ids| scaling(of_scaling.clone(), ids)),
            asker,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The registries of the images.
    pub(crate) fn ecr(&self) -> &Ecr {
        &self.inner.ecr
    }

    fn asker(&self) -> &Asker {
        &self.inner.asker
    }

    /// A secret's stages, never its value.
    pub(crate) async fn secret(&self, id: &SecretId) -> Reading<SecretFacts> {
        gathered(self.inner.secrets.of(id).get(()).await)
    }

    /// Whether there is a parameter of one of these names.
    pub(crate) async fn parameter(&self, region: &str, names: &[String]) -> Reading<()> {
        let parameters = self.inner.parameters.of(&region.to_owned());
        let asked = names.iter().map(|name| parameters.get(name.clone()));
        let found: Vec<_> = join_all(asked).await.into_iter().map(gathered).collect();
        let unknown = found.iter().find(|found| matches!(found, Reading::Unknown(_)));
        let known = found.iter().find(|found| found.known().is_some());
        known.or(unknown).cloned().unwrap_or(Reading::Absent)
    }

    /// The state of each alarm that there is.
    pub(crate) async fn alarms(&self, names: &[String]) -> Reading<BTreeMap<String, String>> {
        let asked = names.iter().map(|name| self.inner.alarms.get(name.clone()));
        let mut states = BTreeMap::new();
        for (name, found) in names.iter().zip(join_all(asked).await) {
            match gathered(found) {
                Reading::Known(state) => drop(states.insert(name.clone(), state)),
                Reading::Absent => {}
                Reading::Unknown(why) => return Reading::Unknown(why),
            }
        }
        Reading::Known(states)
    }

    /// The scaling of a service's count; `Absent` if nothing scales it.
    pub(crate) async fn scaling(&self, resource_id: &str) -> Reading<Scaling> {
        gathered(self.inner.scaling.get(resource_id.to_owned()).await)
    }

    /// Remembers whether a revision could be used at this moment.
    pub(super) fn registered(&self, arn: &TaskDefinitionArn, registration: Registration) {
        let now = self.asker().pacer().clock().monotonic();
        self.inner.registrations.keep(arn.to_string(), (now, registration));
    }

    /// Whether a revision can be used at this moment; `Absent` if it was deleted.
    ///
    /// What was read a short while ago is not asked for again: ECS itself refuses a revision that cannot be used.
    pub(crate) async fn registration(&self, arn: &TaskDefinitionArn) -> Reading<Registration> {
        let asker = self.asker();
        let now = asker.pacer().clock().monotonic();
        let read_before = self.inner.registrations.get(&arn.to_string());
        if let Some((_, known)) = read_before.filter(|(at, _)| now.saturating_sub(*at) < SHORT_WHILE) {
            return Reading::Known(known);
        }
        let client = aws_sdk_ecs::Client::new(asker.session().sending());
        let quota = ecs::quota("DescribeTaskDefinition");
        let call = asker.session().reads(
            "ecs",
            "DescribeTaskDefinition",
            format!("see whether {} can be used", arn.short()),
        );
        let send = || client.describe_task_definition().task_definition(arn.to_string()).send();
        // ECS has no better error for a revision that is not there.
        let gone = |error: &dyn ProvideErrorMetadata| {
            error.code() == Some("ClientException")
                && error.message().is_some_and(|said| said.contains("Unable to describe task definition"))
        };
        let answer = asker.ask(asker.session().region(), quota, &call, |error| gone(error), send).await;
        reading(answer.map(|answer| {
            let status = answer?.task_definition?.status;
            Some(match status.as_ref().map(aws_sdk_ecs::types::TaskDefinitionStatus::as_str) {
                Some("ACTIVE") => Registration::Active,
                Some("INACTIVE") => Registration::Inactive,
                Some("DELETE_IN_PROGRESS") => Registration::DeleteInProgress,
                _ => Registration::Unknown,
            })
        }))
    }

    /// Whether a deployment group of CodeDeploy rolls back by itself.
    pub(crate) async fn auto_rollback(&self, group: &CodeDeployGroup) -> Reading<AutoRollback> {
        let asker = self.asker();
        let client = aws_sdk_codedeploy::Client::new(asker.session().sending());
        let call = asker.session().reads("codedeploy", "GetDeploymentGroup", "read the deployment group");
        let send = || {
            client
                .get_deployment_group()
                .application_name(&group.application)
                .deployment_group_name(&group.group)
                .send()
        };
        let answer = asker.ask(asker.session().region(), CODE_DEPLOY, &call, |_| false, send).await;
        reading(answer.map(|answer| {
            let auto = answer?.deployment_group_info?.auto_rollback_configuration;
            Some(auto.map_or_else(AutoRollback::default, |auto| AutoRollback {
                enabled: auto.enabled,
                events:
                    auto.events.unwrap_or_default().iter().map(|event| event.as_str().to_owned()).collect(),
            }))
        }))
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("session", &self.inner.asker.session()).finish_non_exhaustive()
    }
}
