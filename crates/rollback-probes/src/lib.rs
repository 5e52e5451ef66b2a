//! Probes for gates and for triggers of automatic rollback: `http`, `tcp`, `tls`, `command`, `prometheus` and `log`.
//!
//! Each takes one sample of how something is; what the samples must meet is the business of a
//! [`Rule`](rollback_core::condition::Rule). In `rollback.toml` a probe is a table with its kind:
//!
//! ```toml
//! probe = { kind = "http", url = "http://127.0.0.1:8080/health", expect_status = [200, 204] }
//! probe = { kind = "tcp", address = "db.internal:5432", timeout = "2s" }
//! probe = { kind = "tls", address = "shop.example.com:443", min_days = 14 }
//! probe = { kind = "command", argv = ["/usr/local/bin/smoke-test", "--fast"] }
//! probe = { kind = "prometheus", url = "http://127.0.0.1:9090", query = "sum(rate(errors_total[5m]))", metric = "errors" }
//! probe = { kind = "log", file = "/var/log/shop/app.log", pattern = "ERROR|panicked" }
//! ```
//!
//! The settings of each kind stand with its factory: [`HttpProbes`], [`TcpProbes`], [`TlsProbes`],
//! [`CommandProbes`], [`PrometheusProbes`], [`LogProbes`].
//! A setting that does not exist is refused with the nearest one that does.
//!
//! # Example
//!
//! ```
//! use rollback_core::probe::ProbeSpec;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let spec: ProbeSpec = serde_json::from_value(json!({ "kind": "command", "argv": ["true"] }))?;
//! let probe = rollback_probes::registry().build(&spec)?;
//!
//! let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! let sample = runtime.block_on(probe.sample());
//! assert!(sample.ok);
//! assert_eq!(sample.metrics["exit_code"], 0.0);
//! # Ok(())
//! # }
//! ```
//!
//! # No data is never good news
//!
//! A probe that got no answer gives a sample that is not ok and holds no numbers, so that a check such as
//! `latency_ms < 500` cannot be met by a connection that was refused at once.
//!
//! Where nobody could even be asked (a name cannot be looked up, a program is not there, a token is missing, Prometheus does not answer), the sample is
//! [unknown](rollback_core::probe::Sample::unknown): a gate does not pass with it, and no automatic rollback begins with it.

mod command;
mod http;
mod log;
mod net;
mod prometheus;
mod settings;
mod tcp;
mod tls;
mod web;

pub use self::command::CommandProbes;
pub use self::http::HttpProbes;
pub use self::log::LogProbes;
pub use self::prometheus::PrometheusProbes;
pub use self::tcp::TcpProbes;
pub use self::tls::TlsProbes;

use rollback_core::probe::ProbeRegistry;

/// All kinds of probes in this crate.
#[must_use]
pub fn registry() -> ProbeRegistry {
    ProbeRegistry::new()
        .with(HttpProbes)
        .with(TcpProbes)
        .with(TlsProbes)
        .with(CommandProbes)
        .with(PrometheusProbes)
        .with(LogProbes)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    /// Editors are told of exactly the settings that are read.
    #[test]
    fn every_kind_has_a_schema_of_its_settings() {
        let registry = super::registry();
        for factory in registry.factories() {
            let schema = factory.config_schema();
            let settings = schema["properties"].as_object().unwrap_or_else(|| panic!("{schema:#}"));
            let mut described: Vec<_> = settings.keys().map(String::as_str).collect();
            described.sort_unstable();
            for (name, setting) in settings {
                assert!(setting["description"].is_string(), "{} {name} says nothing", factory.kind());
            }
            assert_eq!(schema["additionalProperties"], Value::Bool(false), "{}", factory.kind());
            let wrong = json!({ "no-such-setting": 1 });
            let error = factory.build(wrong.as_object().unwrap()).unwrap_err();
            let (_, known) = error.next_step().unwrap().split_once("the settings are: ").unwrap();
            let mut known: Vec<_> = known.split(", ").collect();
            known.sort_unstable();
            assert_eq!(described, known, "{}", factory.kind());
        }
    }
}
