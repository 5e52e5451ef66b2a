//! What rollbacks kept for open tabs: the assets of the releases that were left, since when, and by which run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::{Result, RunId};
use serde::{Deserialize, Serialize};

use crate::json;
use crate::names::Key;
use crate::object::{ETag, Listed};
use crate::site::Site;
use crate::tally::Tally;

const SCHEMA: &str = "s3-retained/1";
/// How many are listed; what is beyond that is kept for good.
const MOST: usize = 50_000;

/// One asset that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) etag: ETag,
    pub(crate) size: u64,
    /// Which rollback left it.
    run: RunId,
    /// Since when; left out, since this was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
}

impl Kept {
    /// Whether it is this object, as it was.
    pub(crate) fn is(&self, listed: &Listed) -> bool {
        listed.content.size == self.size && listed.content.etag.as_ref() == Some(&self.etag)
    }
}

/// All of them, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retained {
    schema: String,
    /// What a listing made of everything else that was live.
    pub(crate) rest: String,
    pub(crate) objects: BTreeMap<Key, Kept>,
}

impl Retained {
    pub(crate) fn holds(&self, listed: &Listed) -> bool {
        self.objects.get(&listed.key).is_some_and(|kept| kept.is(listed))
    }

    /// What one rollback keeps: of what was kept before, it is remembered since when.
    fn following(mut self, run: RunId, rest: &Tally, kept: &[Listed]) -> Self {
        let new = |listed: &Listed| {
            let known = self.objects.remove(&listed.key).filter(|known| known.is(listed));
            let etag = listed.content.etag.clone()?;
            let new = Kept { etag, size: listed.content.size, run, since: None };
            Some((listed.key.clone(), known.unwrap_or(new)))
        };
        let objects = kept.iter().take(MOST).filter_map(new).collect();
        Self { schema: SCHEMA.to_owned(), rest: rest.to_string(), objects }
    }

    /// S3 says when it was written.
    fn written_at(mut self, at: Option<Timestamp>) -> Self {
        self.objects.values_mut().for_each(|kept| kept.since = kept.since.or(at));
        self
    }
}

impl Site {
    fn retained_key(&self) -> String {
        self.note_at(".retained.json")
    }

    /// What rollbacks kept, with the tag of the list; `None` where there is no list of ours.
    pub(crate) async fn retained(&self) -> Result<Option<(Retained, ETag)>> {
        let key = self.retained_key();
        if self.is_known_to_lack(&key) {
            return Ok(None);
        }
        let Some((body, etag, modified)) = self.client.get_with_time(&key).await? else { return Ok(None) };
        let read = serde_json::from_slice::<Retained>(&body).ok().filter(|read| read.schema == SCHEMA);
        if read.is_none() {
            tracing::warn!(key, "no list of kept assets of ours, and not looked at");
        }
        Ok(read.map(|read| (read.written_at(modified), etag)))
    }

    /// Lists what a rollback keeps, of everything that is live now. Without the list it is kept for good, and nothing else is lost.
    pub(crate) async fn retain(&self, run: RunId, live: &Tally, kept: &[Listed]) {
        if kept.is_empty() {
            return;
        }
        if let Err(error) = self.try_retain(run, live, kept).await {
            tracing::warn!(%error, "what is kept for open tabs is not listed, and stays until somebody removes it");
        }
    }

    async fn try_retain(&self, run: RunId, live: &Tally, kept: &[Listed]) -> Result<()> {
        let before = self.retained().await?.map(|(retained, _)| retained).unwrap_or_default();
        let mut rest = *live;
        for listed in kept.iter().take(MOST) {
            if let Some(etag) = &listed.content.etag {
                rest.remove(&self.full(&listed.key), listed.content.size, etag);
            }
        }
        self.put_retained(&before.following(run, &rest, kept)).await
    }

    pub(crate) async fn put_retained(&self, retained: &Retained) -> Result<()> {
        let body = json::written("list what is kept", retained)?;
        self.write_ours(&self.retained_key(), body, None).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Content;

    fn listed(key: &str, tag: &str) -> Listed {
        let content = Content::listed(7, ETag::new(tag).unwrap());
        Listed::new(Key::new(key).unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap())
    }

    fn run(last: u8) -> RunId {
        format!("019a0000-0000-7000-8000-00000000000{last}").parse().unwrap()
    }

    #[test]
    fn what_was_kept_before_stays_as_old_as_it_is() {
        let (early, late) =
            ("2026-11-01T00:00:00Z".parse().unwrap(), "2026-11-08T00:00:00Z".parse().unwrap());
        let kept = [listed("old.js", "1"), listed("changed.js", "1"), listed("used.js", "1")];
        let first = Retained::default().following(run(1), &Tally::default(), &kept).written_at(Some(early));
        let kept = [listed("old.js", "1"), listed("changed.js", "2"), listed("new.js", "1")];
        let second = first.following(run(2), &Tally::default(), &kept).written_at(Some(late));
        let since = |key: &str| {
            second.objects.get(&Key::new(key).unwrap()).map(|kept| (kept.run, kept.since.unwrap()))
        };
        assert_eq!(since("old.js"), Some((run(1), early)));
        assert_eq!(since("changed.js"), Some((run(2), late)), "another object under the same key");
        assert_eq!(since("new.js"), Some((run(2), late)));
        assert_eq!(since("used.js"), None, "it is served again");
        assert!(second.holds(&listed("changed.js", "2")) && !second.holds(&listed("changed.js", "1")));
    }
}
