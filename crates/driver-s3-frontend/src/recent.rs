//! The versions, as they were listed a moment ago, and whether the bucket keeps any: a plan asks for them several times, and a large bucket
//! has many.
//!
//! They are good for whoever plans, from one look of core's at what is live to the next, and no longer than until something of ours is
//! written. Whoever acts or proves lists them again. Of more than so many versions and markers none are held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::TryStreamExt as _;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use rollback_core::Result;

use crate::client::{Layers, Versioning};
use crate::memory::Since;
use crate::site::Site;

/// How many versions and markers are held at the most: a few megabytes.
const MOST: usize = 20_000;

/// One list of all versions.
#[derive(Debug)]
struct Held {
    since: Since,
    layers: Arc<Vec<Layers>>,
}

/// What is remembered. Cheap to clone; all clones remember the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    held: Arc<Mutex<Option<Held>>>,
    versioning: Arc<Mutex<Option<(Since, Versioning)>>>,
    /// Whether it is as good as a new list.
    believed: bool,
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list, for whoever may believe it; for whoever may not, it is over.
    fn recall(&self, since: Since) -> Option<Arc<Vec<Layers>>> {
        let mut held = self.lock();
        if !self.believed {
            *held = None;
        }
        held.as_ref().filter(|held| held.since == since).map(|held| Arc::clone(&held.layers))
    }

    /// Whether versions are kept, for whoever may believe it.
    fn versioning(&self, since: Since) -> Option<Versioning> {
        let known = *self.versioning.lock().unwrap_or_else(PoisonError::into_inner);
        known.filter(|(then, _)| self.believed && *then == since).map(|(_, versioning)| versioning)
    }

    fn keep_versioning(&self, since: Since, versioning: Versioning) {
        *self.versioning.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, versioning));
    }

    fn keep(&self, since: Since, layers: Vec<Layers>) {
        *self.lock() = Some(Held { since, layers: Arc::new(layers) });
    }
}

/// A list that is being read, with what is held of it.
struct Reading<S> {
    listed: S,
    recent: Recent,
    since: Since,
    /// What came so far, and how much that is; `None` where it is too much.
    held: Option<(Vec<Layers>, usize)>,
}

impl<S: Stream<Item = Result<Layers>> + Unpin> Reading<S> {
    async fn next(&mut self) -> Result<Option<Layers>> {
        let next = self.listed.try_next().await?;
        match &next {
            Some(layers) => {
                let known = self.held.take().map(|(all, count)| (all, count + layers.layers.len()));
                self.held = known.filter(|(_, count)| *count <= MOST).map(|(mut all, count)| {
                    all.push(layers.clone());
                    (all, count)
                });
            }
            // Only a list that came to its end is whole.
            None => {
                if let Some((all, _)) = self.held.take() {
                    self.recent.keep(self.since, all);
                }
            }
        }
        Ok(next)
    }
}

/// What is remembered, if that is good enough; else what is listed, which nobody has asked for yet.
fn read<S>(recent: &Recent, since: Since, listed: S) -> BoxStream<'static, Result<Layers>>
where
    S: Stream<Item = Result<Layers>> + Send + Unpin + 'static,
{
    if let Some(held) = recent.recall(since) {
        let all = (0..held.len()).filter_map(move |at| held.get(at).cloned());
        return stream::iter(all.map(Ok)).boxed();
    }
    let reading = Reading { listed, recent: recent.clone(), since, held: Some((Vec::new(), 0)) };
    let next =
        |mut reading: Reading<S>| async move { Ok(reading.next().await?.map(|layers| (layers, reading))) };
    stream::try_unfold(reading, next).boxed()
}

impl Site {
    /// The same site for whoever plans: what was listed since the last look need not be listed again.
    pub(crate) fn remembering(&self) -> Self {
        let recent = Recent { believed: true, ..self.recent.clone() };
        Self { recent, ..self.clone() }
    }

    /// Whether the bucket keeps versions, as it said a moment ago where that is good enough.
    pub(crate) async fn versioning(&self) -> Result<Versioning> {
        let since = self.memory.since();
        if let Some(versioning) = self.recent.versioning(since) {
            return Ok(versioning);
        }
        let versioning = self.client.versioning().await?;
        self.recent.keep_versioning(since, versioning);
        Ok(versioning)
    }

