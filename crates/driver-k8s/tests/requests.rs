//! The exact requests of a rollback, and what is sent again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use http::header::CONTENT_TYPE;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use rollback_core::{
    ActionContext, ComponentName, Effect, IdempotencyKey, Landing, Result, RunId, StepId, Target as _, Token,
};
use rollback_driver_k8s::{K8sAction, K8sConfig, K8sTarget, Kind};
use serde_json::{Value, json};

/// A request as it was sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    /// Method and path with query.
    line: String,
    content_type: Option<String>,
    body: Value,
}

type Log = Arc<Mutex<Vec<Sent>>>;
/// Each to the first request of its method and path.
type Answers = Vec<(&'static str, String, u16, Value)>;

const KINDS: [Kind; 3] = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet];
const NAMESPACE: &str = "/api/v1/namespaces/shop";
const PODS: &str = "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb";

fn web(kind: Kind) -> String {
    format!("/apis/apps/v1/namespaces/shop/{}/web", kind.resource())
}

fn entries(kind: Kind) -> String {
    format!("/apis/apps/v1/namespaces/shop/{}?labelSelector=app%3Dweb", kind.history())
}

fn entry(kind: Kind) -> String {
    format!("/apis/apps/v1/namespaces/shop/{}/web-abc", kind.history())
}

fn patch(kind: Kind) -> String {
    format!("{}?fieldManager=rollback", web(kind))
}

fn object(version: u64, generation: u64, image: &str) -> Value {
    json!({
        "metadata": { "name": "web", "uid": "w", "resourceVersion": version.to_string(), "generation": generation, "annotations": { "a": "b" } },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" } }, "template": template(image) },
        "status": { "observedGeneration": generation },
    })
}

fn template(image: &str) -> Value {
    json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "web", "image": image }] } })
}

/// What holds a version: with what controllers add to it.
fn held(kind: Kind, name: &str, number: u64, image: &str) -> Value {
    let owner = json!([{ "controller": true, "uid": "w", "kind": kind.name(), "name": "web" }]);
    let mut inner = template(image);
    let metadata = json!({ "name": name, "uid": format!("{name}-uid"), "ownerReferences": owner });
    if kind == Kind::Deployment {
        inner["metadata"]["labels"]["pod-template-hash"] = json!("abc");
        let mut set = json!({ "metadata": metadata, "spec": { "template": inner } });
        set["metadata"]["annotations"] = json!({ "deployment.kubernetes.io/revision": number.to_string() });
        return set;
    }
    inner["$patch"] = json!("replace");
    json!({ "metadata": metadata, "revision": number, "data": { "spec": { "template": inner } } })
}

fn first(kind: Kind) -> Value {
    held(kind, "web-abc", 1, "r/web:v1")
}

/// A target whose API server gives these answers, and no others.
fn target(kind: Kind, answers: Answers) -> (K8sTarget, Log) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let log = Log::default();
    let seen = Arc::clone(&log);
    tokio::spawn(async move {
        let mut answers = answers;
        // Ends when the client is dropped.
        while let Some((request, send)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&bytes).unwrap_or_default();
            let (method, path) = (parts.method.to_string(), parts.uri.to_string());
            let content_type =
                parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let found = answers.iter().position(|(m, p, ..)| *m == method && *p == path);
            seen.lock().unwrap().push(Sent { line: format!("{method} {path}"), content_type, body });
            let (code, body) = found.map_or((500, json!("not expected")), |at| {
                let (.., code, body) = answers.remove(at);
                (code, body)
            });
            let answer = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
            send.send_response(answer.unwrap());
        }
    });
    let client = kube::Client::new(service, "shop");
    (K8sTarget::new(client, &K8sConfig::new(kind, "web")).unwrap(), log)
}

/// What planning reads: a workload at its second version.
fn looked(kind: Kind) -> Answers {
    let all = [held(kind, "web-def", 2, "r/web:v2"), first(kind)];
    vec![
        ("GET", NAMESPACE.to_owned(), 200, json!({ "metadata": { "uid": "ns" } })),
        ("GET", web(kind), 200, object(7, 1, "r/web:v2")),
        ("GET", entries(kind), 200, json!({ "items": all })),
        ("GET", PODS.to_owned(), 200, json!({ "items": [] })),
    ]
}

