//! Whether a registry still has an image: one question about its manifest, as the distribution specification has it.
//!
//! Asked from where this runs, which is not where nodes pull from: only a clear yes or no of the registry counts, everything else is
//! "not known".

mod logins;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde_json::Value;

pub(crate) use self::logins::{Login, Logins};
use crate::image::Image;
use crate::text::{line, text};

/// Manifests of one platform and lists of them, of both families.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const CONNECT: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(3);
/// The largest error or token that is read.
const LARGEST: usize = 64 * 1024;

/// What a registry says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Has,
    /// It knows the repository, and not this tag or digest.
    HasNot,
    /// Nothing that counts, and why.
    Unknown(String),
}

/// Asks the registry of an image, with the login that belongs to it, if there is one.
pub(crate) async fn ask(image: &str, logins: &Logins) -> Said {
    match Question::new(image, logins) {
        Ok(question) => question.ask().await.unwrap_or_else(Said::Unknown),
        Err(why) => Said::Unknown(why),
    }
}

struct Question<'a> {
    host: String,
    /// It is on this machine.
    is_here: bool,
    client: kube::Client,
    repository: String,
    path: String,
    login: Option<&'a Login>,
}

struct Answer {
    status: StatusCode,
    challenge: Option<String>,
    body: Bytes,
}

impl<'a> Question<'a> {
    fn new(image: &str, logins: &'a Logins) -> Result<Self, String> {
        let full = Image::in_full(image);
        let parsed = Image::parse(&full);
        let (host, repository) = parsed.repository.split_once('/').ok_or("its name has no registry")?;
        let reference = parsed.digest.or(parsed.tag).ok_or("its name has no tag")?;
        Ok(Self {
            client: client(&address(host)).ok_or("no connection to its registry can be made")?,
            path: format!("/v2/{repository}/manifests/{reference}"),
            login: logins.of(parsed.repository),
            host: line(host),
            is_here: address(host).starts_with("http://"),
            repository: repository.to_owned(),
        })
    }

    async fn ask(&self) -> Result<Said, String> {
        let mut authorization = None;
        let mut answer = self.manifest(Method::HEAD, None).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            authorization = Some(self.authorize(answer.challenge.as_deref().unwrap_or_default()).await?);
            answer = self.manifest(Method::HEAD, authorization.as_ref()).await?;
        }
        let host = &self.host;
        match answer.status {
            StatusCode::OK => Ok(Said::Has),
            StatusCode::NOT_FOUND => self.missing(authorization.as_ref()).await,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.closed()),
            StatusCode::TOO_MANY_REQUESTS => Err(format!("registry {host} asks to wait")),
            other => Err(format!("registry {host} answered {}", other.as_u16())),
        }
    }

    /// Only the body says what is missing. A repository that is not known may be one that the caller may not see.
    async fn missing(&self, authorization: Option<&HeaderValue>) -> Result<Said, String> {
        let answer = self.manifest(Method::GET, authorization).await?;
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match text(&told, "/errors/0/code") {
            Some("MANIFEST_UNKNOWN") if answer.status == StatusCode::NOT_FOUND => Ok(Said::HasNot),
            _ => Err(format!("registry {} does not show its repository", self.host)),
        }
    }

    fn closed(&self) -> String {
        let whom = if self.login.is_some() { "with the pull secret" } else { "without a login" };
        format!("registry {} does not tell {whom}", self.host)
    }

    async fn manifest(&self, method: Method, auth: Option<&HeaderValue>) -> Result<Answer, String> {
        send(&self.client, method, &self.path, auth)
            .await
            .ok_or_else(|| format!("registry {} does not answer", self.host))
    }

    /// What a challenge asks for: the login itself, or a token that is given for it.
    async fn authorize(&self, challenge: &str) -> Result<HeaderValue, String> {
        let basic = self.login.and_then(Login::basic);
        let Some(parameters) = challenge.strip_prefix("Bearer ") else {
            return basic.ok_or_else(|| self.closed());
        };
        let given = |key: &str| parameter(parameters, key);
        let realm: http::Uri =
            given("realm").and_then(|realm| realm.parse().ok()).ok_or_else(|| self.closed())?;
        let host = realm.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        // A login goes over nothing that others can read, and a registry somewhere else sends nobody to this machine.
        let address = address(host);
        let scheme = realm.scheme_str().unwrap_or_default();
        if !address.starts_with(&format!("{scheme}://")) || (scheme != "https" && !self.is_here) {
            return Err(self.closed());
        }
        let escaped = crate::client::escaped;
        let service = escaped(given("service").unwrap_or_default());
        let scope = escaped(&format!("repository:{}:pull", self.repository));
        let path = format!("{}?service={service}&scope={scope}", realm.path());
        let client = client(&address).ok_or_else(|| self.closed())?;
        let answer = send(&client, Method::GET, &path, basic.as_ref()).await.ok_or_else(|| self.closed())?;
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let token = text(&told, "/token").or_else(|| text(&told, "/access_token"));
        token.and_then(|token| secret(&format!("Bearer {token}"))).ok_or_else(|| self.closed())
    }
}

/// A header's value that is not shown.
fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Where a registry is. Only on this machine it may speak without TLS, as Docker has it.
fn address(host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match name {
        "docker.io" => "https://registry-1.docker.io".to_owned(),
        "localhost" | "127.0.0.1" | "[::1]" => format!("http://{host}"),
        _ => format!("https://{host}"),
    }
}

fn client(address: &str) -> Option<kube::Client> {
    let mut config = kube::Config::new(address.parse().ok()?);
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.default_retry = false;
    kube::Client::try_from(config).ok()
}

async fn send(
    client: &kube::Client,
    method: Method,
    path: &str,
    auth: Option<&HeaderValue>,
) -> Option<Answer> {
    tracing::debug!(%method, "asking a registry");
    let mut request = Request::builder().method(method).uri(path).header(ACCEPT, MANIFESTS);
    if let Some(auth) = auth {
        request = request.header(AUTHORIZATION, auth);
    }
    let answer = client.send(request.body(Body::empty()).ok()?).await.ok()?;
    let (parts, body) = answer.into_parts();
    let challenge = parts.headers.get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    // A manifest that is larger is there all the same.
    let body = Limited::new(body, LARGEST).collect().await.map(http_body_util::Collected::to_bytes);
    Some(Answer {
        status: parts.status,
        challenge: challenge.map(str::to_owned),
        body: body.unwrap_or_default(),
    })
}

/// A quoted parameter of a challenge.
fn parameter<'a>(parameters: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = parameters;
    // Each round takes one parameter off.
    while let Some((name, after)) = rest.split_once("=\"") {
        let (value, next) = after.split_once('"')?;
        if name.trim_start_matches([',', ' ']) == key {
            return Some(value);
        }
        rest = next;
    }
    None
}
