//! Webhooks and Slack, over a real connection.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rollback_core::time::{Clock, SystemClock};
use rollback_core::{EnvironmentName, ErrorKind};
use rollback_notify::signature::{HEADER, verify};
use rollback_notify::{
    Delivery, ID_HEADER, KIND_HEADER, Kind, Notice, Notifier, Policy, Setup, SinkSpec, Subscription,
};
use serde_json::{Value, json};

use crate::server::Server;

const SECRET: &str = "correct-horse-battery-staple";
const TOKEN: &str = "token-hunter2-hunter2";

pub(crate) fn notice() -> Notice {
    let at = "2026-11-21T03:00:00Z".parse().unwrap();
    let mut notice = Notice::new(Kind::Failed, "run-7-failed", EnvironmentName::new("prod").unwrap(), at);
    notice.reason = Some("HTTP 503 for 2m".to_owned());
    notice
}

/// A sink over settings, with `URL`, `SECRET` and `TOKEN` in its environment.
pub(crate) fn subscription(spec: Value, url: String) -> Subscription {
    let spec: SinkSpec = serde_json::from_value(spec).unwrap();
    let setup = Setup::default().variables(move |name| match name {
        "URL" => Some(url.clone()),
        "SECRET" => Some(SECRET.to_owned()),
        "TOKEN" => Some(TOKEN.to_owned()),
        _ => None,
    });
    rollback_notify::registry().build(&spec, &setup).unwrap()
}

async fn told(subscription: Subscription) -> Delivery {
    let policy = Policy::default().pauses(Duration::from_millis(1), Duration::from_millis(1));
    let notifier = Notifier::start(Arc::new(SystemClock), policy, vec![subscription]);
    notifier.notify(notice());
    notifier.close(Duration::from_secs(60)).await.remove(0)
}

fn webhook(server: &Server) -> Subscription {
    let spec = json!({ "kind": "webhook", "url_env": "URL", "secret_env": "SECRET", "bearer_env": "TOKEN" });
    subscription(spec, format!("{}/hooks/path-is-secret?key=query-is-secret", server.base))
}

#[tokio::test]
async fn a_webhook_is_signed_and_sent_again_after_a_503() {
    let server = Server::says(&[(503, "busy"), (200, "thanks")]).await;
    let delivery = told(webhook(&server)).await;
    assert!(delivery.is_complete() && delivery.delivered == 1, "{delivery:?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.line, "POST /hooks/path-is-secret?key=query-is-secret HTTP/1.1");
        assert_eq!(request.header(ID_HEADER), Some("run-7-failed"), "the same at each try");
        assert_eq!(request.header(KIND_HEADER), Some("failed"));
        assert_eq!(request.header("authorization"), Some("Bearer token-hunter2-hunter2"));
        let signature = request.header(HEADER).unwrap();
        verify(SECRET.as_bytes(), signature, &request.body, SystemClock.now()).unwrap();
        assert!(verify(b"another", signature, &request.body, SystemClock.now()).is_err());
        assert_eq!(serde_json::from_value::<Notice>(request.json()).unwrap(), notice());
        assert_eq!(request.json()["schema"], "rollback-notice/1");
    }
}

#[tokio::test]
async fn what_a_server_refuses_is_not_sent_again() {
    for (status, kind) in [(400, ErrorKind::Invalid), (403, ErrorKind::Denied), (302, ErrorKind::Invalid)] {
        let server = Server::says(&[(status, "no")]).await;
        let subscription = webhook(&server);
        let error = subscription.sink.send(&notice()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, false), "{status}: {error}");
        assert_eq!(told(subscription).await.failed, 1);
        assert_eq!(server.requests().len(), 2, "once for each");
    }
}

