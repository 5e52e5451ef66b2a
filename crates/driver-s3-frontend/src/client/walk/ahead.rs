//! What one walk knows of another, and what all walks may hold together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::names::Key;

/// How many bytes of pages wait, in all lists together, for pages that come before them.
const MOST: usize = 10 << 20;
/// What a page may take until it has come: its text, and what is read from that.
const COMING: usize = 288 << 10;
/// How many lists must have been cut at before that is worth anything.
const FEWEST: usize = 4;

/// Keys of a list, in order, with a little less than a page from one to the next. Releases of a site have mostly the same keys.
pub(super) type Milestones = Arc<[Key]>;

/// What all walks of a client share. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    held: Arc<AtomicUsize>,
    milestones: Arc<Mutex<Option<Milestones>>>,
}

impl Shared {
    pub(super) fn milestones(&self) -> Option<Milestones> {
        self.milestones.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A list was walked to its end.
    pub(super) fn walked(&self, milestones: Vec<Key>) {
        if milestones.len() >= FEWEST {
            *self.milestones.lock().unwrap_or_else(PoisonError::into_inner) = Some(milestones.into());
        }
    }

    /// Room for a page that is asked for; nothing where there is none and it can wait.
    pub(super) fn coming(&self, can_wait: bool) -> Option<Room> {
        let held = self.held.fetch_add(COMING, Ordering::Relaxed);
        let room = Room { shared: self.clone(), bytes: COMING };
        (!can_wait || held + COMING <= MOST).then_some(room)
    }
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    shared: Shared,
    bytes: usize,
}

impl Room {
    /// It has come, and takes this.
    pub(super) fn came(&mut self, bytes: usize) {
        self.shared.held.fetch_add(bytes, Ordering::Relaxed);
        self.shared.held.fetch_sub(std::mem::replace(&mut self.bytes, bytes), Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_wait_waits_for_room() {
        let shared = Shared::default();
        let rooms: Vec<_> = std::iter::from_fn(|| shared.coming(true)).collect();
        assert_eq!(rooms.len(), MOST / COMING);
        let mut first = shared.coming(false).unwrap();
        drop(rooms);
        first.came(MOST);
        assert!(shared.coming(true).is_none());
        drop(first);
        assert_eq!(shared.held.load(Ordering::Relaxed), 0);
    }
}