/// Looks, and does something about the first revision by hand.
async fn act(kind: Kind, more: Answers, action: impl FnOnce(Value) -> Value) -> (Result<Landing>, Vec<Sent>) {
    let (target, log) = target(kind, looked(kind).into_iter().chain(more).collect());
    let observed = target.observe(None).await.unwrap();
    let before = log.lock().unwrap().len();
    assert_eq!(
        before, 4,
        "a look is one request for each of the workload, its history and its pods, and one for the namespace"
    );
    let query = rollback_core::target::HistoryQuery::newest(20).after_observing();
    let history = target.history(&query).await.unwrap();
    let goal = &history.iter().find(|entry| entry.snapshot.revision.as_str() == "1").unwrap().snapshot;
    let mut body = action(json!(rollback_core::Snapshot::info(goal).identity));
    body["on"] = json!({ "workload": { "kind": kind, "namespace": "shop", "name": "web" }, "uid": "w" });
    let action: K8sAction = serde_json::from_value(body).unwrap();
    let answer = target.apply(&context(Some(observed.token)), &action).await;
    let sent = log.lock().unwrap().split_off(before);
    (answer, sent)
}

/// Goes back to the first revision.
async fn undo(kind: Kind, more: Answers) -> (Result<Landing>, Vec<Sent>) {
    act(kind, more, |identity| {
        json!({ "do": "set-template", "from": "web-abc", "from-uid": "web-abc-uid", "identity": identity, "cause": "rollback to 1 (v1)" })
    })
    .await
}

/// The workload, and what holds the destination, once more.
fn read_again(kind: Kind, object: Value) -> Answers {
    vec![("GET", web(kind), 200, object), ("GET", entry(kind), 200, first(kind))]
}

fn patched(kind: Kind, code: u16, body: Value) -> Answers {
    vec![("PATCH", patch(kind), code, body)]
}

fn context(expected: Option<Token>) -> ActionContext {
    let run: RunId = "019aa000-0000-7000-8000-000000000001".parse().unwrap();
    let (name, step) = (ComponentName::new("web").unwrap(), StepId::new("step").unwrap());
    ActionContext::new(run, name, step, IdempotencyKey::new("key-1").unwrap()).expecting(expected)
}

fn lines(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|one| one.line.clone()).collect()
}

fn patches(sent: &[Sent]) -> Vec<&Sent> {
    sent.iter().filter(|one| one.line.starts_with("PATCH")).collect()
}

fn conflict() -> Value {
    json!({ "kind": "Status", "reason": "Conflict", "code": 409, "message": "the object has been modified" })
}

/// What every change begins with: what was read, and whose change it is.
fn guarded(version: &str, change: &Value) -> Value {
    json!([
        { "op": "replace", "path": "/metadata/resourceVersion", "value": version },
        { "op": "replace", "path": "/metadata/uid", "value": "w" },
        { "op": "add", "path": "/metadata/annotations/kubernetes.io~1change-cause", "value": "rollback to 1 (v1)" },
        { "op": "add", "path": "/metadata/annotations/rollback-rs.github.io~1step", "value": "key-1" },
        change,
    ])
}

#[tokio::test]
async fn two_reads_at_once_and_one_patch() {
    for kind in KINDS {
        let answers = read_again(kind, object(8, 1, "r/web:v2"));
        let accepted = patched(kind, 200, object(9, 2, "r/web:v1"));
        let (answer, sent) = undo(kind, answers.into_iter().chain(accepted).collect()).await;
        assert!(matches!(answer, Ok(Landing::Applied(_))), "{kind}: {answer:?}");
        let wanted =
            [format!("GET {}", web(kind)), format!("GET {}", entry(kind)), format!("PATCH {}", patch(kind))];
        assert_eq!(lines(&sent), wanted, "{kind}");
        assert!(sent[..2].iter().all(|one| one.body.is_null() && one.content_type.is_none()), "{kind}");
        assert_eq!(sent[2].content_type.as_deref(), Some("application/json-patch+json"), "{kind}");
        let set = json!({ "op": "replace", "path": "/spec/template", "value": template("r/web:v1") });
        assert_eq!(sent[2].body, guarded("8", &set), "{kind}");
    }
}

#[tokio::test]
async fn an_image_is_set_with_one_read_and_one_patch() {
    for kind in KINDS {
        let read = ("GET", web(kind), 200, object(8, 1, "r/web:v2"));
        let accepted = patched(kind, 200, object(9, 2, "r/web:v1"));
        let (answer, sent) = act(kind, [read].into_iter().chain(accepted).collect(), |identity| {
            json!({ "do": "set-images", "images": { "web": "r/web:v1" }, "identity": identity, "cause": "rollback to 1 (v1)" })
        })
        .await;
        assert!(matches!(answer, Ok(Landing::Applied(_))), "{kind}: {answer:?}");
        assert_eq!(lines(&sent), [format!("GET {}", web(kind)), format!("PATCH {}", patch(kind))], "{kind}");
        let set =
            json!({ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "r/web:v1" });
        assert_eq!(sent[1].body, guarded("8", &set), "{kind}");
        assert_eq!(sent[1].content_type.as_deref(), Some("application/json-patch+json"), "{kind}");
    }
}

