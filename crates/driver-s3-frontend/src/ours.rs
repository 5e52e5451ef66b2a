//! Our own folder beside the site, `state`: what rollbacks left and wrote down. A rollback asks several times for what is in it, and most of
//! that is not there. So the history, which comes first, lists all of it once.
//!
//! That list is good from one look of core's for something new to do to the next, and for whoever acts only where that look is fresh. What is
//! below a key that was written since is not known by it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rollback_core::{ActionContext, Result};

use crate::client::{Expected, Page};
use crate::memory::Since;
use crate::names::{Key, Prefix};
use crate::object::{ETag, Listed};
use crate::site::Site;

#[derive(Debug, Default)]
struct State {
    /// Since which look, and what was listed.
    held: Option<(Since, Vec<Listed>)>,
    /// What was written or deleted since, by its full key.
    touched: BTreeSet<String>,
    /// How often anything was.
    touches: u64,
}

/// What one process knows of it. Cheap to clone; all clones know the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ours(Arc<Mutex<State>>);

impl Ours {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, since: Since) -> bool {
        self.lock().held.as_ref().is_some_and(|(then, _)| then.is_of_one_look(since))
    }

    /// A list that began before so many touches.
    fn keep(&self, since: Since, touches: u64, objects: Vec<Listed>) {
        let mut state = self.lock();
        if state.touches == touches {
            (state.held, state.touched) = (Some((since, objects)), BTreeSet::new());
        }
    }

    fn touch(&self, full: &str) {
        let mut state = self.lock();
        state.touches += 1;
        if state.held.is_some() {
            state.touched.insert(full.to_owned());
        }
    }

    fn forget(&self) {
        self.lock().held = None;
    }

    /// What is below `prefix`, with keys that begin there; `None` where that is not known.
    fn below(&self, since: Since, state: &Prefix, prefix: &Prefix) -> Option<Vec<Listed>> {
        let known = self.lock();
        let (_, objects) = known.held.as_ref().filter(|(then, _)| then.is_of_one_look(since))?;
        if known.touched.iter().any(|full| prefix.strip(full).is_some()) {
            return None;
        }
        let below = |listed: &Listed| {
            let full = state.join(&listed.key);
            let key = Key::new(prefix.strip(&full)?).ok()?;
            Some(Listed { key, ..listed.clone() })
        };
        Some(objects.iter().filter_map(below).collect())
    }

    /// Whether nothing has this full key, as far as is known.
    fn lacks(&self, since: Since, state: &Prefix, full: &str) -> bool {
        let known = self.lock();
        let held = known.held.as_ref().filter(|(then, _)| then.is_of_one_look(since));
        !known.touched.contains(full)
            && held.is_some_and(|(_, objects)| objects.iter().all(|listed| state.join(&listed.key) != full))
    }
}

impl Site {
    /// Lists all of it, for whoever asks next. Where that is denied or does not fit on one page, each of them asks by itself.
    pub(crate) async fn look_at_ours(&self) {
        let since = self.memory.since();
        if self.ours.knows(since) {
            return;
        }
        let touches = self.ours.lock().touches;
        if let Ok(Page { objects, next: None }) = self.client.page(&self.state, None).await {
            self.ours.keep(since, touches, objects);
        }
    }

    /// An action begins: what was listed is over, unless core looked at the site right before.
    pub(crate) fn begins(&self, cx: &ActionContext) {
        if !self.memory.is_fresh(cx) {
            self.ours.forget();
        }
    }

    /// What is below `prefix` of it, if that need not be asked for.
    pub(crate) fn known_below(&self, prefix: &Prefix) -> Option<Vec<Listed>> {
        self.ours.below(self.memory.since(), &self.state, prefix)
    }

    /// Whether something of it need not be asked for, since it is not there.
    pub(crate) fn is_known_to_lack(&self, full: &str) -> bool {
        self.ours.lacks(self.memory.since(), &self.state, full)
    }

    /// Writes something of it. The tag that it has then.
    pub(crate) async fn write_ours(
        &self,
        full: &str,
        body: Vec<u8>,
        over: Option<&Expected>,
    ) -> Result<ETag> {
        self.ours.touch(full);
        self.client.put(full, body, over).await
    }

    /// Deletes something of it that has this tag.
    pub(crate) async fn delete_ours(&self, full: &str, tag: &ETag) -> Result<()> {
        self.ours.touch(full);
        self.client.delete(full, tag).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::object::Content;

    fn listed(key: &str) -> Listed {
        let content = Content::listed(7, ETag::new("9b2cf535f27731c974343645a3985328").unwrap());
        Listed::new(Key::new(key).unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap())
    }

    fn prefix(text: &str) -> Prefix {
        Prefix::new(text).unwrap()
    }

    /// What is known below the folder, by key.
    fn known(ours: &Ours, since: Since, folder: &str) -> Option<Vec<String>> {
        let found = ours.below(since, &prefix(".rollback/"), &prefix(folder))?;
        Some(found.iter().map(|listed| listed.key.as_str().to_owned()).collect())
    }

    #[test]
    fn what_was_listed_is_known_until_it_is_written_or_core_looks_for_something_new() {
        let (ours, memory) = (Ours::default(), Memory::default());
        let (since, lacks) = (memory.since(), ".rollback/live/a.retained.json");
        assert_eq!(known(&ours, since, ".rollback/manifests/"), None);
        ours.keep(since, 0, vec![listed("live/a.json"), listed("manifests/a/1.json")]);
        assert_eq!(known(&ours, since, ".rollback/manifests/a/").unwrap(), ["1.json"]);
        assert_eq!(known(&ours, since, ".rollback/manifests/b/").unwrap(), [""; 0]);
        assert!(ours.lacks(since, &prefix(".rollback/"), lacks));
        assert!(!ours.lacks(since, &prefix(".rollback/"), ".rollback/live/a.json"));
        // What is written is not known any more, and everything else is.
        ours.touch(".rollback/manifests/a/2.json");
        ours.touch(lacks);
        memory.writes();
        let since = memory.since();
        assert_eq!(known(&ours, since, ".rollback/manifests/a/"), None);
        assert_eq!(known(&ours, since, ".rollback/manifests/"), None);
        assert_eq!(known(&ours, since, ".rollback/manifests/b/").unwrap(), [""; 0]);
        assert!(!ours.lacks(since, &prefix(".rollback/"), lacks));
        memory.looks(None);
        assert_eq!(known(&ours, memory.since(), ".rollback/manifests/b/"), None, "something new begins");
    }

    #[test]
    fn a_list_that_something_was_written_beside_is_not_kept() {
        let (ours, since) = (Ours::default(), Memory::default().since());
        ours.touch(".rollback/live/a.json");
        ours.keep(since, 0, Vec::new());
        assert!(!ours.knows(since));
        ours.keep(since, 1, Vec::new());
        assert!(ours.knows(since) && ours.lacks(since, &prefix(".rollback/"), "other"));
        ours.forget();
        assert!(!ours.knows(since));
    }
}
