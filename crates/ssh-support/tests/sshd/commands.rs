//! Commands over one connection.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::time::{Clock, SystemClock};
use rollback_core::{Effect, ErrorKind};
use rollback_ssh_support::{Command, JobKey, Jobs, LocalShell, Output, RemotePath, Secret, Shell};
use rollback_testkit::harness::{CaseResult, Suite, ensure, equal};

use crate::server::{Server, eventually, pause, sleepers};

pub(crate) fn suite() -> Suite {
    crate::suite("commands")
        .case("exit_codes_streams_and_input_come_back", true, streams)
        .case("arguments_arrive_as_they_are", true, arguments)
        .case("forty_commands_share_one_connection_and_its_sessions", true, forty)
        .case("a_host_that_allows_fewer_sessions_says_so", true, few_sessions)
        .case("at_its_time_limit_a_command_ends_on_the_host", true, time_limit)
        .case("who_stops_waiting_stops_nothing", true, not_waiting)
        .case("large_output_is_kept_in_part_and_large_input_fed_whole", true, large)
        .case("a_second_command_is_cheap", true, cheap)
        .case("a_dropped_connection_is_closed", true, closed)
}

async fn streams() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    let script = Command::script(r#"cat; echo "$1" >&2; exit 7"#).arg("err").stdin(Secret::new("in"));
    equal("output", &host.run(&script).await?, &Output::new(7, "in", "err\n"))?;
    equal("empty input", &*host.run(&Command::new("cat")).await?.text(), "")?;
    equal("killed", &host.run(&Command::script("kill -9 $$")).await?.status, &137)?;
    equal("255", &host.run(&Command::script("exit 255")).await?.status, &255)?;
    let missing = host.run(&Command::new("no-such-program")).await?;
    equal("missing", &missing.status, &127)?;
    ensure(String::from_utf8_lossy(&missing.stderr).contains("no-such-program"), "its message is kept")?;
    let there = Command::script("pwd; echo $A").current_dir(RemotePath::new("/usr/bin")?).env("A", "b  c");
    equal("folder and variable", &*host.run(&there).await?.text(), "/usr/bin\nb c")?;
    equal("logins", &server.logins(), &1)
}

async fn arguments() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    let args =
        ["", "it's", "$HOME `id` $(id)", "a\nb", "\\", "\\'", "*", "!x", "~", "-n", "ü\u{1b}[31m", ";exit 9"];
    let expected: String = args.iter().map(|arg| format!("{arg}\0")).collect();
    let output = host.run(&Command::new("printf").arg("%s\\0").args(args)).await?;
    equal("arguments", &output.stdout, &expected.into_bytes())
}

async fn forty() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    let counter = server.path("running");
    std::fs::create_dir(&counter)?;
    let script = r#"mkdir "$1/$2"; ls "$1" | wc -l; sleep 0.2; rmdir "$1/$2"; exit "$2""#;
    let tasks: Vec<_> = (0..40)
        .map(|number: i32| {
            let (host, folder) = (host.clone(), counter.display().to_string());
            tokio::spawn(async move {
                host.run(&Command::script(script).arg(folder).arg(number.to_string())).await
            })
        })
        .collect();
    let mut most = 0;
    for (number, task) in tasks.into_iter().enumerate() {
        let output = task.await??;
        equal("exit code", &usize::try_from(output.status)?, &number)?;
        most = most.max(output.text().trim().parse::<usize>()?);
    }
    ensure((4..=8).contains(&most), format!("{most} ran at once"))?;
    equal("logins", &server.logins(), &1)
}

async fn few_sessions() -> CaseResult {
    let server = Server::with("MaxSessions 1").await?;
    let host = server.connection();
    host.open().await?;
    let seconds = format!("6.5{}", std::process::id());
    let busy = tokio::spawn({
        let host = host.clone();
        let sleep = Command::new("sleep").arg(&seconds);
        async move { host.run(&sleep).await }
    });
    eventually("it sleeps", || sleepers(&seconds) == 1).await?;
    let error = host.run(&Command::new("true")).await.unwrap_err();
    equal("kind", &error.kind(), &ErrorKind::Unavailable)?;
    equal("effect", &error.effect(), &Effect::None)?;
    ensure(error.to_string().contains("MaxSessions"), error.to_string())?;
    equal("the other one", &busy.await??.status, &0)?;
    equal("afterwards", &host.run(&Command::new("true")).await?.status, &0)?;
    equal("logins", &server.logins(), &1)
}

