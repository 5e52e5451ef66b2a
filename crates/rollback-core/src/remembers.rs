//! What a target writes down itself, so that a state can be found again.

use async_trait::async_trait;

use crate::error::Result;
use crate::target::Target;

/// On which occasion a target is asked to remember a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Occasion {
    /// Its deployment is recorded. Nobody waits for it, so that it may ask for everything: core gives it ten minutes, as for a proof.
    Recorded,
    /// A rollback is about to leave it. Until it has answered, what is bad is served on: what takes more than a moment is left out.
    Leaving,
}

/// A target that writes down, beside what it deploys, what it takes to find a state again: a manifest. Bind it with
/// [`Bound::remembering`](crate::Bound::remembering).
///
/// # Contract
///
/// - Core asks it to when a state was recorded, and, before the first change of a rollback, for the state that is left. That state
///   rests on the target then. When another one is there by now, that is [`ErrorKind::Stale`](crate::ErrorKind::Stale), and nothing
///   is written of it.
/// - What it asks for may depend on the [`Occasion`]: on the way out of an outage, every second counts.
/// - It may be asked twice for one state, and by two operators at once: what is written is named by what it holds, is written where
///   nothing was, and is never changed.
/// - Nothing that is deployed is touched: neither the token nor an identity moves.
/// - An error costs what would have been remembered and nothing else: core tells it as a warning, and goes on.
#[async_trait]
pub trait Remembers: Target {
    /// Writes down what it takes to find `snapshot`, which rests on the target now, again.
    ///
    /// # Errors
    ///
    /// What could not be read or written. The state is not remembered then.
    async fn remember(&self, snapshot: &Self::Snapshot, occasion: Occasion) -> Result<()>;
}
