//! `tcp`: does it take connections?

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Lasting, SystemClock, within};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::net::{TcpStream, lookup_host};

use crate::settings::{Stopwatch, invalid, limit, read, root_cause, schema};

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
        check_address(&settings.address)?;
        Ok(Arc::new(TcpProbe { address: settings.address, limit: limit(KIND, settings.timeout)? }))
    }
}

/// Refuses what could never be connected to; whether the name exists is seen when sampling.
fn check_address(address: &str) -> Result<()> {
    let wrong =
        |what: &str| Err(invalid(KIND, format!("{address:?} {what}")).next(format!("write {EXAMPLE}")));
    let Some((host, port)) = address.rsplit_once(':') else {
        return wrong("has no port");
    };
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return wrong("has no port between 1 and 65535");
    }
    let bare = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || bare || host.contains(|c: char| c.is_whitespace() || "/@?".contains(c)) {
        return wrong("is not host:port");
    }
    Ok(())
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
        match within(&SystemClock, self.limit, self.connect()).await {
            Some(Ok(_connection)) => {
                let millis = watch.millis();
                Sample::ok(format!("{address} took a connection in {millis:.0} ms"))
                    .with("latency_ms", millis)
            }
            Some(Err(Failed::Lookup(error))) => Sample::unknown(format!("{address}: {}", root_cause(&error))),
            Some(Err(Failed::Connect(error))) => Sample::bad(format!("{address}: {}", root_cause(&error))),
            None => Sample::bad(format!("{address}: no connection within {}", Lasting::new(self.limit))),
        }
    }
}

/// Why there is no connection.
enum Failed {
    /// The name could not be looked up: nobody was asked.
    Lookup(io::Error),
    Connect(io::Error),
}

impl TcpProbe {
    async fn connect(&self) -> Result<TcpStream, Failed> {
        let found: Vec<_> = lookup_host(&self.address).await.map_err(Failed::Lookup)?.collect();
        TcpStream::connect(found.as_slice()).await.map_err(Failed::Connect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_and_port_is_an_address() {
        for good in ["localhost:80", "127.0.0.1:65535", "[::1]:5432", "db.internal:5432"] {
            assert!(check_address(good).is_ok(), "{good}");
        }
        for bad in
            ["localhost", "localhost:", ":80", "h:0", "h:65536", "::1:80", "http://h:80", "u@h:80", "a b:1"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }
}
