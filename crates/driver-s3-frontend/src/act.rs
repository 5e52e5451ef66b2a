//! Putting a release back: whatever differs is copied inside the bucket, in an order in which no page ever lacks what it refers to.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt as _};
use rollback_core::{ActionContext, Effect, Error, ErrorKind, Identity, Landing, Receipt, Result};

use crate::client::{Copy, Expected, was_overtaken};
use crate::diff::Change;
use crate::mark::Mark;
use crate::names::{Key, Prefix, Release};
use crate::object::{ETag, Listed};
use crate::order::Stage;
use crate::site::{Compared, Site};
use crate::snapshot::SiteSnapshot;

/// How many objects are written at a time. S3 takes 3,500 writes a second below one prefix.
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html>
const AT_A_TIME: usize = 32;

/// What became of one object.
struct Written {
    /// What was there before, if anything was.
    before: Option<Listed>,
    /// What is there now; `None` if it was deleted.
    now: Option<(Listed, ETag)>,
}

impl Written {
    /// The tags of source and copy, where neither says what is in them.
    fn vague(&self) -> Option<(Key, (ETag, ETag))> {
        let (entry, now) = self.now.as_ref()?;
        let from = entry.content.etag.clone()?;
        (from != *now).then(|| (entry.key.clone(), (from, now.clone())))
    }
}

impl Site {
    /// Copies what differs. It may be repeated from any point: what is right already is not touched.
    pub(crate) async fn put_back(
        &self,
        cx: &ActionContext,
        release: Option<&Release>,
        identity: Identity,
    ) -> Result<Landing> {
        let gone = || {
            let found = format!("no release in the archive holds {}", identity.short());
            Error::new(ErrorKind::NotFound, "read the archive", found)
                .next("choose another one: rollback history")
        };
        let found = match release {
            Some(release) => release.clone(),
            None => self.find(identity).await?.ok_or_else(gone)?,
        };
        let release = &found;
        let mut compared = self.compare(release).await?;
        if compared.release.identity() != identity {
            return Err(gone());
        }
        if cx.expected.as_ref().is_some_and(|expected| *expected != compared.tally.token()) {
            let by = "something that was written to the bucket since".to_owned();
            return Ok(Landing::Superseded { by });
        }
        let work = self.sorted(&mut compared);
        let pages = work[2].len() as u64;
        let total = work.iter().map(|stage| stage.len() as u64).sum();
        let (mut done, mut vague) = (0, BTreeMap::new());
        for stage in work {
            let written = self.write(cx, release, stage, (&mut done, total)).await;
            let mut failed = None;
            for one in written {
                match one {
                    Ok(written) => {
                        self.follow(&mut compared, &written);
                        vague.extend(written.vague());
                    }
                    Err(error) => failed = Some(worse(failed, error)),
                }
            }
            // Whatever refers to what is missing stays as it is.
            if let Some(error) = failed {
                return Err(if done > 0 { error.with_effect(Effect::Unknown) } else { error });
            }
        }
        let kept = compared.counts.extra - pages;
        // What was known of copies that nobody touched since is still known.
        let before = compared.mark.iter().flat_map(|mark| mark.known().clone());
        let copied = before.chain(vague).collect();
        let put_back = SiteSnapshot::new(self.client.bucket().clone(), self.live.clone(), &compared.release)?;
        let mark = Mark::new(&compared.tally, &put_back, release.clone(), kept).copied(copied);
        // Everything is written: only what is said of it is not.
        self.leave(&mark).await.map_err(|error| error.with_effect(Effect::Unknown))?;
        Ok(Landing::Applied(Receipt::default().with_token(compared.tally.token())))
    }

