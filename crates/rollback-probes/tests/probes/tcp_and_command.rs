//! The `tcp` probe against real sockets, and the `command` probe with real programs.

use std::time::Duration;

use rollback_core::condition::{Check, Condition, Rule, Verdict};
use rollback_core::probe::Sample;
#[cfg(target_os = "linux")]
use rollback_core::time::{Clock, SystemClock, within};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Behaviour, Server, refusal, sample};

async fn run(argv: Value) -> Sample {
    sample(json!({ "kind": "command", "argv": argv })).await
}

async fn shell(script: &str) -> Sample {
    run(json!(["sh", "-c", script])).await
}

#[tokio::test]
async fn a_port_that_takes_connections_is_ok() {
    let server = Server::start(Behaviour::SendThenHang(Vec::new())).await;
    let address = server.url("").replace("http://", "");
    let seen = sample(json!({ "kind": "tcp", "address": address })).await;
    assert!(seen.ok && seen.metrics["latency_ms"] > 0.0, "{seen:?}");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_not_ok_and_meets_no_latency_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let seen = sample(json!({ "kind": "tcp", "address": address })).await;
    assert!(!seen.ok && seen.metrics.is_empty(), "{seen:?}");
    let fast = Check::Below { metric: "latency_ms".into(), limit: 1_000.0 };
    let mut rule = Condition::new(Rule { all: vec![fast], ..Rule::once_ok("1m".parse().unwrap()) });
    assert!(matches!(rule.feed(Duration::ZERO, &seen), Verdict::Pending(_)));
}

#[tokio::test]
async fn a_name_that_does_not_exist_tells_nothing() {
    for probe in [
        json!({ "kind": "tcp", "address": "no-such-host.invalid:80", "timeout": "10s" }),
        json!({ "kind": "http", "url": "http://no-such-host.invalid/", "timeout": "10s" }),
    ] {
        let seen = sample(probe).await;
        assert!(!seen.ok && !seen.known, "{seen:?}");
    }
}

#[tokio::test]
async fn who_takes_no_connections_is_not_ok() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for probe in [
        json!({ "kind": "tcp", "address": free.to_string() }),
        json!({ "kind": "http", "url": format!("http://localhost:{}/", free.port()) }),
    ] {
        let seen = sample(probe).await;
        assert!(!seen.ok && seen.known, "{seen:?}");
    }
}

#[tokio::test]
async fn the_exit_code_decides() {
    let good = run(json!(["true"])).await;
    assert!(good.ok && good.metrics["exit_code"] == 0.0 && good.metrics["duration_ms"] > 0.0, "{good:?}");
    let bad = shell("echo fine; echo 'no database' >&2; exit 7").await;
    assert!(!bad.ok && bad.metrics["exit_code"] == 7.0, "{bad:?}");
    assert!(bad.detail.starts_with("exit code 7 in ") && bad.detail.ends_with(": no database"), "{bad:?}");
}

#[tokio::test]
async fn a_signal_is_not_an_exit_code() {
    let seen = shell("kill -KILL $$").await;
    assert!(!seen.ok && !seen.metrics.contains_key("exit_code"), "{seen:?}");
    assert!(seen.detail.contains("signal"), "{}", seen.detail);
}

#[tokio::test]
async fn numbers_of_the_first_line_become_metrics_but_not_those_measured_here() {
    let seen =
        shell(r#"echo '{"error_rate": 0.4, "exit_code": 9, "duration_ms": -1, "who": "me"}'; echo done"#)
            .await;
    assert_eq!(seen.metrics["error_rate"], 0.4);
    assert_eq!(seen.metrics["exit_code"], 0.0);
    assert!(seen.metrics["duration_ms"] > 0.0);
    assert_eq!(seen.metrics.len(), 3);
    assert!(seen.detail.ends_with(": done"), "{}", seen.detail);
}

#[tokio::test]
async fn no_shell_reads_the_arguments() {
    let seen = run(json!(["printf", "%s", "$HOME; exit 3"])).await;
    assert!(seen.ok && seen.detail.ends_with(": $HOME; exit 3"), "{seen:?}");
}

#[tokio::test]
async fn standard_input_is_empty() {
    assert!(run(json!(["cat"])).await.ok);
}

#[tokio::test]
async fn a_program_that_prints_without_end_is_bounded() {
    let seen = shell("head -c 3000000 /dev/zero | tr '\\0' x; exit 1").await;
    assert_eq!(seen.metrics["exit_code"], 1.0);
    assert!(seen.detail.len() < 3_000, "{}", seen.detail.len());
}

#[tokio::test]
async fn a_program_that_cannot_be_started_tells_nothing() {
    let seen = run(json!(["/no/such/program", "hunter2"])).await;
    assert!(!seen.known && seen.detail.contains("cannot start \"/no/such/program\""), "{seen:?}");
    assert!(!seen.detail.contains("hunter2"), "arguments are not shown: {}", seen.detail);
}

#[tokio::test]
async fn a_program_that_leaves_another_behind_is_not_waited_for_twice() {
    // The second one holds the pipe for longer than the timeout.
    let settings = json!({
        "kind": "command", "argv": ["sh", "-c", "sleep 30 2>/dev/null & echo $!"], "timeout": "20s",
    });
    let seen = sample(settings).await;
    assert!(seen.ok, "{seen:?}");
    let left = seen.detail.rsplit(' ').next().unwrap().to_owned();
    assert!(run(json!(["kill", left])).await.ok);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_hangs_is_killed_with_what_it_started() {
    let settings = json!({
        "kind": "command", "argv": ["sh", "-c", "sleep 30 & echo $!; wait"], "timeout": "500ms",
    });
    let seen = sample(settings).await;
    assert!(!seen.ok && seen.metrics.is_empty(), "{seen:?}");
    assert!(seen.detail.contains("did not end within 500ms"), "{}", seen.detail);
    let started = seen.detail.rsplit(' ').next().unwrap();
    assert!(started.parse::<u32>().is_ok(), "{}", seen.detail);
    // The kernel lets a killed process go a moment later.
    let gone = async {
        while is_alive(started) {
            SystemClock.sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_secs(10);
    assert!(within(&SystemClock, limit, gone).await.is_some(), "process {started} is still alive");
}

/// Whether a process runs: it is neither gone, nor dead and not yet collected by its parent.
#[cfg(target_os = "linux")]
fn is_alive(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().unwrap().starts_with(['Z', 'X']))
}

#[test]
fn wrong_settings_are_refused_with_what_to_write_instead() {
    for (settings, says) in [
        (json!({ "kind": "tcp", "adress": "a:1" }), "did you mean \"address\"?"),
        (json!({ "kind": "tcp", "address": "localhost" }), "has no port"),
        (json!({ "kind": "tcp", "address": "h:1", "timeout": "soon" }), "not a length of time"),
        (json!({ "kind": "command", "argv": "echo hello" }), "expected a sequence"),
        (json!({ "kind": "command", "argv": [] }), "names no program"),
        (json!({ "kind": "command", "argv": ["a", "b\u{0}"] }), "NUL"),
        (json!({ "kind": "command", "argv": ["a"], "env": {} }), "there is no setting \"env\""),
        (json!({ "kind": "htpp", "url": "x" }), "did you mean \"http\"?"),
    ] {
        let text = refusal(settings.clone());
        assert!(text.contains(says), "{settings}: {text}");
    }
}