    /// What was listed a moment ago, where that is good enough; else what is `listed` now, which is remembered.
    pub(crate) fn recent_or<S>(&self, listed: S) -> BoxStream<'static, Result<Layers>>
    where
        S: Stream<Item = Result<Layers>> + Send + Unpin + 'static,
    {
        read(&self.recent, self.memory.since(), listed)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use rollback_core::{Error, ErrorKind};

    use super::*;
    use crate::client::{Layer, Marker};
    use crate::memory::Memory;
    use crate::names::Key;
    use crate::object::VersionId;

    fn layers(key: usize, count: usize) -> Layers {
        let version = VersionId::new("v").unwrap();
        let marker = Layer::Marker(Marker { version, modified: "2026-11-22T03:00:00Z".parse().unwrap() });
        Layers { key: Key::new(key.to_string()).unwrap(), layers: vec![marker; count] }
    }

    /// How many keys come where there are so many by now, each with so many versions.
    fn listed(recent: &Recent, memory: &Memory, keys: usize, each: usize) -> usize {
        let list = stream::iter((0..keys).map(move |key| Ok(layers(key, each))));
        let all = read(recent, memory.since(), list).try_collect::<Vec<_>>();
        all.now_or_never().unwrap().unwrap().len()
    }

    fn both() -> (Recent, Recent, Memory) {
        let acts = Recent::default();
        let plans = Recent { believed: true, ..acts.clone() };
        (acts, plans, Memory::default())
    }

    #[test]
    fn whoever_plans_lists_once_and_whoever_acts_each_time() {
        let (acts, plans, memory) = both();
        assert_eq!(listed(&acts, &memory, 3, 2), 3);
        assert_eq!(listed(&plans, &memory, 9, 9), 3, "it is remembered");
        assert_eq!(listed(&acts, &memory, 4, 2), 4, "and not believed");
        assert_eq!(listed(&plans, &memory, 9, 9), 4);
    }

    #[test]
    fn it_is_over_with_the_next_look_and_with_each_write() {
        let (acts, plans, memory) = both();
        listed(&acts, &memory, 3, 2);
        memory.looks(None);
        assert_eq!(listed(&plans, &memory, 5, 2), 5);
        memory.writes();
        assert_eq!(listed(&plans, &memory, 6, 2), 6);
    }

    #[test]
    fn whether_versions_are_kept_is_asked_once_for_a_plan_and_each_time_for_an_action() {
        let (acts, plans, memory) = both();
        let on = Versioning::On { mfa_delete: false };
        acts.keep_versioning(memory.since(), on);
        assert_eq!((acts.versioning(memory.since()), plans.versioning(memory.since())), (None, Some(on)));
        memory.writes();
        assert_eq!(plans.versioning(memory.since()), None, "something was written");
        plans.keep_versioning(memory.since(), Versioning::Off);
        assert_eq!(plans.versioning(memory.since()), Some(Versioning::Off));
        memory.looks(None);
        assert_eq!(plans.versioning(memory.since()), None, "something new begins");
    }

    #[test]
    fn neither_more_than_fits_is_held_nor_what_broke_off() {
        let (acts, plans, memory) = both();
        listed(&acts, &memory, 2, MOST / 2);
        assert_eq!(listed(&plans, &memory, 1, 1), 2, "that much fits");
        listed(&acts, &memory, 2, MOST / 2 + 1);
        assert_eq!(listed(&plans, &memory, 1, 1), 1, "that much does not");
        let broken = Err(Error::new(ErrorKind::Unavailable, "list", "it broke"));
        let list = stream::iter([Ok(layers(1, 1)), Ok(layers(2, 1)), broken]);
        let all = read(&acts, memory.since(), list).try_collect::<Vec<_>>();
        assert!(all.now_or_never().unwrap().is_err());
        assert_eq!(listed(&plans, &memory, 3, 1), 3, "a list that broke off is not a short one");
    }
}
