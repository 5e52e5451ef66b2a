//! What was listed a moment ago, and what it may stand for.
//!
//! - **What is live**, as a look without a token showed it, is good for the history and the inspection that core asks for right after
//!   that look, and for the first sending of an action where core says that the look is fresh and had the token that it expects. S3
//!   itself still refuses each write over anything else than what that look showed.
//! - **What is live**, as the first look after the last write showed it, is good for one proof, and only where it shows exactly what
//!   that write left.
//! - No list of what is live outlives a write of ours, or the next look.
//! - **A release** is good for the inspection that follows the history in which it was listed. After that it is good for whoever knows
//!   what it must hold: its identity is the digest of its list. Whether its objects are still there S3 says when they are copied.
//!   What a release makes together is remembered of larger ones too, for that inspection.
//! - All lists together hold so many objects in memory at the most, packed. Longer ones lie in a file, where a plan reads them for the
//!   second time; what is too much for that too is listed again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollback_core::{ActionContext, Identity, Token};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::held::{List, Pieces};
use crate::mark::Mark;
use crate::names::Release;
use crate::object::Listed;
use crate::site::{Archived, Seen};

/// How many objects are held in memory at the most: two or three megabytes.
const MOST: usize = 50_000;
/// How many are held in files at the most, two hundred megabytes: what is live of a million objects, and a release or two.
const MOST_WRITTEN: usize = 3_000_000;
/// How many bytes of room each has. Long keys take the room of several.
const EACH: usize = 64;
/// Of how many releases something is remembered.
const RELEASES: usize = 500;
/// How many objects there is made room for at a time.
const STEP: u32 = 200;
/// The same in a file.
const STEP_WRITTEN: u32 = 10_000;
/// How long a look of core's is relied on.
const MOMENT: Duration = Duration::from_secs(2);

/// What is live, as one look showed it.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) seen: Seen,
    /// What the last rollback left, whatever happened since.
    pub(crate) mark: Option<Mark>,
    /// `None` where there is too much of it.
    pub(crate) list: Option<List>,
}

/// What a look at what is live is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Whatever comes next, up to the first write.
    Next,
    /// One proof.
    Proof,
}

#[derive(Debug)]
struct Known {
    release: Release,
    archived: Archived,
    /// `None` where there was no room.
    list: Option<List>,
    turn: u64,
}

#[derive(Debug, Default)]
struct State {
    live: Option<(Use, Live)>,
    /// Oldest first.
    releases: Vec<Known>,
    /// How often core looked for something new to do.
    turn: u64,
    /// How often something of ours began to be written, or was.
    writes: u64,
    /// Whether a write has ended that nobody looked at yet.
    unseen: bool,
}

/// What one process remembers of a site. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
    room: Arc<Semaphore>,
    /// The same of files.
    written: Arc<Semaphore>,
}

/// A look at what is live that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    writes: u64,
    turn: u64,
    unseen: bool,
}

/// After which look and which write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since {
    turn: u64,
    writes: u64,
}

/// Which remembered releases are as good as a new list.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Good {
    /// None.
    Nothing,
    /// Those that were listed since core looked at what is live.
    SinceTheLook,
    /// One that holds this.
    Holding(Identity),
}

/// What need not be listed again.
#[derive(Debug, Clone)]
pub(crate) struct Recalled {
    pub(crate) live: Option<Live>,
    pub(crate) releases: Good,
}

impl Since {
    /// Whether core has not looked for something new to do in between.
    pub(crate) fn is_of_one_look(self, other: Self) -> bool {
        self.turn == other.turn
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::of(MOST, MOST_WRITTEN)
    }
}

