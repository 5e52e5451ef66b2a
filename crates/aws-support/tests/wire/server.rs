//! A server on this machine that answers, breaks off or stays silent, as a test wants it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

#[derive(Clone)]
pub(crate) enum Does {
    /// Answers with a status and a body.
    Answers(u16, String),
    /// Reads the request and resets the connection.
    Resets,
    /// Reads the request and closes the connection.
    Closes,
    /// Promises more than it sends.
    BreaksOff,
    /// Reads the request and says nothing.
    Hangs,
}

pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<AtomicUsize>,
    kept: Arc<Mutex<Vec<(String, String)>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Does one thing after the other, the last one for ever.
    pub(crate) async fn start(script: Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, kept) = (Arc::clone(&requests), Arc::clone(&all));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counted.load(Ordering::SeqCst);
                let does = script[number.min(script.len() - 1)].clone();
                let (counted, kept) = (Arc::clone(&counted), Arc::clone(&kept));
                tokio::spawn(serve(stream, does, counted, kept));
            }
        });
        Self { url, requests, kept: all, task }
    }

    pub(crate) async fn answering(status: u16, body: impl Into<String>) -> Self {
        Self::start(vec![Does::Answers(status, body.into())]).await
    }

    /// How many requests came in whole.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn bodies(&self) -> Vec<String> {
        self.kept.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    pub(crate) fn heads(&self) -> Vec<String> {
        self.kept.lock().unwrap().iter().map(|(head, _)| head.clone()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    does: Does,
    counted: Arc<AtomicUsize>,
    kept: Arc<Mutex<Vec<(String, String)>>>,
) {
    let Some(request) = request(&mut stream).await else { return };
    kept.lock().unwrap().push(request);
    counted.fetch_add(1, Ordering::SeqCst);
    match does {
        Does::Answers(status, body) => {
            let head = format!(
                "HTTP/1.1 {status} So\r\ncontent-type: text/xml\r\nx-amzn-requestid: from-header\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
        // With nothing to wait for, closing sends a reset.
        Does::Resets => stream.set_zero_linger().unwrap(),
        Does::Closes => {}
        Does::BreaksOff => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n<Get").await;
        }
        Does::Hangs => std::future::pending().await,
    }
}

/// Head and body of one whole request.
async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut all = Vec::new();
    loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        all.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&all);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned)
                })
                .find_map(|length| length.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
    }
}
