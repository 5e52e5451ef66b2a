//! One service that CodeDeploy moves between two target groups of the scripted double, with up to three releases.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rollback_aws_support::Pacer;
use rollback_core::{DynTarget, Result};
use rollback_driver_ecs::{EcsConfig, EcsTarget};
use rollback_scripted_aws::{BlueGreen, Cloud, Server};
use rollback_testkit::driver::{Fault, Fixture, Release};
use rollback_testkit::sim::ManualClock;
use serde_json::{Value, json};

use crate::stage::{Pipeline, Stage, failed, refused};
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
    pipeline: Pipeline,
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
        let (made, pipeline) = (Mutex::default(), Pipeline::default());
        Ok(Self { cloud, server, settings, named, made, pipeline })
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

    pub(crate) fn made(&self) -> Option<BlueGreen> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes the service with a release, or begins to deploy it as soon as CodeDeploy takes it. The id of the deployment.
    pub(crate) fn begin(&self, release: Release) -> Result<String> {
        let revision = self.register(release)?;
        self.pipeline.deploys.fetch_add(1, Ordering::Relaxed);
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
}

impl Stage for World {
    fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    fn changes(&self) -> &'static [(&'static str, &'static str)] {
        &CHANGES
    }

    fn start(&self, release: Release) -> Result<()> {
        self.begin(release).map(drop)
    }

    fn lose_image(&self, release: Release) -> Result<()> {
        self.cloud.world().images.untag(&image(release));
        Ok(())
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
        self.finish(release)
    }

    async fn inject(&self, fault: Fault) -> Result<bool> {
        self.arrange(fault)
    }

    async fn effects(&self) -> Result<Option<u64>> {
        Ok(Some(self.seen()))
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned()]
    }

    // Its time is not ours.
    async fn pause(&self) {
        self.cloud.tick(Duration::from_secs(1));
    }
}
