//! A simulated deployed thing: parts with replicas, releases by number, and a control plane with a token.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rollback_core::time::Clock;
use rollback_core::{Error, ErrorKind, IdempotencyKey, Incarnation, PartId, Result, StepId, Token};

use super::settings::Settings;

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

/// What goes wrong with a coming request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing: this one passes, the trouble after it in line hits the next.
    Pass,
    /// It is refused, cleanly, before anything happens.
    Refuse,
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

struct State {
    generation: u64,
    settled: u32,
    heading: Option<u32>,
    failed: Option<String>,
    next_part: usize,
    next_part_at: Duration,
    parts: Vec<Part>,
    missing: BTreeSet<u32>,
    sick: BTreeSet<u32>,
    marks: BTreeMap<IdempotencyKey, u64>,
    ran: Vec<(u32, Timestamp)>,
    late: Vec<(Option<Duration>, Request)>,
    trouble: VecDeque<Trouble>,
    landed: Vec<Landed>,
    looks: u64,
}

fn token(generation: u64) -> Token {
    Token::new(format!("toy/{generation}"))
}

/// An error of the simulated control plane.
fn fault(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, "change the simulated world", message)
}

fn no_answer() -> Error {
    fault(ErrorKind::Timeout, "no answer came").next("probe, to see what became of it")
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
            marks: BTreeMap::new(),
            ran: vec![(1, clock.now())],
            late: Vec::new(),
            trouble: VecDeque::new(),
            landed: Vec::new(),
            looks: 0,
        };
        Self { settings, clock, state: Arc::new(Mutex::new(state)) }
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
                    let (_, request) = state.late.remove(index);
                    // Nobody waits for the answer any more; whether it was refused shows in what landed.
                    let _ = state.land(request, at, self);
                }
                Event::Part(at) => state.roll_on(at, self),
            }
        }
        state
    }

    /// What the control plane shows.
    #[must_use]
    pub fn look(&self) -> Picture {
        let state = self.now();
        Picture {
            token: token(state.generation),
            settled: state.settled,
            heading: state.heading,
            failed: state.failed.clone(),
            parts: state.parts.clone(),
        }
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
            Trouble::LoseRequest => Err(no_answer()),
            Trouble::LoseAnswer => {
                state.land(request, now, self)?;
                Err(no_answer())
            }
            Trouble::Delay(by) => {
                state.late.push((by.map(|by| now + by), request));
                Err(no_answer())
            }
        }
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
            late.0 = Some(now);
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

    /// Whether `release` could be deployed.
    #[must_use]
    pub fn has(&self, release: u32) -> bool {
        !self.now().missing.contains(&release)
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

enum Event {
    Late(Duration, usize),
    Part(Duration),
}

impl Event {
    fn at(&self) -> Duration {
        match self {
            Self::Late(at, _) | Self::Part(at) => *at,
        }
    }
}

impl State {
    /// What happens next by itself.
    fn next_event(&self) -> Option<Event> {
        let moves = self.heading.is_some() && self.failed.is_none();
        let part = moves.then_some(Event::Part(self.next_part_at));
        let late =
            self.late.iter().enumerate().filter_map(|(index, (at, _))| Some(Event::Late((*at)?, index)));
        late.chain(part).min_by_key(Event::at)
    }

    fn land(&mut self, request: Request, at: Duration, world: &World) -> Result<Token> {
        let (Change::All { release } | Change::Part { release, .. }) = request.change;
        if self.missing.contains(&release) {
            return Err(fault(ErrorKind::NotFound, format!("release r{release} is gone"))
                .next("choose another release"));
        }
        let known = request.key.as_ref().and_then(|key| self.marks.get(key));
        if let Some(generation) = known.filter(|_| !request.repeatable) {
            return Ok(token(*generation));
        }
        let stale = request.expected.as_ref().is_some_and(|expected| *expected != token(self.generation));
        if stale && world.settings.refuses_stale_writers {
            return Err(fault(ErrorKind::Stale, "somebody changed it since").next("look again"));
        }
        self.generation += 1;
        match request.change {
            Change::All { release } => self.begin(release, at, world),
            Change::Part { part, release } => self.set_part(part, release, world),
        }
        if let Some(key) = request.key.clone().filter(|_| world.settings.keeps_keys) {
            self.marks.insert(key, self.generation);
        }
        self.landed.push(Landed { request, generation: self.generation, at, stale });
        Ok(token(self.generation))
    }

    /// Begins a rollout over all parts.
    fn begin(&mut self, release: u32, at: Duration, world: &World) {
        self.heading = Some(release);
        self.failed = None;
        self.next_part = 0;
        self.next_part_at = at + world.settings.rollout;
        if world.settings.rollout.is_zero() {
            while self.heading.is_some() && self.failed.is_none() {
                self.roll_on(at, world);
            }
        }
    }

    /// Moves the next part of a rollout.
    fn roll_on(&mut self, at: Duration, world: &World) {
        let Some(release) = self.heading else { return };
        let last = self.next_part + 1 == self.parts.len();
        if last && self.sick.contains(&release) {
            self.failed =
                Some(format!("release r{release} does not start on {}", self.parts[self.next_part].id));
            return;
        }
        self.parts[self.next_part].release = release;
        self.parts[self.next_part].restarts += 1;
        self.next_part += 1;
        self.next_part_at = at + world.settings.rollout;
        if last {
            self.come_to_rest(release, world);
        }
    }

    fn set_part(&mut self, part: usize, release: u32, world: &World) {
        // A part that is changed by hand ends the rollout that was on its way.
        self.heading = None;
        self.failed = None;
        if let Some(part) = self.parts.get_mut(part) {
            part.restarts += u64::from(part.release != release);
            part.release = release;
        }
        if self.parts.iter().all(|part| part.release == release) {
            self.come_to_rest(release, world);
        }
    }

    fn come_to_rest(&mut self, release: u32, world: &World) {
        self.heading = None;
        self.settled = release;
        if self.ran.last().is_none_or(|(last, _)| *last != release) {
            self.ran.push((release, world.clock.now()));
        }
    }
}