async fn time_limit() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    let mark = format!("{}.25", 70_000 + std::process::id() % 10_000);
    let begun = SystemClock.monotonic();
    let sleeper = Command::script(r#"trap '' TERM; sleep "$1" & wait; sleep "$1""#).arg(mark.clone());
    let error = host.run(&sleeper.limit(Duration::from_secs(1))).await.unwrap_err();
    ensure(
        SystemClock.monotonic() - begun < Duration::from_secs(14),
        "one second, and five until it is killed",
    )?;
    equal("kind", &error.kind(), &ErrorKind::Timeout)?;
    equal("effect", &error.effect(), &Effect::Unknown)?;
    ended(&mark).await?;
    equal("the connection stands", &server.logins(), &1)?;
    equal("afterwards", &host.run(&Command::new("true")).await?.status, &0)
}

/// Waits until no `sleep` of this length runs, for ten seconds at most: those who were asked to end do so a moment later.
pub(crate) async fn ended(mark: &str) -> CaseResult {
    let script = r#"for f in /proc/[0-9]*/cmdline; do tr '\0' ' ' < "$f"; echo; done 2> /dev/null | grep -c "^sleep $1 ""#;
    for _ in 0..50 {
        let counted = LocalShell::new().run(&Command::script(script).arg(mark)).await?;
        if counted.text() == "0" {
            return Ok(());
        }
        pause(200).await;
    }
    Err("something was left running".into())
}

async fn not_waiting() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection_with(server.settings().sessions(1));
    let file = server.text("done");
    let seconds = format!("2.7{}", std::process::id());
    let command = Command::script(r#"sleep "$2"; echo done > "$1""#).arg(file.clone()).arg(&seconds);
    tokio::select! {
        ended = host.run(&command) => return Err(format!("it takes longer: {ended:?}").into()),
        begun = eventually("it was begun", || sleepers(&seconds) == 1) => begun?,
    }
    // Its session is still taken: the next one waits for it, and sees what it did.
    equal("what it wrote", &*host.run(&Command::new("cat").arg(file)).await?.text(), "done")
}

async fn large() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    let output = host
        .run(&Command::script("head -c 3000000 /dev/zero; head -c 100000 /dev/zero >&2; echo end >&2"))
        .await?;
    equal("status", &output.status, &0)?;
    ensure(output.truncated && output.stdout.len() == 1024 * 1024, format!("{output:?}"))?;
    ensure(output.stderr.len() == 64 * 1024 && output.stderr.ends_with(b"\0end\n"), format!("{output:?}"))?;
    let input = Secret::new(vec![b'x'; 3_000_000]);
    equal("input", &*host.run(&Command::script("wc -c").stdin(input.clone())).await?.text(), "3000000")?;
    equal("unread input", &host.run(&Command::new("true").stdin(input)).await?.status, &0)
}

async fn cheap() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    host.open().await?;
    let begun = SystemClock.monotonic();
    for _ in 0..50 {
        host.run(&Command::new("true")).await?;
    }
    let each = (SystemClock.monotonic() - begun) / 50;
    let begun = SystemClock.monotonic();
    let together: Vec<_> = (0..50)
        .map(|_| {
            let host = host.clone();
            tokio::spawn(async move { host.run(&Command::new("true")).await })
        })
        .collect();
    for one in together {
        one.await??;
    }
    let at_once = (SystemClock.monotonic() - begun) / 50;
    let jobs = Jobs::new(Arc::new(host.clone()));
    let begun = SystemClock.monotonic();
    for number in 0..10 {
        jobs.run(&JobKey::new(format!("job-{number}"))?, &Command::new("true")).await?;
    }
    let job = (SystemClock.monotonic() - begun) / 10;
    equal("logins", &server.logins(), &1)?;
    // As a person types it.
    let port = server.port().to_string();
    let known = format!("UserKnownHostsFile={}", server.text("known_hosts"));
    let begun = SystemClock.monotonic();
    for _ in 0..5 {
        let mut ssh = std::process::Command::new("ssh");
        ssh.args([
            "-F",
            "/dev/null",
            "-o",
            &known,
            "-i",
            &server.text("user"),
            "-p",
            &port,
            "127.0.0.1",
            "true",
        ]);
        ensure(ssh.status()?.success(), "ssh by hand")?;
    }
    let by_hand = (SystemClock.monotonic() - begun) / 5;
    println!(
        "a command: {each:?}; one of many at once: {at_once:?}; a job, started and waited for: {job:?}; an ssh of its own: {by_hand:?}"
    );
    ensure(each < by_hand, "a second command costs no login")
}

async fn closed() -> CaseResult {
    let server = Server::start().await?;
    let host = server.connection();
    host.run(&Command::new("true")).await?;
    equal("connections", &server.serving().len(), &1)?;
    let other = host.clone();
    drop(host);
    other.run(&Command::new("true")).await?;
    equal("logins", &server.logins(), &1)?;
    drop(other);
    eventually("no connection is left", || server.serving().is_empty()).await
}
