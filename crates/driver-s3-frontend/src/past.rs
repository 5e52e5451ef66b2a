//! What was served at a time, as the versions of the objects tell it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use futures_util::stream::Stream;
use jiff::Timestamp;
use rollback_core::time::Lasting;
use rollback_core::{Digest, Error, ErrorKind, Identity, Result};

use crate::client::{Layer, Layers, Marker, Reserved, Rule, Versioning, readable};
use crate::diff::{Change, Counts, compare};
use crate::headers::Twins;
use crate::manifest::{Gone, Manifest};
use crate::memory::Recalled;
use crate::object::Listed;
use crate::order::Pages;
use crate::removed::{Absence, Removed};
use crate::site::{Compared, Site};
use crate::snapshot::{SiteSnapshot, Source};
use crate::sum::Sum;
use crate::tally::Tally;

/// How many moments are held against an identity whose time is not known.
const SOUGHT: usize = 100;

/// One state of the past.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// When its last object was written.
    pub(crate) at: Timestamp,
    pub(crate) snapshot: SiteSnapshot,
}

/// The past, as far as it was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    /// Newest first.
    pub(crate) states: Vec<State>,
    /// The last time anything was written.
    pub(crate) newest: Option<Timestamp>,
}

/// Where the versions of a state are thought to be known from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Thought {
    /// When it was served.
    pub(crate) at: Option<Timestamp>,
    /// Which manifest names them.
    pub(crate) manifest: Option<Digest>,
    /// When its newest object was written.
    pub(crate) seen: Option<Timestamp>,
}

/// What came of looking for the versions of a state.
#[derive(Debug)]
pub(crate) enum Sought {
    /// They are known from there, and this differs from what is live.
    Found(Source, Box<Compared>),
    /// They are not to be had; of those that were written down, what is gone.
    Nowhere(Option<Gone>),
}

impl Sought {
    fn found(self) -> Option<Compared> {
        match self {
            Self::Found(_, compared) => Some(*compared),
            Self::Nowhere(_) => None,
        }
    }
}

/// Everything under one key, with what is not there any more and is still known.
pub(crate) struct Story<'a> {
    layers: &'a Layers,
    absences: &'a [Absence],
}

impl<'a> Story<'a> {
    pub(crate) fn of(layers: &'a Layers, removed: &'a Removed) -> Self {
        Self { layers, absences: removed.of(&layers.key) }
    }

    /// Where among the layers that object is that was there at a time.
    fn at(&self, at: Timestamp) -> Option<usize> {
        let found = self.layers.layers.iter().position(|layer| layer.modified() <= at)?;
        let object = self.layers.layers[found].object()?;
        let hidden = self.absences.iter().any(|absence| absence.hides(object.modified, at));
        (!hidden).then_some(found)
    }

    pub(crate) fn object(&self, at: usize) -> Option<&'a Listed> {
        self.layers.layers.get(at)?.object()
    }

    /// What must be done for that object to be there again, or for none to be.
    pub(crate) fn change(&self, wanted: Option<usize>, may_remove: bool) -> Option<Change> {
        let live = self.object(0);
        let Some(at) = wanted else { return live.cloned().map(Change::Extra) };
        let entry = self.object(at)?.clone();
        if at == 0 {
            return Some(Change::Same);
        }
        if let Some(live) = live {
            return Some(compare(entry, live.clone()));
        }
        let marker = |layer: &Layer| match layer {
            Layer::Marker(marker) => Some(marker.clone()),
            Layer::Object(_) => None,
        };
        // Only what stands in front of it goes, and only where nothing else was written since.
        let markers: Option<Vec<Marker>> = self.layers.layers[..at].iter().map(marker).collect();
        Some(match markers.filter(|_| may_remove) {
            Some(markers) => Change::Hidden(entry, markers),
            None => Change::Missing(entry),
        })
    }

    /// That object and what is live, where these are not one version.
    pub(crate) fn twins(&self, wanted: Option<usize>) -> Option<(Listed, Listed)> {
        let at = wanted.filter(|at| *at > 0)?;
        Some((self.object(at)?.clone(), self.object(0)?.clone()))
    }

    /// When a rule takes that object away, which is not current any more.
    pub(crate) fn expires(&self, at: usize, full: &str, rules: &[Rule]) -> Option<Timestamp> {
        let replaced = self.layers.layers.get(at.checked_sub(1)?)?.modified();
        rules.iter().filter(|rule| rule.fits(full)).map(|rule| rule.removes(replaced)).min()
    }
}

