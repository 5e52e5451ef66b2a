//! The calls: the only file that knows the service's API, and what its answers mean.

use jiff::Timestamp;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, StatusCode, Url, retry};
use rollback_core::{ActionContext, Effect, Error, ErrorKind, IdempotencyKey, Result, Revision, Token};
use serde::Deserialize;
use serde_json::json;

use crate::flag::Flag;

/// A connection to one flag.
#[derive(Debug, Clone)]
pub struct FlagClient {
    http: Client,
    flag: Url,
}

/// What the service says of a flag.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) service: String,
    pub(crate) flag: String,
    pub(crate) variants: Vec<Revision>,
    /// The newest first; the service forgets old ones.
    pub(crate) writes: Vec<Write>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Write {
    pub(crate) number: u64,
    pub(crate) value: Revision,
    pub(crate) key: Option<String>,
    pub(crate) at: Timestamp,
}

impl Write {
    /// Another one after each write, also one of the same value. It is the service's entity tag.
    pub(crate) fn token(&self) -> Token {
        Token::new(self.number.to_string())
    }

    pub(crate) fn flag(&self) -> Flag {
        Flag { value: self.value.clone() }
    }
}

impl Page {
    pub(crate) fn now(&self) -> Result<Write> {
        self.writes.first().cloned().ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("read flag {:?}", self.flag), "it was never given a value")
                .next("give it one first")
        })
    }

    pub(crate) fn write_of(&self, key: &IdempotencyKey) -> Option<&Write> {
        self.writes.iter().find(|write| write.key.as_deref() == Some(key.as_str()))
    }

    /// Whether every write since `token` is still listed.
    pub(crate) fn remembers(&self, token: &Token) -> bool {
        let since: Option<u64> = token.as_str().parse().ok();
        self.writes.last().is_some_and(|oldest| since.is_some_and(|since| oldest.number <= since + 1))
    }

    pub(crate) fn choices(&self) -> String {
        let variants: Vec<_> = self.variants.iter().map(Revision::as_str).collect();
        format!("its variants are: {}", variants.join(", "))
    }
}

fn invalid(setting: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, format!("use setting {setting:?}"), message)
}

impl FlagClient {
    /// The flag called `flag` of the service at `url`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for what cannot be an address or a token.
    pub fn new(url: &str, flag: &str, token: Option<&str>) -> Result<Self> {
        let wrong = |why: String| invalid("url", why).next("write it like https://flags.example.com");
        let mut url = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("url", "it holds a user or a password").next("put the secret into `token`"));
        }
        // As a segment it is escaped: a flag called `../users` stays one.
        let segments = url.path_segments_mut().map_err(|()| wrong("it has no path".to_owned()));
        segments?.pop_if_empty().extend(["flags", flag]);
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| invalid("token", "it holds what no header can hold"))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        // Refused when the program has a provider already: that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Only the engine decides to send again: no retries, and no redirects, which would send it elsewhere.
        let http = Client::builder().default_headers(headers).retry(retry::never()).redirect(Policy::none());
        // Without certificates on the machine, a client for https would not even be made.
        let http = if url.scheme() == "http" { http.tls_certs_only([]) } else { http };
        let http = http.build().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { http, flag: url })
    }

    pub(crate) async fn read(&self) -> Result<Page> {
        self.send("read the flag", self.http.get(self.flag.clone()), Effect::None).await
    }

    pub(crate) async fn write(&self, value: &Revision, cx: &ActionContext) -> Result<Page> {
        let request = self.http.put(self.flag.clone()).json(&json!({ "value": value }));
        let request = request.header("idempotency-key", cx.key.as_str()).timeout(cx.timeout.as_duration());
        let request = match &cx.expected {
            Some(token) => request.header(header::IF_MATCH, format!("\"{token}\"")),
            None => request,
        };
        self.send("set the flag", request, Effect::Unknown).await
    }

    /// Sends a request. `unclear` is what no answer, or the answer of something in between, means for the effect.
    async fn send(&self, operation: &str, request: RequestBuilder, unclear: Effect) -> Result<Page> {
        let lost = |error: reqwest::Error| {
            let effect = if error.is_connect() { Effect::None } else { unclear };
            let kind = if error.is_timeout() { ErrorKind::Timeout } else { ErrorKind::Unavailable };
            Error::new(kind, operation, format!("no answer from {}", self.flag))
                .with_effect(effect)
                .with_source(error.without_url())
                .next("is the service up, and `url` right?")
        };
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(lost);
        }
        let (kind, effect, next) = match status {
            StatusCode::PRECONDITION_FAILED => {
                (ErrorKind::Stale, Effect::None, "somebody wrote it; plan again")
            }
            StatusCode::NOT_FOUND => (ErrorKind::NotFound, Effect::None, "check `flag` in the configuration"),
            StatusCode::UNPROCESSABLE_ENTITY => (ErrorKind::Invalid, Effect::None, "choose another value"),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                (ErrorKind::Denied, Effect::None, "check `token`")
            }
            StatusCode::TOO_MANY_REQUESTS => (ErrorKind::Throttled, Effect::None, "wait"),
            _ => (ErrorKind::Unavailable, unclear, "is the service up?"),
        };
        // The status alone: the body of an error page may hold anything, also our own request.
        Err(Error::new(kind, operation, format!("{} answers {status}", self.flag))
            .with_effect(effect)
            .next(next))
    }
}
