//! What differs between a release and what is live: one pass over two sorted lists.

use std::cmp::Ordering;
use std::fmt;
use std::pin::Pin;

use futures_util::stream::{Peekable, Stream, StreamExt as _};
use rollback_core::Result;

use crate::client::Marker;
use crate::names::Key;
use crate::object::Listed;
use crate::order::Order;

/// What is to be done about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is as it is to be.
    Same,
    /// The release has it, and it is not live.
    Missing(Listed),
    /// Another content is live.
    Differs(Listed, Listed),
    /// What is live may be the same: nothing that was read can tell. It is copied all the same.
    Unknown(Listed, Listed),
    /// It is live, and the release has it not.
    Extra(Listed),
    /// It has the right content, and these of its headers are not those that it is to have.
    Headers(Listed, Listed, Vec<&'static str>),
    /// It is not live, and nothing but these delete markers, newest first, stands in front of it.
    Hidden(Listed, Vec<Marker>),
}

impl Change {
    /// Of what it is; `None` where nothing is to be done.
    pub(crate) fn key(&self) -> Option<&Key> {
        match self {
            Self::Same => None,
            Self::Missing(entry)
            | Self::Differs(entry, _)
            | Self::Unknown(entry, _)
            | Self::Headers(entry, ..)
            | Self::Extra(entry)
            | Self::Hidden(entry, _) => Some(&entry.key),
        }
    }

    /// What is to be there and what is, where it is not known to be the same.
    pub(crate) fn both(&self) -> Option<(Listed, Listed)> {
        match self {
            Self::Differs(entry, live) | Self::Unknown(entry, live) => Some((entry.clone(), live.clone())),
            _ => None,
        }
    }

    /// An asset that only other releases have: it is kept for tabs that are open.
    pub(crate) fn kept(&self, order: &Order) -> Option<&Listed> {
        match self {
            Self::Extra(listed) if !order.is_entry_point(&listed.key) => Some(listed),
            _ => None,
        }
    }
}

/// What is under one key: in the release, and live.
pub(crate) type Met = (Option<Listed>, Option<Listed>);

/// Goes through both lists side by side; both are sorted by the bytes of their keys, as S3 sorts.
///
/// Nothing is held but the two objects that are compared, however many there are.
pub(crate) struct Diff<R: Stream, L: Stream> {
    release: Peekable<R>,
    live: Peekable<L>,
}

impl<R: Stream, L: Stream> fmt::Debug for Diff<R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diff").finish_non_exhaustive()
    }
}

impl<R, L> Diff<R, L>
where
    R: Stream<Item = Result<Listed>> + Unpin,
    L: Stream<Item = Result<Listed>> + Unpin,
{
    /// Compares what a release has with what is live.
    pub(crate) fn new(release: R, live: L) -> Self {
        Self { release: release.peekable(), live: live.peekable() }
    }

    /// What is to be done about the next key.
    ///
    /// # Errors
    ///
    /// As the lists say that cannot be read on.
    #[cfg(test)]
    pub(crate) async fn next(&mut self) -> Result<Option<Change>> {
        Ok(self.meet().await?.and_then(change))
    }

    /// What is under the next key: in the release, and live.
    ///
    /// # Errors
    ///
    /// As the lists say that cannot be read on.
    pub(crate) async fn meet(&mut self) -> Result<Option<Met>> {
        let (release, live) = (Pin::new(&mut self.release), Pin::new(&mut self.live));
        let (wanted, there) = futures_util::join!(release.peek(), live.peek());
        let order = match (wanted, there) {
            // The error itself comes with the item.
            (Some(Err(_)), _) | (Some(_), None) => Ordering::Less,
            (_, Some(Err(_))) | (None, Some(_)) => Ordering::Greater,
            (Some(Ok(wanted)), Some(Ok(there))) => wanted.key.cmp(&there.key),
            (None, None) => return Ok(None),
        };
        let wanted = if order.is_le() { self.release.next().await.transpose()? } else { None };
        let there = if order.is_ge() { self.live.next().await.transpose()? } else { None };
        Ok(Some((wanted, there)))
    }
}

/// What is to be done about one key, of what is under it.
pub(crate) fn change(met: Met) -> Option<Change> {
    match met {
        (Some(wanted), Some(there)) => Some(compare(wanted, there)),
        (Some(wanted), None) => Some(Change::Missing(wanted)),
        (None, there) => there.map(Change::Extra),
    }
}

/// What is to be done about a key that both have.
pub(crate) fn compare(wanted: Listed, there: Listed) -> Change {
    match wanted.content.same(&there.content) {
        Some(true) => Change::Same,
        Some(false) => Change::Differs(wanted, there),
        None => Change::Unknown(wanted, there),
    }
}

/// How many of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// As they are to be.
    pub(crate) same: u64,
    /// Not live.
    pub(crate) missing: u64,
    /// Live with another content.
    pub(crate) differing: u64,
    /// Live, and nobody knows with which content.
    pub(crate) unknown: u64,
    /// Live with the right content and other headers.
    pub(crate) headers: u64,
    /// Live, and not of the release.
    pub(crate) extra: u64,
    /// Behind delete markers only.
    pub(crate) hidden: u64,
    /// How many bytes are to be copied.
    pub(crate) bytes: u64,
}

