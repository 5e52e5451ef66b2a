//! What the process says with its exit code.

use std::fmt;
use std::process::ExitCode;

use rollback_core::{ErrorKind, State};

/// How a command ended, as pipelines see it.
///
/// The numbers are a promise: scripts branch on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// 0: restored, or already there, or read what was asked for.
    Done,
    /// 1: anything that has no code of its own.
    Failed,
    /// 2: the command line or the configuration is wrong.
    Usage,
    /// 3: a guard refused, or nobody agreed. Nothing was done.
    Refused,
    /// 4: the destination was not reached, and the origin is proven.
    OriginBack,
    /// 5: some parts or components are at the destination and some are not.
    Partial,
    /// 6: stuck or held: a person must look.
    Stuck,
    /// 7: cancelled, or somebody else took over.
    Stopped,
    /// 8: restored, but a gate failed.
    Unhealthy,
    /// 9: `check`: something could not be rolled back right now.
    NotReady,
    /// 10: `guard`: it was bad, and was rolled back, proven.
    RolledBack,
    /// 11: `guard`: it is bad, or nobody knows how it is, and nothing was done about it.
    NotActedOn,
    /// 130: left at once on a second signal; `rollback resume` takes the run up.
    Interrupted,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::OriginBack => 4,
            Self::Partial => 5,
            Self::Stuck => 6,
            Self::Stopped => 7,
            Self::Unhealthy => 8,
            Self::NotReady => 9,
            Self::RolledBack => 10,
            Self::NotActedOn => 11,
            Self::Interrupted => 130,
        }
    }

    /// The exit of a run that ended in `state`.
    #[must_use]
    pub const fn of_state(state: State) -> Self {
        match state {
            State::Restored | State::AlreadyThere => Self::Done,
            State::RestoredUnhealthy => Self::Unhealthy,
            State::Refused => Self::Refused,
            State::FailedRestored => Self::OriginBack,
            State::Partial => Self::Partial,
            State::Superseded | State::Cancelled => Self::Stopped,
            // Stuck, and any state that a later version of the engine adds: a person must look.
            _ => Self::Stuck,
        }
    }

    /// The exit of a command that failed with an error of `kind`, before or without a run.
    #[must_use]
    pub const fn of_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Usage,
            // A lease that is held, a plan that expired or was edited, a newer schema, a guard: nothing was done.
            ErrorKind::Refused
            | ErrorKind::Stale
            | ErrorKind::Conflict
            | ErrorKind::Corrupt
            | ErrorKind::Unsupported => Self::Refused,
            ErrorKind::Cancelled => Self::Stopped,
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.code(), f)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_promised_code() {
        let promised = [
            (State::Restored, 0),
            (State::AlreadyThere, 0),
            (State::Refused, 3),
            (State::FailedRestored, 4),
            (State::Partial, 5),
            (State::Stuck, 6),
            (State::Superseded, 7),
            (State::Cancelled, 7),
            (State::RestoredUnhealthy, 8),
        ];
        for (state, code) in promised {
            assert_eq!(Exit::of_state(state).code(), code, "{state}");
            assert_eq!(code == 0, state.is_success(), "only success is 0: {state}");
        }
    }

    #[test]
    fn every_kind_of_error_has_its_promised_code() {
        use ErrorKind::{
            Cancelled, Conflict, Corrupt, Denied, Invalid, NotFound, Other, Refused, Stale, Throttled,
            Timeout, Unavailable, Unhealthy, Unsupported,
        };
        let promised = [
            (Invalid, 2),
            (Refused, 3),
            (Stale, 3),
            (Conflict, 3),
            (Corrupt, 3),
            (Cancelled, 7),
            (NotFound, 1),
            (Denied, 1),
            (Throttled, 1),
            (Unsupported, 3),
            (Unavailable, 1),
            (Timeout, 1),
            (Unhealthy, 1),
            (Other, 1),
        ];
        for (kind, code) in promised {
            assert_eq!(Exit::of_error(kind).code(), code, "{kind}");
        }
    }
}
