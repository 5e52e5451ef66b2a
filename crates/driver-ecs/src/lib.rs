//! What the rollback driver for Amazon ECS knows of services.
#![doc = include_str!("../README.md")]

mod action;
mod arn;
mod circumstances;
#[expect(dead_code, reason = "the target, which asks here, is to come")]
mod client;
pub mod config;
mod coupled;
#[cfg(test)]
mod fixtures;
pub mod history;
mod image;
#[expect(dead_code, reason = "the target, which asks for these checks, is to come")]
mod inspect;
pub mod look;
mod snapshot;
pub mod strategy;
pub mod task_definition;
mod text;
mod time;

pub use self::action::{Destination, EcsAction};
pub use self::arn::{Arn, TaskDefinitionArn};
pub use self::circumstances::{
    Circumstances, CodeDeployGroup, CodeDeployment, Controller, NativeDeployment, Traffic, TrafficGroup,
};
pub use self::config::EcsConfig;
pub use self::coupled::Coupled;
pub use self::image::{EcrRegistry, ImageRef, Registry};
pub use self::look::Look;
pub use self::snapshot::EcsSnapshot;
pub use self::task_definition::{Definition, FingerprintKey, Registration, TaskDefinition};
