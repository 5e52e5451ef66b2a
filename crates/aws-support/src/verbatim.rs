//! Bodies as they go over the wire.
//!
//! The SDK's types have the fields that the SDK knew when it was generated. What AWS added since is lost in them, and a task
//! definition that is read, changed and sent back through them has lost settings. So drivers that keep or send back
//! what they read take the JSON itself, and leave the SDK everything else: signing, endpoints, timeouts, errors.

use std::cell::RefCell;
use std::future::Future;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use rollback_core::Result;
use serde_json::Value;

use crate::error::{Call, explain, odd_answer};

tokio::task_local! {
    static LINE: RefCell<Line>;
}

#[derive(Default)]
struct Line {
    send: Option<Vec<u8>>,
    answer: Option<Vec<u8>>,
    at: Option<Timestamp>,
}

/// What AWS answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The body.
    pub body: Value,
    /// The server's own time, from the `Date` header.
    pub at: Option<Timestamp>,
}

/// Reads and replaces bodies of calls that are made by [`ask`] and [`send`]; leaves all others alone. Give it to each client
/// that makes such calls.
///
/// ```
/// # use rollback_aws_support::{Session, verbatim};
/// # fn example(session: &Session) {
/// let config = aws_sdk_sts::config::Builder::from(session.sending()).interceptor(verbatim::Verbatim).build();
/// let client = aws_sdk_sts::Client::from_conf(config);
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Verbatim;

impl Intercept for Verbatim {
    fn name(&self) -> &'static str {
        "rollback::Verbatim"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let replaced = LINE.try_with(|line| line.borrow().send.clone()).ok().flatten();
        if let Some(body) = replaced {
            let request = context.request_mut();
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body);
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        // Nobody listens: an ordinary call.
        let _ = LINE.try_with(|line| {
            let response = context.response();
            let mut line = line.borrow_mut();
            line.answer = response.body().bytes().map(<[u8]>::to_vec);
            line.at = response.headers().get("date").and_then(date);
        });
        Ok(())
    }
}

/// Makes a call of a client that has [`Verbatim`], and gives its answer as it came.
///
/// # Errors
///
/// As [`explain`] says; [`Unavailable`](rollback_core::ErrorKind::Unavailable) when the answer is no JSON.
pub async fn ask<T, E>(
    call: &Call,
    request: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
) -> Result<Answer>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    made(call, Line::default(), request).await
}

/// As [`ask`], with this body in place of what the SDK would send.
///
/// # Errors
///
/// As [`ask`].
pub async fn send<T, E>(
    call: &Call,
    body: &Value,
    request: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
) -> Result<Answer>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let line = Line { send: Some(body.to_string().into_bytes()), ..Line::default() };
    made(call, line, request).await
}

/// Makes a call of a client that has [`Verbatim`], with this body in place of what the SDK would send where there is one: what the
/// SDK made of the answer, and its body as it came. For services that speak XML.
///
/// # Errors
///
/// As [`explain`] says.
pub async fn bytes<T, E>(
    call: &Call,
    body: Option<Vec<u8>>,
    request: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
) -> Result<(T, Vec<u8>)>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let line = Line { send: body, ..Line::default() };
    let (read, line) = told(call, line, request).await?;
    Ok((read, line.answer.unwrap_or_default()))
}

async fn told<T, E>(
    call: &Call,
    line: Line,
    request: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
) -> Result<(T, Line)>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let told = async {
        let result = request.await;
        let line = LINE.with(RefCell::take);
        result.map(|read| (read, line))
    };
    LINE.scope(RefCell::new(line), told).await.map_err(|error| explain(call, &error))
}

async fn made<T, E>(
    call: &Call,
    line: Line,
    request: impl Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
) -> Result<Answer>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (_, line) = told(call, line, request).await?;
    let body = line.answer.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match body {
        Some(body) => Ok(Answer { body, at: line.at }),
        None => Err(odd_answer(call)),
    }
}

/// As HTTP writes it: `Sat, 21 Nov 2026 10:00:00 GMT`.
fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}
