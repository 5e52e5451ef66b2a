//! The scripted double of AWS, and sessions of it, for tests.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use jiff::Timestamp;
use rollback_aws_support::Session;
use rollback_core::probe::{ProbeFactory, Sample};
use rollback_core::time::{Clock, SystemClock};
use rollback_scripted_aws::{Cloud, Does, Injection, Server};
use serde_json::Value;

use crate::source::Given;

pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    pub(crate) given: Given,
    _server: Server,
}

/// What time it is in the cloud; waits as the system's clock does.
#[derive(Debug)]
struct CloudTime(Cloud);

#[async_trait]
impl Clock for CloudTime {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        SystemClock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        SystemClock.sleep(duration).await;
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let cloud = Cloud::new();
        let server = cloud.serve().await.unwrap();
        let credentials = Credentials::new("AKIDTEST", "not a secret", None, None, "tests");
        let config = SdkConfig::builder()
            .region(aws_config::Region::new("eu-west-1"))
            .endpoint_url(server.url())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        let mut given = Given::of(Session::from_sdk_config(config));
        given.clock = std::sync::Arc::new(CloudTime(cloud.clone()));
        Self { cloud, given, _server: server }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what is asked is written where it is asked")]
    pub(crate) fn ask(&self, operation: &str, input: Value) {
        self.cloud.ask("monitoring", operation, &input).unwrap();
    }

    pub(crate) fn strikes(&self, operation: &str, does: Does) {
        self.cloud.no_faults();
        self.cloud.inject(Injection::new("monitoring", operation, does));
    }
}

pub(crate) async fn sample(factory: &dyn ProbeFactory, settings: Value) -> Sample {
    factory.build(settings.as_object().unwrap()).unwrap().sample().await
}

#[expect(clippy::needless_pass_by_value, reason = "settings are written where they are used")]
pub(crate) fn refusal(factory: &dyn ProbeFactory, settings: Value) -> String {
    let error = factory.build(settings.as_object().unwrap()).unwrap_err();
    assert_eq!(error.kind(), rollback_core::ErrorKind::Invalid);
    assert!(error.next_step().is_some(), "{error}");
    error.to_string()
}

pub(crate) fn assert_unknown(seen: &Sample, says: &str) {
    assert!(!seen.known && !seen.ok && seen.metrics.is_empty(), "{seen:?}");
    assert!(seen.detail.contains(says), "{says:?} is not in {:?}", seen.detail);
    assert!(!seen.detail.contains('\n'), "{seen:?}");
}
