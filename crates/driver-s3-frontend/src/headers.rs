//! Headers of objects that have the bytes they are to have.
//!
//! A version keeps the headers that it was written with: where the wanted one is served, nobody need ask. Where another one with the same
//! bytes is, somebody wrote it since, perhaps only to change for how long it is cached. No listing tells headers, so a few entry points are
//! asked for theirs, and those of everything else are not looked at.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rollback_core::Result;
use serde::{Deserialize, Serialize};

use crate::client::{Head, readable};
use crate::diff::Change;
use crate::names::Key;
use crate::object::{Headers, Listed};
use crate::order::Order;
use crate::site::Site;

/// How many entry points are asked for their headers, the shallowest first: as many as are looked at as browsers get them.
pub(crate) const ASKED: usize = 30;
/// How many at a time.
const AT_A_TIME: usize = 8;

/// The headers of one object as they are written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    /// Everything but metadata.
    headers: Headers,
    /// The names of its metadata. Values may be secret, and are not written down.
    metadata: BTreeSet<String>,
}

impl Recorded {
    pub(crate) fn of(headers: &Headers) -> Self {
        let metadata = headers.metadata.keys().cloned().collect();
        Self { headers: Headers { metadata: BTreeMap::new(), ..headers.clone() }, metadata }
    }

    /// The same with the metadata of an object that has these.
    pub(crate) fn on(&self, own: &Headers) -> Headers {
        Headers { metadata: own.metadata.clone(), ..self.headers.clone() }
    }
}

/// Entry points that have the bytes they are to have, and perhaps not the headers: what they are to be, and what is live.
#[derive(Debug, Default)]
pub(crate) struct Twins {
    held: BTreeMap<(usize, Key), (Listed, Listed)>,
    /// What was written down of the headers of objects whose very version is gone.
    pub(crate) recorded: BTreeMap<Key, Recorded>,
    /// How many nobody asked, or could.
    pub(crate) unasked: u64,
}

impl Twins {
    /// Holds one, if it is one of an entry point.
    pub(crate) fn add(&mut self, order: &Order, (entry, live): (Listed, Listed)) -> bool {
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
        let held = std::mem::take(&mut twins.held);
        let recorded = &twins.recorded;
        let asked = stream::iter(held.into_values()).map(|(entry, live)| async move {
            let differing = self.differing_headers(&entry, &live, recorded.get(&entry.key)).await?;
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
    ) -> Result<Option<Vec<&'static str>>> {
        let Some(there) = self.head_of(live).await? else { return Ok(None) };
        let wanted = match recorded {
            Some(recorded) => recorded.on(&there.headers),
            None => match self.head_of(entry).await? {
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

    /// The headers of some of these objects, by key, as they are written down: of so many entry points, and only where versions are kept,
    /// as nothing else is gone back to by what is written down.
    pub(crate) async fn headers_to_record(
        &self,
        objects: impl Iterator<Item = Listed> + Send,
    ) -> Result<BTreeMap<Key, Recorded>> {
        let mut shallowest = Twins::default();
        for listed in objects.filter(|listed| listed.version.is_some()) {
            shallowest.add(&self.order, (listed.clone(), listed));
        }
        let asked = stream::iter(shallowest.held.into_values()).map(|(listed, _)| async move {
            let head = self.head_of(&listed).await?;
            Ok::<_, rollback_core::Error>(head.map(|head| (listed.key, Recorded::of(&head.headers))))
        });
        let asked: Vec<_> = asked.buffered(AT_A_TIME).try_collect().await?;
        Ok(asked.into_iter().flatten().collect())
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
        let recorded = Recorded::of(&headers("no-cache"));
        let written = serde_json::to_string(&recorded).unwrap();
        assert!(written.contains("build") && written.contains("no-cache"), "{written}");
        assert!(!written.contains("hunter2"), "{written}");
        assert_eq!(serde_json::from_str::<Recorded>(&written).unwrap(), recorded);
        // What is put back is what was written down, with the metadata of what has the same bytes.
        assert_eq!(recorded.on(&headers("max-age=9")), headers("no-cache"));
    }

    #[test]
    fn the_headers_that_differ_are_named() {
        let mut other = headers("max-age=9");
        assert_eq!(headers("no-cache").differing(&other), ["Cache-Control"]);
        other.metadata.clear();
        assert_eq!(headers("max-age=9").differing(&other), ["metadata"]);
        assert!(other.differing(&other.clone()).is_empty());
    }

    #[test]
    fn only_so_many_entry_points_are_asked_the_shallowest_first() {
        let (order, mut twins) = (Order::default(), Twins::default());
        let listed = |key: String| {
            let content = Content::listed(7, ETag::new("1").unwrap());
            Listed::new(Key::new(key).unwrap(), content, "2026-11-22T03:00:00Z".parse().unwrap())
        };
        let mut add = |key: String| twins.add(&order, (listed(key.clone()), listed(key)));
        assert!((0..ASKED).all(|number| add(format!("a/{number:03}.html"))));
        assert!(add("index.html".to_owned()) && !add("app.js".to_owned()));
        assert_eq!((twins.held.len(), twins.unasked), (ASKED, 1));
        assert!(twins.held.keys().any(|(_, key)| key.as_str() == "index.html"));
    }
}
