//! The endpoint as clients see it.

use rollback_scripted_aws::{Cloud, Does, Injection, Outcome, Reply, Request};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=AKID/20260105/eu-west-1/sts/aws4_request, SignedHeaders=host, Signature=0";

async fn post(url: &str, headers: &str, body: &str) -> String {
    let address = url.strip_prefix("http://").expect("a URL of a server here");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn a_query_is_answered_in_xml_at_the_logical_time() {
    let cloud = Cloud::new();
    let server = cloud.serve().await.unwrap();
    let headers = format!("authorization: {SIGNED}\r\n");
    let answer = post(&server.url(), &headers, "Action=GetCallerIdentity&Version=2011-06-15").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("date: Mon, 05 Jan 2026 09:00:00 GMT\r\n"), "{answer}");
    assert!(answer.contains("<GetCallerIdentityResult>"), "{answer}");
    assert!(answer.contains("<Account>123456789012</Account>"), "{answer}");
    assert_eq!(cloud.calls()[0].outcome, Outcome::Answered);
}

#[tokio::test]
async fn a_lost_answer_is_a_closed_connection() {
    let cloud = Cloud::new();
    let server = cloud.serve().await.unwrap();
    cloud.inject(Injection::new("sts", "*", Does::LosesAnswer).times(1));
    let headers = format!("authorization: {SIGNED}\r\n");
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    assert_eq!(post(&server.url(), &headers, body).await, "");
    assert_eq!(cloud.calls()[0].outcome, Outcome::AnswerLost);
    assert!(post(&server.url(), &headers, body).await.contains("<Account>"));
}

#[tokio::test]
async fn a_held_call_goes_on_when_it_is_released() {
    let cloud = Cloud::new();
    let server = cloud.serve().await.unwrap();
    cloud.inject(Injection::new("sts", "*", Does::Delays));
    let url = server.url();
    let headers = format!("authorization: {SIGNED}\r\n");
    let held = tokio::spawn(async move { post(&url, &headers, "Action=GetCallerIdentity").await });
    while cloud.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!held.is_finished());
    cloud.release();
    assert!(held.await.unwrap().contains("<Account>"));
    assert_eq!(cloud.calls()[0].outcome, Outcome::Held);
    assert_eq!(cloud.calls()[1].outcome, Outcome::Answered);
}

#[test]
fn an_error_in_json_is_what_aws_sends() {
    let cloud = Cloud::new();
    cloud.inject(Injection::new("ecs", "UpdateService", Does::Throttles));
    let Reply::Answered(answer) = cloud.call(&Request::json("ecs", "UpdateService", &json!({}))) else {
        panic!("it is answered")
    };
    assert_eq!(answer.status, 400);
    assert_eq!(&answer.body[..], br#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);
    assert_eq!(answer.header("x-amzn-errortype"), Some("ThrottlingException"));
    assert_eq!(answer.header("content-type"), Some("application/x-amz-json-1.1"));
    assert!(answer.header("x-amzn-requestid").is_some());
}

#[tokio::test]
async fn errors_in_xml_have_the_codes_of_a_query() {
    let cloud = Cloud::new();
    let server = cloud.serve().await.expect("a port is free");
    cloud.inject(Injection::new("sts", "GetCallerIdentity", Does::Expires).times(1));
    cloud.inject(Injection::new("sts", "GetCallerIdentity", Does::Throttles).times(1));
    let headers = format!("authorization: {SIGNED}\r\n");
    let expired = post(&server.url(), &headers, "Action=GetCallerIdentity").await;
    assert!(expired.starts_with("HTTP/1.1 403"), "{expired}");
    assert!(expired.contains("<Type>Sender</Type><Code>ExpiredToken</Code>"), "{expired}");
    let throttled = post(&server.url(), &headers, "Action=GetCallerIdentity").await;
    assert!(throttled.contains("<Code>Throttling</Code><Message>Rate exceeded</Message>"), "{throttled}");
}

#[tokio::test]
async fn a_held_call_is_done_though_nobody_waits_any_more() {
    let cloud = Cloud::new();
    let server = cloud.serve().await.expect("a port is free");
    cloud.inject(Injection::new("sts", "*", Does::Delays).times(1));
    let url = server.url();
    let headers = format!("authorization: {SIGNED}\r\n");
    let gone = tokio::spawn(async move { post(&url, &headers, "Action=GetCallerIdentity").await });
    while cloud.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    gone.abort();
    assert!(gone.await.is_err());
    // The server has seen that the connection is closed.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    cloud.release();
    assert_eq!(cloud.calls()[1].outcome, Outcome::Answered, "it is done when this ends");
}
