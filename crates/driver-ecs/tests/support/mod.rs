//! What the tests of the driver share.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use rollback_aws_support::Session;
use rollback_testkit::driver::Release;

pub(crate) const CLUSTER: &str = "prod";
pub(crate) const SERVICE: &str = "web";
pub(crate) const SECRET: &str = "correct horse battery staple";

/// Where the images of a release are.
pub(crate) fn image(release: Release) -> String {
    tagged(&format!("v{}", release.number()))
}

/// Where an image with this tag is.
pub(crate) fn tagged(tag: &str) -> String {
    format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:{tag}")
}

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
