//! Azure Blob Storage.

use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use rollback_core::Result;

use super::{Opening, once};

/// Taken over as they are. Without any, the managed identity of the machine.
const SETTINGS: &[&str] = &[
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_TENANT_ID",
    "AZURE_AUTHORITY_HOST",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_IDENTITY_ENDPOINT",
    "AZURE_MSI_ENDPOINT",
    "AZURE_OBJECT_ID",
    "AZURE_MSI_RESOURCE_ID",
    "AZURE_USE_AZURE_CLI",
];

pub(super) fn client(opening: &Opening<'_>) -> Result<MicrosoftAzure> {
    let account = opening.bucket.account().unwrap_or_default();
    let (name, url) = opening
        .first(&["AZURE_STORAGE_ENDPOINT"])
        .unwrap_or(("AZURE_STORAGE_ENDPOINT", format!("https://{account}.blob.core.windows.net")));
    let endpoint = opening.endpoint(name, &url, "AZURE_ALLOW_HTTP")?;
    let mut builder = MicrosoftAzureBuilder::new();
    for name in SETTINGS {
        let key: Option<AzureConfigKey> = name.to_ascii_lowercase().parse().ok();
        if let (Some(key), Some(value)) = (key, opening.variable(name)) {
            builder = builder.with_config(key, value);
        }
    }
    builder
        .with_account(account)
        .with_container_name(opening.bucket.name())
        .with_endpoint(endpoint.url.clone())
        .with_client_options(endpoint.options())
        .with_retry(once())
        .with_http_connector(opening.connector(&endpoint))
        .build()
        .map_err(|_| opening.unmade(SETTINGS))
}
