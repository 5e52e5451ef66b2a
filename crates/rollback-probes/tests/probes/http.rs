//! The `http` probe against real servers on loopback.

use serde_json::json;

use crate::support::{Behaviour, Server, answer, refusal, sample};

#[tokio::test]
async fn any_status_from_200_to_299_is_ok_unless_told_otherwise() {
    for (status, ok) in [(200, true), (204, true), (299, true), (301, false), (404, false), (503, false)] {
        let server = Server::answering(status, "", "").await;
        let seen = sample(json!({ "kind": "http", "url": server.url("/health") })).await;
        assert_eq!(seen.ok, ok, "{seen:?}");
        assert_eq!(seen.metrics["status"], f64::from(status));
        assert!(seen.metrics["latency_ms"] > 0.0);
        assert!(seen.detail.starts_with(&format!("HTTP {status} in ")), "{}", seen.detail);
    }
}

#[tokio::test]
async fn a_status_or_a_list_of_them_can_be_expected() {
    let server = Server::answering(401, "", "").await;
    for (expect, ok) in [(json!(401), true), (json!([200, 401]), true), (json!([200, 204]), false)] {
        let settings = json!({ "kind": "http", "url": server.url("/"), "expect_status": expect });
        let seen = sample(settings).await;
        assert_eq!(seen.ok, ok, "{seen:?}");
    }
}

#[tokio::test]
async fn a_text_can_be_demanded_of_the_body() {
    let server = Server::answering(200, "", "{\"state\": \"ready\"}").await;
    for (text, ok) in [("\"ready\"", true), ("\"starting\"", false)] {
        let seen = sample(json!({ "kind": "http", "url": server.url("/"), "contains": text })).await;
        assert_eq!(seen.ok, ok, "{seen:?}");
        assert!(!seen.detail.contains("state"), "the body is not shown: {}", seen.detail);
    }
}

#[tokio::test]
async fn a_text_is_found_across_chunks_and_only_in_the_first_64_kib() {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n";
    let server = Server::start(Behaviour::Send(chunked.to_vec())).await;
    assert!(sample(json!({ "kind": "http", "url": server.url("/"), "contains": "ready" })).await.ok);

    for (before, ok) in [(64 * 1024 - 5, true), (64 * 1024 - 4, false)] {
        let body = format!("{}ready", "x".repeat(before));
        let server = Server::answering(200, "", &body).await;
        let seen = sample(json!({ "kind": "http", "url": server.url("/"), "contains": "ready" })).await;
        assert_eq!(seen.ok, ok, "{before}: {seen:?}");
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(128 * 1024, b'x');
    let server = Server::start(Behaviour::SendWithoutEnd(endless)).await;
    let seen = sample(json!({ "kind": "http", "url": server.url("/"), "contains": "ready" })).await;
    assert!(!seen.ok);
    assert!(seen.detail.contains("without \"ready\""), "{}", seen.detail);
}

#[tokio::test]
async fn a_server_that_never_answers_runs_into_the_timeout_and_gives_no_numbers() {
    let server = Server::start(Behaviour::SendThenHang(Vec::new())).await;
    let seen =
        sample(json!({ "kind": "http", "url": server.url("/slow?key=hunter2"), "timeout": "50ms" })).await;
    assert!(!seen.ok);
    assert!(seen.metrics.is_empty(), "{seen:?}");
    assert_eq!(seen.detail, format!("{}: no answer within 50ms", server.url("/slow")));
}

#[tokio::test]
async fn a_body_that_hangs_runs_into_the_timeout_too() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nrea".to_vec();
    let server = Server::start(Behaviour::SendThenHang(head)).await;
    let settings = json!({ "kind": "http", "url": server.url("/"), "contains": "ready", "timeout": "50ms" });
    assert!(!sample(settings).await.ok);
}

#[tokio::test]
async fn a_refused_connection_is_not_ok_and_gives_no_numbers() {
    // A port that was free a moment ago: nobody listens there now.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/health?key=hunter2", listener.local_addr().unwrap());
    drop(listener);
    let seen = sample(json!({ "kind": "http", "url": url })).await;
    assert!(!seen.ok);
    assert!(seen.metrics.is_empty(), "{seen:?}");
    assert!(seen.detail.to_lowercase().contains("connection refused"), "{}", seen.detail);
    assert!(!seen.detail.contains("hunter2"), "{}", seen.detail);
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_body_is_not_ok() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nrea".to_vec();
    let server = Server::start(Behaviour::SendThenReset(head)).await;
    let seen = sample(json!({ "kind": "http", "url": server.url("/"), "contains": "ready" })).await;
    assert!(!seen.ok, "{seen:?}");
}

