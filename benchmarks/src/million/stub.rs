//! What plays S3: listings that are made when they are asked for, and nothing in any object.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rollback_core::time::{Clock as _, SystemClock};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::names::{Names, Side};
use crate::Result;

/// What each request is held for.
pub(crate) const LATENCY: Duration = Duration::from_millis(30);
/// How many keys S3 puts into a page.
pub(crate) const PAGE: usize = 1_000;
/// The bucket.
pub(crate) const BUCKET: &str = "site";
/// The releases; the first one is good.
const ARCHIVE: &str = "versions/v1/";
const LIVE: &str = "live/";

/// Answers until it is dropped.
pub(crate) struct Stub {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    names: Names,
    /// How often what was asked.
    asked: Mutex<BTreeMap<&'static str, usize>>,
}

impl Stub {
    pub(crate) async fn start(names: Names) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared { names, asked: Mutex::default() });
        let served = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(Arc::clone(&served), stream));
            }
        });
        Ok(Self { port, shared, task })
    }

    pub(crate) fn names(&self) -> &Names {
        &self.shared.names
    }

    /// How often what was asked since the last time.
    pub(crate) fn asked(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move {
            SystemClock.sleep(LATENCY).await;
            Ok::<_, Infallible>(shared.answer(&request))
        }
    });
    // An error here is how a connection ends.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

impl Shared {
    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let query = request.uri().query().unwrap_or_default();
        let is = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let bucket = request.uri().path().trim_matches('/') == BUCKET;
        let (what, status, body) = match *request.method() {
            Method::POST => ("who is it", StatusCode::OK, WHO.to_owned()),
            Method::GET if bucket && is("list-type") => self.listing(query),
            Method::GET if bucket && is("versioning") => {
                let body = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>";
                ("others", StatusCode::OK, body.to_owned())
            }
            _ => ("others", StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
        };
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
        let mut answer = Response::new(Full::new(Bytes::from(body)));
        *answer.status_mut() = status;
        answer
    }

    fn listing(&self, query: &str) -> (&'static str, StatusCode, String) {
        let value = |name: &str| {
            let found =
                query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
            found.map(|(_, value)| decoded(value)).unwrap_or_default()
        };
        let (prefix, after, delimiter) = (value("prefix"), value("start-after"), value("delimiter"));
        let most = value("max-keys").parse().unwrap_or(PAGE).min(PAGE);
        let (what, side, root) = if prefix.starts_with(ARCHIVE) {
            ("pages of the release", Side::Good, ARCHIVE)
        } else if prefix.starts_with(LIVE) {
            ("pages of what is live", Side::Bad, LIVE)
        } else {
            let folder = format!("<CommonPrefixes><Prefix>{ARCHIVE}</Prefix></CommonPrefixes>");
            return ("folders", StatusCode::OK, whole(&folder, false));
        };
        let inside = prefix.get(root.len()..).unwrap_or_default();
        let after = after.strip_prefix(root).unwrap_or_default().max(inside);
        let mut body = String::with_capacity(most * 400);
        let mut keys = self.names.after(side, after).take_while(|(_, key)| key.starts_with(inside));
        if !delimiter.is_empty() {
            return ("folders", StatusCode::NOT_IMPLEMENTED, String::new());
        }
        for (place, key) in keys.by_ref().take(most) {
            let (tag, size) = (Names::tag(side, place), Names::size(place));
            let _ = write!(
                body,
                "<Contents><Key>{root}{key}</Key><LastModified>2026-11-22T03:00:00.000Z</LastModified>\
                 <ETag>&quot;{tag:032x}&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>\
                 <ChecksumType>FULL_OBJECT</ChecksumType><Size>{size}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>"
            );
        }
        let more = keys.next().is_some();
        (what, StatusCode::OK, whole(&body, more))
    }
}

fn whole(inside: &str, more: bool) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{BUCKET}</Name><EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>{inside}</ListBucketResult>"
    )
}

const WHO: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
    <Arn>arn:aws:iam::123456789012:user/operator</Arn><UserId>AIDAEXAMPLE</UserId><Account>123456789012</Account>\
    </GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>";

/// What a browser would have encoded.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = more.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = if byte.is_some() { &more[2..] } else { more };
        bytes.push(byte.unwrap_or(*first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
