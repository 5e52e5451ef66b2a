//! The toy as a driver of the command line, for configurations and for what is shown.

use std::sync::Arc;

use async_trait::async_trait;
use rollback_core::registry::read_settings;
use rollback_core::target::Capabilities;
use rollback_core::{ComponentName, Driver, DynTarget, Result};
use rollback_testkit::sim::{ToyTarget, World};
use serde::Deserialize;
use serde_json::{Value, json};

/// Makes targets over one simulated world.
pub(crate) struct Toy(pub(crate) World);

/// Settings of every sort: a text, a number, a flag, a list, a table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read to be checked")]
struct Settings {
    image: Option<String>,
    replicas: Option<u32>,
    strict: Option<bool>,
    hosts: Option<Vec<String>>,
    limits: Option<Limits>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read to be checked")]
struct Limits {
    cpu: Option<f64>,
    memory: Option<i64>,
}

#[async_trait]
impl Driver for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn summary(&self) -> &'static str {
        "a simulated thing"
    }

    fn config_schema(&self) -> Value {
        let limits = json!({ "type": "object", "properties": { "cpu": {}, "memory": {} } });
        json!({ "properties": { "image": {}, "replicas": {}, "strict": {}, "hosts": {}, "limits": limits } })
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn connect(&self, component: &ComponentName, config: Value) -> Result<Arc<dyn DynTarget>> {
        read_settings::<Settings>(component, &config, &self.config_schema())?;
        Ok(ToyTarget::new(component.as_str(), self.0.clone()).erase())
    }
}
