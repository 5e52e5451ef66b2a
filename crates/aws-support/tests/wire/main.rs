//! What errors say, through a real SDK client and real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod instances;
mod server;

use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{
    SharedCredentialsProvider, error::CredentialsError, future::ProvideCredentials,
};
use aws_sdk_sts::config::timeout::TimeoutConfig;
use aws_sdk_sts::{Client, config::Builder};
use rollback_aws_support::{Call, Session, explain};
use rollback_core::{Effect, Error, ErrorKind};

use self::server::{Does, Server};

const SECRET: &str = "hunter2hunter2hunter2";
const WHO: &str = "arn:aws:sts::123456789012:assumed-role/deploy/ada";

fn given(url: &str) -> aws_types::sdk_config::Builder {
    let keys = Credentials::new("AKIAIOSFODNN7EXAMPLE", SECRET, Some(SECRET.to_owned()), None, "test");
    SdkConfig::builder()
        .region(Region::new("eu-central-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(keys))
}

fn session(url: &str) -> Session {
    Session::from_sdk_config(given(url).build())
}

/// Pretends that the call changes something: what became of the effect is the question.
async fn failure(session: &Session) -> Error {
    let limits = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .build();
    let client = Client::from_conf(Builder::from(session.sending()).timeout_config(limits).build());
    let sdk = client.get_caller_identity().send().await.unwrap_err();
    let call =
        Call::changes("ecs", "UpdateService", "point web at revision 41").profile(Some("prod".to_owned()));
    let error = explain(&call, &sdk);
    for text in [error.to_string(), format!("{error:?}"), error.to_record().message, format!("{session:?}")] {
        assert!(!text.contains(SECRET), "{text}");
        assert!(!text.contains("AKIAIOSFODNN7EXAMPLE"), "{text}");
    }
    assert_eq!(error.operation(), "point web at revision 41");
    assert!(error.message().contains("UpdateService") || error.message().contains("AssumeRole"), "{error}");
    assert!(error.next_step().is_some());

    let look = explain(&Call::reads("ecs", "DescribeServices", "look at web"), &sdk);
    assert_eq!((look.kind(), look.effect()), (error.kind(), Effect::None), "a look has no effect");
    error
}

fn refusal(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>5ed90669-e454</RequestId></ErrorResponse>"
    )
}

fn identity() -> String {
    format!(
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>{WHO}</Arn><UserId>A:ada</UserId>\
         <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

async fn answered(status: u16, body: impl Into<String>) -> Error {
    let server = Server::answering(status, body).await;
    let error = failure(&session(&server.url)).await;
    assert_eq!(server.requests(), 1, "a change is sent once");
    error
}

async fn met(does: Does) -> Error {
    let server = Server::start(vec![does]).await;
    let error = failure(&session(&server.url)).await;
    assert_eq!(server.requests(), 1, "a change is sent once");
    error
}

#[tokio::test]
async fn what_was_answered_decides_kind_and_effect() {
    use ErrorKind::{
        Conflict, Denied, Invalid, NotFound, Other, Stale, Throttled, Timeout, Unavailable, Unsupported,
    };
    for (status, code, kind, effect, transient) in [
        (400, "ThrottlingException", Throttled, Effect::None, true),
        (429, "Throttling", Throttled, Effect::None, true),
        (503, "SlowDown", Throttled, Effect::None, true),
        (403, "AccessDenied", Denied, Effect::None, false),
        (403, "ExpiredToken", Denied, Effect::None, false),
        (403, "InvalidClientTokenId", Denied, Effect::None, false),
        (404, "NoSuchEntity", NotFound, Effect::None, false),
        (400, "ServiceNotFoundException", NotFound, Effect::None, false),
        (409, "ConflictException", Conflict, Effect::None, false),
        (400, "UpdateInProgressException", Conflict, Effect::None, true),
        (412, "PreconditionFailed", Stale, Effect::None, false),
        (400, "ValidationError", Invalid, Effect::None, false),
        (400, "LimitExceeded", Other, Effect::None, false),
        (400, "RequestTimeout", Timeout, Effect::Unknown, true),
        (500, "InternalFailure", Unavailable, Effect::Unknown, true),
        (503, "ServiceUnavailable", Unavailable, Effect::Unknown, true),
        (501, "NotImplemented", Unsupported, Effect::None, false),
    ] {
        let error = answered(status, refusal(code, "why it is so")).await;
        let found = (error.kind(), error.effect(), error.is_transient());
        assert_eq!(found, (kind, effect, transient), "{status} {code}: {error}");
        assert!(error.message().contains(code), "{error}");
        assert!(
            error.message().contains("5ed90669-e454") || error.message().contains("from-header"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn answers_that_nobody_can_read_leave_the_effect_open() {
    for (status, body) in [(500, "<html>oops</html>"), (502, "Bad gateway"), (200, "not XML"), (504, "")] {
        let error = answered(status, body).await;
        let found = (error.kind(), error.effect(), error.is_transient());
        assert_eq!(found, (ErrorKind::Unavailable, Effect::Unknown, true), "{status}: {error}");
        assert!(!error.to_string().contains("oops"), "no bodies: {error}");
    }
}

#[tokio::test]
async fn connections_that_break_leave_the_effect_open() {
    for does in [Does::Resets, Does::Closes, Does::BreaksOff] {
        let error = met(does).await;
        let found = (error.kind(), error.effect(), error.is_transient());
        assert_eq!(found, (ErrorKind::Unavailable, Effect::Unknown, true), "{error}");
    }
}

#[tokio::test]
async fn silence_leaves_the_effect_open() {
    let error = met(Does::Hangs).await;
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Timeout, Effect::Unknown), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let plain = Server::answering(200, identity()).await;
    let urls = [
        format!("http://{address}"),
        "http://no-such-host.invalid".to_owned(),
        // A server that does not speak TLS.
        plain.url.replace("http://", "https://"),
    ];
    for url in urls {
        let error = failure(&session(&url)).await;
        let found = (error.kind(), error.effect(), error.is_transient());
        assert_eq!(found, (ErrorKind::Unavailable, Effect::None, true), "{url}: {error}");
        assert!(error.message().contains("nothing was sent"), "{error}");
    }
}

// Elsewhere a queue that is full is told otherwise.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_connection_in_time_is_nothing_sent() {
    // A listener that nobody accepts from: when its queue is full, connecting hangs.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let fill = (0..8).map(|_| tokio::spawn(tokio::net::TcpStream::connect(address)));
    let fill: Vec<_> = fill.collect();
    for _ in 0..100_000 {
        if fill.iter().filter(|connecting| connecting.is_finished()).count() == 2 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let error = failure(&session(&format!("http://{address}"))).await;
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None), "{error}");
    fill.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_is_denied_what_is_named() {
    let service = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
    let said = format!(
        "User: {WHO} is not authorized to perform: iam:PassRole on resource: {service} because no policy"
    );
    let error = answered(403, refusal("AccessDenied", &said)).await;
    let next = error.next_step().unwrap();
    assert!(next.contains("iam:PassRole") && next.contains(WHO) && next.contains(service), "{next}");

    let error = answered(403, refusal("AccessDenied", "Access Denied")).await;
    assert!(error.next_step().unwrap().contains("allow ecs:UpdateService"), "the call says it: {error}");

    let said = format!("{said} with an explicit deny in a service control policy");
    let error = answered(403, refusal("AccessDenied", &said)).await;
    assert!(error.next_step().unwrap().contains("explicitly"), "{error}");
}

#[tokio::test]
async fn what_renews_credentials_is_said_and_signatures_are_not_quoted() {
    let error =
        answered(403, refusal("ExpiredToken", "The security token included in the request is expired")).await;
    assert!(error.next_step().unwrap().contains("aws sso login --profile prod"), "{error}");

    let quoted =
        format!("The Canonical String for this request should have been 'x-amz-security-token:{SECRET}'");
    answered(403, refusal("SignatureDoesNotMatch", &quoted)).await;

    let error =
        answered(403, refusal("SignatureDoesNotMatch", "Signature expired: x is now earlier than y")).await;
    assert!(error.next_step().unwrap().contains("clock"), "{error}");
}

type Fails = fn() -> CredentialsError;

#[derive(Debug)]
struct Broken(Fails);

impl aws_credential_types::provider::ProvideCredentials for Broken {
    fn provide_credentials<'a>(&'a self) -> ProvideCredentials<'a>
    where
        Self: 'a,
    {
        ProvideCredentials::ready(Err((self.0)()))
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Server::answering(200, identity()).await;
    let cases: [(Fails, ErrorKind, &str); 6] = [
        (|| CredentialsError::not_loaded(SECRET), ErrorKind::Denied, "no AWS credentials"),
        (
            || CredentialsError::provider_error("the SSO token has expired"),
            ErrorKind::Denied,
            "single sign-on",
        ),
        (
            || CredentialsError::provider_error("the IMDS session token"),
            ErrorKind::Denied,
            "no AWS credentials",
        ),
        (
            || CredentialsError::provider_error("no processor"),
            ErrorKind::Denied,
            "source of the AWS credentials",
        ),
        (|| CredentialsError::provider_error(SECRET), ErrorKind::Denied, "source of the AWS credentials"),
        (|| CredentialsError::provider_timed_out(Duration::from_secs(5)), ErrorKind::Unavailable, "in time"),
    ];
    for (make, kind, words) in cases {
        let broken = SharedCredentialsProvider::new(Broken(make));
        let error =
            failure(&Session::from_sdk_config(given(&server.url).credentials_provider(broken).build())).await;
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{error}");
        assert!(error.message().contains(words), "{error}");
        assert!(error.next_step().unwrap().contains("aws s"), "{error}");
    }
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn what_the_sdk_does_not_send_has_no_effect() {
    let keys = || {
        SharedCredentialsProvider::new(Credentials::new("AKIAIOSFODNN7EXAMPLE", SECRET, None, None, "test"))
    };
    let cases = [
        (SdkConfig::builder().credentials_provider(keys()), ErrorKind::Invalid, "Missing Region"),
        (
            given("http://127.0.0.1:1").region(Region::new("not a region")),
            ErrorKind::Invalid,
            "could not be made",
        ),
        (
            SdkConfig::builder().region(Region::new("eu-central-1")).endpoint_url("http://127.0.0.1:1"),
            ErrorKind::Denied,
            "no AWS credentials",
        ),
    ];
    for (config, kind, words) in cases {
        let error = failure(&Session::from_sdk_config(config.build())).await;
        let found = (error.kind(), error.effect(), error.is_transient());
        assert_eq!(found, (kind, Effect::None, false), "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

#[tokio::test]
async fn who_the_caller_is_is_asked_once() {
    let server = Server::answering(200, identity()).await;
    let session = session(&server.url);
    let again = session.clone();
    let (a, b) = tokio::join!(session.caller(), again.caller());
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!((a.account(), a.arn(), a.partition()), ("123456789012", WHO, "aws"));
    assert_eq!(a, b);
    a.must_be_in("123456789012").unwrap();
    session.caller().await.unwrap();
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn many_who_may_not_ask_fail_together() {
    let server = Server::answering(403, refusal("AccessDenied", "no")).await;
    let session = session(&server.url);
    let asked: Vec<_> = (0..1_000)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.caller().await.cloned() })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap_err().kind(), ErrorKind::Denied);
    }
    assert!(server.requests() < 20, "{} requests", server.requests());
}

#[tokio::test]
async fn a_failure_to_ask_is_not_kept_and_looks_are_repeated_by_the_sdk() {
    let no = Does::Answers(403, refusal("AccessDenied", "no"));
    let server =
        Server::start(vec![no, Does::Answers(500, String::new()), Does::Answers(200, identity())]).await;
    let session = session(&server.url);
    assert_eq!(session.caller().await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(session.caller().await.unwrap().account(), "123456789012");
    assert_eq!(server.requests(), 3, "a refusal is not repeated, a 500 is");
}

#[tokio::test]
async fn a_role_is_taken_on_once_for_all_calls() {
    let role = "arn:aws:iam::999999999999:role/deploy";
    let taken = format!(
        "<AssumeRoleResponse><AssumeRoleResult><AssumedRoleUser><Arn>{WHO}</Arn><AssumedRoleId>A:r</AssumedRoleId>\
         </AssumedRoleUser><Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>{SECRET}\
         </SecretAccessKey><SessionToken>{SECRET}</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration>\
         </Credentials></AssumeRoleResult></AssumeRoleResponse>"
    );
    let server = Server::start(vec![Does::Answers(200, taken), Does::Answers(200, identity())]).await;
    let deploy = session(&server.url).assume_role(role, Some("acme")).await.unwrap();
    assert_eq!(deploy.scope().account(), "999999999999");
    deploy.caller().await.unwrap();
    for config in [deploy.sending(), deploy.reading()] {
        Client::new(config).get_caller_identity().send().await.unwrap();
    }
    let bodies = server.bodies();
    assert_eq!(bodies.len(), 4, "{bodies:?}");
    let assumed: Vec<_> = bodies.iter().filter(|body| body.contains("Action=AssumeRole")).collect();
    assert_eq!(assumed.len(), 1);
    assert!(assumed[0].contains("ExternalId=acme") && assumed[0].contains("RoleSessionName=rollback"));
}

#[tokio::test]
async fn a_role_that_may_not_be_taken_on_is_named() {
    let role = "arn:aws:iam::999999999999:role/deploy";
    let said = format!("User: {WHO} is not authorized to perform: sts:AssumeRole on resource: {role}");
    let server = Server::answering(403, refusal("AccessDenied", &said)).await;
    let error = failure(&session(&server.url).assume_role(role, None).await.unwrap()).await;
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Denied, Effect::None));
    let next = error.next_step().unwrap();
    assert!(next.contains("sts:AssumeRole") && next.contains(role) && next.contains(WHO), "{next}");
}
