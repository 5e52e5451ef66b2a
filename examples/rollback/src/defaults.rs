//! What the `rollback` binary is built with. Everything here can be replaced through [`App`](crate::App).

use std::path::PathBuf;
use std::sync::Arc;

use rollback_core::probe::ProbeRegistry;
use rollback_core::{DriverRegistry, Result, Store};

/// The drivers of the cargo features that are on.
pub(crate) fn drivers() -> DriverRegistry {
    DriverRegistry::new()
    // SWITCH ON: #[cfg(feature = "local")] .with(rollback_driver_local::LocalDriver)
}

/// The kinds of probes that gates may use.
pub(crate) fn probes() -> ProbeRegistry {
    // SWITCH ON: rollback_probes::registry()
    ProbeRegistry::new()
}

/// The embedded store in one file.
pub(crate) fn sqlite(file: PathBuf) -> Result<Arc<dyn Store>> {
    // SWITCH ON: Ok(Arc::new(rollback_store_sqlite::SqliteStore::open(file)?))
    drop(file);
    Ok(Arc::new(rollback_core::store::MemoryStore::new()))
}
