//! A simulated process: it can die or freeze between any two of its operations.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rollback_core::time::Clock;
use tokio_util::sync::CancellationToken;

use super::trace::Trace;

/// When a process dies, and when it freezes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fuse {
    /// It dies at its operation of this number, counted from 1.
    pub dies_at: Option<u64>,
    /// It freezes at the operation of this number, for so long.
    pub freezes_at: Option<(u64, Duration)>,
    /// What happens to it at a place that accidents rarely meet.
    pub aimed: Option<Aimed>,
}

/// An accident at a place that is chosen, and not counted in operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aimed {
    /// Where.
    pub place: Place,
    /// When it comes there for which time, counted from 1.
    pub nth: u64,
    /// What happens then.
    pub blow: Blow,
}

/// Where an accident is worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The store has taken an authorisation; the process has not seen the answer.
    Authorised,
    /// The process has seen that it is authorised, and calls the driver.
    Sending,
    /// The driver has answered; nothing of that is journalled.
    Answered,
}

/// What happens to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// It dies.
    Dies,
    /// It freezes for so long.
    Freezes(Duration),
    /// It cannot reach its store for so long.
    LosesStore(Duration),
}

/// A simulated process. Its store, its targets and its clock all ask it before and after each call; store and target calls
/// are counted together.
///
/// A dead process never gets an answer again, so that nothing in it goes on: a crash. A frozen one gets all its
/// answers late: a stopped process, a paused virtual machine.
#[derive(Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    clock: Arc<dyn Clock>,
    trace: Trace,
    fuse: Fuse,
    state: Mutex<State>,
    died: CancellationToken,
}

#[derive(Default)]
struct State {
    operations: u64,
    frozen_until: Duration,
    froze: bool,
    hung: bool,
    store_away_until: Duration,
    reached: BTreeMap<Place, u64>,
}

impl Process {
    /// A process with a fuse.
    pub fn new(name: impl Into<String>, clock: Arc<dyn Clock>, trace: Trace, fuse: Fuse) -> Self {
        let inner = Inner {
            name: name.into(),
            clock,
            trace,
            fuse,
            state: Mutex::default(),
            died: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its clock: sleeping in a frozen process takes longer, in a dead one for ever.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(ProcessClock { process: self.clone() })
    }

    /// Resolves when it died.
    pub async fn died(&self) {
        self.inner.died.cancelled().await;
    }

    /// Whether it died.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.inner.died.is_cancelled()
    }

    /// Whether it was ever frozen.
    #[must_use]
    pub fn froze(&self) -> bool {
        self.state().froze
    }

    /// Whether a request of it ever hung on its way.
    #[must_use]
    pub fn hung(&self) -> bool {
        self.state().hung
    }

    /// Waits while a request hangs on its way.
    pub(super) async fn hang(&self, lasting: Duration) {
        self.note(|| format!("the request hangs for {lasting:?}"));
        self.state().hung = true;
        self.clock().sleep(lasting).await;
    }

    /// How many operations it began.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Adds a line to the trace.
    pub fn note(&self, text: impl FnOnce() -> String) {
        self.inner.trace.note(&self.inner.name, text);
    }

    /// Begins an operation: here it may die or freeze.
    pub async fn step(&self, what: impl FnOnce() -> String) {
        self.count(what);
        self.alive().await;
    }

    fn count(&self, what: impl FnOnce() -> String) {
        let number = {
            let mut state = self.state();
            state.operations += 1;
            state.operations
        };
        self.note(|| format!("#{number} {}", what()));
        if self.inner.fuse.dies_at == Some(number) {
            self.meet(Blow::Dies);
        }
        if let Some((_, lasting)) = self.inner.fuse.freezes_at.filter(|(at, _)| *at == number) {
            self.meet(Blow::Freezes(lasting));
        }
    }

    fn meet(&self, blow: Blow) {
        if self.is_dead() {
            return;
        }
        self.note(|| format!("{blow:?}"));
        let now = self.inner.clock.monotonic();
        match blow {
            Blow::Dies => self.inner.died.cancel(),
            Blow::Freezes(lasting) => {
                let mut state = self.state();
                state.frozen_until = now + lasting;
                state.froze = true;
            }
            Blow::LosesStore(lasting) => self.state().store_away_until = now + lasting,
        }
    }

    /// Comes to a place where an accident may be waiting.
    pub fn reach(&self, place: Place) {
        let nth = {
            let mut state = self.state();
            let times = state.reached.entry(place).or_default();
            *times += 1;
            *times
        };
        if let Some(aimed) = self.inner.fuse.aimed.filter(|aimed| aimed.place == place && aimed.nth == nth) {
            self.note(|| format!("meets {place:?}"));
            self.meet(aimed.blow);
        }
    }

    /// Whether it can reach its store.
    #[must_use]
    pub fn reaches_store(&self) -> bool {
        self.inner.clock.monotonic() >= self.state().store_away_until
    }

    /// Waits until it is not frozen; for ever, if it is dead.
    async fn alive(&self) {
        loop {
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            let now = self.inner.clock.monotonic();
            let until = self.state().frozen_until;
            if now >= until {
                return;
            }
            self.inner.clock.sleep(until - now).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.inner.name)
            .field("fuse", &self.inner.fuse)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct ProcessClock {
    process: Process,
}

#[async_trait]
impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        self.process.inner.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.process.inner.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.process.inner.clock.sleep(duration).await;
        self.process.alive().await;
    }
}
