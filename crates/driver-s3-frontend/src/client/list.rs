//! Listings.

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object, OptionalObjectAttributes, RestoreStatus};
use rollback_aws_support::{asking, explain};
use rollback_core::Result;

use super::encoding::decode;
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

/// What a listing answers, with keys as they are.
struct Answer {
    sent: ListObjectsV2Output,
    encoded: bool,
}

impl Answer {
    fn key(&self, text: &str) -> Result<String> {
        if self.encoded { decode(text) } else { Ok(text.to_owned()) }
    }

    fn goes_on(&self) -> bool {
        self.sent.is_truncated() == Some(true)
    }
}

impl Client {
    /// At most a thousand keys, or folders where there is a delimiter, below `prefix` and after the full key `after`.
    async fn list(
        &self,
        doing: &str,
        prefix: &Prefix,
        after: Option<&str>,
        delimiter: Option<&str>,
    ) -> Result<Answer> {
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
            .send()
            .await;
        let call = self.reads("ListObjectsV2", "s3:ListBucket", doing);
        let sent = missing_bucket(&self.bucket, sent.map_err(|error| explain(&call, &error)))?;
        let encoded = sent.encoding_type() == Some(&EncodingType::Url);
        Ok(Answer { sent, encoded })
    }

    /// The objects below `prefix` after the full key `after`, at most a thousand.
    pub(crate) async fn page(&self, prefix: &Prefix, after: Option<&str>) -> Result<Page> {
        let doing = format!("list {}", self.place(prefix));
        let answer = self.list(&doing, prefix, after, None).await?;
        let contents = answer.sent.contents();
        let mut page = Page { objects: Vec::with_capacity(contents.len()), next: None };
        for object in contents {
            let full = answer.key(object.key().ok_or_else(|| lacking(&doing, "key"))?)?;
            // The prefix itself may be an object: a folder, as the console makes it.
            if let Some(key) = prefix.strip(&full) {
                page.objects.push(listed(&doing, Key::new(key)?, object)?);
            }
            page.next = Some(full);
        }
        if !answer.goes_on() {
            page.next = None;
        }
        Ok(page)
    }

    /// The folders right below `prefix`, as full prefixes, after the full key `after`, with where to go on.
    pub(crate) async fn folders(
        &self,
        prefix: &Prefix,
        after: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>)> {
        let doing = format!("list the folders of {}", self.place(prefix));
        let answer = self.list(&doing, prefix, after, Some("/")).await?;
        let folders = answer.sent.common_prefixes().iter().filter_map(|folder| folder.prefix());
        let folders = folders.map(|folder| answer.key(folder)).collect::<Result<Vec<_>>>()?;
        let mut last = folders.last().cloned();
        for object in answer.sent.contents() {
            last = last.max(object.key().map(|key| answer.key(key)).transpose()?);
        }
        // Behind everything in the last folder, whose objects would come next.
        let next = last.filter(|_| answer.goes_on()).map(|last| format!("{last}{BEHIND}"));
        Ok((folders, next))
    }
}

fn listed(doing: &str, key: Key, object: &Object) -> Result<Listed> {
    let size = object.size().and_then(|size| u64::try_from(size).ok());
    let size = size.ok_or_else(|| lacking(doing, "size of an object"))?;
    let etag = ETag::read(object.e_tag().ok_or_else(|| lacking(doing, "entity tag"))?)?;
    let modified = asking::time(object.last_modified()).ok_or_else(|| lacking(doing, "time"))?;
    let class = object.storage_class().map(|class| StorageClass::new(class.as_str())).transpose()?;
    let listed = Listed::new(key, Content::listed(size, etag), modified);
    Ok(listed.stored(class.unwrap_or_default()).restored(restore(object.restore_status())))
}

pub(super) fn restore(status: Option<&RestoreStatus>) -> Restore {
    match status {
        Some(status) if status.is_restore_in_progress() == Some(true) => Restore::Underway,
        Some(status) if status.restore_expiry_date().is_some() => Restore::Done,
        _ => Restore::None,
    }
}
