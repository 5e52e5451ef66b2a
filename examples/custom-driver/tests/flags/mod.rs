//! A small flag service, to have something real to talk to: a value that has a history, refuses stale writers and knows
//! the idempotency keys of its writes.
//!
//! | request | answer |
//! |---|---|
//! | `GET /flags/NAME` | 200 with service, flag, variants and writes, the newest first |
//! | `PUT /flags/NAME` | the same after the write; 412 if `if-match` is out of date, 422 if there is no such variant |

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use rollback_core::time::{Clock as _, SystemClock};
use serde_json::{Value, json};

/// What goes wrong with the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is turned away.
    Refuse,
    /// A proxy gives up, and the write never arrives.
    LoseRequest,
    /// A proxy gives up, and the write arrives.
    LoseAnswer,
    /// A proxy gives up, and the write arrives when it is delivered.
    Delay,
}

/// One flag of a service. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Flags {
    token: Option<String>,
    state: Arc<Mutex<Inside>>,
}

#[derive(Debug, Default)]
struct Inside {
    variants: Vec<String>,
    writes: Vec<Value>,
    trouble: Option<Trouble>,
    late: Vec<Put>,
}

#[derive(Debug, Clone)]
struct Put {
    value: String,
    key: Option<String>,
    if_match: Option<String>,
}

impl Flags {
    /// A flag that may have these values. With a token, nobody else is let in.
    pub fn new(variants: &[&str], token: Option<&str>) -> Self {
        let variants = variants.iter().map(ToString::to_string).collect();
        let state = Inside { variants, ..Inside::default() };
        Self { token: token.map(ToOwned::to_owned), state: Arc::new(Mutex::new(state)) }
    }

    /// The service, as a router.
    pub fn router(&self) -> Router {
        Router::new().route("/flags/checkout", get(read).put(write)).with_state(self.clone())
    }

    /// Somebody gives the flag a value.
    pub fn set(&self, value: &str) {
        self.lock().put(Put { value: value.to_owned(), key: None, if_match: None }).expect("a variant");
    }

    /// A value can no longer be chosen.
    pub fn retire(&self, value: &str) {
        self.lock().variants.retain(|variant| variant != value);
    }

    /// Lets the next write run into trouble.
    pub fn trouble(&self, trouble: Trouble) {
        self.lock().trouble = Some(trouble);
    }

    /// Lets everything arrive that was delayed.
    pub fn deliver(&self) {
        let mut inside = self.lock();
        for put in std::mem::take(&mut inside.late) {
            // Nobody waits for the answer any more.
            let _ = inside.put(put);
        }
    }

    /// The value that it has.
    pub fn value(&self) -> Option<String> {
        self.lock().writes.first()?["value"].as_str().map(ToOwned::to_owned)
    }

    /// How many writes there were.
    pub fn writes(&self) -> u64 {
        self.lock().writes.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let given = text(headers, header::AUTHORIZATION.as_str());
        self.token.as_ref().is_none_or(|token| given == Some(format!("Bearer {token}")))
    }
}

impl Inside {
    fn put(&mut self, put: Put) -> Result<(), StatusCode> {
        let known = |write: &Value| put.key.is_some() && write["key"].as_str() == put.key.as_deref();
        if self.writes.iter().any(known) {
            return Ok(());
        }
        let tag = format!("\"{}\"", self.writes.len());
        if put.if_match.is_some_and(|wanted| wanted != tag) {
            return Err(StatusCode::PRECONDITION_FAILED);
        }
        if !self.variants.contains(&put.value) {
            return Err(StatusCode::UNPROCESSABLE_ENTITY);
        }
        let number = self.writes.len() + 1;
        let at = SystemClock.now();
        self.writes.insert(0, json!({ "number": number, "value": put.value, "key": put.key, "at": at }));
        Ok(())
    }

    fn page(&self) -> Response {
        let page = json!({
            "service": "flags-demo", "flag": "checkout", "variants": self.variants, "writes": self.writes,
        });
        axum::Json(page).into_response()
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
}

async fn read(State(flags): State<Flags>, headers: HeaderMap) -> Response {
    if !flags.lets_in(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    flags.lock().page()
}

async fn write(State(flags): State<Flags>, headers: HeaderMap, body: axum::Json<Value>) -> Response {
    if !flags.lets_in(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let put = Put {
        value: body["value"].as_str().unwrap_or_default().to_owned(),
        key: text(&headers, "idempotency-key"),
        if_match: text(&headers, header::IF_MATCH.as_str()),
    };
    let mut inside = flags.lock();
    let done = match inside.trouble.take() {
        Some(Trouble::Refuse) => Err(StatusCode::TOO_MANY_REQUESTS),
        Some(Trouble::LoseRequest) => Err(StatusCode::GATEWAY_TIMEOUT),
        Some(Trouble::LoseAnswer) => inside.put(put).and(Err(StatusCode::GATEWAY_TIMEOUT)),
        Some(Trouble::Delay) => {
            inside.late.push(put);
            Err(StatusCode::GATEWAY_TIMEOUT)
        }
        None => inside.put(put),
    };
    match done {
        Ok(()) => inside.page(),
        Err(status) => status.into_response(),
    }
}
