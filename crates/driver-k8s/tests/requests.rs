//! The exact requests of a rollback, and what is sent again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use rollback_core::{
    ActionContext, ComponentName, Effect, IdempotencyKey, Landing, Result, RunId, StepId, Target as _, Token,
};
use rollback_driver_k8s::{K8sAction, K8sConfig, K8sTarget, Kind};
use serde_json::{Value, json};

/// A request as it was sent: method, path with query, body.
type Sent = (String, String, Value);
type Log = Arc<Mutex<Vec<Sent>>>;

fn deployment(version: u64, generation: u64, image: &str) -> Value {
    json!({
        "metadata": { "name": "web", "uid": "w", "resourceVersion": version.to_string(), "generation": generation, "annotations": { "a": "b" } },
        "spec": { "replicas": 2, "selector": { "matchLabels": { "app": "web" } }, "template": template(image) },
        "status": { "observedGeneration": generation },
    })
}

fn template(image: &str) -> Value {
    json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": [{ "name": "web", "image": image }] } })
}

fn replica_set() -> Value {
    let mut inner = template("r/web:v1");
    inner["metadata"]["labels"]["pod-template-hash"] = json!("abc");
    let owner = json!([{ "controller": true, "uid": "w", "kind": "Deployment", "name": "web" }]);
    json!({ "metadata": { "name": "web-abc", "uid": "r", "ownerReferences": owner,
        "annotations": { "deployment.kubernetes.io/revision": "1" } }, "spec": { "template": inner } })
}

/// A target whose API server gives these answers, each to the first request of its method and path.
fn target(answers: Vec<(&'static str, &'static str, u16, Value)>) -> (K8sTarget, Log) {
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
            let found = answers.iter().position(|(m, p, ..)| *m == method && *p == path);
            seen.lock().unwrap().push((method, path, body));
            let (code, body) = found.map_or((500, json!("not expected")), |at| {
                let (.., code, body) = answers.remove(at);
                (code, body)
            });
            let answer = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
            send.send_response(answer.unwrap());
        }
    });
    let client = kube::Client::new(service, "shop");
    (K8sTarget::new(client, &K8sConfig::new(Kind::Deployment, "web")).unwrap(), log)
}

const NAMESPACE: &str = "/api/v1/namespaces/shop";
const WEB: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
const SETS: &str = "/apis/apps/v1/namespaces/shop/replicasets?labelSelector=app%3Dweb";
const SET: &str = "/apis/apps/v1/namespaces/shop/replicasets/web-abc";
const PODS: &str = "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb";
const PATCH: &str = "/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=rollback";

type Answers = Vec<(&'static str, &'static str, u16, Value)>;

/// What planning reads.
fn looked() -> Answers {
    vec![
        ("GET", NAMESPACE, 200, json!({ "metadata": { "uid": "ns" } })),
        ("GET", WEB, 200, deployment(7, 1, "r/web:v2")),
        ("GET", SETS, 200, json!({ "items": [replica_set()] })),
        ("GET", PODS, 200, json!({ "items": [] })),
    ]
}

/// Looks, and goes back to the first revision by hand.
async fn undo(more: Answers) -> (Result<Landing>, Vec<Sent>) {
    let (target, log) = target(looked().into_iter().chain(more).collect());
    let observed = target.observe(None).await.unwrap();
    let before = log.lock().unwrap().len();
    assert_eq!(
        before, 4,
        "a look is one request for each of the workload, its history and its pods, and one for the namespace"
    );
    let query = rollback_core::target::HistoryQuery::newest(20).after_observing();
    let history = target.history(&query).await.unwrap();
    let goal = &history.iter().find(|entry| entry.snapshot.revision.as_str() == "1").unwrap().snapshot;
    let identity = rollback_core::Snapshot::info(goal).identity;
    let on = json!({ "workload": { "kind": "deployment", "namespace": "shop", "name": "web" }, "uid": "w" });
    let action: K8sAction = serde_json::from_value(json!({
        "do": "set-template", "on": on, "from": "web-abc", "from-uid": "r", "identity": identity, "cause": "rollback to 1 (v1)",
    }))
    .unwrap();
    let answer = target.apply(&context(Some(observed.token)), &action).await;
    let sent = log.lock().unwrap().split_off(before);
    (answer, sent)
}

fn context(expected: Option<Token>) -> ActionContext {
    let run: RunId = "019aa000-0000-7000-8000-000000000001".parse().unwrap();
    let (name, step) = (ComponentName::new("web").unwrap(), StepId::new("step").unwrap());
    ActionContext::new(run, name, step, IdempotencyKey::new("key-1").unwrap()).expecting(expected)
}

fn lines(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|(method, path, _)| format!("{method} {path}")).collect()
}

