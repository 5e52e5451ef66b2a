#![doc = include_str!("../README.md")]

mod client;
mod flag;
mod target;

use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::registry::read_settings;
use rollback_core::{Bound, Capabilities, ComponentName, Driver, DynTarget, Result};
use serde::Deserialize;
use serde_json::{Value, json};

pub use self::client::FlagClient;
pub use self::flag::{Flag, SetFlag, SetValue};
pub use self::target::FlagTarget;

/// Makes targets from configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlagDriver;

/// What a person configures. It has no `Debug`: the token is a secret.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    flag: String,
    token: Option<String>,
}

#[async_trait]
impl Driver for FlagDriver {
    fn name(&self) -> &'static str {
        "flag"
    }

    fn summary(&self) -> &'static str {
        "a flag behind an HTTP API"
    }

    fn config_schema(&self) -> Value {
        let text = |about: &str| json!({ "type": "string", "description": about });
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["url", "flag"],
            "properties": {
                "url": text("where the flag service is, like https://flags.example.com"),
                "flag": text("the name of the flag"),
                "token": text("what the service lets us in with; write \"${FLAG_TOKEN}\", not the token itself"),
            },
        })
    }

    fn capabilities(&self) -> Capabilities {
        target::capabilities()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        let settings: Settings = read_settings(component, &config, &self.config_schema())?;
        let client = FlagClient::new(&settings.url, &settings.flag, settings.token.as_deref())?;
        Ok(connect(client))
    }
}

/// A target over a client that you have already: what programs call that embed this driver.
#[must_use]
pub fn connect(client: FlagClient) -> Arc<dyn DynTarget> {
    Bound::new(FlagDriver.name(), FlagTarget::new(client)).strategy(SetValue).erase()
}
