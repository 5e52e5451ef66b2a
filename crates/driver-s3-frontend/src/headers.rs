//! Headers of objects that have the bytes they are to have.
//!
//! A version keeps the headers that it was written with: where the wanted one is served, nobody need ask. Where another one with the same
//! bytes is, somebody wrote it since, perhaps only to change for how long it is cached. No listing tells headers, so each such object is
//! asked for its own, and they are held against what was written down of it. Of what nothing was written down, the very version must be
//! asked as well, and so that is done for a few entry points.

mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rollback_core::Result;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::record::All;
use crate::client::{Head, readable};
use crate::diff::Change;
use crate::names::Key;
use crate::object::{Headers, Listed, StorageClass};
use crate::order::Order;
use crate::site::Site;

/// How many entry points are asked of which nothing was written down, the shallowest first: as many as are looked at as browsers get them.
const ASKED: usize = 30;
/// How many objects are asked at the most of which something was: seconds, also where a deploy wrote everything again.
const NOTED: usize = 5_000;
/// How many at a time.
const AT_A_TIME: usize = 32;

/// The headers of one object as they are written down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    /// Everything but metadata.
    headers: Headers,
    /// The names of its metadata. Values may be secret, and are not written down.
    metadata: BTreeSet<String>,
    /// Its tags, where somebody looked. AWS asks everybody to keep nothing confidential in tags:
    /// <https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html>
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<BTreeMap<String, String>>,
}

impl Recorded {
    pub(crate) fn of(headers: &Headers, tags: Option<BTreeMap<String, String>>) -> Self {
        let metadata = headers.metadata.keys().cloned().collect();
        Self { headers: Headers { metadata: BTreeMap::new(), ..headers.clone() }, metadata, tags }
    }

    /// The same on an object that has these: of its metadata, what was there.
    pub(crate) fn on(&self, own: &Headers) -> Headers {
        let known = own.metadata.iter().filter(|(name, _)| self.metadata.contains(*name));
        let metadata = known.map(|(name, value)| (name.clone(), value.clone())).collect();
        Headers { metadata, ..self.headers.clone() }
    }

    pub(crate) fn tags(&self) -> Option<&BTreeMap<String, String>> {
        self.tags.as_ref()
    }

    /// Whether somebody looked for tags and found none.
    pub(crate) fn is_untagged(&self) -> bool {
        self.tags.as_ref().is_some_and(BTreeMap::is_empty)
    }
}

/// One set of headers of many objects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shared(pub(crate) Arc<Recorded>);

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Recorded::deserialize(deserializer).map(|recorded| Self(Arc::new(recorded)))
    }
}

/// An object that is to be there, the one that is live with the same bytes, and what was written down of the first.
#[derive(Debug)]
struct Noted {
    entry: Listed,
    live: Listed,
    recorded: Arc<Recorded>,
}

/// Objects that have the bytes they are to have, and perhaps not the headers: what they are to be, and what is live.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    /// Entry points of which nothing was written down.
    held: BTreeMap<(usize, Key), (Listed, Listed)>,
    noted: Vec<Noted>,
    /// What was written down of the headers of those whose bytes are not known to be the same: they may turn out to be.
    pub(crate) unclear: BTreeMap<Key, Arc<Recorded>>,
    /// What was written down of the headers of objects whose very version is gone.
    pub(crate) recorded: BTreeMap<Key, Arc<Recorded>>,
    /// Where objects were stored whose versions were moved since.
    pub(crate) classes: BTreeMap<Key, StorageClass>,
    /// How many nobody asked, or could.
    pub(crate) unasked: u64,
}

impl Twins {
    /// Holds one, if something was written down of it or it is an entry point.
    pub(crate) fn add(
        &mut self,
        order: &Order,
        (entry, live): (Listed, Listed),
        recorded: Option<&Arc<Recorded>>,
    ) -> bool {
        if let Some(recorded) = recorded {
            if self.noted.len() < NOTED {
                self.noted.push(Noted { entry, live, recorded: Arc::clone(recorded) });
            } else {
                self.unasked += 1;
            }
            return true;
        }
        if !order.is_entry_point(&entry.key) {
            return false;
        }
        let depth = entry.key.as_str().matches('/').count();
        self.held.insert((depth, entry.key.clone()), (entry, live));
        if self.held.len() > ASKED {
            self.held.pop_last();
            self.unasked += 1;
        }
        true
    }
}

