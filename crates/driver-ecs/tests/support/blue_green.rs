//! One service that CodeDeploy moves between two target groups of the scripted double, with up to three releases.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rollback_aws_support::Pacer;
use rollback_core::{DynTarget, Error, ErrorKind, Result};
use rollback_driver_ecs::{EcsConfig, EcsTarget};
use rollback_scripted_aws::{Behaviour, BlueGreen, Cloud, Does, Injection, Outcome, Server};
use rollback_testkit::driver::{Fault, Fixture, Release};
use rollback_testkit::sim::ManualClock;
use serde_json::{Value, json};

use crate::support::{CLUSTER, SECRET, SERVICE, image, session};

/// The calls that change a service that CodeDeploy moves, or that would.
const CHANGES: [(&str, &str); 4] = [
    ("codedeploy", "CreateDeployment"),
    ("codedeploy", "StopDeployment"),
    ("ecs", "UpdateService"),
    ("ecs", "RegisterTaskDefinition"),
];

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    server: Server,
    /// What the deployment group has otherwise than usual.
    settings: Value,
    /// Whether the configuration names the deployment group.
    named: bool,
    made: Mutex<Option<BlueGreen>>,
    /// The revision that each release was registered as.
    revisions: Mutex<BTreeMap<Release, String>>,
    deploys: AtomicU64,
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Other, "arrange the service", error.to_string())
}

fn refused(fault: &rollback_scripted_aws::Fault) -> Error {
    failed(format!("{fault:?}"))
}

impl World {
    /// A deployment group that keeps the earlier tasks for five minutes and rolls back what fails.
    pub(crate) async fn new() -> Result<Self> {
        Self::with(&json!({}), false).await
    }

    /// One that is named in the configuration, keeps the earlier tasks for good, and rolls nothing back by itself.
    pub(crate) async fn keeping() -> Result<Self> {
        let kept = json!({
            "terminateBlueInstancesOnDeploymentSuccess": { "action": "KEEP_ALIVE" },
            "deploymentReadyOption": { "actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0 },
        });
        let rollback = json!({ "enabled": false, "events": [] });
        let settings =
            json!({ "blueGreenDeploymentConfiguration": kept, "autoRollbackConfiguration": rollback });
        Self::with(&settings, true).await
    }

    /// With these settings of the deployment group.
    pub(crate) async fn with(settings: &Value, named: bool) -> Result<Self> {
        let cloud = Cloud::new();
        cloud.cluster(CLUSTER);
        let server = cloud.serve().await.map_err(failed)?;
        let settings = settings.clone();
        let (made, revisions, deploys) = (Mutex::default(), Mutex::default(), AtomicU64::new(0));
        Ok(Self { cloud, server, settings, named, made, revisions, deploys })
    }

    /// The driver of an engine of its own, as another process would have it.
    pub(crate) fn connect(&self, cluster: &str) -> Result<Arc<dyn DynTarget>> {
        let mut config = EcsConfig::new(cluster, SERVICE);
        if self.named {
            let group = json!({ "application": SERVICE, "group": SERVICE });
            config.codedeploy = Some(serde_json::from_value(group).map_err(failed)?);
        }
        // Nobody waits for a turn here.
        let pacer = Pacer::new(Arc::new(ManualClock::new()));
        Ok(EcsTarget::paced(&session(&self.server.url()), pacer, &config)?.erase())
    }

    /// Registers a release, as a pipeline does once.
    pub(crate) fn register(&self, release: Release) -> Result<String> {
        let mut known = self.revisions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(arn) = known.get(&release) {
            return Ok(arn.clone());
        }
        let image = image(release);
        let container = json!({
            "name": "web", "image": image, "memory": 128, "portMappings": [{ "containerPort": 80 }],
            "environment": [{ "name": "API_KEY", "value": SECRET }],
        });
        let input = json!({ "family": "web", "networkMode": "awsvpc", "containerDefinitions": [container] });
        {
            let mut world = self.cloud.world();
            let digest = world.images.digest(&image);
            world.images.tag(image, digest);
        }
        let answer =
            self.cloud.ask("ecs", "RegisterTaskDefinition", &input).map_err(|fault| refused(&fault))?;
        let arn = answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_default().to_owned();
        known.insert(release, arn.clone());
        Ok(arn)
    }

    pub(crate) fn made(&self) -> Option<BlueGreen> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the service with a release, or begins to deploy it as soon as CodeDeploy takes it. The id of the deployment.
    pub(crate) fn begin(&self, release: Release) -> Result<String> {
        let revision = self.register(release)?;
        self.deploys.fetch_add(1, Ordering::Relaxed);
        let Some(made) = self.made() else {
            let made = self.cloud.create_blue_green(CLUSTER, SERVICE, &revision, 2, &self.settings);
            *self.made.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(made.map_err(|fault| refused(&fault))?);
            return Ok(String::new());
        };
        // As a pipeline does that finds another deployment on its way.
        self.cloud.settle();
        self.cloud.deploy_blue_green(&made, &revision).map_err(|fault| refused(&fault))
    }

    fn ask(&self, operation: &str, input: &Value) -> Result<Value> {
        self.cloud.ask("ecs", operation, input).map_err(|fault| refused(&fault))
    }

    fn strike(&self, does: &Does) {
        self.cloud.no_faults();
        for (service, operation) in CHANGES {
            self.cloud.inject(Injection::new(service, operation, does.clone()).times(1));
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
                self.cloud.world().images.untag(&image(release));
                self.cloud.behave(&image(release), Behaviour::MissingImage);
            }
            Fault::ScaleToZero => {
                let none = json!({ "cluster": CLUSTER, "service": SERVICE, "desiredCount": 0 });
                self.ask("UpdateService", &none)?;
                self.cloud.settle();
            }
            Fault::Begin(release) => {
                self.cloud.behave(&image(release), Behaviour::SlowStart(Duration::from_secs(120)));
                self.begin(release)?;
                self.cloud.tick(Duration::from_secs(5));
            }
            // Its tasks never become healthy, and CodeDeploy gives up after an hour.
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
        let changes = |call: &&rollback_scripted_aws::Call| {
            CHANGES.contains(&(call.service.as_str(), call.operation.as_str())) && landed(&call.outcome)
        };
        Ok(Some(self.deploys.load(Ordering::Relaxed) + calls.iter().filter(changes).count() as u64))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    // Its time is not ours.
    async fn pause(&self) {
        self.cloud.tick(Duration::from_secs(1));
    }
}
