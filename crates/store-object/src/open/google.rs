//! Google Cloud Storage.

use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey};
use rollback_core::Result;

use super::{Opening, once};

/// Taken over as they are. Without any, the login of `gcloud auth application-default login`, then the service account
/// of the machine.
const SETTINGS: &[&str] = &[
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
];

pub(super) fn client(opening: &Opening<'_>) -> Result<GoogleCloudStorage> {
    let (name, url) = opening
        .first(&["GOOGLE_BASE_URL"])
        .unwrap_or(("GOOGLE_BASE_URL", "https://storage.googleapis.com".to_owned()));
    let endpoint = opening.endpoint(name, &url, "GOOGLE_ALLOW_HTTP")?;
    let mut builder = GoogleCloudStorageBuilder::new();
    for name in SETTINGS {
        let key: Option<GoogleConfigKey> = name.to_ascii_lowercase().parse().ok();
        if let (Some(key), Some(value)) = (key, opening.variable(name)) {
            builder = builder.with_config(key, value);
        }
    }
    builder
        .with_bucket_name(opening.bucket.name())
        .with_base_url(&endpoint.url)
        .with_client_options(endpoint.options())
        .with_retry(once())
        .with_http_connector(opening.connector(&endpoint))
        .build()
        .map_err(|_| opening.unmade(SETTINGS))
}
