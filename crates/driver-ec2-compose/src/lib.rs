//! The rollback driver for docker compose projects on hosts that are reached over SSH.
#![doc = include_str!("../README.md")]

mod act;
mod action;
mod client;
mod commands;
pub mod config;
mod history;
mod image;
mod inspect;
pub mod instances;
mod look;
mod names;
mod snapshot;
pub mod strategy;
mod target;

use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::{Capabilities, ComponentName, Driver, DynTarget, Result};
use serde_json::Value;

pub use self::action::{ComposeAction, Way};
pub use self::commands::{DeployCommand, On, Where};
pub use self::config::ComposeConfig;
pub use self::image::{ServiceImage, Which};
pub use self::instances::{Address, Instances};
pub use self::names::{Project, Service};
pub use self::snapshot::ComposeSnapshot;
pub use self::target::ComposeTarget;

/// The name in `driver = "ec2-compose"`.
const NAME: &str = "ec2-compose";

/// Makes [`ComposeTarget`]s from configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct ComposeDriver;

#[async_trait]
impl Driver for ComposeDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "a docker compose project on hosts that are reached over SSH"
    }

    fn config_schema(&self) -> Value {
        ComposeConfig::schema()
    }

    fn capabilities(&self) -> Capabilities {
        ComposeTarget::capabilities()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        Ok(ComposeConfig::read(component, &config)?.build()?.erase())
    }
}
