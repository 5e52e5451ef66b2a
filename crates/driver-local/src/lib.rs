//! The rollback driver for a releases folder with a `current` symlink.
#![doc = include_str!("../README.md")]
#![cfg(unix)]

mod action;
mod client;
mod config;
mod error;
mod evidence;
mod inspect;
#[cfg(test)]
#[path = "../tests/support/site.rs"]
mod site;
mod snapshot;
pub mod strategy;
mod target;

use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::registry::read_settings;
use rollback_core::{Capabilities, ComponentName, Driver, DynTarget, Result};
use serde_json::Value;

pub use self::action::LocalAction;
pub use self::config::LocalConfig;
pub use self::snapshot::{LocalRelease, ReleaseName};
pub use self::target::LocalTarget;

/// The name in `driver = "local"`.
const NAME: &str = "local";

/// Makes [`LocalTarget`]s from configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDriver;

#[async_trait]
impl Driver for LocalDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "a releases folder with a current symlink, and an optional restart command"
    }

    fn config_schema(&self) -> Value {
        LocalConfig::schema()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().history().keeps_keys().restarts()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        let config: LocalConfig = read_settings(component, &config, &self.config_schema())?;
        config.connect()
    }
}

/// The guide's code is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/driver-authors-guide.md")]
struct DriverAuthorsGuide;