impl Memory {
    fn of(most: usize, written: usize) -> Self {
        let room = |most| Arc::new(Semaphore::new(most));
        Self { state: Arc::default(), room: room(most), written: room(written) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look at what is live begins: what the one before showed is over. One without a token begins something new.
    pub(crate) fn looks(&self, after: Option<&Token>) -> Begun {
        let mut state = self.lock();
        state.live = None;
        if after.is_none() {
            state.turn += 1;
        }
        let unseen = std::mem::take(&mut state.unseen);
        Begun { writes: state.writes, turn: state.turn, unseen }
    }

    /// That look has ended.
    pub(crate) fn looked(&self, begun: &Begun, after: Option<&Token>, live: Live) {
        let good = match after {
            None => Use::Next,
            Some(token) if begun.unseen && *token == live.seen.tally.token() => Use::Proof,
            Some(_) => return,
        };
        let mut state = self.lock();
        if (begun.writes, begun.turn) == (state.writes, state.turn) {
            state.live = Some((good, live));
        }
    }

    /// Between which look of core's and which write of ours this is.
    pub(crate) fn since(&self) -> Since {
        let state = self.lock();
        Since { turn: state.turn, writes: state.writes }
    }

    /// Something of what is live is about to be written.
    pub(crate) fn writes(&self) {
        let mut state = self.lock();
        state.writes += 1;
        (state.live, state.unseen) = (None, false);
    }

    /// All of it is written.
    pub(crate) fn wrote(&self) {
        self.writes();
        self.lock().unseen = true;
    }

    /// What is live, by the look that core made right before it asked.
    pub(crate) fn live(&self) -> Option<Live> {
        let state = self.lock();
        state.live.as_ref().filter(|(good, _)| *good == Use::Next).map(|(_, live)| live.clone())
    }

    /// For an inspection.
    pub(crate) fn to_inspect(&self) -> Recalled {
        Recalled { live: self.live(), releases: Good::SinceTheLook }
    }

    /// Whether core looked at what is live right before it sends this for the first time.
    pub(crate) fn is_fresh(&self, cx: &ActionContext) -> bool {
        cx.attempt == 1 && cx.seen.is_some_and(|ago| ago.as_duration() <= MOMENT)
    }

    /// For an action that puts this back.
    pub(crate) fn to_apply(&self, cx: &ActionContext, identity: Identity) -> Recalled {
        let is_fresh = self.is_fresh(cx);
        let live = self.live().filter(|live| is_fresh && cx.expected == Some(live.seen.tally.token()));
        Recalled { live, releases: Good::Holding(identity) }
    }

    /// For a proof of this. What was seen for one is not there for another.
    pub(crate) fn to_prove(&self, identity: Identity) -> Recalled {
        let mut state = self.lock();
        let seen = state.live.take_if(|(good, _)| *good == Use::Proof);
        Recalled { live: seen.map(|(_, live)| live), releases: Good::Holding(identity) }
    }

    /// A release was listed, and has no objects if that is `None`. What it held before is forgotten.
    pub(crate) fn listed(&self, release: &Release, archived: Option<&Archived>, collected: Collected) {
        let (turn, list) = (collected.turn, collected.whole());
        let mut state = self.lock();
        state.releases.retain(|known| known.release != *release);
        if let Some(archived) = archived.cloned() {
            if state.releases.len() >= RELEASES {
                state.releases.remove(0);
            }
            state.releases.push(Known { release: release.clone(), archived, list, turn });
        }
    }

    /// What a release makes together, and its list, where what is remembered is as good as a new one.
    pub(crate) fn release(&self, release: &Release, good: Good) -> Option<(Archived, Option<List>)> {
        let state = self.lock();
        let known = state.releases.iter().find(|known| known.release == *release)?;
        let is_good = match good {
            Good::Nothing => false,
            Good::SinceTheLook => known.turn == state.turn,
            Good::Holding(identity) => known.archived.snapshot.identity == identity,
        };
        is_good.then(|| (known.archived.clone(), known.list.clone()))
    }

    /// For a list that is about to be read.
    pub(crate) fn collect(&self) -> Collected {
        Collected {
            memory: self.clone(),
            objects: Some(Pieces::default()),
            room: None,
            turn: self.lock().turn,
        }
    }

    /// Makes room in memory, or in files, in place of the releases that were listed longest ago.
    fn make_room(&self, in_file: bool) -> Option<OwnedSemaphorePermit> {
        let (room, step) = if in_file { (&self.written, STEP_WRITTEN) } else { (&self.room, STEP) };
        loop {
            if let Ok(room) = Arc::clone(room).try_acquire_many_owned(step) {
                return Some(room);
            }
            let mut state = self.lock();
            let is_there = |list: &mut List| list.is_written() == in_file;
            let oldest = state.releases.iter_mut().find_map(|known| known.list.take_if(is_there));
            oldest.is_some().then_some(())?;
        }
    }
}

/// A list that is being read, held for as long as there is room.
#[derive(Debug)]
pub(crate) struct Collected {
    memory: Memory,
    objects: Option<Pieces>,
    room: Option<OwnedSemaphorePermit>,
    /// When it began.
    turn: u64,
}

impl Collected {
    /// One object more.
    pub(crate) fn add(&mut self, listed: &Listed) {
        let Some(objects) = &mut self.objects else { return };
        let added = Self::make_room(&self.memory, objects, &mut self.room)
            .and_then(|()| objects.push(listed).inspect_err(unwritten).ok());
        if added.is_none() {
            (self.objects, self.room) = (None, None);
        }
    }

    /// Room for one object more: in memory, and where there is no more of that, for all of them in a file.
    fn make_room(
        memory: &Memory,
        objects: &mut Pieces,
        room: &mut Option<OwnedSemaphorePermit>,
    ) -> Option<()> {
        loop {
            let held = room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            if objects.len().max(objects.size() / EACH) < held {
                return Some(());
            }
            let in_file = objects.is_written();
            match (memory.make_room(in_file), &mut *room) {
                (Some(more), Some(room)) => room.merge(more),
                (Some(more), room) => *room = Some(more),
                (None, room) if !in_file => {
                    objects.write().inspect_err(unwritten).ok()?;
                    *room = None;
                }
                (None, _) => return None,
            }
        }
    }

    /// The whole list; `None` where there was no room.
    pub(crate) fn whole(self) -> Option<List> {
        self.objects?.whole(self.room).inspect_err(unwritten).ok()
    }
}

/// It costs requests, and nothing else.
fn unwritten(error: &std::io::Error) {
    tracing::warn!(%error, "a long list is not held in a file for temporary files, and is listed again where it is needed");
}

#[cfg(test)]
mod tests;
