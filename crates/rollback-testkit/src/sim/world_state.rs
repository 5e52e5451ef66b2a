//! What a simulated world remembers, and how it moves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use rollback_core::{Error, ErrorKind, IdempotencyKey, Result, Token};

use super::world::{Change, Landed, Left, Moment, Part, Picture, Request, Swept, Trouble, World};

pub(super) struct State {
    pub(super) generation: u64,
    pub(super) settled: u32,
    pub(super) heading: Option<u32>,
    pub(super) failed: Option<String>,
    pub(super) next_part: usize,
    pub(super) next_part_at: Duration,
    pub(super) parts: Vec<Part>,
    pub(super) missing: BTreeSet<u32>,
    pub(super) sick: BTreeSet<u32>,
    pub(super) deaf: u32,
    /// Whether nobody is told what is missing.
    pub(super) denied: bool,
    pub(super) marks: BTreeMap<IdempotencyKey, u64>,
    pub(super) ran: Vec<(u32, Timestamp)>,
    pub(super) late: Vec<Late>,
    pub(super) trouble: VecDeque<Trouble>,
    pub(super) landed: Vec<Landed>,
    pub(super) swept: Vec<Swept>,
    pub(super) left: Vec<Left>,
    pub(super) moments: Vec<Moment>,
    /// What was to be seen from when on, where looks show the past.
    pub(super) pictures: Vec<(Duration, Picture)>,
    pub(super) looks: u64,
}

/// A request that is on its way.
pub(super) struct Late {
    pub(super) sent: Duration,
    /// `None`: when it is told to.
    pub(super) lands: Option<Duration>,
    pub(super) request: Request,
}

pub(super) fn token(generation: u64) -> Token {
    Token::new(format!("toy/{generation}"))
}

/// An error of the simulated control plane.
pub(super) fn fault(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, "change the simulated world", message)
}

pub(super) fn denied() -> Error {
    fault(ErrorKind::Denied, "the caller may not change releases").next("allow it, then run the same again")
}

pub(super) fn no_answer() -> Error {
    fault(ErrorKind::Timeout, "no answer came").next("probe, to see what became of it")
}

pub(super) enum Event {
    Late(Duration, usize),
    Part(Duration),
}

impl Event {
    pub(super) fn at(&self) -> Duration {
        match self {
            Self::Late(at, _) | Self::Part(at) => *at,
        }
    }
}

impl State {
    /// What happens next by itself.
    pub(super) fn next_event(&self) -> Option<Event> {
        let moves = self.heading.is_some() && self.failed.is_none();
        let part = moves.then_some(Event::Part(self.next_part_at));
        let late =
            self.late.iter().enumerate().filter_map(|(index, late)| Some(Event::Late(late.lands?, index)));
        late.chain(part).min_by_key(Event::at)
    }

    pub(super) fn land(&mut self, request: Request, at: Duration, world: &World) -> Result<Token> {
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
        if world.settings.tidies && request.key.is_some() {
            self.leave(request.change, world);
        }
        match request.change {
            Change::All { release } => self.begin(release, at, world),
            Change::Part { part, release } => self.set_part(part, release, at, world),
        }
        if let Some(key) = request.key.clone().filter(|_| world.settings.keeps_keys) {
            self.marks.insert(key, self.generation);
        }
        self.landed.push(Landed { request, generation: self.generation, at, stale });
        self.remember(at, world);
        Ok(token(self.generation))
    }

    pub(super) fn picture(&self) -> Picture {
        Picture {
            token: token(self.generation),
            settled: self.settled,
            heading: self.heading,
            failed: self.failed.clone(),
            parts: self.parts.clone(),
        }
    }

    /// What a rollback to this release leaves behind on the parts that it changes.
    fn leave(&mut self, change: Change, world: &World) {
        let (only, to) = match change {
            Change::All { release } => (None, release),
            Change::Part { part, release } => (Some(part), release),
        };
        let since = world.clock.now();
        for (at, part) in self.parts.iter().enumerate() {
            if only.is_none_or(|only| only == at) {
                let (id, release) = (part.id.clone(), part.release);
                // What is needed again is nothing that was left.
                self.left.retain(|left| left.part != id || ![release, to].contains(&left.release));
                if release != to {
                    self.left.push(Left { part: id, release, since });
                }
            }
        }
    }

    /// Keeps what is to be seen from now on, where looks show the past.
    pub(super) fn remember(&mut self, at: Duration, world: &World) {
        if !world.settings.shows_past.is_zero() {
            self.pictures.push((at, self.picture()));
        }
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
    pub(super) fn roll_on(&mut self, at: Duration, world: &World) {
        let Some(release) = self.heading else { return };
        let last = self.next_part + 1 == self.parts.len();
        if last && self.sick.contains(&release) {
            self.failed =
                Some(format!("release r{release} does not start on {}", self.parts[self.next_part].id));
            return;
        }
        if last && self.deaf > 0 {
            // The control plane takes it for done.
            self.deaf -= 1;
        } else {
            self.parts[self.next_part].release = release;
            self.parts[self.next_part].restarts += 1;
        }
        self.next_part += 1;
        self.note_moment(at);
        self.next_part_at = at + world.settings.rollout;
        if last {
            self.come_to_rest(release, world);
        }
    }

    fn set_part(&mut self, part: usize, release: u32, at: Duration, world: &World) {
        // A part that is changed by hand ends the rollout that was on its way.
        self.heading = None;
        self.failed = None;
        if let Some(part) = self.parts.get_mut(part) {
            part.restarts += u64::from(part.release != release);
            part.release = release;
        }
        self.note_moment(at);
        if self.parts.iter().all(|part| part.release == release) {
            self.come_to_rest(release, world);
        }
    }

    fn note_moment(&mut self, at: Duration) {
        let first = self.parts.first().map(|part| part.release);
        let same = self.parts.iter().all(|part| Some(part.release) == first);
        self.moments.push(Moment { at, everywhere: first.filter(|_| same) });
    }

    fn come_to_rest(&mut self, release: u32, world: &World) {
        self.heading = None;
        self.settled = release;
        if self.ran.last().is_none_or(|(last, _)| *last != release) {
            self.ran.push((release, world.clock.now()));
        }
    }
}
