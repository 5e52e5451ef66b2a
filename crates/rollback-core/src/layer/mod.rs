//! Layers: behaviour that every driver gets, as wrappers around the erased target.
//!
//! [`standard`] is the stack the engine uses: tracing outside, then retry, then timeout. Each layer maps
//! `Arc<dyn DynTarget>` to `Arc<dyn DynTarget>`, so a tool can add its own.

mod around;
mod retry;
mod timeout;
mod trace;

use std::sync::Arc;

pub use self::around::{Around, AroundApply};
pub use self::retry::Retry;
pub use self::timeout::{Limits, Timeout};
pub use self::trace::Trace;
use crate::erased::DynTarget;
use crate::time::Clock;

/// Tracing around retry around timeout: a call that takes too long is tried again if that is safe.
#[must_use]
pub fn standard(target: Arc<dyn DynTarget>, clock: &Arc<dyn Clock>) -> Arc<dyn DynTarget> {
    let timed = Timeout::wrap(target, Arc::clone(clock), Limits::default());
    let retried = Retry::wrap(timed, Arc::clone(clock));
    Trace::wrap(retried)
}
