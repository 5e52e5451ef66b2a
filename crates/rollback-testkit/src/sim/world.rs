//! A simulated deployed thing: parts with replicas, releases by number, and a control plane with a token.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rollback_core::time::Clock;
use rollback_core::{ErrorKind, IdempotencyKey, Incarnation, PartId, Result, StepId, Token};

use super::settings::Settings;
use super::world_state::{Event, Late, State, denied, fault, no_answer, token};

/// A simulated deployed thing. Clones are handles onto the same one.
///
/// It is the backend, not the driver: it has a clock, takes requests, rolls releases out part by part, and keeps
/// count of everything that landed.
#[derive(Clone)]
pub struct World {
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
}

/// What a request wants to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The whole thing, rolled out part by part.
    All {
        /// To this release.
        release: u32,
    },
    /// One part, at once.
    Part {
        /// Which, counted from 0.
        part: usize,
        /// To this release.
        release: u32,
    },
}

/// One request to the control plane.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it wants.
    pub change: Change,
    /// Under which key; `None` for changes by somebody else than the driver.
    pub key: Option<IdempotencyKey>,
    /// Which step sent it.
    pub step: Option<StepId>,
    /// The token that the world must still have, checked where the world refuses stale writers.
    pub expected: Option<Token>,
    /// Who sends it, for traces and counts.
    pub by: String,
    /// Whether it is one part of bulk work that may be repeated.
    pub repeatable: bool,
}

/// One change that landed.
#[derive(Debug, Clone)]
pub struct Landed {
    /// What was asked for.
    pub request: Request,
    /// The generation it made.
    pub generation: u64,
    /// When, on the world's clock.
    pub at: Duration,
    /// Whether the request was out of date when it landed: the token it expected was gone.
    pub stale: bool,
}

/// A release that was swept away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Which.
    pub release: u32,
    /// Under which key.
    pub key: IdempotencyKey,
    /// By whom.
    pub by: String,
    /// When, on the world's clock.
    pub at: Duration,
}

/// Something that a rollback left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// On which part.
    pub part: PartId,
    /// The release that it is of.
    pub release: u32,
    /// Since when it is not needed.
    pub since: Timestamp,
}

/// What every part ran from some time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// From when on.
    pub at: Duration,
    /// The release that every part ran, if they all ran the same.
    pub everywhere: Option<u32>,
}

/// What goes wrong with a coming request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing: this one passes, the trouble after it in line hits the next.
    Pass,
    /// It is refused, cleanly, before anything happens.
    Refuse,
    /// It is denied, cleanly: whoever sends it again is denied again.
    Deny,
    /// It never arrives, and no answer comes.
    LoseRequest,
    /// It lands, and no answer comes.
    LoseAnswer,
    /// No answer comes, and it lands so much later; `None`: when [`World::deliver`] is called.
    Delay(Option<Duration>),
}

/// One part as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub id: PartId,
    /// The release that runs there.
    pub release: u32,
    /// How many replicas are wanted, all of them ready.
    pub replicas: u32,
    /// How often it was restarted.
    pub restarts: u64,
}

impl Part {
    /// Its incarnation.
    #[must_use]
    pub fn incarnation(&self) -> Option<Incarnation> {
        Incarnation::new(format!("{}#{}", self.id, self.restarts)).ok()
    }
}

/// What the control plane shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The concurrency token.
    pub token: Token,
    /// The release it last came to rest on.
    pub settled: u32,
    /// The release it is on its way to, if it moves.
    pub heading: Option<u32>,
    /// Why it will not get there, if it will not.
    pub failed: Option<String>,
    /// The parts.
    pub parts: Vec<Part>,
}

impl Picture {
    /// The release that every part runs with at least one replica, if they all run the same.
    #[must_use]
    pub fn everywhere(&self) -> Option<u32> {
        let first = self.parts.first()?.release;
        self.parts.iter().all(|part| part.release == first && part.replicas > 0).then_some(first)
    }
}

