use serde::{Deserialize, Serialize};

use crate::name::TargetId;
use crate::time::Lasting;

/// Who and what a target is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TargetInfo {
    /// The canonical id: two operators who mean the same thing get the same.
    pub id: TargetId,
    /// The account or cluster that would be acted on, compared with what the environment expects:
    /// `123456789012`, a cluster's UID, a host name.
    pub account: String,
    /// Who the backend says the caller is, where it can tell: an ARN, a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl TargetInfo {
    /// A target with the least capabilities.
    pub fn new(id: TargetId, account: impl Into<String>) -> Self {
        Self { id, account: account.into(), caller: None, capabilities: Capabilities::default() }
    }

    /// Adds who the caller is.
    #[must_use]
    pub fn with_caller(mut self, caller: impl Into<String>) -> Self {
        self.caller = Some(caller.into());
        self
    }

    /// Adds what it can do.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }
}

/// What a target can do, as plain data. Core checks it in one place; callers never do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Capabilities {
    /// The backend keeps a history of its own.
    pub history: bool,
    /// The backend itself refuses a write that expects an outdated token.
    pub refuses_stale_writers: bool,
    /// The backend keeps the idempotency key, or a mark made from it, so that a probe is certain.
    pub keeps_keys: bool,
    /// It has parts (hosts, replica sets) that can differ.
    pub parts: bool,
    /// It can be scaled to nothing.
    pub scales_to_zero: bool,
    /// It can be restarted, and tells incarnations.
    pub restarts: bool,
    /// A deployment of its own can be in flight.
    pub in_flight: bool,
    /// Rollbacks leave something behind for a while, that it [tidies up](crate::Tidies) when asked to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tidies: bool,
    /// The longest time after which a request that was sent and not seen can still appear. Probes that say "not
    /// applied" are believed after this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility_lag: Option<Lasting>,
}

impl Capabilities {
    /// None of them: where a constant begins.
    #[must_use]
    pub const fn least() -> Self {
        Self {
            history: false,
            refuses_stale_writers: false,
            keeps_keys: false,
            parts: false,
            scales_to_zero: false,
            restarts: false,
            in_flight: false,
            tidies: false,
            visibility_lag: None,
        }
    }
}

macro_rules! capability_setters {
    ($($name:ident),*) => {
        impl Capabilities {
            $(
                #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
                #[must_use]
                pub const fn $name(mut self) -> Self {
                    self.$name = true;
                    self
                }
            )*

            /// Sets [`visibility_lag`](Self::visibility_lag).
            #[must_use]
            pub const fn with_visibility_lag(mut self, lag: Lasting) -> Self {
                self.visibility_lag = Some(lag);
                self
            }

            /// The capabilities by name, for tables and for choosing conformance cases.
            #[must_use]
            pub fn by_name(&self) -> Vec<(&'static str, bool)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}
capability_setters!(
    history,
    refuses_stale_writers,
    keeps_keys,
    parts,
    scales_to_zero,
    restarts,
    in_flight,
    tidies
);
