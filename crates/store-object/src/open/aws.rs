//! Amazon S3 and what speaks its protocol.

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use rollback_core::{ErrorKind, Result};

use super::{Endpoint, Opening, once};

/// Taken over as they are.
const SETTINGS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_KMS_KEY_ID",
    "AWS_SSE_BUCKET_KEY_ENABLED",
];
/// Any of these is a way to credentials that works on any machine.
const CREDENTIALS: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];
const EXPORT: &str = "eval \"$(aws configure export-credentials --format env)\"";

pub(super) fn client(opening: &Opening<'_>) -> Result<AmazonS3> {
    check_credentials(opening)?;
    let region = opening.first(&["AWS_REGION", "AWS_DEFAULT_REGION"]).map(|(_, region)| region);
    let endpoint = endpoint(opening, region.as_deref())?;
    let mut builder = AmazonS3Builder::new();
    for name in SETTINGS {
        let key: Option<AmazonS3ConfigKey> = name.to_ascii_lowercase().parse().ok();
        if let (Some(key), Some(value)) = (key, opening.variable(name)) {
            builder = builder.with_config(key, value);
        }
    }
    builder = match opening.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        Some(url) => builder.with_metadata_endpoint(url),
        None => builder,
    };
    builder
        .with_bucket_name(opening.bucket.name())
        .with_region(region.unwrap_or_else(|| "us-east-1".to_owned()))
        .with_endpoint(endpoint.url.clone())
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(endpoint.options())
        .with_retry(once())
        .with_http_connector(opening.connector(&endpoint))
        .build()
        .map_err(|_| opening.unmade(SETTINGS))
}

fn endpoint(opening: &Opening<'_>, region: Option<&str>) -> Result<Endpoint> {
    if let Some((name, url)) = opening.first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]) {
        return opening.endpoint(name, &url, "AWS_ALLOW_HTTP");
    }
    let region = region.ok_or_else(|| {
        opening
            .error(ErrorKind::Invalid, "AWS_REGION is not set")
            .next("export AWS_REGION, the region of the bucket")
    })?;
    // A region becomes a part of a host name.
    if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(opening
            .error(ErrorKind::Invalid, "AWS_REGION is not a region")
            .next("write it like eu-central-1"));
    }
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    opening.endpoint("AWS_REGION", &format!("https://s3.{region}.{domain}"), "AWS_ALLOW_HTTP")
}

/// Profiles and single sign-on live in files that this client does not read. Falling back to the role of the machine
/// would be somebody else's identity without a word.
fn check_credentials(opening: &Opening<'_>) -> Result<()> {
    if opening.first(CREDENTIALS).is_some() {
        return Ok(());
    }
    let denied = |message: &str| opening.error(ErrorKind::Denied, message);
    if opening.variable("AWS_PROFILE").is_some() {
        return Err(denied("AWS_PROFILE is set, and this store reads no profiles").next(format!(
            "put the profile's credentials into the environment: {EXPORT}; or unset AWS_PROFILE to use the role of \
             this machine"
        )));
    }
    if opening.variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(denied("there are no credentials in the environment").next(EXPORT));
    }
    Ok(())
}
