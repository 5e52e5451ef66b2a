//! One request and its answer, as JSON.
//!
//! Objects are not read into types of one version of the API: what those do not know would be lost when it is sent back.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use rollback_core::{Effect, Error, ErrorKind, Result};
use serde_json::Value;

use super::fault::{self, Asked};

/// The largest answer that is read: a list of some ten thousand pods.
const LARGEST: usize = 256 * 1024 * 1024;
/// Answers without content: names, versions, owners.
pub(crate) const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const JSON: &str = "application/json";

/// Where objects of one kind are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resource {
    /// `apps`, or nothing for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) plural: &'static str,
}

impl Resource {
    pub(crate) const fn apps(plural: &'static str) -> Self {
        Self { group: "apps", version: "v1", plural }
    }

    pub(crate) const fn core(plural: &'static str) -> Self {
        Self { group: "", version: "v1", plural }
    }

    pub(super) fn path(&self, namespace: Option<&str>, name: Option<&str>) -> String {
        let mut path = match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        if let Some(namespace) = namespace {
            path.push_str(&format!("/namespaces/{namespace}"));
        }
        path.push_str(&format!("/{}", self.plural));
        if let Some(name) = name {
            path.push_str(&format!("/{name}"));
        }
        path
    }

    /// As roles and error messages call it.
    pub(crate) fn with_group(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub(crate) verb: &'static str,
    pub(crate) resource: Resource,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    /// What of the object is meant, where it is not the object: `log`.
    pub(crate) part: Option<&'static str>,
    /// As in a URL, without the question mark.
    pub(crate) query: String,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<&'a Value>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(verb: &'static str, resource: Resource, namespace: Option<&'a str>) -> Self {
        Self {
            verb,
            resource,
            namespace,
            name: None,
            part: None,
            query: String::new(),
            accept: JSON,
            body: None,
        }
    }

    pub(crate) fn named(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    pub(crate) fn part(mut self, part: &'static str) -> Self {
        self.part = Some(part);
        self
    }

    pub(crate) fn query(mut self, query: String) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    pub(crate) fn body(mut self, body: &'a Value) -> Self {
        self.body = Some(body);
        self
    }

    fn asked(&self) -> Asked {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (namespace, name) = (owned(self.namespace), owned(self.name));
        let resource = match self.part {
            Some(part) => format!("{}/{part}", self.resource.with_group()),
            None => self.resource.with_group(),
        };
        Asked { verb: self.verb, resource, namespace, name }
    }

    fn request(&self) -> http::Result<Request<Body>> {
        let (method, content) = match self.verb {
            "patch" => (Method::PATCH, "application/json-patch+json"),
            "delete" => (Method::DELETE, JSON),
            "create" => (Method::POST, JSON),
            _ => (Method::GET, JSON),
        };
        let mut uri = self.resource.path(self.namespace, self.name);
        if let Some(part) = self.part {
            uri.push('/');
            uri.push_str(part);
        }
        if !self.query.is_empty() {
            uri.push('?');
            uri.push_str(&self.query);
        }
        let request = Request::builder().method(method).uri(uri).header(ACCEPT, self.accept);
        match self.body {
            Some(body) => {
                request.header(CONTENT_TYPE, content).body(Body::from(body.to_string().into_bytes()))
            }
            None => request.body(Body::empty()),
        }
    }

    /// Sends it, once.
    pub(crate) async fn send(&self, client: &kube::Client) -> Result<Value> {
        json(client, &self.asked(), self.request()).await
    }

    /// Sends it, once, and takes the answer as a text. What is not text in it is replaced.
    pub(crate) async fn send_for_text(&self, client: &kube::Client, largest: usize) -> Result<String> {
        let bytes = exchange(client, &self.asked(), self.request(), largest).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Sends a request, once, and reads the answer.
pub(super) async fn json(
    client: &kube::Client,
    asked: &Asked,
    request: http::Result<Request<Body>>,
) -> Result<Value> {
    let bytes = exchange(client, asked, request, LARGEST).await?;
    serde_json::from_slice(&bytes).map_err(|_| unread(asked, ErrorKind::Unavailable, "the answer is no JSON"))
}

async fn exchange(
    client: &kube::Client,
    asked: &Asked,
    request: http::Result<Request<Body>>,
    largest: usize,
) -> Result<Bytes> {
    let request = request.map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("ask for {}", asked.resource), error.to_string())
    })?;
    tracing::debug!(method = %request.method(), path = request.uri().path(), "asking the API server");
    let answer = client.send(request).await.map_err(|error| fault::unanswered(asked, &error))?;
    let (parts, body) = answer.into_parts();
    let read = Limited::new(body, largest).collect().await;
    let bytes = read.map_err(|_| {
        let kind = if parts.status.is_success() { ErrorKind::Unavailable } else { ErrorKind::Other };
        unread(asked, kind, "the answer could not be read to its end")
    })?;
    let bytes = bytes.to_bytes();
    if parts.status.is_success() {
        return Ok(bytes);
    }
    let retry_after = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Err(fault::answered(asked, parts.status, retry_after, &json))
}

/// What it said is lost. Whether it did it is not known then, whatever the status was.
fn unread(asked: &Asked, kind: ErrorKind, why: &str) -> Error {
    let effect = if asked.changes() { Effect::Unknown } else { Effect::None };
    Error::new(kind, format!("{} {}", asked.verb, asked.resource), why).with_effect(effect)
}

/// A text as it may stand in a query.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let path = |resource: Resource, namespace, name| resource.path(namespace, name);
        let web = Resource::apps("deployments");
        assert_eq!(path(web, Some("shop"), Some("web")), "/apis/apps/v1/namespaces/shop/deployments/web");
        assert_eq!(path(Resource::core("pods"), Some("shop"), None), "/api/v1/namespaces/shop/pods");
        assert_eq!(path(Resource::core("namespaces"), None, Some("shop")), "/api/v1/namespaces/shop");
        assert_eq!(escaped("a=b,c in (d)"), "a%3Db%2Cc%20in%20%28d%29");
        assert_eq!(web.with_group(), "deployments.apps");
    }
}
