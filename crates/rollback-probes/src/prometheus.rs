//! `prometheus`: one number out of a query.

mod answer;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, Response, Url};
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Lasting, SystemClock, within};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::settings::{invalid, limit, read, root_cause, schema};
use crate::web;

const KIND: &str = "prometheus";
const NAMES: [&str; 6] = ["url", "query", "metric", "timeout", "headers", "bearer_env"];
const EXAMPLE: &str = "{ kind = \"prometheus\", url = \"http://prometheus:9090\", query = \"sum(rate(http_requests_total{code=~'5..'}[5m]))\" }";

/// Where a server answers instant queries, after what is in front of its API.
const PATH: &str = "api/v1/query";

/// The longest answer that is read, in bytes: one number is a few hundred.
const MAX_ANSWER: usize = 1024 * 1024;

/// Makes probes that ask Prometheus, or what answers as it does (Thanos, Mimir, VictoriaMetrics), for one number.
///
/// | setting | meaning |
/// |---|---|
/// | `url` | where the server is, without `/api/v1/query`; without user and password |
/// | `query` | what is asked, in PromQL; its answer must be one number |
/// | `metric` | the name that the number gets, `value` unless told otherwise |
/// | `timeout` | how long it may take in all, 5 s unless told otherwise |
/// | `headers` | a table of plain headers, such as `X-Scope-OrgID`; none that hold secrets |
/// | `bearer_env` | the name of the environment variable that holds a bearer token; read at each sample, never shown |
///
/// Ok is a number that was read, **whatever it is**: hold it to a limit with `above` or `below`, since a rule without any is met by
/// every number. Numbers: that one.
///
/// Whatever is not one finite number is [unknown](Sample::unknown), and the detail says what to change: no series (its labels may
/// be gone), several (`sum(…)` makes one of them), NaN and infinity (a division by zero), a range (`rate(…)` makes a number of
/// it), an answer with warnings (it may lack some of the data), and a server that does not answer, or with anything else.
///
/// The query goes to the [instant queries](https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries) of its HTTP
/// API.
#[derive(Debug, Clone, Copy, Default)]
pub struct PrometheusProbes;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the server is; without user and password
    url: String,
    /// What is asked, in PromQL: one number
    query: String,
    /// The name that the number gets
    #[serde(default = "value")]
    metric: String,
    /// How long it may take in all
    #[serde(default = "five_seconds")]
    #[schemars(with = "String")]
    timeout: Lasting,
    /// Headers to send; none that hold secrets
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The name of a variable that holds a token
    #[serde(default)]
    bearer_env: Option<String>,
}

fn value() -> String {
    "value".to_owned()
}

fn five_seconds() -> Lasting {
    Lasting::from_secs(5)
}

impl ProbeFactory for PrometheusProbes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        let settings: Settings = read(KIND, &NAMES, EXAMPLE, config)?;
        for (name, text) in [("query", &settings.query), ("metric", &settings.metric)] {
            if text.trim().is_empty() {
                return Err(
                    invalid(KIND, format!("`{name}` is empty")).next(format!("write it like {EXAMPLE}"))
                );
            }
        }
        let base = web::url(KIND, EXAMPLE, &settings.url)?;
        web::check_bearer(KIND, &base, settings.bearer_env.as_deref())?;
        let limit = limit(KIND, settings.timeout)?;
        let url = query_url(base, &settings.query, limit);
        Ok(Arc::new(PrometheusProbe {
            shown: web::public_url(&url),
            client: web::client(KIND, &url, false)?,
            url,
            headers: web::headers(KIND, &settings.headers)?,
            metric: settings.metric,
            limit,
            bearer_env: settings.bearer_env,
        }))
    }
}

/// The whole request. What is already in the query of the url stays.
fn query_url(mut url: Url, query: &str, limit: Duration) -> Url {
    let base = url.path().trim_end_matches('/');
    let base = base.strip_suffix(PATH).unwrap_or(base).trim_end_matches('/');
    let path = format!("{base}/{PATH}");
    url.set_path(&path);
    url.set_fragment(None);
    // Without its own limit the server goes on with a query that nobody waits for.
    let seconds = format!("{:.3}", limit.as_secs_f64().max(0.001));
    url.query_pairs_mut().append_pair("query", query).append_pair("timeout", &seconds);
    url
}

struct PrometheusProbe {
    client: Client,
    url: Url,
    /// The URL without what may be secret.
    shown: String,
    headers: HeaderMap,
    metric: String,
    limit: Duration,
    bearer_env: Option<String>,
}

impl fmt::Debug for PrometheusProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrometheusProbe")
            .field("url", &self.shown)
            .field("metric", &self.metric)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Probe for PrometheusProbe {
    async fn sample(&self) -> Sample {
        match within(&SystemClock, self.limit, self.look()).await {
            Some(Ok(number)) => {
                let metric = &self.metric;
                Sample::ok(format!("{metric} is {number}")).with(metric, number)
            }
            Some(Err(why)) => Sample::unknown(why),
            None => Sample::unknown(format!("{}: no answer within {}", self.shown, Lasting::new(self.limit))),
        }
    }
}

impl PrometheusProbe {
    /// The number, or why there is none.
    async fn look(&self) -> Result<f64, String> {
        let mut request = self.client.get(self.url.clone()).headers(self.headers.clone());
        if let Some(name) = &self.bearer_env {
            request = request.header(AUTHORIZATION, web::bearer(name)?);
        }
        let response = request.send().await.map_err(|error| self.says(&root_cause(&error.without_url())))?;
        let status = response.status().as_u16();
        let body = body(response).await.map_err(|why| self.says(&why))?;
        answer::number(status, &body).map_err(|why| self.says(&why))
    }

    fn says(&self, what: &str) -> String {
        format!("{}: {what}", self.shown)
    }
}

/// All of an answer that is not too long.
async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => {
                return Err(
                    "the answer is longer than 1 MiB, where one number is wanted: put sum(…), max(…) or \
                            the like around the query"
                        .to_owned(),
                );
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => {
                return Err(format!("the answer broke off: {}", root_cause(&error.without_url())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_the_api_follows_whatever_the_server_is_under() {
        for (given, asked) in [
            ("http://p:9090", "http://p:9090/api/v1/query"),
            ("http://p:9090/", "http://p:9090/api/v1/query"),
            ("http://p/prometheus", "http://p/prometheus/api/v1/query"),
            ("http://p/prometheus/api/v1/query", "http://p/prometheus/api/v1/query"),
        ] {
            let url = query_url(given.parse().unwrap(), "up", Duration::from_secs(5));
            assert_eq!(url.as_str(), format!("{asked}?query=up&timeout=5.000"), "{given}");
        }
        let url = query_url("http://p/?dedup=true".parse().unwrap(), "a+b", Duration::from_millis(10));
        assert_eq!(url.as_str(), "http://p/api/v1/query?dedup=true&query=a%2Bb&timeout=0.010");
    }
}
