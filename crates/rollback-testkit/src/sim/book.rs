//! What all processes of a simulation did, for the invariants.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rollback_core::{Digest, IdempotencyKey, RunId};

/// One call of `apply`, as the simulation saw it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Which session of which process called.
    pub session: String,
    /// For which run.
    pub run: RunId,
    /// For which component.
    pub component: String,
    /// Under which key.
    pub key: IdempotencyKey,
    /// When it was called.
    pub called: Duration,
    /// When it came to the driver.
    pub at: Duration,
    /// Whether the key was in a journal before.
    pub journalled: bool,
    /// Whether the head named this session and this action when it was called, or none was needed.
    pub authorised: bool,
    /// Requests of other runs that were on their way when it was called, with when they were sent.
    pub overtakes: Vec<(Duration, IdempotencyKey)>,
}

/// One call that reads a target.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Which session of which process called.
    pub session: String,
    /// For which component.
    pub component: String,
    /// When it looked.
    pub at: Duration,
    /// What it did.
    pub kind: Look,
}

/// The calls that read a target, as far as they matter to invariants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// `observe`
    Observe,
    /// `probe`
    Probe,
    /// `prove`
    Prove,
}

/// What a session learnt of its lease.
#[derive(Debug, Clone)]
pub struct Learnt {
    /// Which session.
    pub session: String,
    /// For which component.
    pub component: String,
    /// When.
    pub at: Duration,
    /// Whether it took the lease; else it saw somebody else's name in the head.
    pub taken: bool,
}

#[derive(Debug, Default)]
struct Pages {
    sent: Vec<Sent>,
    looked: Vec<Looked>,
    learnt: Vec<Learnt>,
    // The mark under which a session holds a head, by session and head.
    owners: BTreeMap<(String, String), String>,
}

/// What all processes of a simulation did. Clones are handles onto the same one.
#[derive(Debug, Clone, Default)]
pub struct Book {
    pages: Arc<Mutex<Pages>>,
}

/// The last part of the head key of a toy.
pub(super) fn head_of(component: &str) -> String {
    Digest::of_bytes(format!("toy/{component}").as_bytes()).hex()[..32].to_owned()
}

impl Book {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every call of `apply`, oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<Sent> {
        self.pages().sent.clone()
    }

    /// Every call that read a target, oldest first.
    #[must_use]
    pub fn looked(&self) -> Vec<Looked> {
        self.pages().looked.clone()
    }

    /// What sessions learnt of their leases, oldest first. The component is the last part of the head's key.
    #[must_use]
    pub fn learnt(&self) -> Vec<Learnt> {
        self.pages().learnt.clone()
    }

    pub(super) fn sends(&self, sent: Sent) {
        self.pages().sent.push(sent);
    }

    pub(super) fn looks(&self, looked: Looked) {
        self.pages().looked.push(looked);
    }

    /// A session wrote a head: as its holder, or to give it back.
    pub(super) fn wrote_head(&self, session: &str, head: &str, owner: Option<String>, at: Duration) {
        let mut pages = self.pages();
        let place = (session.to_owned(), head.to_owned());
        let Some(owner) = owner else {
            pages.owners.remove(&place);
            return;
        };
        if pages.owners.insert(place, owner.clone()).as_ref() != Some(&owner) {
            let (session, component) = (session.to_owned(), head.to_owned());
            pages.learnt.push(Learnt { session, component, at, taken: true });
        }
    }

    /// A session read a head.
    pub(super) fn read_head(&self, session: &str, head: &str, owner: &str, at: Duration) {
        let mut pages = self.pages();
        let place = (session.to_owned(), head.to_owned());
        if pages.owners.get(&place).is_some_and(|ours| ours != owner) {
            pages.owners.remove(&place);
            let (session, component) = place;
            pages.learnt.push(Learnt { session, component, at, taken: false });
        }
    }

    /// The mark under which a session holds a head.
    pub(super) fn owner(&self, session: &str, head: &str) -> Option<String> {
        self.pages().owners.get(&(session.to_owned(), head.to_owned())).cloned()
    }
}