/// The ends of the newest deploys, newest first: of writes that follow each other within `quiet`, the last one.
fn moments(times: &BTreeSet<Timestamp>, quiet: Lasting, most: usize) -> Vec<Timestamp> {
    let mut newer = None;
    let ends = times.iter().rev().filter(|at| {
        let next = newer.replace(**at);
        next.is_none_or(|next| quiet.after(**at) < next)
    });
    ends.take(most).copied().collect()
}

impl Site {
    /// Everything that was ever served, key by key.
    pub(crate) fn layers(&self) -> impl Stream<Item = Result<Layers>> + Send + Unpin + use<> {
        let ours = [self.layout.root().clone(), self.state.clone()];
        self.recent_or(self.client.layers(&self.live, Reserved::inside(&self.live, ours)))
    }

    /// When anything was written or deleted.
    async fn times(&self, removed: &Removed) -> Result<BTreeSet<Timestamp>> {
        let mut times = BTreeSet::new();
        let mut all = self.layers();
        while let Some(layers) = all.try_next().await? {
            times.extend(layers.layers.iter().map(Layer::modified));
            times.extend(removed.of(&layers.key).iter().flat_map(Absence::times));
        }
        Ok(times)
    }

    /// What was served at these times; nothing is said of times at which nothing was.
    async fn states(&self, removed: &Removed, times: &[Timestamp]) -> Result<Vec<State>> {
        let mut sums = vec![Sum::default(); times.len()];
        let mut all = self.layers();
        while let Some(layers) = all.try_next().await? {
            let story = Story::of(&layers, removed);
            for (at, sum) in times.iter().zip(&mut sums) {
                if let Some(object) = story.at(*at).and_then(|found| story.object(found)) {
                    sum.add(object)?;
                }
            }
        }
        let served = times.iter().zip(&sums).filter(|(_, sum)| sum.totals().objects > 0);
        served
            .map(|(at, sum)| {
                let mut snapshot = SiteSnapshot::new(self.client.bucket().clone(), self.live.clone(), sum)?;
                snapshot.sources = vec![Source::Versions(*at)];
                Ok(State { at: *at, snapshot })
            })
            .collect()
    }

    /// What the newest deploys left, newest first; nothing where the bucket does not keep versions. It goes through the versions twice:
    /// when there were deploys, and what each of them left.
    pub(crate) async fn past(&self, most: usize) -> Result<Past> {
        if !matches!(self.versioning().await?, Versioning::On { .. }) {
            return Ok(Past::default());
        }
        let removed = self.removed().await?;
        let times = self.times(&removed).await?;
        let states = self.remembering().states(&removed, &moments(&times, self.quiet, most)).await?;
        Ok(Past { states, newest: times.last().copied() })
    }

    /// When this was served, if the versions still show it. One that was seen with a newest object of that time was there right after
    /// it, until something else was written.
    async fn find_past(&self, identity: Identity, seen: Option<Timestamp>) -> Result<Option<Timestamp>> {
        let removed = self.removed().await?;
        let times = self.times(&removed).await?;
        let mut sought = moments(&times, self.quiet, SOUGHT);
        if let Some(seen) = seen {
            sought.extend(times.range(seen..).take(SOUGHT));
        }
        let states = self.remembering().states(&removed, &sought).await?;
        let found = states.iter().filter(|state| state.snapshot.identity == identity);
        Ok(found.map(|state| state.at).max())
    }

    /// Which versions make this, against what is live; nowhere where the bucket keeps none, or they do not show it.
    pub(crate) async fn find_and_compare_past(&self, to: &SiteSnapshot, rules: &[Rule]) -> Result<Sought> {
        let Versioning::On { mfa_delete } = self.versioning().await? else {
            return Ok(Sought::Nowhere(None));
        };
        let thought = Thought { at: to.time(), manifest: to.manifest(), seen: to.made_at };
        self.compare_found(to.identity, thought, !mfa_delete, rules).await
    }

