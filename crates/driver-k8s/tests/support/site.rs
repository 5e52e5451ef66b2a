//! A workload on the scripted double with an engine over it, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::store::MemoryStore;
use rollback_core::time::{Clock, TokioClock};
use rollback_core::{
    Approval, ComponentName, Engine, EnvironmentName, Plan, Planned, Report, Request, Result,
};
use rollback_driver_k8s::{K8sConfig, K8sTarget, Kind};
use rollback_scripted_kubernetes::{Cluster, workload};
use serde_json::Value;

pub(crate) const NAMESPACE: &str = "shop";
pub(crate) const NAME: &str = "web";

/// Virtual time that the cluster goes with: each wait is a step of its controllers.
#[derive(Debug)]
struct Ticking(TokioClock, Cluster);

#[async_trait]
impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await;
        self.1.tick();
    }
}

pub(crate) struct Site {
    pub(crate) cluster: Cluster,
    pub(crate) config: K8sConfig,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Site {
    /// A workload of two replicas that went through these versions, and rests on the last.
    pub(crate) fn new(kind: Kind, versions: &[&str]) -> Self {
        let cluster = Cluster::new();
        let config = K8sConfig::new(kind, NAME).namespace(NAMESPACE);
        let clock = Arc::new(Ticking(TokioClock::starting_at(Timestamp::UNIX_EPOCH), cluster.clone()));
        let site = Self { cluster, config, clock };
        for version in versions {
            site.deploy(version);
        }
        site
    }

    /// Sets it to a version, as a pipeline would, and waits until nothing changes any more.
    pub(crate) fn deploy(&self, version: &str) {
        self.begin(version);
        self.cluster.settle();
    }

    pub(crate) fn begin(&self, version: &str) {
        let plural = self.config.kind.resource();
        match self.cluster.get(plural, NAMESPACE, NAME) {
            Some(_) => self.cluster.set_image(plural, NAMESPACE, NAME, &image(version)),
            None => drop(self.cluster.create(NAMESPACE, &workload(plural, NAME, &image(version), 2))),
        }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Value)) {
        self.cluster.change(self.config.kind.resource(), NAMESPACE, NAME, change);
    }

    pub(crate) fn object(&self) -> Value {
        self.cluster.get(self.config.kind.resource(), NAMESPACE, NAME).expect("the workload exists")
    }

    /// What it is set to.
    pub(crate) fn version(&self) -> String {
        let object = self.object();
        let image = object["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        image.rsplit(':').next().unwrap_or_default().to_owned()
    }

    pub(crate) fn target(&self) -> Result<K8sTarget> {
        K8sTarget::new(self.cluster.client(NAMESPACE), &self.config)
    }

    pub(crate) fn engine(&self) -> Result<Engine> {
        let engine = Engine::builder(Arc::new(MemoryStore::new())).clock(Arc::clone(&self.clock));
        Ok(engine.component(name()?, self.target()?.erase()).build())
    }

    pub(crate) async fn plan(&self, to: &str) -> Result<Plan> {
        let request = Request::new(EnvironmentName::new("default")?).component(name()?, Some(to.parse()?));
        match self.engine()?.plan(&request).await? {
            Planned::Ready(plan) => Ok(*plan),
            Planned::Undecided(why) => panic!("{why:?}"),
        }
    }

    pub(crate) async fn go(&self, to: &str) -> Result<Report> {
        let plan = self.plan(to).await?;
        self.apply(&plan).await
    }

    pub(crate) async fn apply(&self, plan: &Plan) -> Result<Report> {
        self.engine()?.apply(plan, &Approval::yes()).await
    }
}

pub(crate) fn name() -> Result<ComponentName> {
    ComponentName::new(NAME)
}

pub(crate) fn image(version: &str) -> String {
    format!("registry.example:5000/shop/web:{version}")
}
