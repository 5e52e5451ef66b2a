//! One service in one cluster of the scripted double, with up to three releases.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rollback_aws_support::Session;
use rollback_core::{DynTarget, Error, ErrorKind, Result};
use rollback_driver_ecs::{EcsConfig, EcsTarget};
use rollback_scripted_aws::{Behaviour, Cloud, Does, Injection, Outcome, Server};
use rollback_testkit::driver::{Fault, Fixture, Release};
use serde_json::{Value, json};

use crate::support::{CLUSTER, SECRET, SERVICE, image, session};

/// The calls that change a service.
const CHANGES: [&str; 4] =
    ["UpdateService", "StopServiceDeployment", "ContinueServiceDeployment", "RegisterTaskDefinition"];

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    server: Server,
    configuration: Value,
    /// The revision that each release was registered as.
    revisions: Mutex<BTreeMap<Release, String>>,
    deploys: AtomicU64,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Other, "arrange the service", error.to_string())
}

impl World {
    /// A service that ECS replaces task by task, with a breaker that leaves what failed where it is.
    pub(crate) async fn rolling() -> Result<Self> {
        Self::with(json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": false } })).await
    }

    /// The same with a breaker that goes back by itself.
    pub(crate) async fn breaker() -> Result<Self> {
        Self::with(json!({ "deploymentCircuitBreaker": { "enable": true, "rollback": true } })).await
    }

    async fn with(configuration: Value) -> Result<Self> {
        let cloud = Cloud::new();
        cloud.cluster(CLUSTER);
        let server = cloud.serve().await.map_err(failed)?;
        let (revisions, deploys) = (Mutex::default(), AtomicU64::new(0));
        Ok(Self { cloud, server, configuration, revisions, deploys })
    }

    fn connect(&self, cluster: &str) -> Result<Arc<dyn DynTarget>> {
        self.connect_as(&EcsConfig::new(cluster, SERVICE))
    }

    /// With settings of its own.
    pub(crate) fn connect_as(&self, config: &EcsConfig) -> Result<Arc<dyn DynTarget>> {
        let session: Session = session(&self.server.url());
        Ok(EcsTarget::new(&session, config)?.erase())
    }

    /// Registers a release, as a pipeline does once.
    pub(crate) fn register(&self, release: Release) -> Result<String> {
        let mut known = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arn) = known.get(&release) {
            return Ok(arn.clone());
        }
        let container = json!({
            "name": "web", "image": image(release), "memory": 128, "portMappings": [{ "containerPort": 80 }],
            "environment": [{ "name": "API_KEY", "value": SECRET }],
        });
        let input = json!({ "family": "web", "networkMode": "awsvpc", "containerDefinitions": [container] });
        self.push(&image(release));
        let answer =
            self.cloud.ask("ecs", "RegisterTaskDefinition", &input).map_err(|f| failed(format!("{f:?}")))?;
        let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_default().to_owned();
        known.insert(release, arn.clone());
        Ok(arn)
    }

    /// An image is in the registry from now on. Its digest.
    pub(crate) fn push(&self, image: &str) -> String {
        let mut world = self.cloud.world();
        let digest = world.images.digest(image);
        world.images.tag(image, digest.clone());
        digest
    }

    /// Sets the service to a release and waits for nothing.
    pub(crate) fn begin(&self, release: Release) -> Result<()> {
        let revision = self.register(release)?;
        self.deploys.fetch_add(1, Ordering::Relaxed);
        if self.cloud.service(CLUSTER, SERVICE).is_none() {
            let made = self.cloud.create_service(CLUSTER, SERVICE, &revision, 2, &self.configuration);
            return made.map_err(|fault| failed(format!("{fault:?}")));
        }
        self.cloud.deploy(CLUSTER, SERVICE, &revision).map(drop).map_err(|fault| failed(format!("{fault:?}")))
    }

    fn ask(&self, operation: &str, input: &Value) -> Result<Value> {
        self.cloud.ask("ecs", operation, input).map_err(|fault| failed(format!("{fault:?}")))
    }

    fn strike(&self, does: &Does) {
        self.cloud.no_faults();
        // The first that comes is struck, and it is the only change that a step sends.
        for operation in CHANGES {
            self.cloud.inject(Injection::new("ecs", operation, does.clone()).times(1));
        }
    }
}

#[async_trait]
impl Fixture for World {
    async fn target(&self) -> Result<Arc<dyn DynTarget>> {
        self.connect(CLUSTER)
    }

    // By the ARN of its cluster.
    async fn alias(&self) -> Result<Option<Arc<dyn DynTarget>>> {
        let arn = self.cloud.world().arn("ecs", &format!("cluster/{CLUSTER}"));
        self.connect(&arn).map(Some)
    }

    async fn deploy(&self, release: Release) -> Result<()> {
        self.begin(release)?;
        if self.cloud.settle() { Ok(()) } else { Err(failed("the service does not come to rest")) }
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        match fault {
            Fault::Refuse => self.strike(&Does::Throttles),
            Fault::LoseRequest => self.strike(&Does::LosesRequest),
            Fault::LoseAnswer => self.strike(&Does::LosesAnswer),
            Fault::Delay => self.strike(&Does::Delays),
            Fault::Deliver => self.cloud.release(),
            Fault::RemoveArtifact(release) => {
                let revision = self.register(release)?;
                self.ask("DeregisterTaskDefinition", &json!({ "taskDefinition": revision }))?;
                let ids = json!([{ "imageDigest": self.push(&image(release)) }]);
                let image = json!({ "repositoryName": "web", "imageIds": ids });
                self.cloud.ask("ecr", "BatchDeleteImage", &image).map_err(|f| failed(format!("{f:?}")))?;
                self.cloud.behave(&self::image(release), Behaviour::MissingImage);
            }
            Fault::ScaleToZero => {
                self.ask(
                    "UpdateService",
                    &json!({ "cluster": CLUSTER, "service": SERVICE, "desiredCount": 0 }),
                )?;
                self.cloud.settle();
            }
            Fault::Begin(release) => {
                self.cloud.behave(&image(release), Behaviour::SlowStart(Duration::from_secs(120)));
                self.begin(release)?;
                self.cloud.tick(Duration::from_secs(5));
            }
            Fault::Fail(release) => {
                self.cloud.behave(&image(release), Behaviour::Crash);
                self.begin(release)?;
                self.cloud.settle();
            }
            Fault::RestartPart => {
                let listed = self.ask("ListTasks", &json!({ "cluster": CLUSTER, "serviceName": SERVICE }))?;
                let task = listed["taskArns"][0].clone();
                self.ask("StopTask", &json!({ "cluster": CLUSTER, "task": task }))?;
                self.cloud.settle();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    async fn effects(&self) -> Result<Option<u64>> {
        let landed = |outcome: &Outcome| matches!(outcome, Outcome::Answered | Outcome::AnswerLost);
        let calls = self.cloud.calls();
        let ours =
            calls.iter().filter(|call| CHANGES.contains(&call.operation.as_str()) && landed(&call.outcome));
        Ok(Some(self.deploys.load(Ordering::Relaxed) + ours.count() as u64))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    // Its time is not ours.
    async fn pause(&self) {
        self.cloud.tick(Duration::from_secs(1));
    }
}
