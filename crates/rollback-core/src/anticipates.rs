//! What a target reads beside the look that comes first.

use async_trait::async_trait;

use crate::target::{HistoryQuery, Target};

/// A target whose history takes requests of its own, and that can begin with them before anybody looked: on the way out of an outage two
/// reads side by side are sooner done than one after the other. Bind it with [`Bound::anticipating`](crate::Bound::anticipating).
///
/// # Contract
///
/// - Core calls it at the same time as [`Target::observe`] without a token, and begins with that. [`Target::history`] comes once both
///   have ended, with the query that was told here, and says by [`observed`](HistoryQuery::observed) that what was read may be used again.
/// - It answers nothing and is no look: what was read is good for that history and for the inspection that follows it.
/// - What could not be read is asked for again by whoever needs it, who then says what is wrong.
/// - It changes nothing.
#[async_trait]
pub trait Anticipates: Target {
    /// Reads what `query` will ask for.
    async fn anticipate(&self, query: &HistoryQuery);
}
