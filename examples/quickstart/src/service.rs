//! A tiny real HTTP service, to have something that a bad release can break.
//!
//! It serves one release folder: `release.json` says which version that is and whether it is healthy, `index.html` is
//! what visitors see. The folder is read once, at the start, as real services do: a new release is seen after a
//! restart, which is what [`supervise`] does.
//!
//! | request | answer |
//! |---|---|
//! | `GET /health` | 200 if the release is healthy, else 503 |
//! | `GET /` | the version, an empty line, then `index.html` |

pub(crate) mod supervise;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rollback_core::time::{SystemClock, within};
use rollback_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use self::supervise::PidFile;

/// How long a client may take for its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest head of a request that is read, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// How to run the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Serve {
    /// The release folder.
    pub(crate) release: PathBuf,
    /// The port on 127.0.0.1; 0 for any free one.
    pub(crate) port: u16,
    /// Where the running process leaves its id.
    pub(crate) pid_file: PathBuf,
}

/// What a release folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    /// Its version, as `release.json` has it.
    pub(crate) version: String,
    /// Whether `/health` says that all is well.
    pub(crate) healthy: bool,
    /// The content of `index.html`; empty if there is none.
    pub(crate) page: String,
}

impl Release {
    /// Reads a release folder.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when `release.json` is missing or not `{"version": "…", "healthy": true}`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("release.json");
        let wrong = |what: String| {
            Error::new(ErrorKind::Invalid, "read the release", format!("{}: {what}", path.display()))
                .next("write {\"version\": \"v1\", \"healthy\": true} into it")
        };
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let release: Value = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let (Some(version), Some(healthy)) = (release["version"].as_str(), release["healthy"].as_bool())
        else {
            return Err(wrong("it lacks a version or whether it is healthy".into()));
        };
        let page = match std::fs::read_to_string(folder.join("index.html")) {
            Ok(page) => page,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(wrong(format!("index.html beside it: {error}"))),
        };
        Ok(Self { version: version.to_owned(), healthy, page })
    }

    /// The answer to a request, from its first line.
    fn answer(&self, request: &str) -> Vec<u8> {
        let mut words = request.split_ascii_whitespace();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split('?').next().unwrap_or_default();
        let (status, kind, body) = match (method, path) {
            ("GET" | "HEAD", "/health") => {
                let status = if self.healthy { "200 OK" } else { "503 Service Unavailable" };
                let body = json!({ "version": self.version, "healthy": self.healthy });
                (status, "application/json", body.to_string())
            }
            ("GET" | "HEAD", "/") => ("200 OK", "text/plain", format!("{}\n\n{}", self.version, self.page)),
            ("GET" | "HEAD", _) => ("404 Not Found", "text/plain", "there is / and /health\n".into()),
            (_, "") => ("400 Bad Request", "text/plain", "that is not HTTP\n".into()),
            _ => ("405 Method Not Allowed", "text/plain", "only GET and HEAD\n".into()),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let mut answer = head.into_bytes();
        if method != "HEAD" {
            answer.extend_from_slice(body.as_bytes());
        }
        answer
    }
}

/// Serves a release until the process is asked to end (SIGTERM or SIGINT).
///
/// The pid file is written once connections are taken, and removed at the end if it still names this process.
///
/// # Errors
///
/// [`ErrorKind::Invalid`] for a wrong release folder, [`ErrorKind::Conflict`] when the port is taken.
pub(crate) async fn serve(options: &Serve) -> Result<()> {
    let release = Arc::new(Release::read(&options.release)?);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error::new(ErrorKind::Conflict, "start the service", format!("{address} cannot be listened on"))
            .next("end what listens there, or choose another port")
            .with_source(error)
    })?;
    let failed = |error: io::Error| {
        Error::new(ErrorKind::Other, "start the service", "the system did not let it").with_source(error)
    };
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?);
    let address = listener.local_addr().map_err(failed)?;
    let pid_file = PidFile::claim(&options.pid_file, address)?;
    tokio::select! {
        () = accept(&listener, release) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Before the port is free: whoever listens there next writes files of the same names.
    pid_file.release();
    drop(listener);
    Ok(())
}

async fn accept(listener: &TcpListener, release: Arc<Release>) {
    loop {
        // A connection that broke before it was taken is no reason to end.
        if let Ok((stream, _)) = listener.accept().await {
            let release = Arc::clone(&release);
            tokio::spawn(async move {
                // A client that goes away or takes too long gets no answer, and nobody else notices.
                within(&SystemClock, PATIENCE, converse(stream, &release)).await
            });
        }
    }
}

async fn converse(mut stream: TcpStream, release: &Release) -> io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut buffer).await?;
        if count == 0 || head.len() + count > MAX_HEAD {
            return Ok(());
        }
        head.extend_from_slice(&buffer[..count]);
    }
    let head = String::from_utf8_lossy(&head);
    stream.write_all(&release.answer(head.lines().next().unwrap_or_default())).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_line(release: &Release, request: &str) -> String {
        String::from_utf8(release.answer(request)).unwrap().lines().next().unwrap().to_owned()
    }

    #[test]
    fn health_is_what_the_release_says() {
        let good = Release { version: "v1".into(), healthy: true, page: "hello".into() };
        let bad = Release { healthy: false, ..good.clone() };
        assert_eq!(first_line(&good, "GET /health HTTP/1.1"), "HTTP/1.1 200 OK");
        assert_eq!(first_line(&bad, "GET /health?verbose HTTP/1.1"), "HTTP/1.1 503 Service Unavailable");
        assert_eq!(first_line(&bad, "GET / HTTP/1.1"), "HTTP/1.1 200 OK");
        assert!(String::from_utf8(good.answer("GET / HTTP/1.1")).unwrap().ends_with("\r\n\r\nv1\n\nhello"));
    }

    #[test]
    fn other_requests_are_refused() {
        let release = Release { version: "v1".into(), healthy: true, page: String::new() };
        assert!(first_line(&release, "GET /../etc/passwd HTTP/1.1").contains("404"));
        assert!(first_line(&release, "POST / HTTP/1.1").contains("405"));
        assert!(first_line(&release, "nonsense").contains("400"));
        assert!(String::from_utf8(release.answer("HEAD / HTTP/1.1")).unwrap().ends_with("\r\n\r\n"));
    }

    #[test]
    fn a_folder_that_is_no_release_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Release::read(folder.path()).is_err());
        for text in ["", "[]", "{\"version\": 1, \"healthy\": true}", "{\"version\": \"v1\"}"] {
            std::fs::write(folder.path().join("release.json"), text).unwrap();
            let error = Release::read(folder.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
        }
        std::fs::write(folder.path().join("release.json"), "{\"version\": \"v1\", \"healthy\": false}")
            .unwrap();
        let release = Release::read(folder.path()).unwrap();
        assert_eq!(release, Release { version: "v1".into(), healthy: false, page: String::new() });
    }
}
