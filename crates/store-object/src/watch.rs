//! What became of the requests of one call.
//!
//! The errors of `object_store` do not tell whether a request left this machine, and their texts quote what the server
//! sent, which may hold credentials. So our own transport notes what happened, here, for the call that it happened in.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// Whom a request was for.
#[cfg_attr(
    not(feature = "_http"),
    expect(dead_code, reason = "without a transport of ours nothing is noted")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plane {
    /// The bucket.
    Data,
    /// Whoever hands out credentials.
    Credentials,
}

/// How a request ended.
#[cfg_attr(
    not(feature = "_http"),
    expect(dead_code, reason = "without a transport of ours nothing is noted")
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    /// No connection was made: nothing was sent.
    Unreached(String),
    /// It was sent, or may have been, and no whole answer came back.
    Lost { timeout: bool, why: String },
    /// The server answered.
    Answered(Answer),
}

/// What is kept of an answer. Never its body: a refusal may quote the request with its tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The server's own name for what is wrong: `NoSuchBucket`.
    pub(crate) code: Option<String>,
    /// Which permission is missing for whom, in the server's words.
    pub(crate) denied: Option<String>,
    /// The region in which the bucket is.
    pub(crate) region: Option<String>,
}

impl Answer {
    /// The bucket is there, and the object is not. A bare 404 may come from anything that is no bucket at all.
    pub(crate) fn is_no_object(&self) -> bool {
        self.status == 404 && matches!(self.code.as_deref(), Some("NoSuchKey" | "BlobNotFound"))
    }

    /// Two conditional writes met, and neither condition was judged.
    pub(crate) fn is_busy(&self) -> bool {
        self.status == 409
            && matches!(self.code.as_deref(), Some("ConditionalRequestConflict" | "OperationAborted"))
    }
}

/// What was noted of one call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Whether a request that changes the bucket was sent, as far as is known.
    pub(crate) write_sent: bool,
    /// The last request.
    pub(crate) last: Option<(Plane, Happened)>,
}

impl Seen {
    /// The bucket's own last answer.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match &self.last {
            Some((Plane::Data, Happened::Answered(answer))) => Some(answer),
            _ => None,
        }
    }
}

tokio::task_local! {
    static NOTES: Arc<Mutex<Seen>>;
}

/// Makes a call, and tells what its requests came to.
pub(crate) async fn watched<T>(call: impl Future<Output = T>) -> (T, Seen) {
    let notes = Arc::new(Mutex::new(Seen::default()));
    let result = NOTES.scope(Arc::clone(&notes), call).await;
    let seen = notes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (result, seen)
}

/// Notes how a request ended.
#[cfg(feature = "_http")]
pub(crate) fn note(plane: Plane, writes: bool, happened: Happened) {
    // Outside of a call nobody asks: credentials may be fetched then.
    let _ = NOTES.try_with(|notes| {
        let mut seen = notes.lock().unwrap_or_else(PoisonError::into_inner);
        seen.write_sent |= writes && plane == Plane::Data && !matches!(happened, Happened::Unreached(_));
        seen.last = Some((plane, happened));
    });
}
