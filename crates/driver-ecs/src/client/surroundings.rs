//! What stands around a service, as the APIs tell it: secrets, parameters, alarms, scaling, the revision itself.
//!
//! Nothing here fails: what cannot be read is [`Reading::Unknown`] with AWS's words, which name the permission that is missing.
//! Therefore core does not repeat these calls, and a throttled one is repeated here, at the pace that is allowed.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::join_all;
use jiff::Timestamp;
use rollback_aws_support::pacing::ecs;
use rollback_aws_support::{Batcher, Batchers, Call, Pacer, Quota, Scope, Session, explain};
use rollback_core::time::Clock;
use rollback_core::{ErrorKind, Reading, Result};

use super::api::Memory;
use super::around::{alarms, parameters, scaling, secret};
use super::artifacts::{Artifacts, artifacts};
use crate::arn::TaskDefinitionArn;
use crate::circumstances::CodeDeployGroup;
use crate::inspect::{AutoRollback, Scaling, SecretFacts, SecretId};
use crate::task_definition::Registration;

/// For how long look-ups of several targets gather into one call.
pub(super) const TOGETHER: Duration = Duration::from_millis(2);
/// How often a call is sent that is throttled each time.
const TRIES: u32 = 4;
/// How many revisions' statuses are remembered, and for how long.
const REGISTRATIONS: usize = 8192;
const SHORT_WHILE: Duration = Duration::from_secs(300);
/// How many things one call takes, as the APIs document it.
const PARAMETERS: usize = 10;
const ALARMS: usize = 100;
const SCALABLE: usize = 50;

/// A guess, which throttle answers correct.
const CODE_DEPLOY: Quota = Quota::new("codedeploy", "group read", 10, 10.0);

/// A client of the SDK in a region that need not be the session's.
macro_rules! client {
    ($asker:expr, $sdk:ident, $region:expr) => {{
        let config = $asker.session.sending();
        if $region == $asker.session.region() {
            $sdk::Client::new(config)
        } else {
            let region = $sdk::config::Region::new($region.to_owned());
            $sdk::Client::new(&config.clone().into_builder().region(region).build())
        }
    }};
}
pub(super) use client;

/// Asks what stands around services. Cheap to clone: clones gather their look-ups into common calls, so targets of one process
/// should share one.
#[derive(Clone)]
pub(crate) struct Surroundings {
    inner: Arc<Inner>,
}

struct Inner {
    asker: Asker,
    artifacts: Artifacts,
    secrets: Batchers<SecretId, (), Reading<SecretFacts>>,
    parameters: Batchers<String, String, Reading<()>>,
    alarms: Batcher<String, Reading<String>>,
    scaling: Batcher<String, Reading<Scaling>>,
    /// Revisions with their status and when it was read, by the pacer's clock.
    registrations: Memory<String, (Duration, Registration)>,
}

