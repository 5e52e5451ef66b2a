//! `http`: does it answer as it should?

mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Client, Response, Url};
use rollback_core::Result;
use rollback_core::probe::{Probe, ProbeFactory, Sample};
use rollback_core::time::{Lasting, SystemClock, within};
use serde_json::{Map, Value};

use self::settings::{Settings, Statuses};
use crate::settings::{Stopwatch, limit, root_cause, schema};
use crate::web::{bearer, check_bearer, client, is_of_lookup, public_url};

const KIND: &str = "http";

/// How much of a body is searched, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Makes probes that send one GET request.
///
/// | setting | meaning |
/// |---|---|
/// | `url` | `http://` or `https://`, without user and password |
/// | `expect_status` | a status or a list of them; any from 200 to 299 unless told otherwise |
/// | `contains` | a text that must be in the first 64 KiB of the body |
/// | `timeout` | how long it may take in all, 5 s unless told otherwise |
/// | `follow_redirects` | whether to follow up to five redirects; a redirect is an answer like others unless told so |
/// | `headers` | a table of plain headers, such as `Host`; none that hold secrets |
/// | `bearer_env` | the name of the environment variable that holds a bearer token; read at each sample, never shown |
///
/// Ok is an expected status, with the text where one is wanted. Numbers: `latency_ms`, the time until the head of the
/// answer was there, and `status`. Each sample opens a connection of its own, so that a service which no longer takes
/// new ones is seen. Proxies of the environment are used, except for the machine itself.
///
/// Details show neither the query of the URL nor any of the body.
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpProbes;

impl ProbeFactory for HttpProbes {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>) -> Result<Arc<dyn Probe>> {
        let settings = Settings::read(config)?;
        let url = settings.url()?;
        let headers = settings.headers()?;
        check_bearer(KIND, &url, settings.bearer_env.as_deref())?;
        Ok(Arc::new(HttpProbe {
            shown: public_url(&url),
            client: client(KIND, &url, settings.follow_redirects)?,
            url,
            headers,
            expect: settings.expect_status,
            contains: settings.contains,
            limit: limit(KIND, settings.timeout)?,
            bearer_env: settings.bearer_env,
        }))
    }
}

struct HttpProbe {
    client: Client,
    url: Url,
    /// The URL without what may be secret.
    shown: String,
    headers: HeaderMap,
    expect: Statuses,
    contains: Option<String>,
    limit: Duration,
    bearer_env: Option<String>,
}

impl fmt::Debug for HttpProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProbe")
            .field("url", &self.shown)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Probe for HttpProbe {
    async fn sample(&self) -> Sample {
        let Some(sample) = within(&SystemClock, self.limit, self.look()).await else {
            return Sample::bad(format!("{}: no answer within {}", self.shown, Lasting::new(self.limit)));
        };
        sample
    }
}

impl HttpProbe {
    async fn look(&self) -> Sample {
        let mut request = self.client.get(self.url.clone()).headers(self.headers.clone());
        if let Some(name) = &self.bearer_env {
            match bearer(name) {
                Ok(value) => request = request.header(AUTHORIZATION, value),
                // Nobody was asked.
                Err(why) => return Sample::unknown(why),
            }
        }
        let watch = Stopwatch::start();
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let is_of_lookup = is_of_lookup(&error);
                let detail = format!("{}: {}", self.shown, root_cause(&error.without_url()));
                return if is_of_lookup { Sample::unknown(detail) } else { Sample::bad(detail) };
            }
        };
        let millis = watch.millis();
        let status = response.status().as_u16();
        let mut sample = self.judge(response, millis).await;
        sample.metrics.insert("latency_ms".into(), millis);
        sample.metrics.insert("status".into(), f64::from(status));
        sample
    }

    async fn judge(&self, response: Response, millis: f64) -> Sample {
        let status = response.status();
        let seen = format!("HTTP {} in {millis:.0} ms", status.as_u16());
        if !self.expect.allow(status.as_u16()) {
            let more = if status.is_redirection() { " (a redirect, which is not followed)" } else { "" };
            return Sample::bad(format!("{seen}{more}, wanted {}", self.expect));
        }
        let Some(text) = &self.contains else { return Sample::ok(seen) };
        match find(response, text).await {
            Ok(true) => Sample::ok(seen),
            Ok(false) => Sample::bad(format!("{seen}, without {text:?} in the first 64 KiB of the body")),
            Err(why) => Sample::bad(format!("{seen}, then the body broke off: {why}")),
        }
    }
}

/// Whether the text begins and ends within the first [`MAX_BODY`] bytes. Reads no further than it must.
async fn find(mut response: Response, text: &str) -> Result<bool, String> {
    let mut body: Vec<u8> = Vec::new();
    while body.len() < MAX_BODY {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(false),
            Err(error) => return Err(root_cause(&error.without_url())),
        };
        // The text may begin in what came before and end in this chunk.
        let from = body.len().saturating_sub(text.len() - 1);
        let room = MAX_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body[from..].windows(text.len()).any(|window| window == text.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}