impl World {
    /// A world that has run nothing but release 1.
    ///
    /// # Panics
    ///
    /// Never: part names are written here and follow the rules of part ids.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let part = |number: u32| {
            let id = PartId::new(format!("part-{number}")).expect("a part id");
            Part { id, release: 1, replicas: 2, restarts: 0 }
        };
        let state = State {
            generation: 1,
            settled: 1,
            heading: None,
            failed: None,
            next_part: 0,
            next_part_at: Duration::ZERO,
            parts: (0..settings.parts.max(1)).map(part).collect(),
            missing: BTreeSet::new(),
            sick: BTreeSet::new(),
            deaf: 0,
            denied: false,
            marks: BTreeMap::new(),
            ran: vec![(1, clock.now())],
            late: Vec::new(),
            trouble: VecDeque::new(),
            landed: Vec::new(),
            swept: Vec::new(),
            left: Vec::new(),
            moments: vec![Moment { at: clock.monotonic(), everywhere: Some(1) }],
            pictures: Vec::new(),
            looks: 0,
        };
        let world = Self { settings, clock, state: Arc::new(Mutex::new(state)) };
        world.now().remember(Duration::ZERO, &world);
        world
    }

    /// The switches it was made with.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The state as of now: everything that was due has happened.
    fn now(&self) -> MutexGuard<'_, State> {
        let now = self.clock.monotonic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(event) = state.next_event().filter(|event| event.at() <= now) {
            match event {
                Event::Late(at, index) => {
                    let Late { request, .. } = state.late.remove(index);
                    // Nobody waits for the answer any more; whether it was refused shows in what landed.
                    let _ = state.land(request, at, self);
                }
                Event::Part(at) => {
                    state.roll_on(at, self);
                    state.remember(at, self);
                }
            }
        }
        state
    }

    /// What the control plane shows.
    #[must_use]
    pub fn look(&self) -> Picture {
        self.now().picture()
    }

    /// What a look shows that may show the past.
    #[must_use]
    pub fn shown(&self) -> Picture {
        let state = self.now();
        let Some(at) = self.clock.monotonic().checked_sub(self.settings.shows_past) else {
            return state.pictures.first().map_or_else(|| state.picture(), |(_, first)| first.clone());
        };
        let shown = state.pictures.iter().rev().find(|(from, _)| *from <= at);
        shown.or(state.pictures.first()).map_or_else(|| state.picture(), |(_, picture)| picture.clone())
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// What the control plane refuses, and what the next [`Trouble`] in line says.
    pub fn send(&self, request: Request) -> Result<Token> {
        let mut state = self.now();
        let now = self.clock.monotonic();
        match state.trouble.pop_front().unwrap_or(Trouble::Pass) {
            Trouble::Pass => state.land(request, now, self),
            Trouble::Refuse => {
                Err(fault(ErrorKind::Throttled, "too many requests").next("wait and try again"))
            }
            Trouble::Deny => Err(denied()),
            Trouble::LoseRequest => Err(no_answer()),
            Trouble::LoseAnswer => {
                state.land(request, now, self)?;
                Err(no_answer())
            }
            Trouble::Delay(by) => {
                state.late.push(Late { sent: now, lands: by.map(|by| now + by), request });
                Err(no_answer())
            }
        }
    }

    /// Sweeps a release away: it stays deployed wherever it runs.
    ///
    /// # Errors
    ///
    /// What the next [`Trouble`] in line says.
    pub fn sweep(&self, release: u32, key: &IdempotencyKey, by: &str) -> Result<()> {
        let mut state = self.now();
        let trouble = state.trouble.pop_front().unwrap_or(Trouble::Pass);
        match trouble {
            Trouble::Refuse => return Err(fault(ErrorKind::Throttled, "too many requests").next("try again")),
            Trouble::Deny => return Err(denied()),
            Trouble::LoseRequest => return Err(no_answer()),
            Trouble::Pass | Trouble::LoseAnswer | Trouble::Delay(_) => {}
        }
        let at = self.clock.monotonic();
        state.swept.push(Swept { release, key: key.clone(), by: by.to_owned(), at });
        if trouble == Trouble::Pass { Ok(()) } else { Err(no_answer()) }
    }

    /// What was swept away, in order.
    #[must_use]
    pub fn swept(&self) -> Vec<Swept> {
        self.now().swept.clone()
    }

    /// What rollbacks left behind, oldest first.
    #[must_use]
    pub fn left(&self) -> Vec<Left> {
        self.now().left.clone()
    }

    /// Takes something away that a rollback left behind. `false`: it was gone already.
    #[must_use]
    pub fn take_away(&self, left: &Left) -> bool {
        let mut state = self.now();
        let before = state.left.len();
        state.left.retain(|one| one != left);
        state.left.len() < before
    }

    /// Takes away all of these.
    pub(super) fn take_all_away(&self, due: &[Left]) {
        self.now().left.retain(|one| !due.contains(one));
    }

    /// Lets the next requests run into trouble, one after the other.
    pub fn trouble(&self, trouble: impl IntoIterator<Item = Trouble>) {
        self.now().trouble.extend(trouble);
    }

    /// Takes back trouble that has not hit yet.
    pub fn no_trouble(&self) {
        self.now().trouble.clear();
    }

    /// Lets everything land now that was delayed.
    pub fn deliver(&self) {
        let mut state = self.now();
        let now = self.clock.monotonic();
        for late in &mut state.late {
            late.lands = Some(now);
        }
        drop(state);
        drop(self.now());
    }

    /// Deploys a release by foreign means: a pipeline, a colleague. It rolls out as any other.
    ///
    /// # Errors
    ///
    /// When the release is missing.
    pub fn deploy(&self, release: u32, by: &str) -> Result<()> {
        let change = Change::All { release };
        let request =
            Request { change, key: None, step: None, expected: None, by: by.to_owned(), repeatable: false };
        let now = self.clock.monotonic();
        self.now().land(request, now, self).map(|_| ())
    }

    /// Removes what release `release` is made of: it runs on, and cannot be deployed again.
    pub fn remove(&self, release: u32) {
        self.now().missing.insert(release);
    }

    /// Lets every rollout of `release` fail at its last part.
    pub fn sicken(&self, release: u32) {
        self.now().sick.insert(release);
    }

    /// Lets the last part miss so many rollouts, while the control plane takes them for done.
    pub fn deafen(&self, rollouts: u32) {
        self.now().deaf = rollouts;
    }

    /// Whether `release` could be deployed.
    #[must_use]
    pub fn has(&self, release: u32) -> bool {
        !self.now().missing.contains(&release)
    }

    /// From now on nobody is told whether a release could be deployed: a permission was taken away.
    pub fn deny(&self) {
        self.now().denied = true;
    }

    /// Whether `release` could be deployed, for those who may know.
    pub(super) fn tells(&self, release: u32) -> Option<bool> {
        let state = self.now();
        (!state.denied).then(|| !state.missing.contains(&release))
    }

    /// The first part restarts by itself: a crash, a lost node.
    pub fn restart_part(&self) {
        let mut state = self.now();
        if let Some(part) = state.parts.first_mut() {
            part.restarts += 1;
        }
        state.remember(self.clock.monotonic(), self);
    }

    /// Scales every part.
    pub fn scale(&self, replicas: u32) {
        for part in &mut self.now().parts {
            part.replicas = replicas;
        }
    }

    /// Whether a request with this key landed, and the generation it made. Only a world that keeps keys knows.
    #[must_use]
    pub fn mark(&self, key: &IdempotencyKey) -> Option<Token> {
        self.now().marks.get(key).copied().map(token)
    }

    /// What ran, oldest first.
    #[must_use]
    pub fn ran(&self) -> Vec<(u32, Timestamp)> {
        self.now().ran.clone()
    }

    /// Everything that landed, oldest first.
    #[must_use]
    pub fn landed(&self) -> Vec<Landed> {
        self.now().landed.clone()
    }

    /// What every part ran, from when on, oldest first.
    #[must_use]
    pub fn moments(&self) -> Vec<Moment> {
        self.now().moments.clone()
    }

    /// The requests that are on their way and will land if nothing happens, with when they were sent. Not those of bulk
    /// work, which may be repeated.
    #[must_use]
    pub fn on_their_way(&self) -> Vec<(Duration, Request)> {
        let state = self.now();
        let (current, refuses) = (token(state.generation), self.settings.refuses_stale_writers);
        let lands = |late: &&Late| {
            !late.request.repeatable && (!refuses || late.request.expected.as_ref() == Some(&current))
        };
        state.late.iter().filter(lands).map(|late| (late.sent, late.request.clone())).collect()
    }

    /// Whether requests are on their way that have not landed.
    #[must_use]
    pub fn expects_late(&self) -> bool {
        !self.now().late.is_empty()
    }

    /// How often this was asked: something that changes by itself.
    pub(super) fn count_look(&self) -> u64 {
        let mut state = self.now();
        state.looks += 1;
        state.looks
    }

    /// Changes the generation and nothing else, as a touch of an annotation would.
    pub(super) fn touch(&self) {
        self.now().generation += 1;
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("settings", &self.settings)
            .field("picture", &self.look())
            .finish_non_exhaustive()
    }
}
