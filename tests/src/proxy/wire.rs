//! A connection that can be ended in the middle, with or without manners.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// The client's side. Dropping it closes it, or resets it when that was [asked for](End::reset).
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    end: End,
}

/// How, and that, a connection shall end.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    reset: Arc<AtomicBool>,
    now: CancellationToken,
}

impl End {
    /// The client gets a reset.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::SeqCst);
        self.now.cancel();
    }

    /// The client gets the end of the stream.
    pub(super) fn close(&self) {
        self.now.cancel();
    }

    /// Waits until it shall end.
    pub(super) async fn wanted(&self) {
        self.now.cancelled().await;
    }
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Only slower without it.
        let _ = stream.set_nodelay(true);
        Self { stream, end: End::default() }
    }

    pub(super) fn end(&self) -> End {
        self.end.clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.end.reset.load(Ordering::SeqCst) {
            // A client that is gone already cannot be reset.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
