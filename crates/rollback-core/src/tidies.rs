//! What rollbacks leave behind on purpose, for a while, and who takes it away.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::target::Target;

/// What rollbacks left on a target and nobody will need any more: counts, and the first few by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Leftovers {
    /// How many may go, or went.
    pub due: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// The first of them, by name.
    pub shown: Vec<String>,
    /// How many are not old enough.
    pub waiting: u64,
    /// How many stay, by the reason why.
    pub kept: BTreeMap<String, u64>,
}

impl Leftovers {
    /// How many are shown by name.
    pub const SHOWN: usize = 20;

    /// One more that may go.
    pub fn add(&mut self, name: impl Into<String>, bytes: u64) {
        self.due += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.shown.len() < Self::SHOWN {
            self.shown.push(name.into());
        }
    }

    /// One more that stays, and why.
    pub fn keep(&mut self, why: impl Into<String>) {
        *self.kept.entry(why.into()).or_default() += 1;
    }
}

/// What core says to a target that tidies up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tidying {
    /// The time by which it is judged what is old enough.
    pub now: Timestamp,
    /// Cancelled when nothing more may go: on request, or because somebody else holds the target.
    pub stop: CancellationToken,
}

impl Tidying {
    /// At this time.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now, stop: CancellationToken::new() }
    }

    /// Stops with this.
    #[must_use]
    pub fn stopping(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }
}

/// A target on which rollbacks leave something behind for a while. Bind it with [`Bound::tidying`](crate::Bound::tidying), and say so
/// in [`Capabilities::tidies`](crate::Capabilities::tidies).
///
/// # Contract
///
/// - Only what a rollback of ours left goes, only what is older than the target is configured to wait, and never what is in use now or
///   not known not to be. What stays for that reason is told with the reason.
/// - Each thing is removed only if it is still what was left. What is gone already is no error.
/// - `tidy` may be cut off anywhere and called again. The identity of what runs is the same before and after.
/// - `leftovers` changes nothing, and tells what `tidy` would remove at that time.
#[async_trait]
pub trait Tidies: Target {
    /// What may go now, and what stays.
    ///
    /// # Errors
    ///
    /// What could not be read.
    async fn leftovers(&self, now: Timestamp) -> Result<Leftovers>;

    /// Removes it: what went, and what stays. Core holds the lease of the target meanwhile.
    ///
    /// # Errors
    ///
    /// What could not be read or removed. Some of it may be gone.
    async fn tidy(&self, tidying: &Tidying) -> Result<Leftovers>;
}