impl Surroundings {
    pub(crate) fn new(session: Session, pacer: Pacer, clock: Arc<dyn Clock>) -> Self {
        let asker = Asker { session, pacer };
        let (of_secrets, of_parameters) = (asker.clone(), asker.clone());
        let (of_alarms, of_scaling) = (asker.clone(), asker.clone());
        let (first, second) = (Arc::clone(&clock), Arc::clone(&clock));
        let inner = Inner {
            artifacts: artifacts(&asker, &clock),
            secrets: Batchers::new(move |id: &SecretId| {
                let (asker, id) = (of_secrets.clone(), id.clone());
                one(&first, move || secret(asker.clone(), id.clone()))
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

    pub(super) fn artifacts(&self) -> &Artifacts {
        &self.inner.artifacts
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.inner.asker
    }

    /// A secret's stages, never its value.
    pub(crate) async fn secret(&self, id: &SecretId) -> Reading<SecretFacts> {
        read(self.inner.secrets.of(id).get(()).await)
    }

    /// Whether there is a parameter of one of these names.
    pub(crate) async fn parameter(&self, region: &str, names: &[String]) -> Reading<()> {
        let parameters = self.inner.parameters.of(&region.to_owned());
        let asked = names.iter().map(|name| parameters.get(name.clone()));
        let found: Vec<_> = join_all(asked).await.into_iter().map(read).collect();
        let unknown = found.iter().find(|found| matches!(found, Reading::Unknown(_)));
        let known = found.iter().find(|found| found.known().is_some());
        known.or(unknown).cloned().unwrap_or(Reading::Absent)
    }

    /// The state of each alarm that there is.
    pub(crate) async fn alarms(&self, names: &[String]) -> Reading<BTreeMap<String, String>> {
        let asked = names.iter().map(|name| self.inner.alarms.get(name.clone()));
        let mut states = BTreeMap::new();
        for (name, found) in names.iter().zip(join_all(asked).await) {
            match read(found) {
                Reading::Known(state) => drop(states.insert(name.clone(), state)),
                Reading::Absent => {}
                Reading::Unknown(why) => return Reading::Unknown(why),
            }
        }
        Reading::Known(states)
    }

    /// The scaling of a service's count; `Absent` if nothing scales it.
    pub(crate) async fn scaling(&self, resource_id: &str) -> Reading<Scaling> {
        read(self.inner.scaling.get(resource_id.to_owned()).await)
    }

    /// Remembers whether a revision could be used at this moment.
    pub(super) fn registered(&self, arn: &TaskDefinitionArn, registration: Registration) {
        let now = self.asker().pacer.clock().monotonic();
        self.inner.registrations.keep(arn.to_string(), (now, registration));
    }

    /// Whether a revision can be used at this moment; `Absent` if it was deleted.
    ///
    /// What was read a short while ago is not asked for again: ECS itself refuses a revision that cannot be used.
    pub(crate) async fn registration(&self, arn: &TaskDefinitionArn) -> Reading<Registration> {
        let asker = self.asker();
        let now = asker.pacer.clock().monotonic();
        let read_before = self.inner.registrations.get(&arn.to_string());
        if let Some((_, known)) = read_before.filter(|(at, _)| now.saturating_sub(*at) < SHORT_WHILE) {
            return Reading::Known(known);
        }
        let client = client!(asker, aws_sdk_ecs, asker.session.region());
        let quota = ecs::quota("DescribeTaskDefinition");
        let call = asker.session.reads(
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
        let answer = asker.ask(asker.session.region(), quota, &call, |error| gone(error), send).await;
        read(answer.map(|answer| {
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
        let client = client!(asker, aws_sdk_codedeploy, asker.session.region());
        let call = asker.session.reads("codedeploy", "GetDeploymentGroup", "read the deployment group");
        let send = || {
            client
                .get_deployment_group()
                .application_name(&group.application)
                .deployment_group_name(&group.group)
                .send()
        };
        let answer = asker.ask(asker.session.region(), CODE_DEPLOY, &call, |_| false, send).await;
        read(answer.map(|answer| {
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
        f.debug_struct("Surroundings").field("session", &self.inner.asker.session).finish_non_exhaustive()
    }
}

/// Who asks, and how fast.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) session: Session,
    pub(super) pacer: Pacer,
}

impl Asker {
    /// Sends a call when it is its turn. `None` for an error that says that the thing is not there.
    pub(super) async fn ask<T, E, R>(
        &self,
        region: &str,
        quota: Quota,
        call: &Call,
        absent: impl Fn(&E) -> bool,
        send: impl Fn() -> R,
    ) -> Result<Option<T>>
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    {
        let scope = Scope::new(self.session.scope().account(), region);
        let mut tries = 1;
        loop {
            let attempt = async {
                match send().await {
                    Ok(answer) => Ok(Some(answer)),
                    Err(SdkError::ServiceError(refused)) if absent(refused.err()) => Ok(None),
                    Err(error) => Err(explain(call, &error)),
                }
            };
            match self.pacer.paced(&scope, quota, attempt).await {
                Err(error) if error.kind() == ErrorKind::Throttled && tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }
}

/// A batcher for one thing: those who ask together get one answer.
pub(super) fn one<V, F, R>(clock: &Arc<dyn Clock>, fetch: F) -> Batcher<(), Reading<V>>
where
    V: Clone + Send + Sync + 'static,
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Reading<V>> + Send + 'static,
{
    // There is one key, so only the window ends the gathering.
    Batcher::new(Arc::clone(clock), 2, TOGETHER, move |_| {
        let answer = fetch();
        async move { Ok(HashMap::from([((), answer.await)])) }
    })
}

/// What a batcher answered. Its fetches never fail, so an error is one of the gathering itself.
pub(super) trait Read<V> {
    fn reading(self) -> Reading<V>;
}

impl<V> Read<V> for Result<Option<V>> {
    fn reading(self) -> Reading<V> {
        match self {
            Ok(Some(found)) => Reading::Known(found),
            Ok(None) => Reading::Absent,
            Err(error) => Reading::Unknown(error.message().to_owned()),
        }
    }
}

impl<V> Read<V> for Result<Option<Reading<V>>> {
    fn reading(self) -> Reading<V> {
        match self {
            Ok(found) => found.unwrap_or(Reading::Absent),
            Err(error) => Reading::Unknown(error.message().to_owned()),
        }
    }
}

pub(super) fn read<V>(answer: impl Read<V>) -> Reading<V> {
    answer.reading()
}

/// The same reading for everything that was asked for together.
pub(super) fn all<K: Eq + std::hash::Hash, V: Clone>(
    keys: Vec<K>,
    reading: &Reading<V>,
) -> HashMap<K, Reading<V>> {
    keys.into_iter().map(|key| (key, reading.clone())).collect()
}

pub(super) fn time(at: Option<&DateTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}
