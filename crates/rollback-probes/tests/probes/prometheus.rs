//! The `prometheus` probe against a server that answers as the documentation of its API says:
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use rollback_core::condition::{Baseline, Check, Holds};
use rollback_core::probe::Sample;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Behaviour, Server, answer, refusal, sample};

async fn asked_of(server: &Server) -> Sample {
    let query = "sum(rate(http_requests_total{code=~\"5..\"}[5m]))";
    sample(json!({ "kind": "prometheus", "url": server.url(""), "query": query, "metric": "error_rate" }))
        .await
}

async fn answered(status: u16, body: &Value) -> Sample {
    let server = Server::answering(status, "content-type: application/json\r\n", &body.to_string()).await;
    asked_of(&server).await
}

fn success(kind: &str, result: &Value) -> Value {
    json!({ "status": "success", "data": { "resultType": kind, "result": result } })
}

fn series(value: &str) -> Value {
    json!({ "metric": { "job": "shop" }, "value": [1_435_781_451.781, value] })
}

/// Nothing was learnt: no limit is met, and nothing is held to be bad.
fn assert_unknown(seen: &Sample, says: &str) {
    assert!(!seen.known && !seen.ok && seen.metrics.is_empty(), "{seen:?}");
    assert!(seen.detail.contains(says), "{says:?} is not in {:?}", seen.detail);
    for check in [
        Check::NotOk,
        Check::Below { metric: "error_rate".into(), limit: 5.0 },
        Check::Above { metric: "error_rate".into(), limit: 5.0 },
    ] {
        assert!(matches!(check.holds(seen, &Baseline::default()), Holds::Unknown(_)), "{check}: {seen:?}");
    }
}

#[tokio::test]
async fn one_number_is_read_from_a_scalar_or_a_vector() {
    for body in [
        success("scalar", &json!([1_435_781_451.781, "0.25"])),
        success("vector", &json!([series("0.25")])),
        success("vector", &json!([series("2.5e-1")])),
        // What is worth knowing, and may be wrong, is no reason to doubt the number.
        json!({ "status": "success", "warnings": null, "infos": ["metric might not be a counter"],
                "data": { "resultType": "vector", "result": [series("0.25")] } }),
    ] {
        let seen = answered(200, &body).await;
        assert!(seen.ok && seen.known, "{body}: {seen:?}");
        assert_eq!(seen.metrics["error_rate"], 0.25);
        assert_eq!(seen.detail, "error_rate is 0.25");
    }
}

#[tokio::test]
async fn what_is_not_one_finite_number_is_unknown_and_says_what_to_change() {
    for (body, says) in [
        (success("vector", &json!([])), "add: or vector(0)"),
        (
            success("vector", &json!([series("1"), series("2")])),
            "found 2 series, where one is wanted: put sum(…)",
        ),
        (success("vector", &json!([series("NaN")])), "gives NaN, often a division by zero"),
        (success("vector", &json!([series("+Inf")])), "gives +Inf"),
        (success("scalar", &json!([1.0, "-Inf"])), "gives -Inf"),
        (success("scalar", &json!([1.0, "many"])), "no number"),
        (success("scalar", &json!("many")), "not in the form of Prometheus's API"),
        (success("vector", &json!([{ "metric": {}, "histogram": [1.0, {}] }])), "histogram_quantile"),
        (success("matrix", &json!([{ "metric": {}, "values": [[1.0, "1"]] }])), "rate(…)"),
        (success("string", &json!([1.0, "hello"])), "gives a string"),
        (json!({ "status": "success" }), "not in the form of Prometheus's API"),
        (
            json!({ "status": "success", "isPartial": true,
                    "data": { "resultType": "vector", "result": [series("0.25")] } }),
            "its answer is partial",
        ),
        (
            json!({ "status": "success", "warnings": ["remote_read: store 2 is unavailable"],
                    "data": { "resultType": "vector", "result": [series("0.25")] } }),
            "some of the data may be missing, it warns: remote_read: store 2 is unavailable",
        ),
    ] {
        assert_unknown(&answered(200, &body).await, says);
    }
}

#[tokio::test]
async fn an_error_of_the_api_is_unknown_with_its_words() {
    for (status, kind, error) in [
        (400, "bad_data", "invalid parameter \"query\": 1:5: parse error: unexpected end of input"),
        (422, "execution", "multiple matches for labels"),
        (503, "timeout", "query timed out in expression evaluation"),
        // Some that answer as Prometheus does say it with 200.
        (200, "internal", "storage is not ready"),
    ] {
        let body = json!({ "status": "error", "errorType": kind, "error": error });
        assert_unknown(&answered(status, &body).await, error);
    }
}

