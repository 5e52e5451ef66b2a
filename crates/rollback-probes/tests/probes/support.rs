//! A server on loopback that answers with exactly the bytes a test wants, and short ways to make probes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rollback_core::probe::{ProbeSpec, Sample};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a connection once it has read the head of a request.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes and then resets the connection.
    SendThenReset(Vec<u8>),
    /// Sends these bytes again and again until the client goes.
    SendWithoutEnd(Vec<u8>),
    /// Sends these bytes, then nothing, with the connection open.
    SendThenHang(Vec<u8>),
}

/// A server. It ends with the runtime of its test.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour.clone(), Arc::clone(&seen)));
            }
        });
        Self { address, heads }
    }

    /// A server that answers with a status, headers (each with its line end) and a body.
    pub(crate) async fn answering(status: u16, headers: &str, body: &str) -> Self {
        Self::start(Behaviour::Send(answer(status, headers, body))).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// The bytes of an answer.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Test\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}")
        .into_bytes()
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    // The client may go at any time: that is what some tests are about.
    match behaviour {
        Behaviour::Send(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Behaviour::SendThenReset(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.set_zero_linger();
        }
        Behaviour::SendWithoutEnd(bytes) => while stream.write_all(&bytes).await.is_ok() {},
        Behaviour::SendThenHang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.read_u8().await;
        }
    }
}

/// Takes one sample with these settings, which must be right.
pub(crate) async fn sample(settings: Value) -> Sample {
    let spec: ProbeSpec = serde_json::from_value(settings).unwrap();
    rollback_probes::registry().build(&spec).unwrap().sample().await
}

/// What is said about these settings, which must be wrong.
pub(crate) fn refusal(settings: Value) -> String {
    let spec: ProbeSpec = serde_json::from_value(settings).unwrap();
    let error = rollback_probes::registry().build(&spec).unwrap_err();
    assert_eq!(error.kind(), rollback_core::ErrorKind::Invalid);
    assert!(error.next_step().is_some(), "{error}");
    error.to_string()
}
