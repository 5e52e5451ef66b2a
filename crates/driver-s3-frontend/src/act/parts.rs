//! Copying one object in parts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::stream::{self, StreamExt as _};
use rollback_core::{Effect, Error, ErrorKind, Result};

use super::slots::Slots;
use super::work::overtaken;
use super::worse;
use crate::client::{Copy, Upload};
use crate::object::ETag;
use crate::parts::Cut;
use crate::site::Site;
use crate::uploads::Noted;

/// How often a part is copied where S3 is busy: once more after all the others. A part is no effect: nobody sees it, and copied again
/// it is the same. To begin with all of them again would be to fail with the largest objects each time.
const ROUNDS: u32 = 3;

/// One object that is being copied.
struct Filling<'a> {
    site: &'a Site,
    copy: &'a Copy<'a>,
    upload: &'a Upload,
    cut: Cut,
    slots: &'a Slots<'a>,
    /// Whether one part cannot be copied: then no other is begun.
    broken: AtomicBool,
}

impl Site {
    /// Copies what one request does not copy. Each part takes the place of one write, and nothing is seen of them before the last request,
    /// which S3 refuses where something else is there by now.
    pub(super) async fn copy_in_parts(&self, copy: &Copy<'_>, slots: &Slots<'_>) -> Result<ETag> {
        let looking = slots.look().await?;
        let along = self.client.along(copy).await?;
        drop(looking);
        let cut = self.parts.cut(copy.bytes, along.first.zip(copy.tag.parts()));
        let writing = slots.write().await?;
        let noted = self.note(self.client.begin(copy, &along).await?).await?;
        drop(writing);
        let broken = AtomicBool::new(false);
        let filling = Filling { site: self, copy, upload: &noted.upload, cut, slots, broken };
        match filling.whole().await {
            Ok(tag) => {
                self.strike_out(&noted).await;
                Ok(tag)
            }
            // It may have been made, or may be made in a moment: whoever looks next sees it, and gives the upload up if it was not.
            Err(error) if error.effect() != Effect::None => Err(error),
            Err(error) => Err(self.given_up(&noted, overtaken(error)).await),
        }
    }

    /// The parts that were copied are given up; where that fails, the error says how to do it by hand.
    async fn given_up(&self, noted: &Noted, error: Error) -> Error {
        let Err(stays) = self.give_up(noted).await else { return error };
        let Upload { full, id } = &noted.upload;
        let by_hand = format!(
            "the parts that were copied are stored until the next rollback, or: aws s3api abort-multipart-upload --bucket {} \
             --key '{full}' --upload-id {id}; they could not be given up: {}",
            self.client.bucket(),
            stays.next_step().unwrap_or(stays.message())
        );
        let next = match error.next_step() {
            Some(next) => format!("{next}; {by_hand}"),
            None => by_hand,
        };
        error.next(next)
    }
}

impl Filling<'_> {
    async fn whole(&self) -> Result<ETag> {
        let parts = self.all().await?;
        let _slot = self.slots.write().await?;
        self.site
            .client
            .complete(self.copy, self.upload, parts, self.cut.bytes())
            .await
            .map_err(unknown_upload)
    }

    /// All parts, in their order. Those that are on their way end before this does.
    async fn all(&self) -> Result<Vec<ETag>> {
        let (mut parts, mut failed) = (BTreeMap::new(), None);
        for _ in 0..ROUNDS {
            failed = None;
            let missing = self.cut.numbers().filter(|number| !parts.contains_key(number)).collect::<Vec<_>>();
            let copying = missing.into_iter().map(|number| self.part(number));
            let mut copying = stream::iter(copying).buffer_unordered(Slots::ALL);
            while let Some(one) = copying.next().await {
                match one {
                    Ok(Some((number, tag))) => drop(parts.insert(number, tag)),
                    Ok(None) => {}
                    Err(error) => {
                        if !error.is_transient() {
                            self.broken.store(true, Ordering::Relaxed);
                        }
                        failed = Some(worse(failed, error));
                    }
                }
            }
            if failed.as_ref().is_none_or(|error| !error.is_transient()) {
                break;
            }
        }
        failed.map_or(Ok(parts.into_values().collect()), Err)
    }

    async fn part(&self, number: u64) -> Result<Option<(u64, ETag)>> {
        let _slot = self.slots.write().await?;
        if self.broken.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let tag = self.site.client.copy_part(self.copy, self.upload, number, self.cut.range(number)).await?;
        Ok(Some((number, tag)))
    }
}

/// What was to be written over is gone, or somebody gave the upload up: nobody's work is mixed with ours.
fn unknown_upload(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    Error::new(ErrorKind::Stale, error.operation().to_owned(), error.message().to_owned())
        .with_effect(Effect::None)
        .next("see who writes to the site or gives up its uploads at the same time, then plan again")
}