    /// The same: from when it is thought to have been served, else as it was written down, else at any time that may be it.
    pub(crate) async fn compare_found(
        &self,
        identity: Identity,
        thought: Thought,
        may_remove: bool,
        rules: &[Rule],
    ) -> Result<Sought> {
        if let Some(at) = thought.at {
            let noted = self.noted(identity, thought.manifest).await?;
            match self.compare_past(at, may_remove, rules, noted.as_ref()).await {
                Ok(compared) if compared.release.identity() == identity => {
                    return Ok(Sought::Found(Source::Versions(at), compared.into()));
                }
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let gone = match self.compare_recorded(identity, thought.manifest, may_remove, rules).await? {
            Some(Ok((digest, compared))) => {
                return Ok(Sought::Found(Source::Manifest(digest), compared.into()));
            }
            Some(Err(gone)) => Some(gone),
            None => None,
        };
        let Some(at) = self.find_past(identity, thought.seen.or(thought.at)).await? else {
            return Ok(Sought::Nowhere(gone));
        };
        let noted = self.noted(identity, None).await?;
        let compared = self.compare_past(at, may_remove, rules, noted.as_ref()).await?;
        // Versions may go at any time.
        Ok(match compared.release.identity() == identity {
            true => Sought::Found(Source::Versions(at), compared.into()),
            false => Sought::Nowhere(gone),
        })
    }

    /// What was written down of a state, for whoever need not know: it tells which headers its objects had.
    pub(crate) async fn noted(&self, identity: Identity, first: Option<Digest>) -> Result<Option<Manifest>> {
        let found = readable(self.manifest_of(identity, first).await)?.ok().flatten();
        Ok(found.map(|(_, manifest)| manifest))
    }

    /// These contents, wherever they are to be had, against what is live: in the archive or in the versions, first where they are
    /// thought to be.
    pub(crate) async fn locate(&self, to: &SiteSnapshot, recalled: &Recalled) -> Result<Option<Compared>> {
        let archived = async || {
            let found = self.find_and_compare(to.identity, to.release(), recalled).await?;
            Ok::<_, Error>(found.map(|(_, compared)| compared))
        };
        let served = async || match readable(self.find_and_compare_past(to, &[]).await)? {
            // Who may not list versions still has the archive.
            Err(_) if to.time().is_none() && to.manifest().is_none() => Ok(None),
            found => Ok::<_, Error>(found?.found()),
        };
        if to.release().is_none() && (to.time().is_some() || to.manifest().is_some()) {
            return Ok(match served().await? {
                Some(compared) => Some(compared),
                None => archived().await?,
            });
        }
        Ok(match archived().await? {
            Some(compared) => Some(compared),
            None => served().await?,
        })
    }

    /// Holds what was served at a time against what is live: one pass over all versions.
    async fn compare_past(
        &self,
        at: Timestamp,
        may_remove: bool,
        rules: &[Rule],
        noted: Option<&Manifest>,
    ) -> Result<Compared> {
        let (removed, mark) = futures_util::try_join!(self.removed(), self.mark())?;
        let (mut tally, mut sum, mut until) = (Tally::default(), Sum::default(), None);
        let (mut changes, mut counts, mut pages) = (Vec::new(), Counts::default(), Pages::default());
        let (mut all, mut twins) = (self.layers(), Twins::default());
        while let Some(layers) = all.try_next().await? {
            let story = Story::of(&layers, &removed);
            if let Some(live) = story.object(0) {
                self.count(&mut tally, live);
            }
            let wanted = story.at(at);
            if let Some((found, object)) = wanted.and_then(|found| Some((found, story.object(found)?))) {
                sum.add(object)?;
                pages.add(&self.order, &object.key);
                let expires = story.expires(found, &self.full(&layers.key), rules);
                until = [until, expires].into_iter().flatten().min();
            }
            let recorded = wanted.and_then(|found| noted?.of_version(story.object(found)?));
            match story.change(wanted, may_remove) {
                Some(Change::Same)
                    if story.twins(wanted).is_some_and(|both| twins.add(&self.order, both, recorded)) => {}
                Some(Change::Same) => counts.add(&Change::Same),
                Some(change) => {
                    if matches!(change, Change::Unknown(..) | Change::Differs(..)) {
                        twins.unclear.extend(recorded.map(|found| (layers.key.clone(), Arc::clone(found))));
                    }
                    changes.push(change);
                }
                None => {}
            }
        }
        if sum.totals().objects == 0 {
            return Err(Error::new(
                ErrorKind::NotFound,
                "read the versions",
                format!("nothing was served at {at}"),
            )
            .next("choose another time: rollback history"));
        }
        let compared = Compared { changes, counts, release: sum, tally, mark, until, pages, twins };
        self.settled(&self.live, compared).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Key;
    use crate::object::{Content, ETag, VersionId};

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn object(second: i64, content: u8) -> Layer {
        let content = Content::listed(7, ETag::new(format!("{content:032x}")).unwrap());
        let listed = Listed::new(Key::new("index.html").unwrap(), content, time(second));
        Layer::Object(listed.with_version(VersionId::new(format!("v{second}")).unwrap()))
    }

    fn marker(second: i64) -> Layer {
        let version = VersionId::new(format!("m{second}")).unwrap();
        Layer::Marker(Marker { version, modified: time(second) })
    }

    fn change(layers: Vec<Layer>, at: i64, may_remove: bool) -> Option<Change> {
        let layers = Layers { key: Key::new("index.html").unwrap(), layers };
        let removed = Removed::default();
        let story = Story::of(&layers, &removed);
        story.change(story.at(time(at)), may_remove)
    }

    #[test]
    fn each_key_goes_back_in_the_way_that_its_past_asks_for() {
        // Unchanged, and unchanged in content.
        assert_eq!(change(vec![object(10, 1)], 10, true), Some(Change::Same));
        assert_eq!(change(vec![object(20, 1), object(10, 1)], 10, true), Some(Change::Same));
        // Written over: that version is copied.
        let Some(Change::Differs(entry, _)) = change(vec![object(20, 2), object(10, 1)], 15, true) else {
            panic!()
        };
        assert_eq!(entry.version.unwrap().as_str(), "v10");
        // Absent then, and before that.
        assert!(matches!(change(vec![object(20, 2)], 15, true), Some(Change::Extra(_))));
        assert!(matches!(
            change(vec![object(20, 2), marker(12), object(10, 1)], 15, true),
            Some(Change::Extra(_))
        ));
        assert_eq!(change(vec![marker(30), object(20, 2)], 15, true), None, "absent then and now");
        // Only markers since: exactly those go, both of them.
        let Some(Change::Hidden(entry, markers)) =
            change(vec![marker(30), marker(20), object(10, 1)], 15, true)
        else {
            panic!()
        };
        assert_eq!((entry.modified, markers.len()), (time(10), 2));
        // With something else in between, or where no marker may go, it is copied.
        for (layers, may_remove) in
            [(vec![marker(30), object(20, 2), object(10, 1)], true), (vec![marker(30), object(10, 1)], false)]
        {
            assert!(matches!(change(layers, 15, may_remove), Some(Change::Missing(_))));
        }
    }

    #[test]
    fn a_deploy_ends_where_it_is_quiet() {
        let times: BTreeSet<_> = [0, 30, 60, 200, 230, 1000].map(time).into();
        let ends = |quiet, most| moments(&times, Lasting::from_secs(quiet), most);
        assert_eq!(ends(60, 10), [1000, 230, 60].map(time));
        assert_eq!(ends(60, 2), [1000, 230].map(time));
        assert_eq!(ends(10, 10).len(), 6);
    }

    #[test]
    fn a_version_expires_days_after_it_was_replaced() {
        let layers =
            Layers { key: Key::new("index.html").unwrap(), layers: vec![object(86_400, 2), object(10, 1)] };
        let removed = Removed::default();
        let story = Story::of(&layers, &removed);
        let rules = [Rule { id: "tidy".to_owned(), prefix: "live/".to_owned(), days: 2 }];
        assert_eq!(story.expires(1, "live/index.html", &rules), Some(time(3 * 86_400)));
        assert_eq!(story.expires(0, "live/index.html", &rules), None, "the current version stays");
        assert_eq!(story.expires(1, "other/index.html", &rules), None);
    }
}
