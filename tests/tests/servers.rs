//! Servers are found, started, shown when they fail, and gone with the test.
//!
//! This program is also the server and the test that is killed: it is started again with a job in its environment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rollback_testkit::harness::{CaseResult, Suite, ensure, equal};
use rollback_tests::servers::{Launch, Ministack, Moto, Ready, Server, StartError, need};
use rollback_tests::{Running, alive, until};

const JOB: &str = "ROLLBACK_TEST_JOB";
const PORT: &str = "ROLLBACK_TEST_PORT";

fn main() -> ExitCode {
    match std::env::var(JOB).as_deref() {
        Ok("own") => return own(),
        Ok(job) => return serve(job),
        Err(_) => {}
    }
    Suite::new("servers")
        .case("it_answers_and_ends_with_its_children_when_dropped", true, dropped)
        .case("it_ends_when_the_test_panics", true, panicking)
        .case("it_ends_when_the_test_is_killed", true, killed)
        .case("its_children_end_when_it_ended_by_itself", true, ended_by_itself)
        .case("a_failed_start_shows_what_was_written", true, failing)
        .case("one_that_never_gets_ready_is_given_up", true, never_ready)
        .case("a_port_that_somebody_took_is_left_to_them", true, taken_port)
        .case("a_program_that_is_not_there_is_missing", true, missing)
        .case("ministack_gives_each_test_an_account", true, ministack)
        .case("moto_gives_each_test_an_account", true, moto_accounts)
        .run()
}

// ---- the server, and the test that owns it

#[expect(clippy::zombie_processes, reason = "who ends the child is what is tested")]
/// Listens on its port. `deaf`: neither it nor its child ends when asked to. `brief`: it ends, its child does not.
fn serve(job: &str) -> ExitCode {
    let port: u16 = std::env::var(PORT).unwrap().parse().unwrap();
    println!("the port is {port}");
    if job == "broken" {
        println!("the configuration is wrong");
        return ExitCode::from(7);
    }
    let script = if job == "deaf" { r#"trap "" TERM; sleep 120; :"# } else { "sleep 120; :" };
    let child = Command::new("/bin/sh").args(["-c", script]).spawn().unwrap();
    println!("child {}", child.id());
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen: {error}");
            return ExitCode::FAILURE;
        }
    };
    if job == "brief" {
        // The one that asks whether it is ready, and the one that ends it.
        for _ in 0..2 {
            drop(listener.accept());
        }
        return ExitCode::SUCCESS;
    }
    // Ends with its group; this bounds its life if that does not work.
    listener.set_nonblocking(true).unwrap();
    for _ in 0..12_000 {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.set_nonblocking(false).and_then(|()| stream.read(&mut [0; 1024]));
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        }
        rollback_tests::pause(Duration::from_millis(10));
    }
    ExitCode::SUCCESS
}

/// A test that starts a server, says so, and is killed while it waits.
fn own() -> ExitCode {
    let server = launch("deaf").start("servers").unwrap();
    eprintln!("{}", server.pid());
    eprintln!("{}", child_of(&server));
    rollback_tests::pause(Duration::from_secs(120));
    drop(server);
    ExitCode::SUCCESS
}

fn launch(job: &'static str) -> Launch<impl FnMut(u16) -> Command> {
    Launch::new(job, move |port| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(JOB, job).env(PORT, port.to_string());
        command
    })
}

fn child_of(server: &Server) -> u32 {
    until("the server's child", || {
        let written = server.written();
        let line = written.lines().find_map(|line| line.strip_prefix("child "))?;
        line.parse().ok()
    })
    .unwrap()
}

fn until_gone(pid: u32) -> CaseResult {
    Ok(until(&format!("the end of process {pid}"), || (!alive(pid)).then_some(()))?)
}

// ---- the cases

async fn dropped() -> CaseResult {
    for job in ["plain", "deaf"] {
        let server = launch(job).ready(Ready::Get("/".to_owned())).start("servers")?;
        let (pid, child, port) = (server.pid(), child_of(&server), server.port());
        ensure(alive(pid) && alive(child), "it does not run")?;
        equal("its address", &server.url(), &format!("http://127.0.0.1:{port}"))?;
        drop(server);
        ensure(!alive(pid), "it runs on")?;
        until_gone(child)?;
        ensure(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err(), "somebody still listens")?;
    }
    Ok(())
}

