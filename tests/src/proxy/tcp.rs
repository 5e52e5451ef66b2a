//! Bytes, connection by connection.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rollback_core::time::{Clock as _, SystemClock};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::faults::Fault;
use super::wire::{End, Wire};
use super::{Shared, lock};

/// Serves one connection of a client until one side ends it.
pub(super) async fn connection(mut wire: Wire, shared: Arc<Shared>, cut: CancellationToken) {
    let end = wire.end();
    let decision = lock(&shared.plan).decide("TCP", "", None);
    let number = lock(&shared.log).begin("TCP", "", &decision);
    let pass = async {
        SystemClock.sleep(decision.delay).await;
        match decision.fault {
            None => through(&mut wire, &shared).await,
            Some(Fault::Hang) => pending().await,
            Some(Fault::Answer(_) | Fault::ResetBefore) => {
                end.reset();
                Ok(())
            }
            Some(fault) => until_answered(&mut wire, &shared, &fault, &end).await,
        }
    };
    let passed = tokio::select! {
        passed = pass => passed,
        () = end.wanted() => Ok(()),
        () = cut.cancelled() => {
            end.reset();
            Ok(())
        }
    };
    if let Err(error) = passed {
        lock(&shared.log).trouble(number, error.to_string());
        end.reset();
    }
}

/// How many reads are on their way at a time.
const UNDER_WAY: usize = 64;

async fn through(wire: &mut Wire, shared: &Shared) -> io::Result<()> {
    shared.thawed().await;
    let mut upstream = TcpStream::connect(shared.upstream).await?;
    upstream.set_nodelay(true)?;
    let (answer, to_server) = upstream.split();
    let (from_client, to_client) = split(wire);
    tokio::try_join!(carry(from_client, to_server, shared), carry(answer, to_client, shared))?;
    Ok(())
}

/// Carries bytes from one side to the other, in their order, until the end of the stream. Each takes as long as the proxy says when it is
/// read, and none arrives while the proxy is frozen.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
) -> io::Result<()> {
    let (send, mut on_its_way) = mpsc::channel::<(Duration, Vec<u8>)>(UNDER_WAY);
    let read = async move {
        let mut bytes = vec![0; 32 * 1024];
        loop {
            let count = from.read(&mut bytes).await?;
            let due = SystemClock.monotonic() + shared.latency();
            // Nobody takes it only when writing failed, which is told there.
            if count == 0 || send.send((due, bytes[..count].to_vec())).await.is_err() {
                return Ok::<_, io::Error>(());
            }
        }
    };
    let write = async {
        while let Some((due, bytes)) = on_its_way.recv().await {
            SystemClock.sleep(due.saturating_sub(SystemClock.monotonic())).await;
            shared.thawed().await;
            to.write_all(&bytes).await?;
        }
        shared.thawed().await;
        to.shutdown().await
    };
    tokio::try_join!(read, write)?;
    Ok(())
}

/// Passes on what the client sends until the server answers, and then does `fault`.
async fn until_answered(wire: &mut Wire, shared: &Shared, fault: &Fault, end: &End) -> io::Result<()> {
    let mut upstream = TcpStream::connect(shared.upstream).await?;
    upstream.set_nodelay(true)?;
    let (mut answer, mut to_server) = upstream.split();
    let (mut from_client, _to_client) = split(wire);
    let mut bytes = [0; 4096];
    let send = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await?;
        pending().await
    };
    let answered = async {
        // Also when it ends the connection without a word.
        let _first = answer.read(&mut bytes).await?;
        match fault {
            Fault::EofAfter => end.close(),
            Fault::HangAfter => while answer.read(&mut bytes).await? > 0 {},
            _ => end.reset(),
        }
        pending().await
    };
    tokio::select! {
        sent = send => sent,
        ended = answered => ended,
    }
}
