//! HTTP/1.1, request by request.

use std::future::pending;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rollback_core::time::{Clock as _, SystemClock};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::body::Half;
use super::faults::{Answer, Fault};
use super::wire::{End, Wire};
use super::{Shared, lock};

/// After that much silence a new connection is made: the server may be about to close the old one.
const IDLE: Duration = Duration::from_secs(1);

type Body = UnsyncBoxBody<Bytes, Error>;

/// Serves one connection of a client until one side ends it.
pub(super) async fn connection(wire: Wire, shared: Arc<Shared>, cut: CancellationToken, rewrite_host: bool) {
    let end = wire.end();
    let session = Arc::new(Session {
        upstream: Mutex::new(None),
        rewrite_host: rewrite_host.then(|| shared.upstream.to_string()),
        shared,
        end: end.clone(),
    });
    let service = service_fn(move |request| {
        let session = Arc::clone(&session);
        async move { session.exchange(request).await }
    });
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    tokio::select! {
        // How it ended is for the client to see.
        _ = serving => {}
        () = end.wanted() => {}
        () = cut.cancelled() => end.reset(),
    }
}

/// A connection to the server, and when it was last used.
struct Upstream {
    sender: SendRequest<Incoming>,
    used: Duration,
}

struct Session {
    shared: Arc<Shared>,
    upstream: Mutex<Option<Upstream>>,
    rewrite_host: Option<String>,
    end: End,
}

impl Session {
    async fn exchange(&self, mut request: Request<Incoming>) -> Result<Response<Body>> {
        if request.method() == Method::CONNECT {
            return answer_with(&Answer::new(405), request).await;
        }
        // A client that was told of a proxy sends whole URLs; a server takes paths.
        if let Some(path) = request.uri().authority().and(request.uri().path_and_query()) {
            *request.uri_mut() = Uri::from(path.clone());
        }
        let path = request.uri().path_and_query().map_or("", |path| path.as_str()).to_owned();
        let decision = lock(&self.shared.plan).decide(request.method().as_str(), &path, operation(&request));
        let number = lock(&self.shared.log).begin(request.method().as_str(), &path, &decision);
        if let Some(operation) = operation(&request) {
            lock(&self.shared.log).operation(number, operation);
        }
        if !decision.delay.is_zero() {
            SystemClock.sleep(decision.delay).await;
        }
        match &decision.fault {
            None => self.forward(number, request).await,
            Some(Fault::Answer(answer)) => answer_with(answer, request).await,
            Some(Fault::ResetBefore) => Ok(self.ended(End::reset).await),
            Some(Fault::Hang) => pending().await,
            Some(fault) => self.forward_and(fault, number, request).await,
        }
    }

    /// Never comes back: the connection is ended, and this with it.
    async fn ended<T>(&self, how: fn(&End)) -> T {
        how(&self.end);
        pending().await
    }

    /// Lets the server do it, all of it, and then does `fault`.
    async fn forward_and(
        &self,
        fault: &Fault,
        number: u64,
        request: Request<Incoming>,
    ) -> Result<Response<Body>> {
        let (mut head, body) = self.forward(number, request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        match fault {
            Fault::EofAfter => Ok(self.ended(End::close).await),
            Fault::HangAfter => pending().await,
            Fault::CutBody if !body.is_empty() => {
                head.headers.remove(TRANSFER_ENCODING);
                head.headers.insert(CONTENT_LENGTH, body.len().into());
                let half = Half::of(&body, self.end.clone());
                Ok(Response::from_parts(head, half.map_err(|never| match never {}).boxed_unsync()))
            }
            _ => Ok(self.ended(End::reset).await),
        }
    }

    /// Sends the request to the server; the answer with its body as it comes.
    async fn forward(&self, number: u64, mut request: Request<Incoming>) -> Result<Response<Body>> {
        keep_between_us(request.headers_mut());
        if let Some(host) = &self.rewrite_host {
            request.headers_mut().insert(HOST, HeaderValue::from_str(host).map_err(Error::other)?);
        }
        match self.send(request).await {
            Ok(mut response) => {
                lock(&self.shared.log).answered(number, response.status().as_u16());
                keep_between_us(response.headers_mut());
                Ok(response.map(|body| body.map_err(Error::other).boxed_unsync()))
            }
            Err(error) => {
                lock(&self.shared.log).trouble(number, error.to_string());
                Ok(self.ended(End::reset).await)
            }
        }
    }

    async fn send(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
        let mut place = self.upstream.lock().await;
        if let Some(mut upstream) = place.take() {
            let idle = SystemClock.monotonic().saturating_sub(upstream.used);
            if idle < IDLE && upstream.sender.ready().await.is_ok() {
                match upstream.sender.try_send_request(request).await {
                    Ok(response) => {
                        upstream.used = SystemClock.monotonic();
                        *place = Some(upstream);
                        return Ok(response);
                    }
                    // Closed before any of it was written: nothing was asked yet.
                    Err(mut error) => match error.take_message() {
                        Some(unsent) => request = unsent,
                        None => return Err(Error::other(error.into_error())),
                    },
                }
            }
        }
        let mut sender = connect(self.shared.upstream).await?;
        let response = sender.send_request(request).await.map_err(Error::other)?;
        *place = Some(Upstream { sender, used: SystemClock.monotonic() });
        Ok(response)
    }
}

async fn connect(upstream: SocketAddr) -> Result<SendRequest<Incoming>> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = client::handshake(TokioIo::new(stream)).await.map_err(Error::other)?;
    // What ends it is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
}

fn operation<B>(request: &Request<B>) -> Option<&str> {
    if request.method() == Method::PUT && request.headers().contains_key("x-amz-copy-source") {
        return Some("CopyObject");
    }
    request.headers().get("x-amz-target")?.to_str().ok()?.rsplit('.').next()
}

/// Each of the two connections is kept or closed for itself.
fn keep_between_us(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    headers.remove("keep-alive");
}

async fn answer_with(answer: &Answer, request: Request<Incoming>) -> Result<Response<Body>> {
    // Taken like a server would, or the client may not get to read the answer.
    request.into_body().collect().await.map_err(Error::other)?;
    let body = Full::new(Bytes::from(answer.body.clone())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).map_err(Error::other)?);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(body).map_err(Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_its_header() {
        let put = || Request::put("/site/live/index.html");
        let copy = put().header("x-amz-copy-source", "/site/v1/index.html").body(()).unwrap();
        assert_eq!(operation(&copy), Some("CopyObject"));
        assert_eq!(operation(&put().body(()).unwrap()), None);
        let asked = Request::post("/").header("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListTasks");
        assert_eq!(operation(&asked.body(()).unwrap()), Some("ListTasks"));
    }
}
