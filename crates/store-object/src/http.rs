//! The transport: each request is sent once, its answer is read whole, and what happened is noted.

use std::error::Error as StdError;
use std::time::Duration;

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::{ClientConfigKey, ClientOptions};
use reqwest::{Client, Method, Request, Response, Url, redirect, retry};
use rollback_core::store::MAX_VALUE_BYTES;

use crate::watch::{Answer, Happened, Plane, note};

/// The most that is read of an answer, in bytes: the largest value, or a page of a thousand long keys.
const MAX_ANSWER: usize = 4 * MAX_VALUE_BYTES;
/// How much of a refusal is searched for its code.
const MAX_REFUSAL: usize = 64 * 1024;
/// Bytes of a body for which a request may take one more second: half a megabit each second.
const BYTES_EACH_SECOND: usize = 64 * 1024;

/// How long requests may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) request: Duration,
}

/// Makes the transports of one store: for its bucket, and for whoever hands out credentials.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(crate) limits: Limits,
    /// Host and port of the bucket's server. Requests to others are for credentials.
    pub(crate) authority: String,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let plain =
            options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        let client = client(self.limits, plain).map_err(|error| object_store::Error::Generic {
            store: "transport",
            source: Box::new(error.without_url()),
        })?;
        Ok(HttpClient::new(Transport { client, authority: self.authority.clone(), limits: self.limits }))
    }
}

fn client(limits: Limits, plain: bool) -> reqwest::Result<Client> {
    // Refused when somebody else's provider is installed already: that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("rollback-store-object/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        // A request that landed and is sent again meets itself: a conflict with nobody.
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .http1_only();
    if plain {
        // Metadata services and servers on this machine are never behind a proxy, and their tokens not for one.
        builder = builder.no_proxy();
    } else {
        builder = builder.https_only(true);
    }
    builder.build()
}

#[derive(Debug)]
struct Transport {
    client: Client,
    authority: String,
    limits: Limits,
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (plane, writes) = (self.plane(&request), *request.method() != Method::GET);
        let sent = match self.prepared(request) {
            Ok(request) => self.client.execute(request).await,
            Err(error) => return Err(HttpError::new_boxed(HttpErrorKind::Request, error)),
        };
        let ended = match sent {
            Ok(response) => read(response).await,
            Err(error) => Err(error.into()),
        };
        match ended {
            Ok((response, answer)) => {
                note(plane, writes, Happened::Answered(answer));
                Ok(response)
            }
            Err(failure) => {
                let (kind, happened) = failure.told();
                let why = std::io::Error::other(format!("{happened:?}"));
                note(plane, writes, happened);
                Err(HttpError::new(kind, why))
            }
        }
    }
}

impl Transport {
    fn plane(&self, request: &HttpRequest) -> Plane {
        let authority = request.uri().authority().map_or("", |authority| authority.as_str());
        if authority.eq_ignore_ascii_case(&self.authority) { Plane::Data } else { Plane::Credentials }
    }

    fn prepared(&self, request: HttpRequest) -> Result<Request, Box<dyn StdError + Send + Sync>> {
        let (parts, body) = request.into_parts();
        let mut prepared = Request::new(parts.method, Url::parse(&parts.uri.to_string())?);
        let more = Duration::from_secs((body.content_length() / BYTES_EACH_SECOND) as u64);
        *prepared.timeout_mut() = Some(self.limits.request + more);
        *prepared.headers_mut() = parts.headers;
        *prepared.body_mut() = Some(reqwest::Body::wrap(body));
        Ok(prepared)
    }
}

/// Why there is no answer.
enum Failure {
    Transport(reqwest::Error),
    TooLarge,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self::Transport(error)
    }
}

impl Failure {
    fn told(self) -> (HttpErrorKind, Happened) {
        let lost = |timeout, why: &str| Happened::Lost { timeout, why: why.to_owned() };
        match self {
            Self::TooLarge => {
                (HttpErrorKind::Decode, lost(false, "the answer is larger than any of a store"))
            }
            // A time-out while connecting is both: nothing was sent, and that is what matters.
            Self::Transport(error) if error.is_connect() || error.is_builder() => {
                (HttpErrorKind::Connect, Happened::Unreached(root_cause(&error)))
            }
            Self::Transport(error) if error.is_timeout() => {
                (HttpErrorKind::Timeout, lost(true, "no answer in time"))
            }
            Self::Transport(error) => (HttpErrorKind::Interrupted, lost(false, &root_cause(&error))),
        }
    }
}

/// The innermost cause; the outer ones repeat it or name the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    // The outermost error would show the URL, whose query may be a signature.
    if std::ptr::addr_eq(cause, error) { "the request failed".to_owned() } else { cause.to_string() }
}

/// Reads an answer whole. Of a refusal only its status goes on.
async fn read(mut response: Response) -> Result<(HttpResponse, Answer), Failure> {
    let status = response.status();
    let good = status.is_success();
    let mut body: Vec<u8> = Vec::new();
    let most = if good { MAX_ANSWER } else { MAX_REFUSAL };
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            if good {
                return Err(Failure::TooLarge);
            }
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let answer = if good {
        Answer { status: status.as_u16(), ..Answer::default() }
    } else {
        refusal(&response, &body)
    };
    if !good {
        body.clear();
    }
    let mut whole = HttpResponse::new(body.into());
    *whole.status_mut() = status;
    *whole.headers_mut() = std::mem::take(response.headers_mut());
    Ok((whole, answer))
}

fn refusal(response: &Response, body: &[u8]) -> Answer {
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let body = String::from_utf8_lossy(body);
    let code = element(&body, "Code").or(header("x-ms-error-code")).filter(|code| is_code(code));
    // Only this message says something about the caller, and it quotes nothing of the request.
    let denied = element(&body, "Message").filter(|_| code == Some("AccessDenied"));
    Answer {
        status: response.status().as_u16(),
        code: code.map(ToOwned::to_owned),
        denied: denied.map(|text| text.chars().filter(|c| !c.is_control()).take(300).collect()),
        region: header("x-amz-bucket-region").filter(|region| is_code(region)).map(ToOwned::to_owned),
    }
}

fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0)
}

fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_and_nothing_hostile_is_taken_for_one() {
        let body = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code><Message>gone</Message></Error>";
        assert_eq!(element(body, "Code"), Some("NoSuchBucket"));
        assert_eq!(element("<Code>", "Code"), None);
        assert!(is_code("eu-central-1") && !is_code("a b") && !is_code("") && !is_code("\u{1b}[31m"));
    }
}
