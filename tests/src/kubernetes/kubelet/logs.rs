//! What containers wrote, as the API server asks nodes for it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::fate::Fate;
use super::status::LAST_WORDS;
use crate::kubernetes::tls::Tls;

/// The images of containers, by `namespace/pod/container`: what they wrote follows from that.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    images: Mutex<BTreeMap<String, String>>,
}

impl Logs {
    pub(super) fn keep(&self, container: String, image: String) {
        self.images.lock().unwrap_or_else(PoisonError::into_inner).insert(container, image);
    }

    fn of(&self, path: &str) -> Option<&'static str> {
        let container = path.strip_prefix("/containerLogs/")?;
        let images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match Fate::of(images.get(container)?) {
            Fate::Crashing | Fate::Decaying => LAST_WORDS,
            Fate::Missing => "",
            Fate::Good | Fate::Slow => "starting\nready\n",
        })
    }

    /// The last lines, where a query wants no more.
    fn answer(&self, path: &str, query: &str) -> Option<String> {
        let text = self.of(path)?;
        let wanted = query.split('&').find_map(|part| part.strip_prefix("tailLines=")?.parse::<usize>().ok());
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        Some(lines[lines.len().saturating_sub(wanted.unwrap_or(usize::MAX))..].concat())
    }
}

/// Answers for all nodes, until it is aborted.
pub(crate) async fn serve(listener: std::net::TcpListener, tls: Tls, logs: std::sync::Arc<Logs>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => panic!("nobody can be told of logs: {error}"),
    };
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let (tls, logs) = (tls.clone(), std::sync::Arc::clone(&logs));
            tokio::spawn(async move {
                let stream = TokioIo::new(tls.accept(stream).await?);
                let service = service_fn(|request| {
                    let answer = told(&logs, &request);
                    async { Ok::<_, Infallible>(answer) }
                });
                let serving = hyper::server::conn::http1::Builder::new().serve_connection(stream, service);
                serving.await.map_err(io::Error::other)
            });
        }
    }
}

fn told(logs: &Logs, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let uri = request.uri();
    let text = logs.answer(uri.path(), uri.query().unwrap_or_default());
    let status = if text.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::from(text.unwrap_or_default()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_container_are_told_and_of_no_other() {
        let logs = Logs::default();
        logs.keep("shop/web-1/web".to_owned(), "registry.example/shop/web:bad".to_owned());
        let path = "/containerLogs/shop/web-1/web";
        assert_eq!(logs.answer(path, "previous=true").as_deref(), Some(LAST_WORDS));
        let last = logs.answer(path, "follow=false&tailLines=1").unwrap();
        assert!(last.starts_with("fatal:") && last.ends_with('\n'), "{last}");
        assert_eq!(logs.answer("/containerLogs/shop/web-2/web", ""), None);
        assert_eq!(logs.answer("/exec/shop/web-1/web", ""), None);
    }
}
