//! Bytes, connection by connection.

use std::future::pending;
use std::io;
use std::sync::Arc;

use rollback_core::time::{Clock as _, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy, copy_bidirectional, split};
use tokio::net::TcpStream;
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

async fn through(wire: &mut Wire, shared: &Shared) -> io::Result<()> {
    let mut upstream = TcpStream::connect(shared.upstream).await?;
    upstream.set_nodelay(true)?;
    copy_bidirectional(wire, &mut upstream).await?;
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
