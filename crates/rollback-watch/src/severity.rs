//! How bad it is, and what that calls for.

use std::fmt;

use rollback_core::time::Lasting;
use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The service is down, or data is at risk.
    P0,
    /// It is much worse than it was.
    P1,
    /// Some users see small faults.
    P2,
    /// It can wait.
    P3,
}

/// What a severity calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// Rolling back at once.
    Now,
    /// Rolling back if it is still so after this time.
    After(Lasting),
    /// Proposing it to a person.
    Propose,
    /// Writing it down.
    Record,
}

impl Severity {
    /// What it calls for.
    #[must_use]
    pub const fn response(self) -> Response {
        match self {
            Self::P0 => Response::Now,
            Self::P1 => Response::After(Lasting::from_secs(600)),
            Self::P2 => Response::Propose,
            Self::P3 => Response::Record,
        }
    }

    /// Within which time of the trigger it should be over; `None` if it can wait for the next deploy.
    #[must_use]
    pub const fn deadline(self) -> Option<Lasting> {
        match self {
            Self::P0 => Some(Lasting::from_secs(300)),
            Self::P1 => Some(Lasting::from_secs(900)),
            Self::P2 => Some(Lasting::from_secs(1_800)),
            Self::P3 => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P0 => "P0",
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
        })
    }
}
