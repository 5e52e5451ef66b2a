//! `webhook`: JSON to any URL, signed.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Url};
use rollback_core::time::Clock;
use rollback_core::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::http::{self, Http};
use crate::notice::Notice;
use crate::secret::{Secret, Setup, invalid};
use crate::signature;
use crate::sink::{Sink, SinkFactory, read, schema};

const KIND: &str = "webhook";
const EXAMPLE: &str =
    "{ kind = \"webhook\", url_env = \"ROLLBACK_HOOK_URL\", secret_env = \"ROLLBACK_HOOK_SECRET\" }";

/// The header that holds the [id](Notice::id) of the notice: the same at each try, so that a receiver can drop repeats.
pub const ID_HEADER: &str = "rollback-notice-id";
/// The header that holds the [kind](Notice::kind) of the notice.
pub const KIND_HEADER: &str = "rollback-notice-kind";

/// Makes sinks that POST each notice as JSON.
///
/// | setting | meaning |
/// |---|---|
/// | `url`, `url_env`, `url_file` | where to: written out, in an environment variable, or in a file |
/// | `secret_env`, `secret_file` | the secret that signs each request |
/// | `unsigned` | `true` where the receiver checks no signature, instead of a secret |
/// | `bearer_env`, `bearer_file` | a bearer token, where the receiver wants one |
/// | `allow_http` | whether `http://` may lead to another machine |
///
/// The body is the [`Notice`]. Beside it go [`ID_HEADER`], [`KIND_HEADER`] and the [signature](crate::signature). Any status from 200 to
/// 299 means that it was taken; 408, 425, 429 and 500 to 599 are tried again; redirects are not followed. Nothing shows more of the URL than
/// its host.
#[derive(Debug, Clone, Copy, Default)]
pub struct WebhookSinks;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where to send notices; where the URL is a secret itself, use `url_env` or `url_file`
    url: Option<String>,
    /// The environment variable that holds the URL
    url_env: Option<String>,
    /// The file that holds the URL
    url_file: Option<PathBuf>,
    /// The environment variable that holds the secret which signs each request
    secret_env: Option<String>,
    /// The file that holds the secret which signs each request
    secret_file: Option<PathBuf>,
    /// Whether requests are not signed
    #[serde(default)]
    unsigned: bool,
    /// The environment variable that holds a bearer token
    bearer_env: Option<String>,
    /// The file that holds a bearer token
    bearer_file: Option<PathBuf>,
    /// Whether http:// may lead to another machine
    #[serde(default)]
    allow_http: bool,
}

impl SinkFactory for WebhookSinks {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn config_schema(&self) -> Value {
        schema::<Settings>()
    }

    fn build(&self, config: &Map<String, Value>, setup: &Setup) -> Result<Arc<dyn Sink>> {
        let settings: Settings = read(KIND, &self.config_schema(), EXAMPLE, config)?;
        let named = setup.secret(KIND, "url", settings.url_env.as_deref(), settings.url_file.as_deref())?;
        let text = match (settings.url, named) {
            (Some(url), None) => Secret::new(url),
            (None, Some(url)) => url,
            (Some(_), Some(_)) => {
                return Err(invalid(KIND, "the URL is set twice").next("leave one of them out"));
            }
            (None, None) => {
                return Err(invalid(KIND, "there is no URL").next(format!("write it like {EXAMPLE}")));
            }
        };
        let url = http::url(KIND, &text, settings.allow_http)?;
        let env = settings.secret_env.as_deref();
        let secret = setup.secret(KIND, "secret", env, settings.secret_file.as_deref())?;
        if secret.is_none() && !settings.unsigned {
            return Err(invalid(
                KIND,
                "nothing signs its requests, so that the receiver cannot tell who sent them",
            )
            .next("name a secret in `secret_env` or `secret_file`, or write `unsigned = true`"));
        }
        let env = settings.bearer_env.as_deref();
        let bearer = setup.secret(KIND, "bearer", env, settings.bearer_file.as_deref())?;
        let bearer_header = bearer.as_ref().map(authorization).transpose()?;
        let hidden = secret.iter().chain(&bearer).cloned().collect();
        let http = Http::new(KIND, &url, hidden)?;
        let name = format!("{KIND} ({})", http.shown());
        Ok(Arc::new(Webhook {
            name,
            url,
            secret,
            bearer: bearer_header,
            http,
            clock: Arc::clone(setup.the_clock()),
        }))
    }
}

/// The header for a token.
pub(crate) fn authorization(token: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| {
        invalid(KIND, "the token holds characters that no token has")
            .next("check that the variable or file holds the token and nothing else")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

struct Webhook {
    name: String,
    url: Url,
    secret: Option<Secret>,
    bearer: Option<HeaderValue>,
    http: Http,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    async fn send(&self, notice: &Notice) -> Result<()> {
        let body = serde_json::to_vec(notice).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("tell {}", self.name), "the notice is not JSON")
                .with_source(error)
        })?;
        let mut request = self
            .http
            .request(Method::POST, self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ID_HEADER, header_text(&notice.id))
            .header(KIND_HEADER, notice.kind.as_str());
        if let Some(secret) = &self.secret {
            let value = signature::sign(secret.expose().as_bytes(), &body, self.clock.now());
            request = request.header(signature::HEADER, value);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header(AUTHORIZATION, bearer.clone());
        }
        self.http.send(request.body(body)).await.map(drop)
    }
}

/// A text as a header can hold it.
pub(crate) fn header_text(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { '-' }).take(200).collect()
}
