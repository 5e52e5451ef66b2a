//! S3 without an SDK: many requests at a time, straight to the server or through a proxy.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rollback_tests::servers::Account;
use tokio::net::TcpStream;

use crate::Result;

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Ask {
    pub(crate) fn new(method: Method, path: String) -> Self {
        Self { method, path, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn headers<'a>(
        mut self,
        headers: impl IntoIterator<Item = &'a (&'static str, String)>,
    ) -> Self {
        self.headers.extend(headers.into_iter().cloned());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An account of the server, at its own port or a proxy's. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    address: SocketAddr,
    authorization: Arc<str>,
}

impl S3 {
    pub(crate) fn of(account: &Account, port: u16) -> Self {
        // Emulators read the account from the header and do not check the signature.
        let scope = format!("{}/20260101/{}/s3/aws4_request", account.key(), account.region());
        let authorization = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0");
        Self { address: (Ipv4Addr::LOCALHOST, port).into(), authorization: authorization.into() }
    }

    /// A server that does not ask who it is.
    pub(crate) fn anonymous(port: u16) -> Self {
        Self { address: (Ipv4Addr::LOCALHOST, port).into(), authorization: "none".into() }
    }

    /// Sends all of them over so many connections; the answers in the order of the requests. An answer that is neither good nor
    /// "there is none" is an error.
    pub(crate) async fn all(&self, asks: Vec<Ask>, connections: usize) -> Result<Vec<Answer>> {
        let work = Arc::new((asks, AtomicUsize::new(0)));
        let one = || {
            let (s3, work) = (self.clone(), Arc::clone(&work));
            tokio::spawn(async move { s3.some(&work.0, &work.1).await })
        };
        let workers: Vec<_> = (0..connections.min(work.0.len())).map(|_| one()).collect();
        let mut answers = Vec::with_capacity(work.0.len());
        for worker in workers {
            answers.extend(worker.await??);
        }
        answers.sort_by_key(|(place, _)| *place);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// Takes one request after the other until none is left.
    async fn some(&self, asks: &[Ask], next: &AtomicUsize) -> Result<Vec<(usize, Answer)>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        // How it ends is told to whoever waits for an answer.
        tokio::spawn(connection);
        let mut answers = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(ask) = asks.get(place) else { return Ok(answers) };
            answers.push((place, self.one(&mut sender, ask).await?));
        }
    }

    async fn one(&self, sender: &mut SendRequest<Full<Bytes>>, ask: &Ask) -> Result<Answer> {
        let mut request = Request::builder().method(&ask.method).uri(&ask.path);
        request = request.header(HOST, self.address.to_string()).header(AUTHORIZATION, &*self.authorization);
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        sender.ready().await?;
        let answer = sender.send_request(request.body(Full::new(ask.body.clone()))?).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        if !head.status.is_success() && head.status != StatusCode::NOT_FOUND {
            let told = String::from_utf8_lossy(&body).into_owned();
            return Err(format!("{} {}: {} {told}", ask.method, ask.path, head.status).into());
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// All keys of a bucket, with their entity tags.
    pub(crate) async fn list(&self, bucket: &str) -> Result<BTreeMap<String, String>> {
        let mut found: BTreeMap<String, String> = BTreeMap::new();
        loop {
            let after = found.last_key_value().map(|(key, _)| format!("&start-after={key}"));
            let path = format!("/{bucket}?list-type=2{}", after.unwrap_or_default());
            let answers = self.all(vec![Ask::new(Method::GET, path)], 1).await?;
            let page = answers.first().map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
            let page = page.unwrap_or_default();
            for object in page.split("<Contents>").skip(1) {
                let (key, tag) = (element(object, "Key")?, element(object, "ETag")?);
                found.insert(key.to_owned(), tag.to_owned());
            }
            if element(&page, "IsTruncated")? != "true" {
                return Ok(found);
            }
        }
    }
}

/// The text of an element. Keys are ours: nothing in them is escaped.
fn element<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let found = text.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once('<'));
    Ok(found.ok_or_else(|| format!("a listing without {name}: {text}"))?.0)
}
