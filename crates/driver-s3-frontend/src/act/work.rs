//! What is to be written, key by key, and in which order.

use std::sync::Arc;

use rollback_core::{Effect, Error, ErrorKind, Result};

use super::gate::Pass;
use super::slots::Slots;
use crate::client::{Copy, Expected, Head, Marker, was_overtaken};
use crate::headers::Recorded;
use crate::names::Key;
use crate::object::{ETag, Listed, StorageClass};
use crate::order::{Order, Stage};
use crate::site::Site;
use crate::tally::Tally;

/// One write.
#[derive(Debug)]
pub(crate) enum Work {
    /// An object is copied to where it is served.
    Copy {
        /// What is copied, by the key under which it is served.
        entry: Listed,
        /// The full key of where it is copied from.
        from: String,
        /// What it is written over.
        over: Option<Listed>,
        /// The headers that it is to have, where those of what is copied are not to be relied on.
        headers: Option<Arc<Recorded>>,
        /// Where it is to be stored.
        class: StorageClass,
    },
    /// Delete markers go, newest first here: what is below them is served again.
    Uncover(Listed, Vec<Marker>),
    /// What is served goes.
    Delete(Listed),
}

/// Everything that is to be written. No stage begins before the one before it is done: no page ever lacks what it refers to.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    assets: Vec<Work>,
    entry_points: Vec<Work>,
    gone: Vec<Work>,
}

impl Stages {
    /// Adds one write where it belongs.
    pub(crate) fn add(&mut self, order: &Order, work: Work) {
        let stage = match &work {
            Work::Copy { entry, .. } | Work::Uncover(entry, _) => match order.stage(&entry.key) {
                Stage::Asset => &mut self.assets,
                Stage::EntryPoint => &mut self.entry_points,
            },
            Work::Delete(_) => &mut self.gone,
        };
        stage.push(work);
    }

    /// How many writes there are.
    pub(crate) fn total(&self) -> u64 {
        (self.assets.len() + self.entry_points.len() + self.gone.len()) as u64
    }

    /// The keys that are written or deleted.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let all = self.entry_points.iter().chain(&self.gone).chain(&self.assets);
        all.map(|work| match work {
            Work::Copy { entry, .. } | Work::Uncover(entry, _) => &entry.key,
            Work::Delete(listed) => &listed.key,
        })
    }

    /// Which delete markers go.
    pub(crate) fn markers(&self) -> impl Iterator<Item = (&Key, &[Marker])> {
        self.assets.iter().chain(&self.entry_points).filter_map(|work| match work {
            Work::Uncover(entry, markers) => Some((&entry.key, markers.as_slice())),
            Work::Copy { .. } | Work::Delete(_) => None,
        })
    }

    /// One after the other.
    pub(crate) fn in_order(self) -> [Vec<Work>; 3] {
        [self.assets, self.entry_points, self.gone]
    }
}

/// What became of one object.
pub(crate) struct Written {
    /// What was there before, if anything was.
    before: Option<Listed>,
    /// What is there now; `None` if it was deleted.
    now: Option<(Listed, ETag)>,
}

impl Written {
    /// The tags of source and copy, where neither says what is in them.
    pub(crate) fn vague(&self) -> Option<(Key, (ETag, ETag))> {
        let (entry, now) = self.now.as_ref()?;
        let from = entry.content.etag.clone()?;
        (from != *now).then(|| (entry.key.clone(), (from, now.clone())))
    }
}

impl Site {
    /// Makes one write, if what is there is still what was seen. Nothing where its stage does not begin.
    pub(super) async fn write(
        &self,
        work: Work,
        slots: &Slots<'_>,
        pass: Pass<'_>,
    ) -> Result<Option<Written>> {
        if pass.is_closed() {
            return Ok(None);
        }
        match work {
            Work::Copy { entry, from, over, headers, class } => {
                // Also while the stage before is still written.
                let head = self.look_at_source(&entry, &from, slots).await?;
                if !pass.opens().await {
                    return Ok(None);
                }
                self.copy(entry, (&from, head), over, (headers, class), slots).await.map(Some)
            }
            Work::Uncover(entry, markers) => {
                if !pass.opens().await {
                    return Ok(None);
                }
                let _slot = slots.write().await?;
                self.uncover(entry, &markers).await.map(Some)
            }
            Work::Delete(listed) => {
                if !pass.opens().await {
                    return Ok(None);
                }
                let _slot = slots.write().await?;
                self.delete(listed).await.map(Some)
            }
        }
    }

