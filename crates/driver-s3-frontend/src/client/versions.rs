//! Listings of versions: everything that was ever written under each key and is still there.

use std::cmp::Reverse;
use std::collections::VecDeque;

use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{DeleteMarkerEntry, EncodingType, ObjectVersion, OptionalObjectAttributes};
use futures_util::stream::{self, Stream};
use jiff::Timestamp;
use rollback_aws_support::{asking, explain};
use rollback_core::Result;

use super::encoding::decode;
use super::list::{BEHIND, restore};
use super::walk::Reserved;
use super::{Client, lacking, missing_bucket};
use crate::names::{Key, Prefix};
use crate::object::{Content, ETag, Listed, StorageClass, VersionId};

/// One thing that was written under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layer {
    /// An object, with its version.
    Object(Listed),
    /// A deletion: a marker that hides what is below it.
    Marker(Marker),
}

/// A delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) version: VersionId,
    pub(crate) modified: Timestamp,
}

impl Layer {
    /// When it was written.
    pub(crate) fn modified(&self) -> Timestamp {
        match self {
            Self::Object(listed) => listed.modified,
            Self::Marker(marker) => marker.modified,
        }
    }

    pub(crate) fn object(&self) -> Option<&Listed> {
        match self {
            Self::Object(listed) => Some(listed),
            Self::Marker(_) => None,
        }
    }
}

/// Everything under one key, newest first: the first is what is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layers {
    pub(crate) key: Key,
    pub(crate) layers: Vec<Layer>,
}

/// Where the next page begins: behind this full key, or behind this version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    key: String,
    version: Option<String>,
}

/// One entry of a page, by its full key.
struct Entry {
    full: String,
    latest: bool,
    layer: Layer,
}

#[derive(Default)]
struct Page {
    entries: Vec<Entry>,
    next: Option<Place>,
}

impl Client {
    /// At most a thousand versions and markers.
    ///
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html>
    async fn versions_page(&self, prefix: &Prefix, after: Option<&Place>) -> Result<Page> {
        let doing = format!("list the versions of {}", self.place(prefix));
        let sent = self
            .s3
            .list_object_versions()
            .bucket(self.bucket.as_str())
            .prefix(prefix.as_str())
            .set_key_marker(after.map(|place| place.key.clone()))
            .set_version_id_marker(after.and_then(|place| place.version.clone()))
            .encoding_type(EncodingType::Url)
            .optional_object_attributes(OptionalObjectAttributes::RestoreStatus)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let call = self.reads("ListObjectVersions", "s3:ListBucketVersions", &*doing);
        let sent = missing_bucket(&self.bucket, sent.map_err(|error| explain(&call, &error)))?;
        Answer { doing: &doing, prefix, encoded: sent.encoding_type() == Some(&EncodingType::Url) }
            .read(&sent)
    }

    /// Everything that was written below `prefix`, key by key, in the order of the bytes of the keys.
    pub(crate) fn layers(
        &self,
        prefix: &Prefix,
        reserved: Reserved,
    ) -> impl Stream<Item = Result<Layers>> + Send + Unpin + use<> {
        let walk = Walk {
            client: self.clone(),
            prefix: prefix.clone(),
            reserved,
            ready: VecDeque::new(),
            open: None,
            next: Some(None),
        };
        Box::pin(stream::try_unfold(walk, |mut walk| async move {
            let layers = walk.next().await?;
            Ok(layers.map(|layers| (layers, walk)))
        }))
    }
}

/// How a page is read.
struct Answer<'a> {
    doing: &'a str,
    prefix: &'a Prefix,
    encoded: bool,
}

impl Answer<'_> {
    fn read(&self, sent: &ListObjectVersionsOutput) -> Result<Page> {
        let mut page = Page::default();
        for version in sent.versions() {
            let full = self.key(version.key())?;
            if let Some(key) = self.prefix.strip(&full) {
                let layer = Layer::Object(self.object(Key::new(key)?, version)?);
                page.entries.push(Entry { latest: version.is_latest() == Some(true), layer, full });
            }
        }
        for marker in sent.delete_markers() {
            let full = self.key(marker.key())?;
            if self.prefix.strip(&full).is_some() {
                let layer = Layer::Marker(self.marker(marker)?);
                page.entries.push(Entry { latest: marker.is_latest() == Some(true), layer, full });
            }
        }
        // Versions and markers come apart. What was written within one second is taken to be deleted first: a marker that nothing
        // hides is the latest, and says so. Versions of one key keep the order in which S3 sends them.
        page.entries.sort_by(|one, other| {
            let place = |entry: &Entry| {
                (!entry.latest, Reverse(entry.layer.modified()), entry.layer.object().is_none())
            };
            one.full.cmp(&other.full).then_with(|| place(one).cmp(&place(other)))
        });
        if sent.is_truncated() == Some(true) {
            let key = self.key(sent.next_key_marker())?;
            page.next = Some(Place { key, version: sent.next_version_id_marker().map(str::to_owned) });
        }
        Ok(page)
    }

    fn key(&self, text: Option<&str>) -> Result<String> {
        let text = text.ok_or_else(|| lacking(self.doing, "key"))?;
        if self.encoded { decode(text) } else { Ok(text.to_owned()) }
    }

    fn object(&self, key: Key, version: &ObjectVersion) -> Result<Listed> {
        let lacking = |what| lacking(self.doing, what);
        let size = version.size().and_then(|size| u64::try_from(size).ok());
        let size = size.ok_or_else(|| lacking("size of an object"))?;
        let etag = ETag::read(version.e_tag().ok_or_else(|| lacking("entity tag"))?)?;
        let modified = asking::time(version.last_modified()).ok_or_else(|| lacking("time"))?;
        let class = version.storage_class().map(|class| StorageClass::new(class.as_str())).transpose()?;
        let id = VersionId::new(version.version_id().ok_or_else(|| lacking("id of a version"))?)?;
        let listed = Listed::new(key, Content::listed(size, etag), modified);
        let listed = listed.stored(class.unwrap_or_default()).restored(restore(version.restore_status()));
        Ok(listed.with_version(id))
    }

    fn marker(&self, marker: &DeleteMarkerEntry) -> Result<Marker> {
        let lacking = |what| lacking(self.doing, what);
        let modified = asking::time(marker.last_modified()).ok_or_else(|| lacking("time"))?;
        let version = VersionId::new(marker.version_id().ok_or_else(|| lacking("id of a version"))?)?;
        Ok(Marker { version, modified })
    }
}

