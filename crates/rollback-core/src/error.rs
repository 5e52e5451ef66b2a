//! One error type with two answers: *is it transient*, and *what happened to the effect*.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::Lasting;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A text from outside as an error may show it: its first 80 characters, in quotes, with what would act on a terminal escaped.
///
/// ```
/// use rollback_core::error::quoted;
/// assert_eq!(quoted("we\u{1b}[31mb"), "\"we\\u{1b}[31mb\"");
/// assert_eq!(quoted(&"x".repeat(1000)).len(), 82);
/// ```
#[must_use]
pub fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    format!("{shown:?}")
}

/// What a caller may have to decide on. Nobody has to match on texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The named thing does not exist (any more).
    NotFound,
    /// The caller may not do this.
    Denied,
    /// The backend asks to slow down.
    Throttled,
    /// Somebody else changed it or holds it.
    Conflict,
    /// What the request was based on is out of date: an expired plan, an old token.
    Stale,
    /// The input itself is wrong; sending it again never helps.
    Invalid,
    /// The backend or driver cannot do this at all.
    Unsupported,
    /// The backend cannot be reached or is failing.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// It answered, and what runs there is not healthy.
    Unhealthy,
    /// Stored data cannot be read or fails its own check.
    Corrupt,
    /// A guard refused before anything was done.
    Refused,
    /// Stopped on request.
    Cancelled,
    /// None of the others.
    Other,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::Stale => "stale",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timed out",
            Self::Unhealthy => "unhealthy",
            Self::Corrupt => "corrupt",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Other => "failed",
        })
    }
}

/// What became of the change that a failed call was meant to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Certainly nothing happened: the request was never taken. It may be sent again.
    #[default]
    None,
    /// The change was made, and something failed after it.
    Applied,
    /// Nobody can tell yet. The engine probes; it never sends again on this answer.
    Unknown,
}

/// Why something failed, what that means for the world, and what to do next.
///
/// The text is written for a person in the middle of an outage. Secrets never go into it.
///
/// ```
/// use rollback_core::{Effect, Error, ErrorKind};
/// let error = Error::new(ErrorKind::NotFound, "find the release", "no release named v9")
///     .next("the releases are: v3, v2, v1");
/// assert!(!error.is_transient());
/// assert_eq!(error.effect(), Effect::None);
/// assert_eq!(
///     error.to_string(),
///     "cannot find the release: no release named v9\n  next: the releases are: v3, v2, v1",
/// );
/// ```
// Boxed: results are returned everywhere, and a fat error makes each of them fat.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: String,
    message: String,
    next: Option<String>,
    transient: bool,
    retry_after: Option<Lasting>,
    effect: Effect,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// How many bytes each text of an error may have. Errors quote what was read, which may be hostile and of any size, and
/// they are kept in journals.
const LONGEST: usize = 4_000;

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        let left_out = text.len() - end;
        text.truncate(end);
        text.push_str(&format!("… ({left_out} bytes more)"));
    }
    text
}

impl Error {
    /// An error of `kind`. `operation` completes "cannot …", `message` says what was found.
    ///
    /// Throttled, unavailable and timed-out errors start as transient. Of an unavailable or timed-out backend nobody knows
    /// what it did before, so these start with an unknown effect, which is looked at before anything is sent again;
    /// everything else starts without effect. Say so where it is certain: a connection that was refused has no effect.
    ///
    /// Texts of more than 4,000 bytes are cut off.
    pub fn new(kind: ErrorKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        let transient = matches!(kind, ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Timeout);
        let silent = matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout);
        let effect = if silent { Effect::Unknown } else { Effect::None };
        Self(Box::new(Inner {
            kind,
            operation: bounded(operation.into()),
            message: bounded(message.into()),
            next: None,
            transient,
            retry_after: None,
            effect,
            source: None,
        }))
    }

    /// Says what the reader should do now.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.0.next = Some(bounded(next.into()));
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets whether waiting and asking again can help.
    #[must_use]
    pub fn transient(mut self, transient: bool) -> Self {
        self.0.transient = transient;
        self
    }

    /// Says after which pause whoever was asked wants to be asked again, as `Retry-After` of HTTP does.
    #[must_use]
    pub fn with_retry_after(mut self, pause: Lasting) -> Self {
        self.0.retry_after = Some(pause);
        self
    }

    /// Sets what became of the effect.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done; completes "cannot …".
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// What was found, without operation and next step.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do next, where that is known.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.0.next.as_deref()
    }

    /// Whether waiting and asking again can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// After which pause whoever was asked wants to be asked again, if they said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Lasting> {
        self.0.retry_after
    }

    /// What became of the effect. Only meaningful for calls that change something.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The error as plain data, for journals, plans and reports.
    #[must_use]
    pub fn to_record(&self) -> ErrorRecord {
        let mut message = self.0.message.clone();
        let mut cause = self.0.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(source) = cause {
            message.push_str(": ");
            message.push_str(&source.to_string());
            cause = source.source();
        }
        ErrorRecord {
            kind: self.0.kind,
            operation: self.0.operation.clone(),
            message: bounded(message),
            next: self.0.next.clone(),
            effect: self.0.effect,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.0.operation, self.0.message)?;
        if let Some(next) = &self.0.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("message", &self.0.message)
            .field("next", &self.0.next)
            .field("transient", &self.0.transient)
            .field("effect", &self.0.effect)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// An [`Error`] as plain data, as journals and reports keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRecord {
    /// What sort of failure it is.
    pub kind: ErrorKind,
    /// What was being done.
    pub operation: String,
    /// What was found, with its causes.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What became of the effect.
    pub effect: Effect,
}

impl fmt::Display for ErrorRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.operation, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn where_nobody_knows_the_effect_starts_as_unknown() {
        assert_eq!(Error::new(ErrorKind::Timeout, "x", "y").effect(), Effect::Unknown);
        assert_eq!(Error::new(ErrorKind::Unavailable, "x", "y").effect(), Effect::Unknown);
        assert_eq!(Error::new(ErrorKind::Throttled, "x", "y").effect(), Effect::None);
        assert!(Error::new(ErrorKind::Throttled, "x", "y").is_transient());
        assert!(!Error::new(ErrorKind::Denied, "x", "y").is_transient());
    }

    #[test]
    fn texts_are_bounded_and_stay_texts() {
        let long = "é".repeat(LONGEST);
        let error = Error::new(ErrorKind::Invalid, long.clone(), long.clone()).next(long.clone());
        let record = error.with_source(std::io::Error::other(long)).to_record();
        for text in [record.operation, record.message, record.next.unwrap()] {
            assert!(text.len() < LONGEST + 40 && text.ends_with("bytes more)"), "{}", text.len());
        }
    }

    #[test]
    fn a_record_keeps_the_causes() {
        let cause = std::io::Error::other("disk on fire");
        let record = Error::new(ErrorKind::Unavailable, "write", "no luck").with_source(cause).to_record();
        assert_eq!(record.message, "no luck: disk on fire");
    }
}