fn conflict() -> Value {
    json!({ "kind": "Status", "reason": "Conflict", "code": 409, "message": "the object has been modified" })
}

#[tokio::test]
async fn two_reads_at_once_and_one_patch() {
    let (answer, sent) = undo(vec![
        ("GET", WEB, 200, deployment(8, 1, "r/web:v2")),
        ("GET", SET, 200, replica_set()),
        ("PATCH", PATCH, 200, deployment(9, 2, "r/web:v1")),
    ])
    .await;
    assert!(matches!(answer, Ok(Landing::Applied(_))), "{answer:?}");
    assert_eq!(lines(&sent), [format!("GET {WEB}"), format!("GET {SET}"), format!("PATCH {PATCH}")]);
    let wanted = json!([
        { "op": "replace", "path": "/metadata/resourceVersion", "value": "8" },
        { "op": "replace", "path": "/metadata/uid", "value": "w" },
        { "op": "add", "path": "/metadata/annotations/kubernetes.io~1change-cause", "value": "rollback to 1 (v1)" },
        { "op": "add", "path": "/metadata/annotations/rollback-rs.github.io~1step", "value": "key-1" },
        { "op": "replace", "path": "/spec/template", "value": template("r/web:v1") },
    ]);
    assert_eq!(sent[2].2, wanted);
}

#[tokio::test]
async fn a_refusal_because_of_noise_is_followed_by_another_look_and_one_more_sending() {
    let mut scaled = deployment(10, 2, "r/web:v2");
    scaled["spec"]["replicas"] = json!(5);
    let (answer, sent) = undo(vec![
        ("GET", WEB, 200, deployment(8, 1, "r/web:v2")),
        ("GET", SET, 200, replica_set()),
        ("PATCH", PATCH, 409, conflict()),
        // A status, or an autoscaler: it is still set to the same.
        ("GET", WEB, 200, scaled),
        ("GET", SET, 200, replica_set()),
        ("PATCH", PATCH, 200, deployment(11, 3, "r/web:v1")),
    ])
    .await;
    assert!(matches!(answer, Ok(Landing::Applied(_))), "{answer:?}");
    assert_eq!(sent.len(), 6);
    assert_eq!(sent[5].2[0]["value"], "10");
}

#[tokio::test]
async fn a_refusal_because_of_somebody_elses_change_is_final() {
    let (answer, sent) = undo(vec![
        ("GET", WEB, 200, deployment(8, 1, "r/web:v2")),
        ("GET", SET, 200, replica_set()),
        ("PATCH", PATCH, 409, conflict()),
        ("GET", WEB, 200, deployment(10, 2, "r/web:v3")),
        ("GET", SET, 200, replica_set()),
    ])
    .await;
    assert!(matches!(answer, Ok(Landing::Superseded { .. })), "{answer:?}");
    assert_eq!(sent.iter().filter(|(method, ..)| method == "PATCH").count(), 1);
}

#[tokio::test]
async fn endless_noise_is_not_fought_for_ever() {
    let mut answers = Answers::new();
    for version in 8..20 {
        answers.push(("GET", WEB, 200, deployment(version, 1, "r/web:v2")));
        answers.push(("GET", SET, 200, replica_set()));
        answers.push(("PATCH", PATCH, 409, conflict()));
    }
    let (answer, sent) = undo(answers).await;
    let error = answer.unwrap_err();
    assert_eq!((error.effect(), error.is_transient()), (Effect::None, true));
    assert_eq!(sent.iter().filter(|(method, ..)| method == "PATCH").count(), 4);
}

#[tokio::test]
async fn failures_of_the_server_are_not_answered_with_another_sending() {
    for (code, effect) in
        [(429, Effect::None), (500, Effect::Unknown), (503, Effect::Unknown), (504, Effect::Unknown)]
    {
        let (answer, sent) = undo(vec![
            ("GET", WEB, 200, deployment(8, 1, "r/web:v2")),
            ("GET", SET, 200, replica_set()),
            ("PATCH", PATCH, code, json!({ "kind": "Status" })),
        ])
        .await;
        assert_eq!(answer.unwrap_err().effect(), effect, "{code}");
        assert_eq!(sent.len(), 3, "{code}");
    }
}

#[tokio::test]
async fn an_entry_that_was_changed_or_replaced_is_not_sent() {
    let mut other = replica_set();
    other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("r/web:v9");
    let mut anew = replica_set();
    anew["metadata"]["uid"] = json!("r2");
    for entry in [other, anew] {
        let (answer, sent) =
            undo(vec![("GET", WEB, 200, deployment(8, 1, "r/web:v2")), ("GET", SET, 200, entry)]).await;
        let error = answer.unwrap_err();
        assert_eq!((error.effect(), error.is_transient()), (Effect::None, false), "{error}");
        assert_eq!(sent.len(), 2);
    }
}
