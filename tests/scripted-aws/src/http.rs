//! The one endpoint for all services, on this machine alone.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::cloud::Cloud;
use crate::protocol::{Answer, Reply, Request};

/// Nothing that is asked here is longer.
const LONGEST: usize = 4 << 20;

/// Serves a [`Cloud`] until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// `http://127.0.0.1:PORT`, for every service.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends when the server does, which it does not by itself.
    pub async fn wait(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cloud {
    /// Serves on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn serve(&self) -> io::Result<Server> {
        self.serve_on(0).await
    }

    /// Serves on a port of 127.0.0.1.
    ///
    /// # Errors
    /// If the port cannot be had.
    pub async fn serve_on(&self, port: u16) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(self.clone(), listener));
        Ok(Server { address, task })
    }
}

/// The connections end with this task: they are its.
async fn accept(cloud: Cloud, listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(cloud.clone(), stream));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(cloud: Cloud, stream: TcpStream) {
    let service = service_fn(move |request| {
        let cloud = cloud.clone();
        async move { respond(&cloud, request).await }
    });
    let http = hyper::server::conn::http1::Builder::new();
    // An error here is how a connection is closed without an answer.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn respond(
    cloud: &Cloud,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, LONGEST).collect().await.map_err(io::Error::other)?.to_bytes();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let request = Request { path: head.uri.path().to_owned(), headers, body };
    let reply = match cloud.take(&request) {
        Ok(reply) => reply,
        Err(released) => released.await.map_err(io::Error::other)?,
    };
    match reply {
        Reply::Answered(answer) => response(answer).map_err(io::Error::other),
        Reply::Closed | Reply::Delayed => Err(io::Error::other("the script closes the connection")),
        Reply::Hanging => match std::future::pending::<Infallible>().await {},
    }
}

fn response(answer: Answer) -> Result<hyper::Response<Full<Bytes>>, hyper::http::Error> {
    let mut response = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(answer.body))
}
