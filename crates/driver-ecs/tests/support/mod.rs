//! What the tests of the driver share.

pub(crate) mod blue_green;
pub(crate) mod clock;
pub(crate) mod world;

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use rollback_aws_support::Session;

/// A session of its own, as another process would have it. It waits a second for answers.
pub(crate) fn session(url: &str) -> Session {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(1))
        .operation_timeout(Duration::from_secs(2))
        .build();
    let credentials = Credentials::new("AKIDTEST", "not a secret", None, None, "tests");
    let config = SdkConfig::builder()
        .region(aws_config::Region::new("eu-west-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .timeout_config(timeouts)
        .build();
    Session::from_sdk_config(config)
}
