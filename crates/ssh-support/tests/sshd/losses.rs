//! Connections that end in the middle.

use std::time::Duration;

use rollback_core::time::{Clock, SystemClock};
use rollback_core::{Effect, Error, ErrorKind, Result};
use rollback_ssh_support::{Command, Connection, Output, Shell};
use rollback_testkit::harness::{CaseResult, Suite, ensure, equal};
use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::server::{Server, eventually, sleepers};

pub(crate) fn suite() -> Suite {
    crate::suite("losses")
        .case("a_cut_link_is_an_unknown_effect_and_the_next_command_connects_anew", true, cut)
        .case("a_frozen_host_is_noticed", true, frozen)
        .case("a_host_that_is_gone_had_no_effect_and_is_asked_once_for_all", true, gone)
        .case("a_server_that_never_greets_is_given_up", true, silent)
}

/// For longer than any of these cases waits; no other process sleeps exactly as long.
fn for_long(round: usize) -> String {
    format!("45.{}{round}", std::process::id())
}

fn sleeping(host: &Connection, seconds: &str) -> JoinHandle<Result<Output>> {
    let (host, command) = (host.clone(), Command::new("sleep").arg(seconds));
    tokio::spawn(async move { host.run(&command).await })
}

fn lost(error: &Error) -> CaseResult {
    equal("kind", &error.kind(), &ErrorKind::Unavailable)?;
    equal("effect", &error.effect(), &Effect::Unknown)?;
    ensure(error.is_transient(), "transient")?;
    ensure(error.to_string().contains("the connection was lost"), error.to_string())
}

async fn cut() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    host.open().await?;
    for round in 1..=3 {
        let seconds = for_long(round);
        let tasks: Vec<_> = (0..5).map(|_| sleeping(&host, &seconds)).collect();
        eventually("all of them sleep", || sleepers(&seconds) == 5).await?;
        let begun = SystemClock.monotonic();
        server.signal(Signal::KILL);
        for task in tasks {
            lost(&task.await?.unwrap_err())?;
        }
        ensure(SystemClock.monotonic() - begun < Duration::from_secs(30), "not when they would have ended")?;
        equal("afterwards", &host.run(&Command::new("true")).await?.status, &0)?;
        equal("logins", &server.logins(), &(round + 1))?;
    }
    Ok(())
}

async fn frozen() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    host.open().await?;
    let task = sleeping(&host, &for_long(0));
    eventually("it sleeps", || sleepers(&for_long(0)) == 1).await?;
    server.signal(Signal::STOP);
    let begun = SystemClock.monotonic();
    let error = task.await?.unwrap_err();
    let noticed = SystemClock.monotonic() - begun;
    ensure(noticed < Duration::from_secs(30), format!("{noticed:?}"))?;
    lost(&error)?;
    ensure(error.to_string().contains("not responding"), error.to_string())?;
    // The listener still answers: a new connection gets a new process.
    equal("afterwards", &host.run(&Command::new("true")).await?.status, &0)
}

async fn gone() -> CaseResult {
    let mut server = Server::start().await?;
    let host = server.connection();
    host.run(&Command::new("true")).await?;
    server.stop();
    // What is sent before the loss has shown itself is lost with an unknown effect.
    let _ = host.run(&Command::new("true")).await;
    let tasks: Vec<_> = (0..40).map(|_| sleeping(&host, "0")).collect();
    for task in tasks {
        let error = task.await?.unwrap_err();
        equal("kind", &error.kind(), &ErrorKind::Unavailable)?;
        equal("effect", &error.effect(), &Effect::None)?;
        ensure(error.is_transient() && error.to_string().contains("refused"), error.to_string())?;
    }
    server.again().await?;
    equal("afterwards", &host.run(&Command::new("true")).await?.status, &0)?;
    eventually("two logins", || server.logins() == 2).await
}

async fn silent() -> CaseResult {
    let server = Server::start().await?;
    // It takes connections, as the kernel does for it, and says nothing.
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let settings = server.settings().port(listener.local_addr()?.port()).connect_timeout("2s".parse()?);
    let begun = SystemClock.monotonic();
    let host = server.connection_with(settings);
    let tasks: Vec<_> = (0..5).map(|_| sleeping(&host, "0")).collect();
    for task in tasks {
        let error = task.await?.unwrap_err();
        equal("kind", &error.kind(), &ErrorKind::Timeout)?;
        equal("effect", &error.effect(), &Effect::None)?;
    }
    let waited = SystemClock.monotonic() - begun;
    ensure(waited < Duration::from_secs(7), format!("five waited for one attempt: {waited:?}"))
}
