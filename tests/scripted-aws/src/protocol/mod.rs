//! What goes over the wire: requests read in whatever protocol the service speaks, and answers written in it.
//!
//! Services see and give JSON-like values alone. In a query (STS, load balancers) every value that comes in is a string, and
//! `X.member.1` is a list. Times are seconds since 1970 in JSON, and made by [`epoch`]; text in XML; [`instant`] in CBOR.

mod cbor;
mod fault;
mod input;
mod query;
mod xml;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::fault::Fault;
pub use self::input::{boolean, integer, list, required, text, texts};

/// A request, as it came in.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Request {
    /// The path: `/`, but for CloudWatch.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// An answer, as it goes out.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What comes of a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Reply {
    /// It is answered.
    Answered(Answer),
    /// The connection is closed without an answer.
    Closed,
    /// It waits to be released, and is done then.
    Delayed,
    /// It is never answered.
    Hanging,
}

/// How a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Json,
    Query,
    Cbor,
}

/// A request, understood.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) operation: String,
    pub(crate) input: Value,
    pub(crate) protocol: Protocol,
}

impl Request {
    /// A request of a JSON protocol, as an SDK would sign it, for calls without HTTP.
    #[must_use]
    pub fn json(service: &str, operation: &str, input: &Value) -> Self {
        let credential =
            format!("AWS4-HMAC-SHA256 Credential=AKIDTEST/20260105/eu-west-1/{service}/aws4_request");
        let headers = vec![
            ("authorization".to_owned(), credential),
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target".to_owned(), format!("Any.{operation}")),
        ];
        Self { path: "/".to_owned(), headers, body: Bytes::from(input.to_string()) }
    }

    /// A header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Region and service, from `Credential=AKID/date/REGION/SERVICE/aws4_request`.
    fn signed_for(&self) -> Option<(&str, &str)> {
        let credential = self.header("authorization")?.split_once("Credential=")?.1;
        let mut parts = credential.split(',').next()?.split('/').skip(2);
        Some((parts.next()?, parts.next()?))
    }

    pub(crate) fn understand(&self) -> Result<Asked, (Protocol, Fault)> {
        let protocol = if self.header("x-amz-target").is_some() {
            Protocol::Json
        } else if self.header("smithy-protocol") == Some("rpc-v2-cbor") {
            Protocol::Cbor
        } else {
            Protocol::Query
        };
        self.read(protocol).map_err(|fault| (protocol, fault))
    }

    fn read(&self, protocol: Protocol) -> Result<Asked, Fault> {
        let (region, service) = self.signed_for().ok_or_else(|| {
            Fault::new("MissingAuthenticationTokenException", "Missing Authentication Token").with_status(403)
        })?;
        let malformed = |why: String| Fault::new("SerializationException", why);
        let (operation, input) = match protocol {
            Protocol::Json => {
                let target = self.header("x-amz-target").unwrap_or_default();
                let body = if self.body.is_empty() { b"{}" } else { &self.body[..] };
                let input = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
                (target.rsplit('.').next().unwrap_or(target).to_owned(), input)
            }
            Protocol::Cbor => {
                let operation = self.path.rsplit('/').next().unwrap_or_default().to_owned();
                let input = if self.body.is_empty() {
                    json!({})
                } else {
                    cbor::decode(&self.body).ok_or_else(|| malformed("the CBOR cannot be read".to_owned()))?
                };
                (operation, input)
            }
            Protocol::Query => query::parse(&self.body),
        };
        Ok(Asked { region: region.to_owned(), service: service.to_owned(), operation, input, protocol })
    }
}

impl Answer {
    pub(crate) fn done(asked: &Asked, id: &str, now: Timestamp, output: &Value) -> Self {
        let body = match asked.protocol {
            Protocol::Json => Bytes::from(without_nulls(output).to_string()),
            Protocol::Cbor => Bytes::from(cbor::encode(output)),
            Protocol::Query => Bytes::from(xml::answer(&asked.service, &asked.operation, id, output)),
        };
        Self { status: 200, headers: headers(asked.protocol, id, now), body }
    }

    pub(crate) fn refused(
        protocol: Protocol,
        service: &str,
        id: &str,
        now: Timestamp,
        fault: &Fault,
    ) -> Self {
        let mut headers = headers(protocol, id, now);
        let body = match protocol {
            Protocol::Json => {
                headers.push(("x-amzn-errortype".to_owned(), fault.code().to_owned()));
                Bytes::from(fault.to_json().to_string())
            }
            Protocol::Cbor => {
                let side = if fault.status() >= 500 { "Receiver" } else { "Sender" };
                headers.push(("x-amzn-query-error".to_owned(), format!("{};{side}", fault.code())));
                Bytes::from(cbor::encode(&fault.to_json()))
            }
            Protocol::Query => Bytes::from(xml::refusal(service, id, fault)),
        };
        Self { status: fault.status(), headers, body }
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// AWS leaves out what is not there.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn headers(protocol: Protocol, id: &str, now: Timestamp) -> Vec<(String, String)> {
    let kind = match protocol {
        Protocol::Json => "application/x-amz-json-1.1",
        Protocol::Cbor => "application/cbor",
        Protocol::Query => "text/xml",
    };
    let mut headers = vec![
        ("content-type".to_owned(), kind.to_owned()),
        ("x-amzn-requestid".to_owned(), id.to_owned()),
        ("date".to_owned(), now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
    ];
    if protocol == Protocol::Cbor {
        headers.push(("smithy-protocol".to_owned(), "rpc-v2-cbor".to_owned()));
    }
    headers
}

/// A time as the JSON protocols write it: seconds since 1970, with milliseconds.
#[must_use]
pub fn epoch(at: Timestamp) -> Value {
    json!(at.as_millisecond() as f64 / 1000.0)
}

/// A time in an answer of CloudWatch, which CBOR tags as such.
#[must_use]
pub fn instant(at: Timestamp) -> Value {
    json!({ cbor::INSTANT: at.as_millisecond() as f64 / 1000.0 })
}
