//! `tcp`: does it take connections?

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Lasting, SystemClock, within};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::net::{NotConnected, check_address, connect};
use crate::settings::{Stopwatch, limit, read, root_cause, schema};

const KIND: &str = "tcp";
const NAMES: [&str; 2] = ["address", "timeout"];
const EXAMPLE: &str = "{ kind = \"tcp\", address = \"127.0.0.1:5432\", timeout = \"2s\" }";

/// Makes probes that open a connection and close it again.
///
/// | setting | meaning |
/// |---|---|
/// | `address` | `host:port`; IPv6 as `[::1]:5432`. Every address that the name has is tried |
/// | `timeout` | how long it may take in all, 5 s unless told otherwise |
///
/// Ok is a connection that was taken. Numbers: `latency_ms`, the time until then (with looking up the name).
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpProbes;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// `host:port`; IPv6 as `[::1]:5432`
    address: String,
    /// How long it may take in all
    #[serde(default = "five_seconds")]
    #[schemars(with = "String")]
    timeout: Lasting,
}

fn five_seconds() -> Lasting {
    Lasting::from_secs(5)
}

impl ProbeFactory for TcpProbes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        let settings: Settings = read(KIND, &NAMES, EXAMPLE, config)?;
        check_address(KIND, EXAMPLE, &settings.address)?;
        Ok(Arc::new(TcpProbe { address: settings.address, limit: limit(KIND, settings.timeout)? }))
    }
}

#[derive(Debug)]
struct TcpProbe {
    address: String,
    limit: Duration,
}

#[async_trait]
impl Probe for TcpProbe {
    async fn sample(&self) -> Sample {
        let watch = Stopwatch::start();
        let address = &self.address;
        match within(&SystemClock, self.limit, connect(address)).await {
            Some(Ok(_connection)) => {
                let millis = watch.millis();
                Sample::ok(format!("{address} took a connection in {millis:.0} ms"))
                    .with("latency_ms", millis)
            }
            Some(Err(NotConnected::Lookup(error))) => {
                Sample::unknown(format!("{address}: {}", root_cause(&error)))
            }
            Some(Err(NotConnected::Refused(error))) => {
                Sample::bad(format!("{address}: {}", root_cause(&error)))
            }
            None => Sample::bad(format!("{address}: no connection within {}", Lasting::new(self.limit))),
        }
    }
}
