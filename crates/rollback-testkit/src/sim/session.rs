//! One session of a process: an engine of its own, with the store and the book that it writes to.

use std::fmt;
use std::sync::Arc;

use rollback_core::store::MemoryStore;
use rollback_core::time::Clock;

use super::book::Book;
use super::fault_store::Weather;
use super::process::Process;

/// One session of a process: an engine of its own. Everything that goes wrong for it is decided here.
#[derive(Clone)]
pub struct Session {
    pub(super) name: String,
    pub(super) process: Process,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) weather: Weather,
    pub(super) book: Book,
    // The true content of the store that it works with.
    pub(super) memory: MemoryStore,
    pub(super) leases: bool,
}

impl Session {
    /// A session that works on `memory` with leases, in calm weather. `clock` is the world's, which never freezes.
    pub fn new(
        name: impl Into<String>,
        process: Process,
        clock: Arc<dyn Clock>,
        memory: MemoryStore,
        book: Book,
    ) -> Self {
        Self { name: name.into(), process, clock, weather: Weather::default(), book, memory, leases: true }
    }

    /// Sets what its network is like.
    #[must_use]
    pub fn weather(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }

    /// Says that it works without leases: it breaks the glass.
    #[must_use]
    pub fn without_leases(mut self) -> Self {
        self.leases = false;
        self
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("name", &self.name)
            .field("leases", &self.leases)
            .finish_non_exhaustive()
    }
}