impl Site {
    /// What is to be done about each of them.
    pub(crate) async fn ask_for_headers(&self, twins: &mut Twins) -> Result<Vec<Change>> {
        let (held, noted) = (std::mem::take(&mut twins.held), std::mem::take(&mut twins.noted));
        let gone = &twins.recorded;
        let held = held.into_values().map(|(entry, live)| (entry, live, None));
        let noted = noted.into_iter().map(|noted| (noted.entry, noted.live, Some(noted.recorded)));
        let asked = stream::iter(held.chain(noted)).map(|(entry, live, recorded)| async move {
            let is_gone = gone.contains_key(&entry.key);
            let differing = self.differing_headers(&entry, &live, recorded.as_deref(), is_gone).await?;
            Ok::<_, rollback_core::Error>(match differing {
                Some(differing) if !differing.is_empty() => (Change::Headers(entry, live, differing), true),
                known => (Change::Same, known.is_some()),
            })
        });
        let asked: Vec<_> = asked.buffered(AT_A_TIME).try_collect().await?;
        twins.unasked += asked.iter().filter(|(_, known)| !known).count() as u64;
        Ok(asked.into_iter().map(|(change, _)| change).collect())
    }

    /// Which headers of the live object are not those that it is to have; `None` where they could not be read.
    async fn differing_headers(
        &self,
        entry: &Listed,
        live: &Listed,
        recorded: Option<&Recorded>,
        is_gone: bool,
    ) -> Result<Option<Vec<&'static str>>> {
        let Some(there) = self.head_of(live).await? else { return Ok(None) };
        let bare = |recorded: &Recorded| recorded.metadata.is_empty() && there.headers.metadata.is_empty();
        let wanted = match recorded {
            // Values of metadata only the version itself knows.
            Some(recorded) if is_gone || bare(recorded) => recorded.on(&there.headers),
            _ => match self.head_of(entry).await? {
                Some(head) => head.headers,
                None => return Ok(None),
            },
        };
        Ok(Some(wanted.differing(&there.headers)))
    }

    async fn head_of(&self, listed: &Listed) -> Result<Option<Head>> {
        let head = self.client.head(&self.full(&listed.key), listed.version.as_ref()).await;
        Ok(readable(head)?.ok().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Content, ETag};

    fn headers(cache_control: &str) -> Headers {
        Headers {
            content_type: Some("text/html".to_owned()),
            cache_control: Some(cache_control.to_owned()),
            metadata: [("build".to_owned(), "hunter2".to_owned())].into(),
            ..Headers::default()
        }
    }

    #[test]
    fn values_of_metadata_are_not_written_down() {
        let tags = [("team".to_owned(), "shop".to_owned())].into();
        let recorded = Recorded::of(&headers("no-cache"), Some(tags));
        let written = serde_json::to_string(&recorded).unwrap();
        assert!(written.contains("build") && written.contains("no-cache"), "{written}");
        assert!(!written.contains("hunter2"), "{written}");
        assert_eq!(serde_json::from_str::<Recorded>(&written).unwrap(), recorded);
        // What is put back is what was written down, with the metadata of what has the same bytes.
        assert_eq!(recorded.on(&headers("max-age=9")), headers("no-cache"));
        // But none that was not there.
        let mut more = headers("max-age=9");
        more.metadata.insert("mtime".to_owned(), "1".to_owned());
        assert_eq!(recorded.on(&more), headers("no-cache"));
        assert!(!recorded.is_untagged() && Recorded::of(&headers(""), Some(BTreeMap::new())).is_untagged());
    }

    #[test]
    fn the_headers_that_differ_are_named() {
        let mut other = headers("max-age=9");
        assert_eq!(headers("no-cache").differing(&other), ["Cache-Control"]);
        other.metadata.clear();
        assert_eq!(headers("max-age=9").differing(&other), ["metadata"]);
        assert!(other.differing(&other.clone()).is_empty());
    }

    fn listed(key: String) -> Listed {
        let content = Content::listed(7, ETag::new("1").unwrap());
        Listed::new(Key::new(key).unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap())
    }

    #[test]
    fn of_what_nothing_was_written_down_only_so_many_entry_points_are_asked_the_shallowest_first() {
        let (order, mut twins) = (Order::default(), Twins::default());
        let mut add = |key: String| twins.add(&order, (listed(key.clone()), listed(key)), None);
        assert!((0..ASKED).all(|number| add(format!("a/{number:03}.html"))));
        assert!(add("index.html".to_owned()) && !add("app.js".to_owned()));
        assert_eq!((twins.held.len(), twins.unasked), (ASKED, 1));
        assert!(twins.held.keys().any(|(_, key)| key.as_str() == "index.html"));
    }

    #[test]
    fn of_what_something_was_written_down_assets_are_asked_too_up_to_a_limit() {
        let (order, mut twins) = (Order::default(), Twins::default());
        let recorded = Arc::new(Recorded::of(&headers("no-cache"), None));
        for number in 0..=NOTED {
            let both = (listed(format!("{number}.js")), listed(format!("{number}.js")));
            assert!(twins.add(&order, both, Some(&recorded)));
        }
        assert_eq!((twins.noted.len(), twins.unasked), (NOTED, 1));
    }
}
