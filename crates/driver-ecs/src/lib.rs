//! The rollback driver for services of Amazon ECS.
#![doc = include_str!("../README.md")]

mod act;
mod action;
mod arn;
mod circumstances;
mod client;
mod compose;
pub mod config;
mod coupled;
#[cfg(test)]
mod fixtures;
pub mod history;
mod inspect;
pub mod look;
mod past;
mod snapshot;
pub mod strategy;
mod target;
pub mod task_definition;
mod text;
mod time;

use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::{Capabilities, ComponentName, Driver, DynTarget, Result};
use serde_json::Value;

pub use rollback_aws_support::{EcrRegistry, ImageRef, Registry};

pub use self::action::{Destination, EcsAction};
pub use self::arn::{Arn, TaskDefinitionArn};
pub use self::circumstances::{
    Circumstances, CodeDeployGroup, CodeDeployment, Controller, NativeDeployment, Traffic, TrafficGroup,
};
pub use self::config::EcsConfig;
pub use self::coupled::Coupled;
pub use self::look::Look;
pub use self::snapshot::EcsSnapshot;
pub use self::target::EcsTarget;
pub use self::task_definition::{Definition, Registration, TaskDefinition};

/// The name in `driver = "ecs"`.
const NAME: &str = "ecs";

/// Makes [`EcsTarget`]s from configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct EcsDriver;

#[async_trait]
impl Driver for EcsDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "a service of Amazon ECS, moved by ECS itself or by CodeDeploy"
    }

    fn config_schema(&self) -> Value {
        EcsConfig::schema()
    }

    fn capabilities(&self) -> Capabilities {
        EcsTarget::capabilities()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        let config = EcsConfig::read(component, &config)?;
        let session = target::session(&config.aws).await?;
        Ok(EcsTarget::new(&session, &config)?.erase())
    }
}