struct Walk {
    client: Client,
    prefix: Prefix,
    reserved: Reserved,
    ready: VecDeque<Layers>,
    /// The last key of the page before: it may go on with the next one.
    open: Option<Layers>,
    next: Option<Option<Place>>,
}

impl Walk {
    async fn next(&mut self) -> Result<Option<Layers>> {
        loop {
            if let Some(layers) = self.ready.pop_front() {
                return Ok(Some(layers));
            }
            let Some(place) = self.next.take() else { return Ok(self.open.take()) };
            let page = self.client.versions_page(&self.prefix, place.as_ref()).await?;
            self.next = page.next.map(|next| {
                // Whatever may be in there, it is not walked: the next page begins behind it.
                let behind = self.reserved.of(&next.key).map(|prefix| format!("{prefix}{BEHIND}"));
                Some(behind.map_or(next, |key| Place { key, version: None }))
            });
            self.take(page.entries)?;
        }
    }

    fn take(&mut self, entries: Vec<Entry>) -> Result<()> {
        for Entry { full, layer, .. } in entries {
            let Some(key) = self.prefix.strip(&full).filter(|_| self.reserved.of(&full).is_none()) else {
                continue;
            };
            match &mut self.open {
                Some(open) if open.key.as_str() == key => open.layers.push(layer),
                _ => {
                    let new = Layers { key: Key::new(key)?, layers: vec![layer] };
                    self.ready.extend(self.open.replace(new));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::primitives::DateTime;

    use super::*;

    fn version(key: &str, id: &str, at: i64, latest: bool) -> ObjectVersion {
        let version = ObjectVersion::builder().key(key).version_id(id).size(1).is_latest(latest);
        version.e_tag("\"9b2cf535f27731c974343645a3985328\"").last_modified(DateTime::from_secs(at)).build()
    }

    fn marker(key: &str, id: &str, at: i64, latest: bool) -> DeleteMarkerEntry {
        let marker = DeleteMarkerEntry::builder().key(key).version_id(id).is_latest(latest);
        marker.last_modified(DateTime::from_secs(at)).build()
    }

    fn read(sent: &ListObjectVersionsOutput) -> Vec<(String, String)> {
        let prefix = Prefix::new("live/").unwrap();
        let page = Answer { doing: "list", prefix: &prefix, encoded: true }.read(sent).unwrap();
        let id = |layer: &Layer| match layer {
            Layer::Object(listed) => listed.version.as_ref().unwrap().to_string(),
            Layer::Marker(marker) => marker.version.to_string(),
        };
        page.entries.iter().map(|entry| (entry.full.clone(), id(&entry.layer))).collect()
    }

    #[test]
    fn versions_and_markers_are_put_back_into_one_order() {
        let sent = ListObjectVersionsOutput::builder()
            .versions(version("live/b+c", "v3", 30, true))
            .versions(version("live/b+c", "v1", 10, false))
            .versions(version("live/a", "a1", 10, false))
            .delete_markers(marker("live/a", "a2", 10, true))
            .delete_markers(marker("live/b+c", "m2", 20, false))
            .build();
        let ids: Vec<String> = read(&sent).into_iter().map(|(_, id)| id).collect();
        // Of one second, the latest is the newest: `a` is deleted.
        assert_eq!(ids, ["a2", "a1", "v3", "m2", "v1"]);
        assert_eq!(read(&sent)[2].0, "live/b c", "the keys are decoded");
    }

    #[test]
    fn within_one_second_what_was_written_again_is_there() {
        let sent = ListObjectVersionsOutput::builder()
            .versions(version("live/a", "v3", 30, true))
            .versions(version("live/a", "v2", 10, false))
            .versions(version("live/a", "v1", 10, false))
            .delete_markers(marker("live/a", "m", 10, false))
            .build();
        let ids: Vec<String> = read(&sent).into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, ["v3", "v2", "v1", "m"]);
    }
}