#[tokio::test]
async fn what_is_no_answer_of_the_api_is_unknown() {
    let page = "<html><title>Sign in</title></html>";
    for (status, says) in [
        (200, "`url` must be what stands before /api/v1/query"),
        (302, "it sends elsewhere"),
        (401, "`bearer_env`"),
        (404, "`url` must be what stands before /api/v1/query"),
        (429, "asked too often"),
        (502, "HTTP 502"),
    ] {
        let server = Server::answering(status, "location: /login\r\n", page).await;
        let seen = asked_of(&server).await;
        assert_unknown(&seen, says);
        assert!(!seen.detail.contains("Sign in"), "the page is not shown: {}", seen.detail);
    }
    // Something in front of the server may send its last good answer with a status of its own.
    let good = success("vector", &json!([series("0.25")]));
    assert_unknown(&answered(500, &good).await, "HTTP 500");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_too_long_is_unknown() {
    let whole = answer(200, "", &success("vector", &json!([series("0.25")])).to_string());
    let server = Server::start(Behaviour::SendThenReset(whole[..whole.len() - 10].to_vec())).await;
    assert_unknown(&asked_of(&server).await, "broke off");

    let many: Vec<_> = (0..20_000).map(|_| series("0.25")).collect();
    assert_unknown(&answered(200, &success("vector", &json!(many))).await, "longer than 1 MiB");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_unknown() {
    let server = Server::start(Behaviour::SendThenHang(Vec::new())).await;
    let settings = json!({ "kind": "prometheus", "url": server.url(""), "query": "up", "timeout": "50ms" });
    assert_unknown(&sample(settings).await, "no answer within 50ms");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let seen = sample(json!({ "kind": "prometheus", "url": url, "query": "up" })).await;
    assert_unknown(&seen, &url);
    assert!(seen.detail.to_lowercase().contains("connection refused"), "{}", seen.detail);

    // RFC 2606 keeps `.invalid` free of hosts.
    let url = "http://no-such-host.invalid:9090";
    assert_unknown(&sample(json!({ "kind": "prometheus", "url": url, "query": "up" })).await, url);
}

#[tokio::test]
async fn the_query_and_the_token_arrive_and_are_not_shown() {
    let server = Server::answering(200, "", &success("scalar", &json!([1.0, "1"])).to_string()).await;
    // PATH stands for any variable that is always set.
    let settings = json!({
        "kind": "prometheus", "url": server.url("/prometheus/"), "query": "up{job=\"a&b\"}", "bearer_env": "PATH",
        "headers": { "X-Scope-OrgID": "shop" },
    });
    let spec = serde_json::from_value(settings).unwrap();
    let probe = rollback_probes::registry().build(&spec).unwrap();
    let seen = probe.sample().await;
    assert_eq!(seen.metrics["value"], 1.0);
    let (token, head) = (std::env::var("PATH").unwrap(), server.heads().remove(0));
    assert!(
        head.starts_with("GET /prometheus/api/v1/query?query=up%7Bjob%3D%22a%26b%22%7D&timeout=5.000 "),
        "{head}"
    );
    assert!(head.contains(&format!("authorization: Bearer {token}\r\n")), "{head}");
    assert!(head.contains("x-scope-orgid: shop\r\n"), "{head}");
    assert!(!seen.detail.contains(&token) && !format!("{probe:?}").contains(&token));
}

#[test]
fn wrong_settings_are_refused_with_what_to_write_instead() {
    let with = |more: Value| {
        let mut settings = json!({ "kind": "prometheus", "url": "http://127.0.0.1:1", "query": "up" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    for (settings, says) in [
        (with(json!({ "qeury": "up" })), "did you mean \"query\"?"),
        (json!({ "kind": "prometheus", "url": "http://127.0.0.1:1" }), "missing field `query`"),
        (with(json!({ "query": " " })), "`query` is empty"),
        (with(json!({ "metric": "" })), "`metric` is empty"),
        (with(json!({ "url": "prometheus" })), "the url cannot be read"),
        (with(json!({ "url": "http://a:hunter2@p:9090" })), "a user or a password"),
        (with(json!({ "timeout": "0s" })), "a timeout of nothing"),
        (with(json!({ "headers": { "Authorization": "hunter2" } })), "holds secrets"),
        (with(json!({ "url": "http://prometheus:9090", "bearer_env": "PATH" })), "use https://"),
        (with(json!({ "bearer_env": "NO_SUCH_VARIABLE" })), "NO_SUCH_VARIABLE is not set"),
    ] {
        let text = refusal(settings.clone());
        assert!(text.contains(says), "{settings}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