    /// What is to be done, in its order: assets, entry points, and pages that the release has not.
    fn sorted(&self, compared: &mut Compared) -> [Vec<Change>; 3] {
        let mut stages: [Vec<Change>; 3] = Default::default();
        for change in std::mem::take(&mut compared.changes) {
            match &change {
                Change::Same => {}
                Change::Missing(entry) | Change::Differs(entry, _) | Change::Unknown(entry, _) => {
                    stages[usize::from(self.order.stage(&entry.key) == Stage::EntryPoint)].push(change);
                }
                // Tabs that are open still ask for the assets of the release that is left.
                Change::Extra(listed) if self.order.is_entry_point(&listed.key) => stages[2].push(change),
                Change::Extra(_) => {}
            }
        }
        stages
    }

    /// Writes many objects at a time. Those that are on their way end before this does, whatever became of others.
    async fn write(
        &self,
        cx: &ActionContext,
        release: &Release,
        changes: Vec<Change>,
        (done, total): (&mut u64, u64),
    ) -> Vec<Result<Written>> {
        let from = self.layout.of(release);
        let mut writing = stream::iter(changes)
            .map(async |change| {
                if cx.cancel.is_cancelled() {
                    return Err(Error::new(ErrorKind::Cancelled, "go on", "it was asked to stop"));
                }
                self.one(&from, change).await
            })
            .buffer_unordered(AT_A_TIME);
        let mut written = Vec::new();
        while let Some(one) = writing.next().await {
            if one.is_ok() {
                *done += 1;
                cx.progress(*done, total, "objects");
            }
            written.push(one);
        }
        written
    }

    async fn one(&self, from: &Prefix, change: Change) -> Result<Written> {
        let (entry, before) = match change {
            Change::Missing(entry) => (entry, None),
            Change::Differs(entry, listed) | Change::Unknown(entry, listed) => (entry, Some(listed)),
            Change::Extra(listed) => return self.delete(listed).await,
            Change::Same => return Ok(Written { before: None, now: None }),
        };
        let (source, to) = (from.join(&entry.key), self.full(&entry.key));
        let head = self.client.head(&source).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "read the archive", format!("{} is gone", entry.key.shown()))
                .next("plan again")
        })?;
        let tag = entry.content.etag.clone().ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "copy an object", format!("{} has no tag", entry.key.shown()))
        })?;
        let over = match before.as_ref().and_then(|listed| listed.content.etag.clone()) {
            Some(etag) => Expected::Tag(etag),
            None => Expected::Absent,
        };
        let copy = Copy {
            from: &source,
            version: None,
            tag: &tag,
            to: &to,
            over: &over,
            class: &entry.class,
            headers: Some(&head.headers),
        };
        let now = self.client.copy(&copy).await.map_err(overtaken)?;
        Ok(Written { before, now: Some((entry, now)) })
    }

    async fn delete(&self, listed: Listed) -> Result<Written> {
        if let Some(etag) = &listed.content.etag {
            self.client.delete(&self.full(&listed.key), etag).await.map_err(overtaken)?;
        }
        Ok(Written { before: Some(listed), now: None })
    }

    /// The tally of what is live follows what was written.
    fn follow(&self, compared: &mut Compared, written: &Written) {
        if let Some((listed, etag)) =
            written.before.as_ref().and_then(|before| Some((before, before.content.etag.as_ref()?)))
        {
            compared.tally.remove(&self.full(&listed.key), listed.content.size, etag);
        }
        if let Some((entry, etag)) = &written.now {
            compared.tally.add(&self.full(&entry.key), entry.content.size, etag);
        }
    }
}

/// Somebody else wrote to the bucket at the same time: that is a conflict, and nobody's work is mixed with ours.
fn overtaken(error: Error) -> Error {
    if !was_overtaken(&error) {
        return error;
    }
    Error::new(ErrorKind::Stale, "write to the bucket", "somebody else writes to the site at the same time")
        .next("wait until that deploy has ended, then plan again")
        .with_effect(Effect::None)
}

/// Of two errors, the one that says more: what cannot be helped by trying again.
fn worse(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if !first.is_transient() || second.is_transient() => first,
        _ => second,
    }
}
