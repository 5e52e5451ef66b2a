//! Listings.

use std::borrow::Cow;

use aws_sdk_s3::primitives::SdkBody;
use aws_sdk_s3::types::{EncodingType, OptionalObjectAttributes, RestoreStatus};
use rollback_aws_support::explain;
use rollback_core::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use super::body::Body;
use super::encoding::decode;
use super::listing::{Entry, Listing};
use super::{Client, lacking, missing_bucket};
use crate::names::{Key, Prefix};
use crate::object::{Content, ETag, Listed, Restore, StorageClass};

/// Behind every key that begins so: no character is greater.
pub(super) const BEHIND: char = '\u{10FFFF}';

/// Some objects, in the order of the bytes of their keys.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Listed>,
    /// After which full key the next page begins; `None` for the last one.
    pub(crate) next: Option<String>,
}

/// What a listing answered.
struct Answer {
    doing: String,
    body: SdkBody,
}

/// From how many bytes on an answer is read by a thread of its own: a full page takes a millisecond of a processor, and a command that only
/// looks has one thread for everything else.
const LONG: usize = 64 << 10;
/// So many are read at a time: each thread has memory of its own.
static READING: Semaphore = Semaphore::const_new(2);

impl Answer {
    fn read(&self) -> Result<Listing<'_>> {
        Listing::read(self.body.bytes().unwrap_or_default()).map_err(|error| {
            Error::new(ErrorKind::Corrupt, &*self.doing, format!("the answer cannot be read: {error}"))
                .next("is the endpoint S3? see what endpoint_url is set to")
        })
    }

    /// The objects below `prefix`.
    fn page(&self, prefix: &Prefix) -> Result<Page> {
        let listing = self.read()?;
        let mut page = Page { objects: Vec::with_capacity(listing.objects.len()), next: None };
        for object in &listing.objects {
            let full = listing.key(object.key.as_ref().ok_or_else(|| lacking(&self.doing, "key"))?)?;
            // The prefix itself may be an object: a folder, as the console makes it.
            if let Some(key) = prefix.strip(&full) {
                page.objects.push(listed(&self.doing, Key::new(key)?, object)?);
            }
        }
        if listing.goes_on {
            // Without one there would be no telling where the rest begins, and it would be taken for nothing.
            let last = listing.objects.last().and_then(|object| object.key.as_ref());
            let last = last.ok_or_else(|| lacking(&self.doing, "last key"))?;
            page.next = Some(listing.key(last)?.into_owned());
        }
        Ok(page)
    }
}

impl Client {
    /// At most a thousand keys, or folders where there is a delimiter, below `prefix` and after the full key `after`.
    async fn list(
        &self,
        doing: String,
        prefix: &Prefix,
        after: Option<&str>,
        delimiter: Option<&str>,
    ) -> Result<Answer> {
        let body = Body::default();
        let sent = self
            .s3
            .list_objects_v2()
            .bucket(self.bucket.as_str())
            .prefix(prefix.as_str())
            .set_delimiter(delimiter.map(str::to_owned))
            .set_start_after(after.map(str::to_owned))
            .encoding_type(EncodingType::Url)
            .optional_object_attributes(OptionalObjectAttributes::RestoreStatus)
            .set_expected_bucket_owner(self.owner())
            .customize()
            .interceptor(body.clone())
            .send()
            .await;
        let call = self.reads("ListObjectsV2", "s3:ListBucket", &*doing);
        missing_bucket(&self.bucket, sent.map_err(|error| explain(&call, &error)))?;
        let body = body.take().ok_or_else(|| lacking(&doing, "body"))?;
        Ok(Answer { doing, body })
    }

    /// The objects below `prefix` after the full key `after`, at most a thousand.
    pub(crate) async fn page(&self, prefix: &Prefix, after: Option<&str>) -> Result<Page> {
        let answer = self.list(format!("list {}", self.place(prefix)), prefix, after, None).await?;
        if answer.body.bytes().is_none_or(|body| body.len() < LONG) {
            return answer.page(prefix);
        }
        let _turn = READING.acquire().await;
        let (doing, prefix) = (answer.doing.clone(), prefix.clone());
        let read = tokio::task::spawn_blocking(move || answer.page(&prefix)).await;
        read.unwrap_or_else(|_| Err(Error::new(ErrorKind::Other, doing, "nobody read the answer to its end")))
    }

    /// The folders right below `prefix`, as full prefixes, after the full key `after`, with where to go on.
    pub(crate) async fn folders(
        &self,
        prefix: &Prefix,
        after: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>)> {
        let doing = format!("list the folders of {}", self.place(prefix));
        let answer = self.list(doing, prefix, after, Some("/")).await?;
        let listing = answer.read()?;
        let read = |text: &Cow<'_, str>| Ok::<_, Error>(listing.key(text)?.into_owned());
        let folders = listing.folders.iter().map(read).collect::<Result<Vec<_>>>()?;
        let mut last = folders.last().cloned();
        for object in &listing.objects {
            last = last.max(object.key.as_ref().map(read).transpose()?);
        }
        // Behind everything in the last folder, whose objects would come next.
        let next = match (listing.goes_on, last) {
            (true, Some(last)) => Some(format!("{last}{BEHIND}")),
            (true, None) => return Err(lacking(&answer.doing, "last key")),
            (false, _) => None,
        };
        Ok((folders, next))
    }
}

impl Listing<'_> {
    /// A key as it is.
    fn key<'t>(&self, text: &'t str) -> Result<Cow<'t, str>> {
        // Most keys have nothing in them that is written otherwise.
        if self.encoded && text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
            Ok(Cow::Owned(decode(text)?))
        } else {
            Ok(Cow::Borrowed(text))
        }
    }
}

fn listed(doing: &str, key: Key, object: &Entry<'_>) -> Result<Listed> {
    let size = object.size.as_ref().and_then(|size| size.parse().ok());
    let size = size.ok_or_else(|| lacking(doing, "size of an object"))?;
    let etag = ETag::read(object.etag.as_ref().ok_or_else(|| lacking(doing, "entity tag"))?)?;
    let modified = object.modified.as_ref().and_then(|modified| modified.parse().ok());
    let modified = modified.ok_or_else(|| lacking(doing, "time"))?;
    let listed = Listed::new(key, Content::listed(size, etag), modified).restored(object.restore);
    Ok(match object.class.as_deref() {
        Some(class) => listed.stored(StorageClass::new(class)?),
        None => listed,
    })
}

pub(super) fn restore(status: Option<&RestoreStatus>) -> Restore {
    match status {
        Some(status) if status.is_restore_in_progress() == Some(true) => Restore::Underway,
        Some(status) if status.restore_expiry_date().is_some() => Restore::Done,
        _ => Restore::None,
    }
}
