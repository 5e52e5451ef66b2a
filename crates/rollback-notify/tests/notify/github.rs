//! GitHub, against a small double of its API.

use std::sync::{Arc, Mutex};

use rollback_core::{ErrorKind, Identity, RunId, State};
use rollback_notify::{Kind, Notice, Subscription};
use serde_json::{Value, json};

use crate::http::{notice, subscription};
use crate::server::{Reply, Request, Server};

/// What the repository holds.
#[derive(Debug, Default)]
struct Held {
    issues: Vec<Value>,
    comments: Vec<Value>,
    deployments: Vec<Value>,
    statuses: Vec<Value>,
}

#[derive(Clone, Default)]
struct Repository(Arc<Mutex<Held>>);

impl Repository {
    async fn serve(&self) -> Server {
        let held = self.clone();
        Server::start(move |_, request| held.answer(request)).await
    }

    fn answer(&self, request: &Request) -> Reply {
        let mut words = request.line.split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        assert_eq!(request.header("authorization"), Some("Bearer token-hunter2-hunter2"));
        assert_eq!(request.header("x-github-api-version"), Some("2022-11-28"));
        let mut held = self.0.lock().unwrap();
        let Held { issues, comments, deployments, statuses } = &mut *held;
        let name = path.strip_prefix("/api/v3/repos/owner/name/").unwrap();
        let list = match name {
            "issues" => issues,
            "issues/1/comments" => comments,
            "deployments" => deployments,
            "deployments/1/statuses" => statuses,
            other => return (404, format!("no {other}")),
        };
        if method == "GET" {
            let wanted = ["state=open", "environment=prod"].map(|wanted| query.contains(wanted));
            assert!(name.contains('/') || wanted.contains(&true), "{query}");
            return (200, Value::Array(list.clone()).to_string());
        }
        let mut made = request.json();
        let number = list.len() + 1;
        (made["id"], made["number"]) = (json!(number), json!(number));
        // Newest first, as GitHub lists them.
        list.insert(0, made.clone());
        (201, made.to_string())
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }
}

fn sink(server: &Server, mut more: Value) -> Subscription {
    let mut spec = json!({ "kind": "github", "repository": "owner/name", "token_env": "TOKEN" });
    spec["api"] = json!(format!("{}/api/v3", server.base));
    spec.as_object_mut().unwrap().append(more.as_object_mut().unwrap());
    subscription(spec, String::new())
}

/// A notice of a run of `web` from `bad` to `good1234`.
fn of_run(kind: Kind, state: Option<State>) -> Notice {
    let run: RunId = "019a0000-0000-7000-8000-000000000001".parse().unwrap();
    let mut written = serde_json::to_value(notice()).unwrap();
    written["kind"] = json!(kind);
    written["id"] = json!(format!("{run}-{kind}"));
    written["run"] = json!(run);
    written["state"] = json!(state);
    let identity = Identity::of("x").unwrap();
    let version = |version: &str| json!({ "label": version, "version": version, "identity": identity });
    written["components"] =
        json!([{ "component": "web", "from": version("bad"), "to": version("good1234") }]);
    serde_json::from_value(written).unwrap()
}

fn urgent() -> Notice {
    let mut failed = of_run(Kind::Failed, Some(State::Stuck));
    failed.needs_person = true;
    failed.reason = Some("@everybody see #1 <!-- --> <script>".to_owned());
    failed
}

#[tokio::test]
async fn a_rollback_is_a_deployment() {
    let repository = Repository::default();
    let server = repository.serve().await;
    let sink = sink(&server, json!({ "deployments": true }));
    let (started, done) = (of_run(Kind::Started, None), of_run(Kind::Done, Some(State::Restored)));
    for notice in [&started, &started, &done, &done] {
        sink.sink.send(notice).await.unwrap();
    }
    let held = repository.held();
    assert_eq!(held.deployments.len(), 1, "{held:?}");
    let deployment = &held.deployments[0];
    assert_eq!((&deployment["ref"], &deployment["task"]), (&json!("good1234"), &json!("rollback")));
    assert_eq!((&deployment["environment"], &deployment["auto_merge"]), (&json!("prod"), &json!(false)));
    let states: Vec<_> = held.statuses.iter().map(|status| status["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["success", "in_progress"], "newest first, and each once");
    assert!(held.issues.is_empty());
}

#[tokio::test]
async fn there_is_one_issue_where_a_person_is_needed() {
    let repository = Repository::default();
    let server = repository.serve().await;
    let sink = sink(&server, json!({ "issues": true, "mention": "@owner/on-call" }));
    sink.sink.send(&of_run(Kind::Started, None)).await.unwrap();
    assert!(repository.held().issues.is_empty(), "nobody is needed");
    let done = of_run(Kind::Done, Some(State::Restored));
    for notice in [&urgent(), &urgent(), &done, &done] {
        sink.sink.send(notice).await.unwrap();
    }
    let held = repository.held();
    assert_eq!((held.issues.len(), held.comments.len()), (1, 1), "{held:?}");
    let body = held.issues[0]["body"].as_str().unwrap();
    assert!(body.starts_with("@owner/on-call"), "{body}");
    let rest = &body["@owner/on-call".len()..];
    assert!(!rest.contains('@') && !rest.contains("<script"), "{body}");
    assert!(rest.contains("&#64;<!-- -->everybody"), "{body}");
    assert_eq!(held.issues[0]["labels"], json!(["rollback"]));
    assert!(held.comments[0]["body"].as_str().unwrap().contains("Rollback done"), "{held:?}");
}

#[tokio::test]
async fn components_without_a_common_version_want_a_setting() {
    let repository = Repository::default();
    let server = repository.serve().await;
    let mut notice = of_run(Kind::Done, Some(State::Restored));
    notice.components[0].to = None;
    let error = sink(&server, json!({ "deployments": true })).sink.send(&notice).await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("git_ref"), "{error}");
    let told = sink(&server, json!({ "deployments": true, "git_ref": "main" }));
    told.sink.send(&notice).await.unwrap();
    assert_eq!(repository.held().deployments[0]["ref"], json!("main"));
}

#[tokio::test]
async fn what_github_says_is_understood() {
    for (status, body, kind, transient) in [
        (403, r#"{"message":"You have exceeded a secondary rate limit."}"#, ErrorKind::Throttled, true),
        (403, r#"{"message":"Resource not accessible by integration"}"#, ErrorKind::Denied, false),
        (404, r#"{"message":"Not Found token-hunter2-hunter2"}"#, ErrorKind::NotFound, false),
        (502, "", ErrorKind::Unavailable, true),
        (200, "<html>", ErrorKind::Invalid, false),
    ] {
        let server = Server::says(&[(status, body)]).await;
        let sink = sink(&server, json!({ "issues": true }));
        let error = sink.sink.send(&urgent()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error}");
        let shown = format!("{error} {error:?} {sink:?}");
        assert!(!shown.contains("token-hunter2"), "{shown}");
    }
}