#[tokio::test]
async fn what_is_not_http_is_not_ok() {
    for bytes in [&b"SSH-2.0-OpenSSH_9.9\r\n"[..], b"", b"HTTP/1.1 abc\r\n\r\n"] {
        let server = Server::start(Behaviour::Send(bytes.to_vec())).await;
        let seen = sample(json!({ "kind": "http", "url": server.url("/") })).await;
        assert!(!seen.ok, "{seen:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_only_when_asked_for() {
    let end = Server::answering(200, "", "").await;
    let location = format!("location: {}\r\n", end.url("/end?key=hunter2"));
    let start = Server::answering(302, &location, "").await;

    let seen = sample(json!({ "kind": "http", "url": start.url("/") })).await;
    assert!(!seen.ok);
    assert!(seen.detail.contains("redirect") && !seen.detail.contains("hunter2"), "{}", seen.detail);
    assert!(end.heads().is_empty());

    assert!(sample(json!({ "kind": "http", "url": start.url("/"), "follow_redirects": true })).await.ok);
    assert_eq!(end.heads().len(), 1);
}

#[tokio::test]
async fn every_sample_opens_a_connection_of_its_own() {
    // Keeps its connections open: a client with a pool would send the second request on the first one, unanswered.
    let kept = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
    let server = Server::start(Behaviour::SendThenHang(kept)).await;
    let spec = serde_json::from_value(json!({ "kind": "http", "url": server.url("/") })).unwrap();
    let probe = rollback_probes::registry().build(&spec).unwrap();
    for _ in 0..3 {
        let seen = probe.sample().await;
        assert!(seen.ok, "{seen:?}");
    }
}

#[tokio::test]
async fn plain_headers_and_a_token_from_the_environment_are_sent() {
    let server = Server::start(Behaviour::Send(answer(200, "", ""))).await;
    // PATH stands for any variable that is always set.
    let settings = json!({
        "kind": "http", "url": server.url("/"), "headers": { "Accept": "text/plain" }, "bearer_env": "PATH",
    });
    let spec = serde_json::from_value(settings).unwrap();
    let probe = rollback_probes::registry().build(&spec).unwrap();
    let seen = probe.sample().await;
    let token = std::env::var("PATH").unwrap();
    let head = server.heads().remove(0);
    assert!(head.contains(&format!("authorization: Bearer {token}\r\n")), "{head}");
    assert!(head.contains("accept: text/plain\r\n"), "{head}");
    assert!(!seen.detail.contains(&token) && !format!("{probe:?}").contains(&token));
}

#[test]
fn wrong_settings_are_refused_with_what_to_write_instead() {
    let url = "http://127.0.0.1:1/";
    for (settings, says) in [
        (json!({ "kind": "http", "ulr": url }), "did you mean \"url\"?"),
        (json!({ "kind": "http" }), "missing field `url`"),
        (json!({ "kind": "http", "url": "127.0.0.1:80" }), "the url cannot be read"),
        (json!({ "kind": "http", "url": "ftp://127.0.0.1/" }), "\"ftp\""),
        (json!({ "kind": "http", "url": "file:///etc/passwd" }), "\"file\""),
        (json!({ "kind": "http", "url": url, "timeout": "0s" }), "a timeout of nothing"),
        (json!({ "kind": "http", "url": url, "timeout": 5 }), "expected a string"),
        (json!({ "kind": "http", "url": url, "expect_status": "200" }), "a list like [200, 204]"),
        (json!({ "kind": "http", "url": url, "expect_status": [] }), "no status would be well"),
        (json!({ "kind": "http", "url": url, "expect_status": 99 }), "99 is never"),
        (json!({ "kind": "http", "url": url, "contains": "" }), "the empty text"),
        (json!({ "kind": "http", "url": url, "headers": { "a b": "c" } }), "not a header"),
        (
            json!({ "kind": "http", "url": url, "bearer_env": "NO_SUCH_VARIABLE" }),
            "NO_SUCH_VARIABLE is not set",
        ),
        (json!({ "kind": "http", "url": "http://example.com/", "bearer_env": "PATH" }), "use https://"),
    ] {
        let text = refusal(settings.clone());
        assert!(text.contains(says), "{settings}: {text}");
    }
}

#[test]
fn secrets_in_the_settings_are_refused_and_not_repeated() {
    for settings in [
        json!({ "kind": "http", "url": "http://admin:hunter2@127.0.0.1:1/" }),
        json!({ "kind": "http", "url": "http://127.0.0.1:1/", "headers": { "Authorization": "hunter2" } }),
        json!({ "kind": "http", "url": "http://127.0.0.1:1/", "headers": { "X-Api-Key": "hunter2" } }),
        json!({ "kind": "http", "url": "http://127.0.0.1:1/", "headers": { "Cookie": "hunter2" } }),
        json!({ "kind": "http", "url": "http://127.0.0.1:1/", "bearer_env": "hunter2" }),
    ] {
        let text = refusal(settings);
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn https_probes_are_built_where_certificates_are_installed() {
    let spec = serde_json::from_value(json!({ "kind": "http", "url": "https://example.com/" })).unwrap();
    // Which certificates a machine has is not ours to say: it must only never panic.
    if let Err(error) = rollback_probes::registry().build(&spec) {
        assert!(error.to_string().contains("CA certificates"), "{error}");
    }
}
