//! What all targets of one session share.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::BoxFuture;
use rollback_aws_support::pacing::ecs;
use rollback_aws_support::verbatim::{self, Answer, Verbatim};
use rollback_aws_support::{Batcher, Batchers, Call, Pacer, Quota, Session};
use rollback_core::Result;
use rollback_core::time::Clock;
use serde_json::Value;

use super::app_spec::SpecId;
use super::code_deploy::GroupName;
use super::deployments::{self, Listed};
use super::service::{self, Described};
use super::surroundings::Surroundings;
use super::tasks;
use super::users::Used;
use crate::look::{ServiceDeployment, Task};
use crate::task_definition::Definition;

/// For how long look-ups gather before they go out as one call. Nobody notices, and a thousand services need it.
const TOGETHER: Duration = Duration::from_millis(2);
/// How many services `DescribeServices` takes.
const SERVICES: usize = 10;
/// How many services' tasks are asked for together: more than ECS allows in a cluster that is listed as a whole.
const WITH_TASKS: usize = 5000;
/// How many `DescribeServiceDeployments` and `DescribeServiceRevisions` take.
const DEPLOYMENTS: usize = 20;
/// How many things that do not change are remembered, of each kind. More are read again.
const REMEMBERED: usize = 8192;

/// CodeDeploy documents no rates per API, and throttles early.
const CODE_DEPLOY: Quota = Quota::new("codedeploy", "all", 10, 5.0);
/// Elastic Load Balancing documents 40 describing calls with 10 a second more, and fewer for changes.
const BALANCER: Quota = Quota::new("elasticloadbalancing", "describe", 40, 10.0);
const BALANCER_CHANGES: Quota = Quota::new("elasticloadbalancing", "modify", 20, 3.0);

/// An error of one of the SDK's operations.
pub(super) trait Failure: ProvideErrorMetadata + std::error::Error + Send + 'static {}

impl<E: ProvideErrorMetadata + std::error::Error + Send + 'static> Failure for E {}

/// A request of the SDK that is ready to be sent.
pub(super) trait Sending<T, E>:
    Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>> + Send
{
}

impl<T, E, F: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>> + Send> Sending<T, E> for F {}

/// The SDK's clients of one session, gathered look-ups, and what was read and does not change.
pub(crate) struct Api {
    caller: Caller,
    surroundings: Surroundings,
    pub(super) ecs: aws_sdk_ecs::Client,
    pub(super) code_deploy: aws_sdk_codedeploy::Client,
    pub(super) balancer: aws_sdk_elasticloadbalancingv2::Client,
    /// By cluster, as it was configured.
    pub(super) services: Batchers<String, String, Described>,
    /// The tasks that run or are on their way, by cluster and service.
    pub(super) tasks: Batchers<String, String, Arc<Vec<Task>>>,
    /// ECS's own deployments in full, by ARN.
    pub(super) deployments: Batcher<String, Arc<ServiceDeployment>>,
    /// Service revisions word for word, by ARN.
    pub(super) described_revisions: Batcher<String, Arc<Value>>,
    /// Which deployments each service has, by cluster and service: as long as it tells of no other, none is missing.
    pub(super) listed: Memory<(String, String), Listed>,
    /// Deployments that came to their end, by ARN. They change no more.
    pub(super) ended: Memory<String, Arc<ServiceDeployment>>,
    /// Task definitions in the form that is kept, by ARN and key. What is in them never changes.
    pub(super) definitions: Memory<(String, String), Arc<Definition>>,
    /// Service revisions, by ARN. They never change.
    pub(super) revisions: Memory<String, Arc<Value>>,
    /// The contents of AppSpecs, by application and hash.
    pub(super) specs: Memory<SpecId, String>,
    /// What the services of the region used, with when that was read, by the pacer's clock.
    pub(super) used: Memory<(), (Duration, Arc<Used>)>,
    /// The deployment group that made a deployment of CodeDeploy, by its id.
    pub(super) makers: Memory<String, GroupName>,
    /// The deployment group that was last seen to move a service, by cluster and service as they were configured.
    pub(super) groups: Memory<(String, String), GroupName>,
}

impl Api {
    pub(super) fn new(session: &Session, pacer: Pacer) -> Self {
        let config = session.sending();
        let ecs = aws_sdk_ecs::config::Builder::from(config).interceptor(Verbatim).build();
        let code_deploy = aws_sdk_codedeploy::config::Builder::from(config).interceptor(Verbatim).build();
        let ecs = aws_sdk_ecs::Client::from_conf(ecs);
        let caller = Caller { session: session.clone(), pacer: pacer.clone(), ecs: ecs.clone() };
        let clock = pacer.clock();
        Self {
            services: services(&caller, &clock),
            tasks: tasks(&caller, &clock),
            deployments: {
                let caller = caller.clone();
                Batcher::new(Arc::clone(&clock), DEPLOYMENTS, TOGETHER, move |arns| {
                    let caller = caller.clone();
                    async move { deployments::describe(&caller, arns).await }
                })
            },
            described_revisions: {
                let caller = caller.clone();
                Batcher::new(Arc::clone(&clock), DEPLOYMENTS, TOGETHER, move |arns| {
                    let caller = caller.clone();
                    async move { deployments::describe_revisions(&caller, arns).await }
                })
            },
            caller,
            surroundings: Surroundings::new(session.clone(), pacer, clock),
            ecs,
            code_deploy: aws_sdk_codedeploy::Client::from_conf(code_deploy),
            balancer: aws_sdk_elasticloadbalancingv2::Client::new(config),
            listed: Memory::new(REMEMBERED),
            ended: Memory::new(REMEMBERED),
            definitions: Memory::new(REMEMBERED),
            revisions: Memory::new(REMEMBERED),
            specs: Memory::new(REMEMBERED),
            makers: Memory::new(REMEMBERED),
            used: Memory::new(1),
            groups: Memory::new(REMEMBERED),
        }
    }