    /// What goes along with a copy, where S3 does not take it along by itself.
    async fn look_at_source(&self, entry: &Listed, from: &str, slots: &Slots<'_>) -> Result<Head> {
        let version = entry.version.as_ref();
        let _looking = slots.look().await?;
        self.client.head(from, version).await?.ok_or_else(|| {
            let what = version.map_or_else(String::new, |version| format!("version {version} of "));
            Error::new(ErrorKind::NotFound, "copy an object", format!("{what}{} is gone", entry.key.shown()))
                .next("plan again")
        })
    }

    async fn copy(
        &self,
        entry: Listed,
        (from, head): (&str, Head),
        before: Option<Listed>,
        (recorded, class): (Option<Arc<Recorded>>, StorageClass),
        slots: &Slots<'_>,
    ) -> Result<Written> {
        let version = entry.version.as_ref();
        let tag = tag(&entry)?;
        let over = match before.as_ref().and_then(|listed| listed.content.etag.clone()) {
            Some(etag) => Expected::Tag(etag),
            None => Expected::Absent,
        };
        let copied = recorded.is_none();
        let tags = recorded.as_deref().and_then(Recorded::tags);
        let headers = recorded.as_deref().map(|recorded| recorded.on(&head.headers));
        let headers = headers.unwrap_or(head.headers);
        let copy = Copy {
            from,
            version,
            tag: &tag,
            to: &self.full(&entry.key),
            over: &over,
            class: &class,
            headers: &headers,
            copied,
            tags,
            bytes: entry.content.size,
        };
        let now = if self.parts.needed(copy.bytes) {
            self.copy_in_parts(&copy, slots).await?
        } else {
            let _slot = slots.write().await?;
            self.client.copy(&copy).await.map_err(overtaken)?
        };
        Ok(Written { before, now: Some((entry, now)) })
    }

    /// The newest marker goes last: until then nothing is served under the key, and whoever is cut off goes on with what is left.
    async fn uncover(&self, entry: Listed, markers: &[Marker]) -> Result<Written> {
        let full = self.full(&entry.key);
        if self.client.head(&full, None).await?.is_some() {
            return Err(conflict());
        }
        for marker in markers.iter().rev() {
            self.client.remove_marker(&full, marker).await?;
        }
        let now = tag(&entry)?;
        Ok(Written { before: None, now: Some((entry, now)) })
    }

    async fn delete(&self, listed: Listed) -> Result<Written> {
        if let Some(etag) = &listed.content.etag {
            self.client.delete(&self.full(&listed.key), etag).await.map_err(overtaken)?;
        }
        Ok(Written { before: Some(listed), now: None })
    }

    /// The tally of what is live follows what was written.
    pub(crate) fn follow(&self, tally: &mut Tally, written: &Written) {
        let tagged = |listed: &Listed| Some((self.full(&listed.key), listed.content.etag.clone()?));
        if let Some((listed, (full, etag))) =
            written.before.as_ref().and_then(|listed| Some((listed, tagged(listed)?)))
        {
            tally.remove(&full, listed.content.size, &etag);
        }
        if let Some((entry, etag)) = &written.now {
            tally.add(&self.full(&entry.key), entry.content.size, etag);
        }
    }
}

fn tag(entry: &Listed) -> Result<ETag> {
    entry.content.etag.clone().ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "copy an object", format!("{} has no tag", entry.key.shown()))
    })
}

pub(super) fn overtaken(error: Error) -> Error {
    if was_overtaken(&error) { conflict() } else { error }
}

/// Somebody else wrote to the bucket at the same time: nobody's work is mixed with ours.
fn conflict() -> Error {
    Error::new(ErrorKind::Stale, "write to the bucket", "somebody else writes to the site at the same time")
        .next("wait until that deploy has ended, then plan again")
        .with_effect(Effect::None)
}
