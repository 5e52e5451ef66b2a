//! The rollback driver for static sites in S3.
#![doc = include_str!("../README.md")]
//!
mod act;
mod action;
mod cdn;
mod client;
pub mod config;
mod diff;
mod facts;
mod front;
mod headers;
mod held;
mod history;
mod inspect;
mod json;
mod manifest;
mod mark;
mod memory;
pub mod names;
mod object;
mod order;
mod ours;
mod owed;
mod packed;
mod page;
mod parts;
mod past;
mod pointer;
mod proof;
mod recent;
mod removed;
mod retained;
mod site;
mod snapshot;
pub mod strategy;
mod sum;
mod tally;
mod target;
mod tidy;
mod uploads;
mod web;

use std::sync::Arc;

use async_trait::async_trait;
use rollback_aws_support::Sessions;
use rollback_core::{Capabilities, ComponentName, Driver, DynTarget, Result};
use serde_json::Value;

pub use self::action::SiteAction;
pub use self::config::SiteConfig;
pub use self::front::{Served, SiteUrl};
pub use self::order::Pattern;
pub use self::snapshot::{SiteSnapshot, Source};
pub use self::target::SiteTarget;

/// The name in `driver = "s3-frontend"`.
const NAME: &str = "s3-frontend";

/// Makes [`SiteTarget`]s from configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct SiteDriver;

#[async_trait]
impl Driver for SiteDriver {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "a static site in S3"
    }

    fn config_schema(&self) -> Value {
        SiteConfig::schema()
    }

    fn capabilities(&self) -> Capabilities {
        SiteTarget::capabilities()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        let config = SiteConfig::read(component, &config)?;
        let session = Sessions::shared().open(&config.aws).await?;
        Ok(config.build(&session)?.erase())
    }
}
