//! Finding a state again by what was written down of it: exactly these versions, or what is missing of them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use rollback_core::{Digest, Error, ErrorKind, Identity, Result};

use super::{Entry, LARGEST, Manifest};
use crate::client::{Layers, Page, Rule};
use crate::diff::{Change, Counts};
use crate::headers::{Recorded, Twins};
use crate::names::{Key, Prefix};
use crate::object::Listed;
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
/// How many pages of names of manifests are gone through, of a thousand each.
const PAGES: usize = 10;

/// A manifest that was not read yet.
#[derive(Debug)]
struct Written {
    key: String,
    identity: Identity,
    digest: Digest,
    modified: Timestamp,
}

impl Written {
    /// By its name, if it is one and not too large to be one of ours.
    fn of(prefix: &Prefix, listed: &Listed, identity: impl Fn(&str) -> Option<Identity>) -> Option<Self> {
        let key = listed.key.as_str();
        let digest = key.strip_suffix(".json")?.rsplit('/').next()?.parse().ok()?;
        let identity = identity(key).filter(|_| listed.content.size <= LARGEST as u64)?;
        Some(Self { key: prefix.join(&listed.key), identity, digest, modified: listed.modified })
    }
}

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
    manifest: &'a Manifest,
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
                if let Some(object) = story.object(found) {
                    may_remove &= !self.stands_in(entry, object);
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
            Some(change) => {
                if let (Change::Unknown(entry, _) | Change::Differs(entry, _), Some(recorded)) =
                    (&change, self.recorded(&layers.key))
                {
                    self.compared.twins.unclear.insert(entry.key.clone(), recorded);
                }
                self.compared.changes.push(change);
            }
            None => {}
        }
        Ok(())
    }

    fn recorded(&self, key: &Key) -> Option<Arc<Recorded>> {
        self.manifest.recorded(self.manifest.entry(key)?).cloned()
    }

    /// Whether this takes the place of what is gone and would not have its headers. With the very version they come back, and with
    /// another one those that were written down; and both are stored where it was.
    fn stands_in(&mut self, entry: &Entry, object: &Listed) -> bool {
        let twins = &mut self.compared.twins;
        if entry.class() != object.class {
            twins.classes.insert(entry.0.clone(), entry.class());
        }
        if entry.is(object) {
            return false;
        }
        let recorded = self.manifest.recorded(entry);
        twins.recorded.extend(recorded.map(|recorded| (entry.0.clone(), Arc::clone(recorded))));
        recorded.is_some()
    }

    /// Whether something may be amiss with the headers of what has the right bytes. It is held if so.
    fn has_twin(&mut self, story: &Story<'_>, found: Option<usize>) -> bool {
        let itself = || {
            let live = story.object(0).filter(|live| self.compared.twins.recorded.contains_key(&live.key))?;
            Some((live.clone(), live.clone()))
        };
        let Some(both) = story.twins(found).or_else(itself) else { return false };
        let recorded = self.recorded(&both.0.key);
        self.compared.twins.add(&self.site.order, both, recorded.as_ref())
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
    let find = |fits: &dyn Fn(&Listed) -> bool| {
        layers.layers.iter().position(|layer| layer.object().is_some_and(fits))
    };
    find(&|listed| entry.is(listed)).or_else(|| find(&|listed| entry.equals(listed)))
}

impl Site {
    /// What was written down of a state, without having read it: the one that is asked for first, then the newest.
    async fn manifests(&self, identity: Identity, first: Option<Digest>) -> Result<Vec<Written>> {
        let prefix = self.manifests_of(identity)?;
        let listed = match self.known_below(&prefix) {
            Some(listed) => listed,
            None => self.client.page(&prefix, None).await?.objects,
        };
        let mut found: Vec<Written> =
            listed.iter().filter_map(|listed| Written::of(&prefix, listed, |_| Some(identity))).collect();
        found.sort_by_key(|written| (Some(written.digest) != first, Reverse(written.modified)));
        found.truncate(TRIED);
        Ok(found)
    }

    /// Reads one; `None` if it is gone, or none of ours.
    async fn open(&self, written: &Written) -> Result<Option<Manifest>> {
        let Written { key, identity, digest, .. } = written;
        let Some((body, _)) = self.client.get(key).await? else { return Ok(None) };
        let opened = Manifest::opened((self.client.bucket(), &self.live), *identity, *digest, &body);
        Ok(opened.inspect_err(|error| tracing::warn!(%error, key, "not looked at")).ok())
    }

    /// What was written down of a state, by the first one that can be read.
    pub(crate) async fn manifest_of(
        &self,
        identity: Identity,
        first: Option<Digest>,
    ) -> Result<Option<(Digest, Manifest)>> {
        for written in self.manifests(identity, first).await? {
            if let Some(manifest) = self.open(&written).await? {
                return Ok(Some((written.digest, manifest)));
            }
        }
        Ok(None)
    }

    /// What was written down of this site last, of whatever state; `None` also where there is too much to look through.
    pub(super) async fn last_manifest(&self) -> Result<Option<Manifest>> {
        let prefix = self.all_manifests()?;
        let identity = |key: &str| Some(Identity(key.split_once('/')?.0.parse().ok()?));
        let mut known = self.known_below(&prefix).map(|objects| Page { objects, next: None });
        let (mut after, mut last) = (None, None::<Written>);
        for _ in 0..PAGES {
            let page = match known.take() {
                Some(page) => page,
                None => self.client.page(&prefix, after.as_deref()).await?,
            };
            let found = page.objects.iter().filter_map(|listed| Written::of(&prefix, listed, identity));
            last = found.chain(last).max_by_key(|written| written.modified);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        match last.filter(|_| after.is_none()) {
            Some(last) => self.open(&last).await,
            None => Ok(None),
        }
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
        for written in self.manifests(identity, first).await? {
            let Some(manifest) = self.open(&written).await? else { continue };
            match self.compare_manifest(&manifest, may_remove, rules).await? {
                Ok(compared) => return Ok(Some(Ok((written.digest, compared)))),
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
        let (wanted, gone) = (manifest.by_key(), Vec::new());
        let mut held = Held { site: self, wanted, gone, manifest, rules, may_remove, compared };
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
