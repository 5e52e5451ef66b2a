//! What is told when something is wrong: the kind, whether it may be repeated, what became of the write, what to do.

use std::time::Duration;

use rollback_core::store::{Condition, KeyPrefix, Store as _, StoreVersion};
use rollback_core::{Effect, Error, ErrorKind};
use rollback_testkit::harness::{CaseResult, Failure, Suite, ensure, equal};
use rollback_tests::proxy::{Answer, Fault, Faults, Proxy, Rule};
use rollback_tests::servers::{Ministack, need};

use crate::support::{Lab, Place, TOKEN, key, port};

const BRIEF: Duration = Duration::from_millis(500);

pub(crate) fn add(suite: Suite) -> Suite {
    suite
        .case("errors_say_what_became_of_the_write", true, effects)
        .case("a_server_that_is_not_there_took_nothing", true, nobody)
        .case("a_server_that_is_down_is_told_at_once", true, down)
        .case("a_bucket_that_is_not_there_is_named", true, no_bucket)
        .case("something_that_is_no_bucket_is_no_empty_store", true, no_store_at_all)
        .case("a_server_that_ignores_conditions_is_refused", true, inexact)
        .case("nothing_secret_is_told", true, secrets)
}

async fn failed(lab: &Lab, fault: Fault) -> Result<Error, Failure> {
    lab.proxy.faults(Faults::none().rule(Rule::new(fault.clone()).method("PUT")));
    match lab.store.put(&key("runs/1")?, b"value", &Condition::Absent).await {
        Err(error) => Ok(error),
        Ok(put) => Err(Failure::new(format!("{fault:?}: {put:?}"))),
    }
}

fn answer(status: u16, code: &str) -> Fault {
    let body = format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
    Fault::Answer(Answer::new(status).body("application/xml", body))
}

async fn effects() -> CaseResult {
    use Effect::{None as Nothing, Unknown};
    use ErrorKind::{Conflict, Denied, Invalid, NotFound, Throttled, Timeout, Unavailable, Unsupported};
    let lab = Lab::new(BRIEF).await?;
    for (fault, kind, transient, effect, text) in [
        (Fault::ResetBefore, Unavailable, true, Unknown, "connection ended"),
        (Fault::ResetAfter, Unavailable, true, Unknown, "connection ended"),
        (Fault::EofAfter, Unavailable, true, Unknown, "connection ended"),
        (Fault::Hang, Timeout, true, Unknown, "in time"),
        (Fault::HangAfter, Timeout, true, Unknown, "in time"),
        (Fault::Answer(Answer::s3(500)), Unavailable, true, Unknown, "InternalError"),
        (Fault::Answer(Answer::s3(503)), Throttled, true, Nothing, "SlowDown"),
        (Fault::Answer(Answer::s3(429)), Throttled, true, Nothing, "slow down"),
        // From something in between: it may have passed the request on.
        (Fault::Answer(Answer::new(503)), Unavailable, true, Unknown, "503"),
        (Fault::Answer(Answer::new(502)), Unavailable, true, Unknown, "502"),
        (Fault::Answer(Answer::new(504)), Unavailable, true, Unknown, "504"),
        (answer(409, "ConditionalRequestConflict"), Conflict, true, Nothing, "under way"),
        (answer(403, "AccessDenied"), Denied, false, Nothing, "s3:PutObject"),
        (answer(403, "InvalidAccessKeyId"), Denied, false, Nothing, "InvalidAccessKeyId"),
        (answer(400, "ExpiredToken"), Denied, false, Nothing, "aws sso login"),
        (answer(403, "RequestTimeTooSkewed"), Denied, false, Nothing, "clock"),
        (answer(404, "NoSuchBucket"), NotFound, false, Nothing, "there is no bucket state-"),
        (answer(501, "NotImplemented"), Unsupported, false, Nothing, "If-None-Match"),
        (answer(400, "InvalidRequest"), Invalid, false, Nothing, "InvalidRequest"),
        (
            Fault::Answer(Answer::new(301).header("x-amz-bucket-region", "eu-west-3")),
            Invalid,
            false,
            Nothing,
            "export AWS_REGION=eu-west-3",
        ),
    ] {
        let error = failed(&lab, fault.clone()).await?;
        let found = (error.kind(), error.is_transient(), error.effect());
        equal(&format!("{fault:?}: {error}"), &found, &(kind, transient, effect))?;
        ensure(error.to_string().contains(text), format!("{text:?} is not told: {error}"))?;
        ensure(error.next_step().is_some(), format!("no next step: {error}"))?;
        // Reads have no effect, whatever happens to them.
        lab.proxy.faults(Faults::none().rule(Rule::new(fault.clone())));
        if let Err(error) = lab.store.get(&key("runs/1")?).await {
            equal(&format!("reading, {fault:?}"), &error.effect(), &Effect::None)?;
        }
    }
    Ok(())
}

