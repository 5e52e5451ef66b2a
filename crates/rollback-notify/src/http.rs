//! Requests of which nobody reads more than the host.

use std::error::Error as StdError;
use std::net::IpAddr;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, redirect};
use rollback_core::time::Lasting;
use rollback_core::{Effect, Error, ErrorKind, Result};

use crate::clean;
use crate::secret::{Secret, invalid};

/// How much of an answer is read, in bytes, and how much of it is shown, in characters.
const MOST_BODY: usize = 4 * 1024 * 1024;
const SHOWN_BODY: usize = 200;

/// A client for one place, that shows no more of it than the host.
pub(crate) struct Http {
    client: Client,
    shown: String,
    /// What must not be repeated although the other side says it.
    hidden: Vec<Secret>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Http").field(&self.shown).finish()
    }
}

/// What a server said.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// How long it wants to be left alone.
    pub(crate) retry_after: Option<Lasting>,
}

impl Http {
    pub(crate) fn new(kind: &str, url: &Url, mut hidden: Vec<Secret>) -> Result<Self> {
        // Refused when somebody else's provider is installed already: that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("rollback-notify/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            // HTTP/2 logs the path, which may be secret.
            .http1_only();
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        if url.scheme() == "http" {
            // No certificates will be looked at, and small machines have none, which would be an error.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| {
            invalid(kind, format!("no HTTP client: {}", root_cause(&error)))
                .next("install the CA certificates of your system (often the package ca-certificates)")
        })?;
        hidden.push(Secret::new(url.path().trim_matches('/')));
        hidden.extend(url.query().map(Secret::new));
        hidden.retain(|secret| !secret.expose().is_empty());
        Ok(Self { client, shown: host(url), hidden })
    }

    /// The host, with its port where that is an uncommon one.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends it, and reads the answer whatever its status.
    pub(crate) async fn ask(&self, request: RequestBuilder) -> Result<Answer> {
        let mut response = request.send().await.map_err(|error| self.unreachable(error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let mut body = Vec::new();
        // What was said before it broke off is enough: the status is what counts.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MOST_BODY - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MOST_BODY {
                break;
            }
        }
        Ok(Answer { status, body, retry_after })
    }

    /// Sends it, and wants it to be taken.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let answer = self.ask(request).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(self.refused(&answer)) }
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let (invalid, refused) = (error.is_builder(), error.is_connect());
        let kind = if invalid { ErrorKind::Invalid } else { ErrorKind::Unavailable };
        let what = self.without_secrets(&root_cause(&error));
        let told = Error::new(kind, format!("tell {}", self.shown), what);
        if refused { told.with_effect(Effect::None) } else { told }
    }

    /// Why an answer is no success, and whether it may help to try again.
    pub(crate) fn refused(&self, answer: &Answer) -> Error {
        let status = answer.status;
        let kind = match status.as_u16() {
            401 | 403 => ErrorKind::Denied,
            404 | 410 => ErrorKind::NotFound,
            408 => ErrorKind::Timeout,
            409 => ErrorKind::Conflict,
            425 | 429 => ErrorKind::Throttled,
            500..=599 => ErrorKind::Unavailable,
            _ => ErrorKind::Invalid,
        };
        let body = self.without_secrets(&clean::line(&String::from_utf8_lossy(&answer.body), SHOWN_BODY));
        let more = match body.as_str() {
            "" if status.is_redirection() => ": a redirect, which is not followed".to_owned(),
            "" => String::new(),
            body => format!(": {body}"),
        };
        let error = Error::new(
            kind,
            format!("tell {}", self.shown),
            format!("it answered HTTP {}{more}", status.as_u16()),
        );
        let error = answer.retry_after.into_iter().fold(error, Error::with_retry_after);
        match kind {
            ErrorKind::Denied => error.next("check the token or secret that the sink was given"),
            ErrorKind::NotFound => error.next("check the URL that the sink was given"),
            _ => error,
        }
    }

    /// A server may repeat what it was asked for.
    fn without_secrets(&self, text: &str) -> String {
        let repeats = self.hidden.iter().any(|secret| {
            text.contains(secret.expose())
                || secret.expose().split('/').any(|part| part.len() >= 8 && text.contains(part))
        });
        if repeats { "(what it said is not shown: it repeats a secret)".to_owned() } else { text.to_owned() }
    }
}

/// Reads a URL. The text itself is never repeated.
pub(crate) fn url(kind: &str, text: &Secret, allow_http: bool) -> Result<Url> {
    let url: Url = text.expose().trim().parse().map_err(|_| {
        invalid(kind, "the URL cannot be read").next("write it like https://hooks.example.com/…")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid(kind, "the URL is not one of HTTP").next("write a URL that begins with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(kind, "the URL holds a user or a password")
            .next("take it out of the URL; tokens have settings of their own"));
    }
    if url.scheme() == "http" && !is_loopback(&url) && !allow_http {
        return Err(invalid(kind, "over http:// everybody on the way can read and change what is sent")
            .next("use https://"));
    }
    Ok(url)
}

/// The pause that a server asks for in seconds (RFC 9110, 10.2.3). Those that name a time are treated as if they had not.
fn retry_after(headers: &HeaderMap) -> Option<Lasting> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Lasting::from_secs)
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether the URL names the machine itself.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The last cause of an error: the others only say that something failed.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    clean::line(&cause.to_string(), SHOWN_BODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Url> {
        url("webhook", &Secret::new(text), false)
    }

    #[test]
    fn a_url_that_is_refused_is_not_repeated() {
        for text in [
            "hunter2",
            "ftp://host/hunter2",
            "https://ana:hunter2@host/",
            "http://example.com/hunter2",
            "http://localhost.example.com/hunter2",
        ] {
            let error = read(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            assert!(error.next_step().is_some(), "{error}");
        }
        assert!(read("http://127.0.0.1:1/x").is_ok() && read("https://example.com/x").is_ok());
    }

    #[test]
    fn a_server_says_when_it_wants_to_be_asked_again() {
        let said = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers)
        };
        assert_eq!(said("30"), Some(Lasting::from_secs(30)));
        assert_eq!(said("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(said("-1"), None);
        let url = read("https://hooks.example.com/services/T000/abcdefgh1234").unwrap();
        let http = Http::new("slack", &url, Vec::new()).unwrap();
        let busy =
            Answer { status: StatusCode::TOO_MANY_REQUESTS, body: Vec::new(), retry_after: said("30") };
        let error = http.refused(&busy);
        assert_eq!((error.is_transient(), error.retry_after()), (true, said("30")));
    }

    #[test]
    fn what_repeats_a_secret_is_not_shown() {
        let url = read("https://hooks.example.com/services/T000/abcdefgh1234").unwrap();
        let http = Http::new("webhook", &url, vec![Secret::new("s3")]).unwrap();
        for said in ["no such hook: abcdefgh1234", "bad signature for s3", "POST /services/T000/abcdefgh1234"]
        {
            let answer =
                Answer { status: StatusCode::NOT_FOUND, body: said.as_bytes().to_vec(), retry_after: None };
            assert!(http.refused(&answer).to_string().contains("is not shown"), "{said}");
        }
        let answer =
            Answer { status: StatusCode::GONE, body: b"channel_is_archived".to_vec(), retry_after: None };
        assert!(http.refused(&answer).to_string().contains("HTTP 410: channel_is_archived"));
        assert_eq!(format!("{http:?}"), r#"Http("hooks.example.com")"#);
    }
}