impl Counts {
    /// Counts one more.
    pub(crate) fn add(&mut self, change: &Change) {
        let (count, bytes) = match change {
            Change::Same => (&mut self.same, 0),
            Change::Missing(entry) => (&mut self.missing, entry.content.size),
            Change::Differs(entry, _) => (&mut self.differing, entry.content.size),
            Change::Unknown(entry, _) => (&mut self.unknown, entry.content.size),
            Change::Headers(entry, ..) => (&mut self.headers, entry.content.size),
            Change::Extra(_) => (&mut self.extra, 0),
            Change::Hidden(..) => (&mut self.hidden, 0),
        };
        *count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// How many objects are to be copied.
    pub(crate) fn copies(&self) -> u64 {
        self.missing + self.differing + self.unknown + self.headers
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use futures_util::{FutureExt as _, stream};
    use proptest::prelude::*;

    use super::*;
    use crate::object::{Content, ETag};

    fn listed(key: &str, content: u8) -> Listed {
        let etag = ETag::new(format!("{content:032x}")).unwrap();
        let modified = "2026-11-22T03:00:00Z".parse().unwrap();
        Listed::new(Key::new(key).unwrap(), Content::listed(7, etag), modified)
    }

    fn all(release: Vec<Result<Listed>>, live: Vec<Result<Listed>>) -> Result<Vec<Change>> {
        let mut diff = Diff::new(stream::iter(release), stream::iter(live));
        let mut changes = Vec::new();
        // Lists that are there already never wait.
        while let Some(change) = diff.next().now_or_never().expect("it waits for nothing")? {
            changes.push(change);
        }
        Ok(changes)
    }

    fn diff(release: &BTreeMap<String, u8>, live: &BTreeMap<String, u8>) -> Vec<Change> {
        let release = release.iter().map(|(key, content)| Ok(listed(key, *content)));
        let live = live.iter().map(|(key, content)| Ok(listed(key, *content)));
        all(release.collect(), live.collect()).unwrap()
    }

    #[test]
    fn a_list_that_cannot_be_read_on_is_no_shorter_list() {
        let broken = || rollback_core::Error::new(rollback_core::ErrorKind::Unavailable, "list", "it broke");
        let wanted = || listed("a", 1);
        assert!(all(vec![Ok(wanted())], vec![Ok(listed("a", 1)), Err(broken())]).is_err());
        assert!(
            all(vec![Ok(wanted()), Err(broken())], vec![Ok(listed("a", 1)), Ok(listed("b", 1))]).is_err()
        );
        assert!(all(vec![Err(broken())], Vec::new()).is_err());
    }

    #[test]
    fn objects_of_equal_size_and_other_content_differ() {
        // The trap of `aws s3 sync`: it compares sizes, and times that a copy sets anew.
        let (good, bad) =
            (BTreeMap::from([("index.html".to_owned(), 1)]), BTreeMap::from([("index.html".to_owned(), 2)]));
        assert!(matches!(diff(&good, &bad).as_slice(), [Change::Differs(..)]));
        assert_eq!(diff(&good, &good), [Change::Same]);
    }

    #[test]
    fn what_cannot_be_compared_is_copied() {
        let mut wanted = listed("video.mp4", 1);
        wanted.content.etag = Some(ETag::new("9b2cf535f27731c974343645a3985328-3").unwrap());
        let found = all(vec![Ok(wanted)], vec![Ok(listed("video.mp4", 1))]).unwrap();
        assert!(matches!(found.as_slice(), [Change::Unknown(..)]));
        let mut counts = Counts::default();
        found.iter().for_each(|change| counts.add(change));
        assert_eq!((counts.copies(), counts.bytes), (1, 7));
    }

    proptest! {
        #[test]
        fn doing_what_it_says_makes_the_release(
            release in proptest::collection::btree_map("[a-c/]{1,3}", 0..3_u8, 0..12),
            live in proptest::collection::btree_map("[a-c/]{1,3}", 0..3_u8, 0..12),
        ) {
            let mut after: BTreeMap<String, u8> = live.clone();
            let mut touched = BTreeSet::new();
            for change in diff(&release, &live) {
                let Some(key) = change.key().map(|key| key.as_str().to_owned()) else { continue };
                prop_assert!(touched.insert(key.clone()), "once for each key");
                match change {
                    Change::Extra(_) => drop(after.remove(&key)),
                    _ => drop(after.insert(key.clone(), release[&key])),
                }
            }
            prop_assert_eq!(&after, &release);
            let differs = |key: &&String| live.get(*key) != release.get(*key);
            let needed = live.keys().chain(release.keys()).collect::<BTreeSet<_>>().into_iter().filter(differs).count();
            prop_assert_eq!(touched.len(), needed, "and nothing that is right");
        }
    }
}
