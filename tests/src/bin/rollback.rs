//! The `rollback` command as it is, for tests that need a process of their own.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use rollback_aws_support::Sessions;
use rollback_cli::App;
use rollback_core::{Capabilities, ComponentName, Driver, DynTarget, Result};
use rollback_driver_s3_frontend::{SiteConfig, SiteDriver};
use serde_json::Value;

/// The driver for sites in S3 with other limits, so that no test needs an object of 5 GiB: what is larger than one part is copied in parts.
struct SmallParts(u64);

#[async_trait]
impl Driver for SmallParts {
    fn name(&self) -> &'static str {
        SiteDriver.name()
    }

    fn summary(&self) -> &'static str {
        SiteDriver.summary()
    }

    fn config_schema(&self) -> Value {
        SiteDriver.config_schema()
    }

    fn capabilities(&self) -> Capabilities {
        SiteDriver.capabilities()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        let config = SiteConfig::read(component, &config)?;
        let session = Sessions::shared().open(&config.aws).await?;
        Ok(config.build(&session)?.copying_in_parts(self.0, self.0).erase())
    }
}

fn main() -> ExitCode {
    let app = App::new();
    match std::env::var("E2E_S3_PART").ok().and_then(|bytes| bytes.parse().ok()) {
        Some(bytes) => app.driver(SmallParts(bytes)).main(),
        None => app.main(),
    }
}