async fn nobody() -> CaseResult {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let look_up = move |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some(format!("http://127.0.0.1:{port}")),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".to_owned()),
        _ => None,
    };
    let store = rollback_store_object::BucketOptions::new().variables(look_up).open("s3://state/shop")?;
    let version = StoreVersion::new(format!("{}.\"e\"", "0".repeat(32)));
    let errors = [
        store.put(&key("a/1")?, b"", &Condition::Absent).await.err(),
        store.delete(&key("a/1")?, &version).await.err(),
        store.get(&key("a/1")?).await.err(),
        store.list(&KeyPrefix::new("a")?, None, 1).await.err(),
    ];
    for error in errors {
        let error = error.ok_or_else(|| Failure::new("a call succeeded over a port where nobody listens"))?;
        let found = (error.kind(), error.is_transient(), error.effect());
        equal(&error.to_string(), &found, &(ErrorKind::Unavailable, true, Effect::None))?;
        ensure(error.to_string().contains("onnection refused"), format!("why is not told: {error}"))?;
    }
    Ok(())
}

async fn down() -> CaseResult {
    let lab = Lab::new(BRIEF).await?;
    lab.proxy.down();
    let error = lab.store.get(&key("warm/up")?).await.err().ok_or_else(|| Failure::new("it is down"))?;
    equal(&error.to_string(), &error.kind(), &ErrorKind::Unavailable)?;
    lab.proxy.up();
    ensure(lab.store.get(&key("warm/up")?).await?.is_some(), "it is back, and the value is not")
}

async fn no_bucket() -> CaseResult {
    let account = need(Ministack::shared())?.account();
    let store = Place::new(account).open()?;
    let errors = [
        store.get(&key("a/1")?).await.err(),
        store.list(&KeyPrefix::new("a")?, None, 1).await.err(),
        store.put(&key("a/1")?, b"", &Condition::Absent).await.err(),
    ];
    for error in errors {
        let error = error.ok_or_else(|| Failure::new("a call succeeded without a bucket"))?;
        equal(&error.to_string(), &(error.kind(), error.effect()), &(ErrorKind::NotFound, Effect::None))?;
        ensure(error.to_string().contains("there is no bucket state-"), format!("it is not named: {error}"))?;
    }
    Ok(())
}

/// A 404 of something else must not read as "there are no records".
async fn no_store_at_all() -> CaseResult {
    let lab = Lab::new(BRIEF).await?;
    lab.proxy.faults(Faults::none().rule(Rule::new(Fault::Answer(Answer::new(404)))));
    let found = lab.store.get(&key("warm/up")?).await;
    ensure(found.is_err(), format!("a bare 404 reads as {found:?}"))
}

async fn inexact() -> CaseResult {
    let place = Place::made()?;
    let proxy = Proxy::http(("127.0.0.1", port(&place.account)?))?;
    let done = || Fault::Answer(Answer::new(200).header("etag", "\"done\""));
    for (rule, text) in [
        (Rule::new(done()).method("PUT"), "If-None-Match"),
        // The marker exists; its update with another version is "done".
        (Rule::new(done()).method("PUT").nth(2), "If-Match"),
    ] {
        let store = place.behind(&proxy).open()?;
        crate::support::put(&place.open()?, "warm/up", b"", Condition::Any).await?;
        proxy.faults(Faults::none().rule(rule));
        let put = store.put(&key("heads/web")?, b"mine", &Condition::Absent).await;
        let error = put.err().ok_or_else(|| Failure::new("a write over a server that ignores conditions"))?;
        equal(&error.to_string(), &(error.kind(), error.effect()), &(ErrorKind::Unsupported, Effect::None))?;
        ensure(error.to_string().contains(text), format!("{text} is not told: {error}"))?;
        let sent = proxy.log();
        ensure(
            sent.iter().all(|request| !request.path.contains("heads/web")),
            "the value was sent all the same",
        )?;
    }
    Ok(())
}

/// S3 quotes a request that it refuses, with its tokens.
async fn secrets() -> CaseResult {
    let place = Place::made()?;
    let lab = Lab::new(BRIEF).await?;
    let quoting = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><Message>No. {TOKEN}</Message><StringToSign>{TOKEN}</StringToSign>\
         <Token-0>{TOKEN}</Token-0><CanonicalRequest>x-amz-security-token:{TOKEN}</CanonicalRequest></Error>"
    );
    let secret = place.account.secret();
    for status in [400, 403, 500, 503, 404, 409] {
        let fault = Fault::Answer(Answer::new(status).body("application/xml", quoting.clone()));
        let error = failed(&lab, fault).await?;
        let told = format!("{error} {error:?} {:?}", error.to_record());
        for hidden in [TOKEN, secret, "Signature=", "CanonicalRequest"] {
            ensure(!told.contains(hidden), format!("{status}: {hidden:?} is told: {told}"))?;
        }
    }
    let options = format!("{:?} {:?}", place.options(BRIEF), place.open()?);
    ensure(!options.contains(TOKEN) && !options.contains(secret), format!("Debug tells secrets: {options}"))?;
    ensure(options.contains("state-"), "Debug tells nothing")
}
