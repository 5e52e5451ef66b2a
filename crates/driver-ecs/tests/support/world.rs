//! One service in one cluster of the scripted double, with up to three releases.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use rollback_aws_support::Session;
use rollback_core::{DynTarget, Result};
use rollback_driver_ecs::{EcsConfig, EcsTarget};
use rollback_scripted_aws::{Cloud, Server};
use rollback_testkit::driver::{Fault, Fixture, Release};
use serde_json::{Value, json};

use crate::stage::{Pipeline, Stage, failed, refused};
use crate::support::{CLUSTER, SECRET, SERVICE, image, session};

/// The calls that change a service.
const CHANGES: [(&str, &str); 4] = [
    ("ecs", "UpdateService"),
    ("ecs", "StopServiceDeployment"),
    ("ecs", "ContinueServiceDeployment"),
    ("ecs", "RegisterTaskDefinition"),
];

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    server: Server,
    configuration: Value,
    pipeline: Pipeline,
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
        Ok(Self { cloud, server, configuration, pipeline: Pipeline::default() })
    }

    fn connect(&self, cluster: &str) -> Result<Arc<dyn DynTarget>> {
        self.connect_as(&EcsConfig::new(cluster, SERVICE))
    }

    /// With settings of its own.
    pub(crate) fn connect_as(&self, config: &EcsConfig) -> Result<Arc<dyn DynTarget>> {
        let session: Session = session(&self.server.url());
        Ok(EcsTarget::new(&session, config)?.erase())
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
        let revision = self.register(release)?;
        self.pipeline.deploys.fetch_add(1, Ordering::Relaxed);
        if self.cloud.service(CLUSTER, SERVICE).is_none() {
            let made = self.cloud.create_service(CLUSTER, SERVICE, &revision, 2, &self.configuration);
            return made.map_err(|fault| refused(&fault));
        }
        self.cloud.deploy(CLUSTER, SERVICE, &revision).map(drop).map_err(|fault| refused(&fault))
    }

    fn lose_image(&self, release: Release) -> Result<()> {
        let ids = json!([{ "imageDigest": self.push(&image(release)) }]);
        let image = json!({ "repositoryName": "web", "imageIds": ids });
        self.ask("ecr", "BatchDeleteImage", &image).map(drop)
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