    pub(super) fn session(&self) -> &Session {
        &self.caller.session
    }

    pub(super) fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// A call of ECS that only looks.
    pub(super) fn read<'a, T: 'a, E: Failure>(
        &'a self,
        operation: &'static str,
        doing: impl Into<String>,
        request: impl Sending<T, E> + 'a,
    ) -> BoxFuture<'a, Result<Answer>> {
        self.caller.read(operation, doing, request)
    }

    /// The time that the pacer keeps.
    pub(super) fn now(&self) -> Duration {
        self.caller.pacer.clock().monotonic()
    }

    /// A call of ECS that changes something.
    pub(super) fn change<'a, T: 'a, E: Failure>(
        &'a self,
        operation: &'static str,
        doing: impl Into<String>,
        request: impl Sending<T, E> + 'a,
    ) -> BoxFuture<'a, Result<Answer>> {
        let call = self.session().changes("ecs", operation, doing);
        self.caller.asked(ecs::quota(operation), call, request)
    }

    /// A call of ECS that changes something, with this body.
    pub(super) fn change_with<'a, T: 'a, E: Failure>(
        &'a self,
        operation: &'static str,
        doing: impl Into<String>,
        body: &'a Value,
        request: impl Sending<T, E> + 'a,
    ) -> BoxFuture<'a, Result<Answer>> {
        let call = self.session().changes("ecs", operation, doing);
        Box::pin(async move {
            self.caller.paced(ecs::quota(operation), verbatim::send(&call, body, request)).await
        })
    }

    /// A call of CodeDeploy.
    pub(super) fn deploy<'a, T: 'a, E: Failure>(
        &'a self,
        call: Call,
        request: impl Sending<T, E> + 'a,
    ) -> BoxFuture<'a, Result<Answer>> {
        self.caller.asked(CODE_DEPLOY, call, request)
    }

    /// A look of the load balancer's API, when it is its turn.
    pub(super) fn balance<'a, T: 'a>(
        &'a self,
        call: impl Future<Output = Result<T>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>> {
        Box::pin(self.caller.paced(BALANCER, call))
    }

    /// A change of the load balancer's API, when it is its turn.
    pub(super) fn rebalance<'a, T: 'a>(
        &'a self,
        call: impl Future<Output = Result<T>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T>> {
        Box::pin(self.caller.paced(BALANCER_CHANGES, call))
    }
}

fn services(caller: &Caller, clock: &Arc<dyn Clock>) -> Batchers<String, String, Described> {
    let (caller, clock) = (caller.clone(), Arc::clone(clock));
    Batchers::new(move |cluster: &String| {
        let (cluster, caller) = (cluster.clone(), caller.clone());
        Batcher::new(Arc::clone(&clock), SERVICES, TOGETHER, move |names| {
            let (cluster, caller) = (cluster.clone(), caller.clone());
            async move { service::describe(&caller, &cluster, names).await }
        })
    })
}

fn tasks(caller: &Caller, clock: &Arc<dyn Clock>) -> Batchers<String, String, Arc<Vec<Task>>> {
    let (caller, clock) = (caller.clone(), Arc::clone(clock));
    Batchers::new(move |cluster: &String| {
        let (cluster, caller) = (cluster.clone(), caller.clone());
        let pages = Arc::default();
        Batcher::new(Arc::clone(&clock), WITH_TASKS, TOGETHER, move |names| {
            let (cluster, caller, pages) = (cluster.clone(), caller.clone(), Arc::clone(&pages));
            async move { tasks::of_services(&caller, &cluster, names, &pages).await }
        })
    })
}

/// What a gathered look-up is made with.
#[derive(Clone)]
pub(super) struct Caller {
    session: Session,
    pacer: Pacer,
    pub(super) ecs: aws_sdk_ecs::Client,
}

impl Caller {
    /// A call of ECS that only looks.
    pub(super) fn read<'a, T: 'a, E: Failure>(
        &'a self,
        operation: &'static str,
        doing: impl Into<String>,
        request: impl Sending<T, E> + 'a,
    ) -> BoxFuture<'a, Result<Answer>> {
        let call = self.session.reads("ecs", operation, doing);
        self.asked(ecs::quota(operation), call, request)
    }

    /// The SDK's futures are large: as one allocation each they leave room on the stack.
    fn asked<'a, T: 'a, E: Failure>(
        &'a self,
        quota: Quota,
        call: Call,
        request: impl Sending<T, E> + 'a,
    ) -> BoxFuture<'a, Result<Answer>> {
        Box::pin(async move { self.paced(quota, verbatim::ask(&call, request)).await })
    }

    async fn paced<T>(&self, quota: Quota, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.pacer.paced(self.session.scope(), quota, call).await
    }
}

/// A bounded memory of what does not change.
pub(super) struct Memory<K, V> {
    most: usize,
    kept: Mutex<HashMap<K, V>>,
}

impl<K: std::hash::Hash + Eq, V: Clone> Memory<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(super) fn keep(&self, key: K, value: V) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.most {
            kept.clear();
        }
        kept.insert(key, value);
    }
}
