//! The calls: the only files, with those below, that know the SDK.
//!
//! Every call is made once: core repeats what may be repeated. Answers are taken as they came, so that fields which the SDK does
//! not know are neither lost nor left out of a digest.

mod api;
mod app_spec;
mod around;
mod balancer;
mod change;
mod code_deploy;
mod definitions;
mod deployments;
mod gather;
mod registry;
mod service;
mod surroundings;
mod tasks;
mod users;

use std::sync::Arc;

use rollback_aws_support::{Pacer, Session};
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Map, Value};

pub(crate) use self::api::Api;
pub(crate) use self::definitions::Registered;
pub(crate) use self::surroundings::Surroundings;
use crate::arn::{Arn, TaskDefinitionArn};
use crate::config::{CodeDeployConfig, EcsConfig};
use crate::look::Look;
use crate::snapshot::EcsSnapshot;
use crate::task_definition::Definition;
use rollback_core::fingerprint::FingerprintKey;

/// One service, and how to ask about it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    api: Arc<Api>,
    place: Arc<Place>,
}

/// Where the service is, and how it is read.
struct Place {
    /// As it was configured: a name, or an ARN.
    cluster: String,
    service: String,
    group: Option<CodeDeployConfig>,
    secret: Option<FingerprintKey>,
    main_container: Option<String>,
}

/// One look, with what the service says of itself, word for word.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) look: Look,
    /// Its entry in the answer of `DescribeServices`, with its tags.
    pub(crate) described: Map<String, Value>,
}

/// How much a look reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What waiting for something needs: where it is and where it goes, and why it does not get there.
    Course,
    /// What choosing a destination and a way needs as well: what became of earlier revisions, and the listeners.
    Plan,
    /// What a proof needs: every task and the health of every target.
    Proof,
}

impl Client {
    pub(crate) fn new(session: &Session, pacer: Pacer, config: &EcsConfig) -> Result<Self> {
        config.check()?;
        if let Ok(cluster) = config.cluster.parse::<Arn>()
            && cluster.region() != session.region()
        {
            let found =
                format!("it is in {}, and these settings are for {}", cluster.region(), session.region());
            return Err(Error::new(ErrorKind::Invalid, format!("use cluster {cluster}"), found)
                .next("set region to that of the cluster"));
        }
        let secret = config
            .fingerprint_key
            .as_ref()
            .map(|key| FingerprintKey::secret(crate::NAME, key.as_bytes()))
            .transpose()?;
        let place = Place {
            cluster: config.cluster.clone(),
            service: config.service.clone(),
            group: config.codedeploy.clone(),
            secret,
            main_container: config.main_container.clone(),
        };
        let api = session.clients(|session| Api::new(session, pacer));
        Ok(Self { api, place: Arc::new(place) })
    }

    /// What stands around the service, for checks before acting.
    pub(crate) fn surroundings(&self) -> &Surroundings {
        self.api.surroundings()
    }

    pub(crate) fn main_container(&self) -> Option<&str> {
        self.place.main_container.as_deref()
    }

    /// Refuses a cluster of another account before anything is read of it, where the settings name its account.
    async fn at_home(&self) -> Result<()> {
        match self.place.cluster.parse::<Arn>() {
            Ok(cluster) => self.api.session().caller().await?.must_be_in(cluster.account()),
            Err(_) => Ok(()),
        }
    }

    /// The service's ARN and who is asking. Only the caller's identity is asked for; a cluster of another account is refused.
    pub(crate) async fn identify(&self) -> Result<(Arn, String)> {
        self.at_home().await?;
        let session = self.api.session();
        let caller = session.caller().await?;
        let arn = format!(
            "arn:{}:ecs:{}:{}:service/{}/{}",
            caller.partition(),
            session.region(),
            caller.account(),
            self.cluster_name(),
            self.place.service
        );
        Ok((arn.parse()?, caller.arn().to_owned()))
    }

    fn cluster_name(&self) -> &str {
        let cluster = self.place.cluster.as_str();
        cluster.rsplit('/').next().unwrap_or(cluster)
    }

    /// The service's name.
    pub(crate) fn name(&self) -> &str {
        &self.place.service
    }

    /// The service, as errors call it.
    fn shown(&self) -> String {
        format!("service {} of cluster {}", self.place.service, self.cluster_name())
    }

    /// A revision as a state of the service, with what the look knows of it.
    pub(crate) fn snapshot(
        &self,
        look: &Look,
        arn: &TaskDefinitionArn,
        definition: &Definition,
    ) -> Result<EcsSnapshot> {
        let mut snapshot = EcsSnapshot::new(look.service.arn.clone(), arn.clone(), definition.clone())?;
        snapshot.main_container = self.main_container().map(str::to_owned);
        snapshot.digests = look.resolved(arn);
        let names: Vec<_> = definition.containers().into_iter().map(|container| container.name).collect();
        // Sidecars that ECS adds itself (Service Connect, GuardDuty) are in no task definition.
        snapshot.digests.retain(|container, _| names.contains(container));
        Ok(snapshot)
    }

    /// The key for values that may be secret: the installation's own, else the one that the account gives.
    pub(crate) fn key(&self, account: &str) -> FingerprintKey {
        self.place.secret.clone().unwrap_or_else(|| FingerprintKey::public(crate::NAME, account))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("service", &self.shown()).finish_non_exhaustive()
    }
}

/// What a list in an answer holds.
fn items<'a>(body: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    body.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// The texts of a list in an answer.
fn texts(body: &Value, list: &str) -> Vec<String> {
    items(body, list).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The token of the next page.
fn next(body: &Value) -> Option<String> {
    text(body, "nextToken").filter(|token| !token.is_empty()).map(str::to_owned)
}
