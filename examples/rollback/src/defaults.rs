//! What the `rollback` binary is built with. Everything here can be replaced through [`App`](crate::App).

use std::path::PathBuf;
use std::sync::Arc;

use rollback_core::probe::ProbeRegistry;
use rollback_core::{DriverRegistry, Result, Store};
use rollback_notify::SinkRegistry;

/// The drivers of the cargo features that are on.
pub(crate) fn drivers() -> DriverRegistry {
    let drivers = DriverRegistry::new();
    #[cfg(feature = "local")]
    let drivers = drivers.with(rollback_driver_local::LocalDriver);
    #[cfg(feature = "ec2-compose")]
    let drivers = drivers.with(rollback_driver_ec2_compose::ComposeDriver);
    #[cfg(feature = "ecs")]
    let drivers = drivers.with(rollback_driver_ecs::EcsDriver);
    #[cfg(feature = "k8s")]
    let drivers = drivers.with(rollback_driver_k8s::K8sDriver::default());
    #[cfg(feature = "s3-frontend")]
    let drivers = drivers.with(rollback_driver_s3_frontend::SiteDriver);
    drivers
}

/// The kinds of probes that gates may use.
pub(crate) fn probes() -> ProbeRegistry {
    let probes = rollback_probes::registry();
    #[cfg(feature = "cloudwatch")]
    let probes = probes
        .with(rollback_probes_cloudwatch::CloudWatchMetricProbes::default())
        .with(rollback_probes_cloudwatch::CloudWatchAlarmProbes::default());
    probes
}

/// The kinds of sinks that notices go to.
pub(crate) fn sinks() -> SinkRegistry {
    rollback_notify::registry()
}

/// The embedded store in one file.
pub(crate) fn sqlite(file: PathBuf) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(rollback_store_sqlite::SqliteStore::open(file)?))
}
