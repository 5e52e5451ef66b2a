//! Texts that nobody may read.

use std::fmt;
use std::sync::Arc;

/// A text that nobody may read: a password, a token. `Debug` and `Display` show `…`, and it cannot be serialised.
///
/// Give it on where nobody sees it, on standard input, and never as an argument, which every user of a host can list. Clones
/// share one text. Memory is not wiped: what the SDK and the allocator made of the answer before is out of reach.
///
/// ```
/// use rollback_aws_support::Secret;
/// let password = Secret::new("hunter2");
/// assert_eq!(format!("{password} {password:?}"), "… Secret(…)");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Makes a call of which nothing is logged. The SDK's trace has whole answers in it: for some calls always (the tokens of ECR), for
/// all where `LOG_SENSITIVE_BODIES` is set.
#[cfg(any(feature = "ecr", feature = "parameters"))]
pub(crate) fn unlogged<F: Future>(call: F) -> tracing::instrument::WithDispatch<F> {
    use tracing::instrument::WithSubscriber as _;
    call.with_subscriber(tracing::subscriber::NoSubscriber::new())
}
