//! The double with a session, and a clock that moves with it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use jiff::Timestamp;
use rollback_aws_support::ecr::{Ecr, Repository};
use rollback_aws_support::parameters::Parameters;
use rollback_aws_support::{Pacer, Session};
use rollback_core::Digest;
use rollback_core::time::{Clock, SystemClock};
use rollback_scripted_aws::{Cloud, Does, Injection, Server};
use serde_json::{Value, json};

pub(crate) const REPOSITORY: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web";

pub(crate) struct Bed {
    pub(crate) cloud: Cloud,
    pub(crate) ecr: Ecr,
    pub(crate) parameters: Parameters,
    _server: Server,
}

/// Tells the double's time, and waits by that of the machine.
#[derive(Debug)]
struct Moving(Cloud);

#[async_trait]
impl Clock for Moving {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        let began = self.0.world().began();
        self.0.now().duration_since(began).unsigned_abs() + SystemClock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

pub(crate) async fn bed() -> Bed {
    let cloud = Cloud::new();
    let server = cloud.serve().await.unwrap();
    let keys = Credentials::new("AKIDTEST", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .region(Region::new("eu-west-1"))
        .endpoint_url(server.url())
        .credentials_provider(SharedCredentialsProvider::new(keys));
    let session = Session::from_sdk_config(config.build());
    let pacer = Pacer::new(Arc::new(Moving(cloud.clone())));
    let (ecr, parameters) = (Ecr::new(session.clone(), pacer.clone()), Parameters::new(session, pacer));
    let bed = Bed { cloud, ecr, parameters, _server: server };
    bed.ask("ecr", "CreateRepository", json!({ "repositoryName": "web" }));
    bed.push("v1");
    bed
}

pub(crate) fn web() -> Repository {
    Repository::of(&REPOSITORY.parse().unwrap()).unwrap()
}

impl Bed {
    #[expect(clippy::needless_pass_by_value, reason = "what is asked is written where it is asked")]
    pub(crate) fn ask(&self, service: &str, operation: &str, input: Value) -> Value {
        self.cloud.ask(service, operation, &input).unwrap()
    }

    /// The digest of what was pushed.
    pub(crate) fn push(&self, tag: &str) -> Digest {
        let manifest = json!({ "schemaVersion": 2, "of": tag }).to_string();
        let pushed = json!({ "repositoryName": "web", "imageTag": tag, "imageManifest": manifest });
        let digest = &self.ask("ecr", "PutImage", pushed)["image"]["imageId"]["imageDigest"];
        digest.as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn denies(&self, service: &str, operation: &str) {
        self.cloud.inject(Injection::new(service, operation, Does::Denies));
    }

    /// For which regions an operation was called.
    pub(crate) fn regions(&self, operation: &str) -> Vec<String> {
        let calls = self.cloud.calls().into_iter().filter(|call| call.operation == operation);
        calls.map(|call| call.region).collect()
    }
}
