//! Finding a state again by what was written down of it: exactly these versions, or what is missing of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use rollback_core::{Digest, Error, ErrorKind, Identity, Result};

use super::{Entry, Manifest};
use crate::client::{Layers, Rule};
use crate::diff::{Change, Counts};
use crate::headers::{Recorded, Twins};
use crate::names::Key;
use crate::order::Pages;
use crate::past::Story;
use crate::removed::Removed;
use crate::site::{Compared, Site};
use crate::sum::Sum;
use crate::tally::Tally;

/// How many manifests of one state are tried, newest first.
const TRIED: usize = 5;
/// How many missing versions are named.
const NAMED: usize = 3;

/// Versions that a manifest names and that are not there any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    /// Which, and why.
    pub(crate) why: String,
}

/// A manifest held against what is there, while it is read.
struct Held<'a> {
    site: &'a Site,
    /// What was not come across yet.
    wanted: BTreeMap<&'a Key, &'a Entry>,
    gone: Vec<&'a Entry>,
    headers: &'a BTreeMap<Key, Recorded>,
    rules: &'a [Rule],
    may_remove: bool,
    compared: Compared,
}

impl<'a> Held<'a> {
    /// Everything under the next key.
    fn next(&mut self, layers: &Layers) -> Result<()> {
        let removed = Removed::default();
        let story = Story::of(layers, &removed);
        let mut may_remove = self.may_remove;
        if let Some(live) = story.object(0) {
            self.site.count(&mut self.compared.tally, live);
        }
        let found = match self.wanted.remove(&layers.key) {
            None => None,
            Some(entry) => {
                let Some(found) = place(layers, entry) else {
                    self.gone.push(entry);
                    return Ok(());
                };
                // With the very version its headers come back, and with another one those that were written down.
                let stands_in = story.object(found).is_some_and(|listed| !entry.is(listed));
                if let Some(recorded) = self.headers.get(&layers.key).filter(|_| stands_in) {
                    self.compared.twins.recorded.insert(layers.key.clone(), recorded.clone());
                    may_remove = false;
                }
                self.compared.release.add(&entry.counted())?;
                self.compared.pages.add(&self.site.order, &layers.key);
                let expires = story.expires(found, &self.site.full(&layers.key), self.rules);
                self.compared.until = [self.compared.until, expires].into_iter().flatten().min();
                Some(found)
            }
        };
        match story.change(found, may_remove) {
            Some(Change::Same) if self.has_twin(&story, found) => {}
            Some(Change::Same) => self.compared.counts.add(&Change::Same),
            Some(change) => self.compared.changes.push(change),
            None => {}
        }
        Ok(())
    }

    /// Whether something may be amiss with the headers of what has the right bytes. It is held if so.
    fn has_twin(&mut self, story: &Story<'_>, found: Option<usize>) -> bool {
        let itself = || {
            let live = story.object(0).filter(|live| self.compared.twins.recorded.contains_key(&live.key))?;
            Some((live.clone(), live.clone()))
        };
        let twins = story.twins(found).or_else(itself);
        twins.is_some_and(|both| self.compared.twins.add(&self.site.order, both))
    }

    /// What is missing at the end.
    fn missing(&self) -> Option<Gone> {
        let missing: Vec<&Entry> = self.gone.iter().chain(self.wanted.values()).copied().collect();
        let first = missing.first()?;
        let named = missing.iter().take(NAMED).map(|entry| {
            let version =
                entry.4.as_ref().map_or_else(String::new, |version| format!(" (version {version})"));
            format!("{}{version}", entry.0.shown())
        });
        let named = named.collect::<Vec<_>>().join(", ");
        let more = if missing.len() > NAMED { ", …" } else { "" };
        let full = self.site.full(&first.0);
        let rule = self.rules.iter().find(|rule| rule.fits(&full));
        let by = match rule {
            Some(rule) => format!(
                "lifecycle rule {} removes versions {} days after they were replaced",
                rule.id, rule.days
            ),
            None => "no lifecycle rule that is known of removes them, so somebody did".to_owned(),
        };
        let count = missing.len();
        Some(Gone { why: format!("{count} of its recorded versions are gone: {named}{more}; {by}") })
    }
}

/// Where among the layers a recorded object is: the very version, else one with the same bytes.
fn place(layers: &Layers, entry: &Entry) -> Option<usize> {
    let find = |fits: &dyn Fn(&crate::object::Listed) -> bool| {
        layers.layers.iter().position(|layer| layer.object().is_some_and(fits))
    };
    find(&|listed| entry.is(listed)).or_else(|| find(&|listed| entry.equals(listed)))
}

impl Site {
    /// What was written down of a state, newest first. What is no manifest of ours is passed over.
    async fn manifests(&self, identity: Identity, first: Option<Digest>) -> Result<Vec<(Digest, Manifest)>> {
        let prefix = self.manifests_of(identity)?;
        let mut listed = self.client.page(&prefix, None).await?.objects;
        let name = |key: &Key| key.as_str().strip_suffix(".json").and_then(|hex| hex.parse::<Digest>().ok());
        listed.sort_by_key(|listed| (name(&listed.key) != first, Reverse(listed.modified)));
        let mut read = Vec::new();
        for listed in listed.iter().take(TRIED) {
            let Some(digest) = name(&listed.key) else { continue };
            let Some((body, _)) = self.client.get(&prefix.join(&listed.key)).await? else { continue };
            match Manifest::opened(self, identity, digest, &body) {
                Ok(manifest) => read.push((digest, manifest)),
                Err(error) => tracing::warn!(%error, key = prefix.join(&listed.key), "not looked at"),
            }
        }
        Ok(read)
    }

    /// The versions that were written down of a state, against what is live; `None` where nothing was written down.
    pub(crate) async fn compare_recorded(
        &self,
        identity: Identity,
        first: Option<Digest>,
        may_remove: bool,
        rules: &[Rule],
    ) -> Result<Option<Result<(Digest, Compared), Gone>>> {
        let mut gone = None;
        for (digest, manifest) in self.manifests(identity, first).await? {
            match self.compare_manifest(&manifest, may_remove, rules).await? {
                Ok(compared) => return Ok(Some(Ok((digest, compared)))),
                // The newest one is that of which most is left.
                Err(missing) => drop(gone.get_or_insert(missing)),
            }
        }
        Ok(gone.map(Err))
    }

    /// One pass over all versions.
    async fn compare_manifest(
        &self,
        manifest: &Manifest,
        may_remove: bool,
        rules: &[Rule],
    ) -> Result<Result<Compared, Gone>> {
        let compared = Compared {
            changes: Vec::new(),
            counts: Counts::default(),
            release: Sum::default(),
            tally: Tally::default(),
            mark: self.mark().await?,
            until: None::<Timestamp>,
            pages: Pages::default(),
            twins: Twins::default(),
        };
        let (wanted, gone, headers) = (manifest.by_key(), Vec::new(), &manifest.headers);
        let mut held = Held { site: self, wanted, gone, headers, rules, may_remove, compared };
        let mut all = self.layers();
        while let Some(layers) = all.try_next().await? {
            held.next(&layers)?;
        }
        if let Some(gone) = held.missing() {
            return Ok(Err(gone));
        }
        if manifest.objects.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "read a manifest", "it has no objects"));
        }
        self.settled(&self.live, held.compared).await.map(Ok)
    }
}