#[tokio::test]
async fn what_may_pass_is_transient() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let server = Server::says(&[(status, "")]).await;
        let error = webhook(&server).sink.send(&notice()).await.unwrap_err();
        assert!(error.is_transient(), "{status}: {error}");
    }
    let nobody = subscription(
        json!({ "kind": "webhook", "url_env": "URL", "unsigned": true }),
        "http://127.0.0.1:1/hooks/path-is-secret".to_owned(),
    );
    let error = nobody.sink.send(&notice()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn slack_gets_a_message() {
    let server = Server::says(&[(200, "ok")]).await;
    let spec = json!({ "kind": "slack", "url_env": "URL" });
    let delivery = told(subscription(spec, format!("{}/services/T0/B0/path-is-secret", server.base))).await;
    assert!(delivery.is_complete(), "{delivery:?}");
    let message = server.requests()[0].json();
    assert!(message["text"] == "[prod] Rollback not done", "{message}");
    assert!(
        message["blocks"][1]["text"]["text"].as_str().unwrap().contains("*Issue:* HTTP 503 for 2m"),
        "{message}"
    );
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The whole process logs into it, down to the finest level, and what libraries give to the `log` crate too.
fn log() -> Log {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .init();
    log
}

#[tokio::test]
async fn a_secret_is_in_no_error_no_debug_and_no_log() {
    let log = log();
    let repeats =
        "POST /hooks/path-is-secret?key=query-is-secret correct-horse-battery-staple token-hunter2-hunter2";
    let mut shown = String::new();
    for (status, body) in [(200, "ok"), (404, repeats), (500, repeats)] {
        let server = Server::says(&[(status, body)]).await;
        let slack = subscription(
            json!({ "kind": "slack", "url_env": "URL" }),
            format!("{}/hooks/path-is-secret?key=query-is-secret", server.base),
        );
        for subscription in [webhook(&server), slack] {
            shown += &format!("{subscription:?} {}\n", subscription.sink.name());
            if let Err(error) = subscription.sink.send(&notice()).await {
                shown += &format!("{error} {error:?} {:?}\n", error.to_record());
            }
            shown += &format!("{:?}\n", told(subscription).await);
        }
    }
    let nobody = subscription(
        json!({ "kind": "slack", "url_env": "URL" }),
        "http://127.0.0.1:1/hooks/path-is-secret?key=query-is-secret".to_owned(),
    );
    let error = nobody.sink.send(&notice()).await.unwrap_err();
    shown += &format!("{error} {error:?}");
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("not delivered"), "the log is one: {logged}");
    assert!(shown.contains("127.0.0.1"), "{shown}");
    for secret in ["path-is-secret", "query-is-secret", SECRET, TOKEN] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
        let line = logged.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} is logged");
    }
}

#[test]
fn wrong_settings_say_what_to_write_and_repeat_no_value() {
    let build = |spec: Value| {
        let spec: SinkSpec = serde_json::from_value(spec).unwrap();
        let setup = Setup::default()
            .variables(|name| (name == "URL").then(|| "http://example.com/hunter2".to_owned()));
        rollback_notify::registry().build(&spec, &setup).unwrap_err()
    };
    for (spec, told) in [
        (json!({ "kind": "slak", "url_env": "URL" }), "did you mean \"slack\""),
        (json!({ "kind": "slack", "url": "https://hooks.slack.com/hunter2" }), "there is no setting \"url\""),
        (json!({ "kind": "slack" }), "there is no URL"),
        (
            json!({ "kind": "slack", "url_env": "https://hooks.slack.com/hunter2" }),
            "not the name of an environment variable",
        ),
        (json!({ "kind": "slack", "url_env": "URL" }), "use https://"),
        (json!({ "kind": "slack", "url_env": "URL", "on": [] }), "it would hear of nothing"),
        (json!({ "kind": "slack", "url_env": "URL", "format": "hunter2" }), "a value that it cannot have"),
        (json!({ "kind": "webhook", "url": ["https://h/hunter2"] }), "\"url\" has a value of the wrong type"),
        (json!({ "kind": "webhook", "url": "https://h/hunter2" }), "nothing signs its requests"),
        (json!({ "kind": "webhook", "url": "https://h/x", "url_env": "URL" }), "the URL is set twice"),
        (json!({ "kind": "webhook" }), "there is no URL"),
    ] {
        let error = build(spec.clone());
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(told), "{spec}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.next_step().is_some(), "{error}");
    }
}

/// Editors are told of exactly the settings that are read.
#[test]
fn every_kind_has_a_schema_of_its_settings() {
    for factory in rollback_notify::registry().factories() {
        let schema = factory.config_schema();
        for (name, setting) in schema["properties"].as_object().unwrap_or_else(|| panic!("{schema:#}")) {
            assert!(setting["description"].is_string(), "{} {name} says nothing", factory.kind());
        }
        assert_eq!(schema["additionalProperties"], Value::Bool(false), "{}", factory.kind());
    }
}
