//! What a rollback left, as it says itself: assets of the release that was left stay for open tabs, and are no part of what was put back.

use std::collections::BTreeMap;

use rollback_core::{Identity, Result};
use serde::{Deserialize, Serialize};

use crate::json;
use crate::names::Key;
use crate::object::{ETag, Listed};
use crate::site::Site;
use crate::snapshot::{SiteSnapshot, Source};
use crate::tally::Tally;

const SCHEMA: &str = "s3-live/1";

/// Written beside the site once everything is copied. It holds for as long as a listing makes the same tally.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    schema: String,
    /// What a listing made of everything that is live.
    tally: String,
    /// What was put back, without what is kept for open tabs.
    identity: Identity,
    objects: u64,
    bytes: u64,
    /// How many objects are kept.
    pub(crate) kept: u64,
    /// Where it was taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    /// Objects whose tags say nothing of their content, by key: the tag of what was copied, and of the copy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    copied: BTreeMap<Key, (ETag, ETag)>,
}

impl Mark {
    pub(crate) fn new(tally: &Tally, snapshot: &SiteSnapshot, kept: u64) -> Self {
        let SiteSnapshot { identity, objects, bytes, .. } = *snapshot;
        let (schema, tally) = (SCHEMA.to_owned(), tally.to_string());
        let source = snapshot.sources.first().cloned();
        Self { schema, tally, identity, objects, bytes, kept, source, copied: BTreeMap::new() }
    }

    /// With what was copied of which no tag says the content.
    pub(crate) fn copied(mut self, copied: BTreeMap<Key, (ETag, ETag)>) -> Self {
        self.copied = copied;
        self
    }

    /// Whether what is live is the copy of this that a rollback made: S3 said so when it made it.
    pub(crate) fn knows(&self, entry: &Listed, listed: &Listed) -> bool {
        let tags = entry.content.etag.as_ref().zip(listed.content.etag.as_ref());
        let known = self.copied.get(&entry.key);
        known.zip(tags).is_some_and(|((from, to), (source, copy))| (from, to) == (source, copy))
    }

    /// Those of these copies that are still known.
    pub(crate) fn known(&self) -> &BTreeMap<Key, (ETag, ETag)> {
        &self.copied
    }

    /// Whether a listing made this when it was left.
    pub(crate) fn was(&self, tally: &Tally) -> bool {
        self.tally == tally.to_string()
    }

    /// The same, once some of what is kept was taken away.
    pub(crate) fn moved(mut self, tally: &Tally, kept: u64) -> Self {
        (self.tally, self.kept) = (tally.to_string(), kept);
        self
    }

    /// Whether it is of what is live now, and says that this is it.
    pub(crate) fn is_of(&self, tally: &Tally, identity: Identity) -> bool {
        self.tally == tally.to_string() && self.identity == identity
    }

    /// What is live by this mark, if it is of what is live now.
    pub(crate) fn applies(&self, tally: &Tally, seen: SiteSnapshot) -> Result<SiteSnapshot> {
        if self.tally != tally.to_string() {
            return Ok(seen);
        }
        let mut snapshot = seen.of(self.identity, self.objects, self.bytes)?;
        snapshot.sources = self.source.iter().cloned().collect();
        Ok(snapshot)
    }
}

impl Site {
    /// Where the mark is: one for each site of the bucket.
    fn mark_key(&self) -> String {
        self.note_at(".json")
    }

    /// The mark, whatever it is of. One that cannot be read is none: it only spares the assets that are kept from being asked about.
    pub(crate) async fn mark(&self) -> Result<Option<Mark>> {
        let Some((body, _)) = self.client.get(&self.mark_key()).await? else { return Ok(None) };
        let read = serde_json::from_slice::<Mark>(&body).ok().filter(|mark| mark.schema == SCHEMA);
        if read.is_none() {
            tracing::warn!(key = self.mark_key(), "no mark of ours, and not looked at");
        }
        Ok(read)
    }

    /// Leaves a mark. Whoever comes late with one of an earlier time does no harm: its tally is not that of what is live.
    pub(crate) async fn leave(&self, mark: &Mark) -> Result<()> {
        let body = json::written("write what was put back", mark)?;
        self.write_ours(&self.mark_key(), body, None).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use rollback_core::Digest;

    use super::*;
    use crate::object::Content;

    fn listed(etag: &str) -> Listed {
        let content = Content::listed(7, ETag::new(etag).unwrap());
        Listed::new(Key::new("film.mp4").unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_copy_is_known_by_both_tags_and_by_nothing_less() {
        let read = |copied: &str| {
            let mark = format!(
                r#"{{"schema":"{SCHEMA}","tally":"1-0123456789ab","identity":"{}","objects":1,"bytes":7,"kept":0,"source":{{"archive":"v1"}},
                    "copied":{{"film.mp4":{copied}}}}}"#,
                Digest::of_bytes(b"v1")
            );
            serde_json::from_str::<Mark>(&mark).unwrap()
        };
        let mark = read(r#"["one-2","two"]"#);
        assert!(mark.knows(&listed("one-2"), &listed("two")));
        assert!(!mark.knows(&listed("one-3"), &listed("two")), "the archive holds something else now");
        assert!(!mark.knows(&listed("one-2"), &listed("three")), "somebody wrote over the copy");
    }
}