async fn panicking() -> CaseResult {
    let mut pid = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let server = launch("plain").start("servers").unwrap();
        pid = server.pid();
        resume_unwind(Box::new("on purpose"));
    }));
    ensure(result.is_err() && pid > 0, "it did not panic, or did not start")?;
    until_gone(pid)
}

async fn killed() -> CaseResult {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(JOB, "own");
    let mut owner = Running::start(command)?;
    let [pid, child] = [(); 2].map(|()| owner.line().and_then(|line| line.parse::<u32>().ok()));
    let (Some(pid), Some(child)) = (pid, child) else { return ensure(false, "it did not start") };
    ensure(alive(pid) && alive(child), "it does not run")?;
    owner.kill()?;
    until_gone(pid)?;
    until_gone(child)
}

async fn ended_by_itself() -> CaseResult {
    let mut server = launch("brief").start("servers")?;
    let child = child_of(&server);
    drop(TcpStream::connect((Ipv4Addr::LOCALHOST, server.port()))?);
    until("its end", || (!server.runs()).then_some(()))?;
    ensure(alive(child), "the child ended too early")?;
    drop(server);
    until_gone(child)
}

async fn failing() -> CaseResult {
    let Err(StartError::Failed(why)) = launch("broken").start("servers") else {
        return ensure(false, "it must not start");
    };
    for text in
        ["broken did not start", "exit status: 7", "the configuration is wrong", "/test-logs/servers/"]
    {
        ensure(why.contains(text), format!("{text:?} is not said: {why}"))?;
    }
    Ok(())
}

async fn never_ready() -> CaseResult {
    let launch = launch("plain").ready(Ready::Get("/".to_owned())).within(Duration::ZERO);
    let Err(StartError::Failed(why)) = launch.start("servers") else {
        return ensure(false, "it must not be ready at once");
    };
    ensure(why.contains("not ready"), why)
}

/// The first port is taken between its choice and its use, by something that takes connections too.
async fn taken_port() -> CaseResult {
    let mut takers = Vec::new();
    let server = Launch::new("second", |port| {
        if takers.is_empty() {
            takers.push(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(JOB, "plain").env(PORT, port.to_string()).stdin(Stdio::null());
        command
    })
    .start("servers")?;
    ensure(takers[0].local_addr()?.port() != server.port(), "that port is not its own")?;
    ensure(server.written().contains(&format!("the port is {}", server.port())), server.written())
}

async fn missing() -> CaseResult {
    for program in ["no-such-program-anywhere", "/no/such/program"] {
        match Launch::new("a", |_| Command::new(program)).start("servers") {
            Err(StartError::Missing(why)) => ensure(why.contains(program), why)?,
            other => return ensure(false, format!("{other:?}")),
        }
    }
    Ok(())
}

async fn ministack() -> CaseResult {
    let server = need(Ministack::shared())?;
    let (one, other) = (server.account(), server.account());
    ensure(one != other, "one account twice")?;
    one.make_bucket("mine")?;
    for (account, seen) in [(&one, true), (&other, false)] {
        let (status, list) = account.s3("GET", "/")?;
        equal("the status", &status, &200)?;
        equal("whether the bucket is seen", &list.contains("<Name>mine</Name>"), &seen)?;
    }
    equal("the environment", &one.environment()[1], &("AWS_ACCESS_KEY_ID", one.id().to_owned()))
}

async fn moto_accounts() -> CaseResult {
    let server = need(Moto::shared())?;
    let (one, other) = (server.account()?, server.account()?);
    one.make_bucket("mine")?;
    for (account, seen) in [(&one, true), (&other, false)] {
        let (status, list) = account.s3("GET", "/")?;
        equal("the status", &status, &200)?;
        equal("whether the bucket is seen", &list.contains("<Name>mine</Name>"), &seen)?;
    }
    Ok(())
}
