//! What happened in a simulation, line by line, in virtual time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rollback_core::time::Clock;

/// A trace that is kept, or one that is not: thousands of good runs need no text.
#[derive(Clone)]
pub struct Trace {
    clock: Arc<dyn Clock>,
    lines: Option<Arc<Mutex<Vec<String>>>>,
}

impl Trace {
    /// A trace; kept only if wanted.
    pub fn new(clock: Arc<dyn Clock>, kept: bool) -> Self {
        Self { clock, lines: kept.then(Arc::default) }
    }

    /// Adds a line. The text is only made when it is kept.
    pub fn note(&self, who: &str, text: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            let at = seconds(self.clock.monotonic());
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{at} {who:<12} {}", text()));
        }
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines
            .as_ref()
            .map(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }
}

fn seconds(at: Duration) -> String {
    format!("{:>10.3}s", at.as_secs_f64())
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("kept", &self.lines.is_some()).finish_non_exhaustive()
    }
}