#[tokio::test]
async fn a_refusal_because_of_noise_is_followed_by_another_look_and_one_more_sending() {
    for kind in KINDS {
        // A status, or an autoscaler: it is still set to the same.
        let mut scaled = object(10, 2, "r/web:v2");
        scaled["spec"]["replicas"] = json!(5);
        let refused = patched(kind, 409, conflict());
        let accepted = patched(kind, 200, object(11, 3, "r/web:v1"));
        let all = [read_again(kind, object(8, 1, "r/web:v2")), refused, read_again(kind, scaled), accepted];
        let (answer, sent) = undo(kind, all.concat()).await;
        assert!(matches!(answer, Ok(Landing::Applied(_))), "{kind}: {answer:?}");
        let once =
            [format!("GET {}", web(kind)), format!("GET {}", entry(kind)), format!("PATCH {}", patch(kind))];
        assert_eq!(lines(&sent), [once.clone(), once].concat(), "{kind}");
        let set = json!({ "op": "replace", "path": "/spec/template", "value": template("r/web:v1") });
        assert_eq!(sent[2].body, guarded("8", &set), "{kind}");
        assert_eq!(sent[5].body, guarded("10", &set), "{kind}: with what was read since");
    }
}

#[tokio::test]
async fn a_refusal_because_of_somebody_elses_change_is_final() {
    for kind in KINDS {
        let refused = patched(kind, 409, conflict());
        let all = [
            read_again(kind, object(8, 1, "r/web:v2")),
            refused,
            read_again(kind, object(10, 2, "r/web:v3")),
        ];
        let (answer, sent) = undo(kind, all.concat()).await;
        assert!(matches!(answer, Ok(Landing::Superseded { .. })), "{kind}: {answer:?}");
        assert_eq!((patches(&sent).len(), sent.len()), (1, 5), "{kind}");
    }
}

#[tokio::test]
async fn another_workload_of_the_same_name_is_not_touched() {
    for kind in KINDS {
        let mut anew = object(8, 1, "r/web:v2");
        anew["metadata"]["uid"] = json!("w2");
        let (answer, sent) = undo(kind, read_again(kind, anew)).await;
        assert!(matches!(answer, Ok(Landing::Superseded { .. })), "{kind}: {answer:?}");
        assert_eq!(patches(&sent), Vec::<&Sent>::new(), "{kind}");
    }
}

#[tokio::test]
async fn endless_noise_is_not_fought_for_ever() {
    let kind = Kind::Deployment;
    let each = |version| {
        let answers = read_again(kind, object(version, 1, "r/web:v2"));
        answers.into_iter().chain(patched(kind, 409, conflict()))
    };
    let (answer, sent) = undo(kind, (8..20).flat_map(each).collect()).await;
    let error = answer.unwrap_err();
    assert_eq!((error.effect(), error.is_transient()), (Effect::None, true));
    assert_eq!(patches(&sent).len(), 4);
}

#[tokio::test]
async fn failures_of_the_server_are_not_answered_with_another_sending() {
    for kind in KINDS {
        for (code, effect) in
            [(429, Effect::None), (500, Effect::Unknown), (503, Effect::Unknown), (504, Effect::Unknown)]
        {
            let refused = patched(kind, code, json!({ "kind": "Status" }));
            let (answer, sent) =
                undo(kind, [read_again(kind, object(8, 1, "r/web:v2")), refused].concat()).await;
            assert_eq!(answer.unwrap_err().effect(), effect, "{kind} {code}");
            assert_eq!(sent.len(), 3, "{kind} {code}");
        }
    }
}

#[tokio::test]
async fn an_entry_that_was_changed_or_replaced_is_not_sent() {
    for kind in KINDS {
        let other = held(kind, "web-abc", 1, "r/web:v9");
        let mut anew = first(kind);
        anew["metadata"]["uid"] = json!("r2");
        for found in [other, anew] {
            let answers =
                vec![("GET", web(kind), 200, object(8, 1, "r/web:v2")), ("GET", entry(kind), 200, found)];
            let (answer, sent) = undo(kind, answers).await;
            let error = answer.unwrap_err();
            assert_eq!((error.effect(), error.is_transient()), (Effect::None, false), "{kind}: {error}");
            assert_eq!(sent.len(), 2, "{kind}");
        }
    }
}
