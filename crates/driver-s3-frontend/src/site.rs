//! The site: what is served, where releases are, and what is ours.

use futures_util::stream::{self, Stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use rollback_core::time::Lasting;
use rollback_core::{Digest, Error, ErrorKind, Identity, Result, Token};

use crate::client::{Client, Reserved};
use crate::diff::{Change, Counts, Diff, change};
use crate::front::Front;
use crate::headers::Twins;
use crate::held::List;
use crate::manifest::Manifest;
use crate::mark::Mark;
use crate::memory::{Collected, Good, Live, Memory, Recalled};
use crate::names::{Key, Layout, Prefix, Release};
use crate::object::Listed;
use crate::order::{Order, Pages};
use crate::ours::Ours;
use crate::parts::Parts;
use crate::recent::Recent;
use crate::snapshot::{SiteSnapshot, Source};
use crate::sum::Sum;
use crate::tally::Tally;

/// How many releases are listed at a time.
const LISTED_AT_A_TIME: usize = 8;

/// One site. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) client: Client,
    pub(crate) live: Prefix,
    pub(crate) layout: Layout,
    pub(crate) state: Prefix,
    pub(crate) order: Order,
    /// After how long without a write the next one belongs to another deploy.
    pub(crate) quiet: Lasting,
    /// For how long what is kept for open tabs is kept.
    pub(crate) grace: Lasting,
    /// What is between the bucket and browsers.
    pub(crate) front: Front,
    /// What is copied in parts.
    pub(crate) parts: Parts,
    /// What was listed a moment ago.
    pub(crate) memory: Memory,
    /// Which versions were listed a moment ago.
    pub(crate) recent: Recent,
    /// What there was in our own folder a moment ago.
    pub(crate) ours: Ours,
}

/// A release in the archive, as one listing shows it.
#[derive(Debug, Clone)]
pub(crate) struct Archived {
    pub(crate) snapshot: SiteSnapshot,
    pub(crate) pages: Pages,
}

/// What is live, as one listing shows it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) tally: Tally,
    /// `None` where nothing is live.
    pub(crate) snapshot: Option<SiteSnapshot>,
    /// The identity of everything that is listed: with what is kept for open tabs.
    pub(crate) listed: Identity,
    /// Its entry points.
    pub(crate) pages: Pages,
}

/// What a release and what is live have to do with each other.
#[derive(Debug)]
pub(crate) struct Compared {
    /// Everything that differs, sorted by key.
    pub(crate) changes: Vec<Change>,
    pub(crate) counts: Counts,
    /// What the release has.
    pub(crate) release: Sum,
    /// What is live.
    pub(crate) tally: Tally,
    /// What the last rollback left, whatever happened since.
    pub(crate) mark: Option<Mark>,
    /// Until when everything of the release stays where it is; `None` where nothing takes it away.
    pub(crate) until: Option<Timestamp>,
    /// The entry points of the release.
    pub(crate) pages: Pages,
    /// Those that may have other headers.
    pub(crate) twins: Twins,
}

impl Site {
    /// What is served, in order: neither the archive nor what is ours.
    pub(crate) fn served(&self) -> impl Stream<Item = Result<Listed>> + Send + Unpin + use<> {
        let ours = [self.layout.root().clone(), self.state.clone()];
        self.client.walk(&self.live, Reserved::inside(&self.live, ours))
    }

    /// What a release has in the archive, in order.
    fn archived(&self, release: &Release) -> impl Stream<Item = Result<Listed>> + Send + Unpin + use<> {
        self.client.walk(&self.layout.of(release), Reserved::default())
    }

    /// What is served, however it is; where it was `observed` just now, as it was seen then.
    pub(crate) async fn current(&self, observed: bool) -> Result<Seen> {
        let Some(cloudfront) = self.front.pointer() else {
            return match self.memory.live().filter(|_| observed) {
                Some(live) => Ok(live.seen),
                None => self.see().await,
            };
        };
        let archived = self.pointed_to(cloudfront).await?.archived;
        let (snapshot, pages) = archived.map(|found| (found.snapshot, found.pages)).unzip();
        let listed = snapshot.as_ref().map_or(Sum::default().identity(), |snapshot| snapshot.identity);
        Ok(Seen { tally: Tally::default(), snapshot, listed, pages: pages.unwrap_or_default() })
    }

    /// Looks at what is live, for core: what comes next may rely on it.
    pub(crate) async fn observe(&self, after: Option<&Token>) -> Result<Seen> {
        let begun = self.memory.looks(after);
        let live = self.read(Some(self.memory.collect())).await?;
        let seen = live.seen.clone();
        self.memory.looked(&begun, after, live);
        Ok(seen)
    }

    /// Looks at what is live.
    pub(crate) async fn see(&self) -> Result<Seen> {
        Ok(self.read(None).await?.seen)
    }

    /// Reads what is live, and holds its list where that is asked for.
    async fn read(&self, mut collected: Option<Collected>) -> Result<Live> {
        let listing = async {
            let (mut tally, mut sum, mut newest) = (Tally::default(), Sum::default(), None);
            let (mut served, mut pages) = (self.served(), Pages::default());
            while let Some(listed) = served.try_next().await? {
                self.count(&mut tally, &listed);
                newest = newest.max(Some(listed.modified));
                sum.add(&listed)?;
                pages.add(&self.order, &listed.key);
                collected.iter_mut().for_each(|collected| collected.add(&listed));
            }
            Ok((tally, sum, newest, pages))
        };
        let ((tally, sum, newest, pages), mark) = futures_util::try_join!(listing, self.mark())?;
        let mut seen = Seen { tally, snapshot: None, listed: sum.identity(), pages };
        if sum.totals().objects > 0 {
            let mut snapshot = SiteSnapshot::new(self.client.bucket().clone(), self.live.clone(), &sum)?;
            snapshot.made_at = newest;
            seen.snapshot = Some(match &mark {
                Some(mark) => mark.applies(&tally, snapshot)?,
                None => snapshot,
            });
        }
        Ok(Live { seen, mark, list: collected.and_then(Collected::whole) })
    }

    /// A release in the archive; `None` if it has no objects.
    pub(crate) async fn release(&self, release: &Release, good: Good) -> Result<Option<SiteSnapshot>> {
        if let Some((archived, _)) = self.memory.release(release, good) {
            return Ok(Some(archived.snapshot));
        }
        Ok(self.listed(release).await?.map(|archived| archived.snapshot))
    }

    /// A release in the archive, with its entry points; `None` if it has no objects.
    pub(crate) async fn listed(&self, release: &Release) -> Result<Option<Archived>> {
        let (mut sum, mut newest, mut pages) = (Sum::default(), None, Pages::default());
        let (mut archived, mut collected) = (self.archived(release), self.memory.collect());
        while let Some(listed) = archived.try_next().await? {
            newest = newest.max(Some(listed.modified));
            sum.add(&listed)?;
            pages.add(&self.order, &listed.key);
            collected.add(&listed);
        }
        let found = self.made(release, &sum, newest, pages)?;
        self.memory.listed(release, found.as_ref(), collected);
        Ok(found)
    }

    /// What the list of a release makes; `None` if that is empty.
    fn made(
        &self,
        release: &Release,
        sum: &Sum,
        newest: Option<Timestamp>,
        pages: Pages,
    ) -> Result<Option<Archived>> {
        if sum.totals().objects == 0 {
            return Ok(None);
        }
        let mut snapshot = SiteSnapshot::new(self.client.bucket().clone(), self.live.clone(), sum)?;
        snapshot.made_at = newest;
        snapshot.sources = vec![Source::Archive(release.clone())];
        Ok(Some(Archived { snapshot, pages }))
    }

    /// All releases in the archive, in no order, at most once each.
    pub(crate) async fn releases(&self, good: Good) -> Result<Vec<SiteSnapshot>> {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let (folders, next) = self.client.folders(self.layout.root(), after.as_deref()).await?;
            names.extend(folders.iter().filter_map(|folder| self.layout.release_of(folder)));
            after = next;
            if after.is_none() {
                break;
            }
        }
        let read = stream::iter(names).map(|release| async move { self.release(&release, good).await });
        read.buffer_unordered(LISTED_AT_A_TIME)
            .try_filter_map(|found| async { Ok(found) })
            .try_collect()
            .await
    }

    /// The release in the archive that holds this, if there is one.
    pub(crate) async fn find(&self, identity: Identity, good: Good) -> Result<Option<Release>> {
        let found = self.releases(good).await?.into_iter().filter(|found| found.identity == identity);
        // Two copies of the same: always the same one of them.
        Ok(found.filter_map(|found| found.release().cloned()).min())
    }

    /// The release in the archive that holds this, against what is live. Where it is thought to be, it is listed once.
    pub(crate) async fn find_and_compare(
        &self,
        identity: Identity,
        hint: Option<&Release>,
        recalled: &Recalled,
    ) -> Result<Option<(Release, Compared)>> {
        let noted = self.noted(identity, None).await?;
        let noted = noted.as_ref();
        if let Some(hint) = hint {
            match self.compare(hint, recalled, noted).await {
                Ok(compared) if compared.release.identity() == identity => {
                    return Ok(Some((hint.clone(), compared)));
                }
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let Some(release) = self.find(identity, recalled.releases).await? else { return Ok(None) };
        let compared = self.compare(&release, recalled, noted).await?;
        Ok(Some((release, compared)))
    }

    /// Holds a release in the archive against what is live, with what was written down of it when it was served.
    pub(crate) async fn compare(
        &self,
        release: &Release,
        recalled: &Recalled,
        noted: Option<&Manifest>,
    ) -> Result<Compared> {
        let live = recalled.live.as_ref().and_then(|live| Some((live.list.clone()?, live.mark.clone())));
        let (list, known) = live.unzip();
        let mark = async {
            match known {
                Some(mark) => Ok(mark),
                None => self.mark().await,
            }
        };
        let diff = self.diff(release, recalled.releases, list.as_ref(), noted);
        let (mut compared, mark) = futures_util::try_join!(diff, mark)?;
        // Everything that was there is gone: going on would empty the site.
        if compared.release.totals().objects == 0 {
            let found = format!("release {release} has no objects under {}", self.layout.of(release));
            return Err(Error::new(ErrorKind::NotFound, "read the archive", found)
                .next("choose another release: rollback history"));
        }
        compared.mark = mark;
        self.settled(&self.layout.of(release), compared).await
    }

    /// With what can be found out of contents that cannot be compared by what was listed.
    pub(crate) async fn settled(&self, from: &Prefix, compared: Compared) -> Result<Compared> {
        let Compared { changes, counts, mark, mut twins, .. } = compared;
        let resolved = stream::iter(changes).map(|change| async {
            let unclear = change.both().filter(|(entry, _)| twins.unclear.contains_key(&entry.key));
            let resolved = self.resolve(from, mark.as_ref(), change).await?;
            Ok::<_, Error>((unclear.filter(|_| resolved == Change::Same), resolved))
        });
        let resolved: Vec<_> = resolved.buffered(LISTED_AT_A_TIME).try_collect().await?;
        let mut unclear = std::mem::take(&mut twins.unclear);
        // What has the right bytes after all may have other headers.
        let mut keep = |(both, resolved): (Option<(Listed, Listed)>, Change)| {
            let held = both.is_some_and(|both| {
                let recorded = unclear.remove(&both.0.key);
                twins.add(&self.order, both, recorded.as_ref())
            });
            (!held).then_some(resolved)
        };
        let mut resolved: Vec<Change> = resolved.into_iter().filter_map(&mut keep).collect();
        let mut counts = Counts { same: counts.same + twins.unasked, ..Counts::default() };
        resolved.extend(self.ask_for_headers(&mut twins).await?);
        resolved.iter().for_each(|change| counts.add(change));
        let mut changes: Vec<Change> =
            resolved.into_iter().filter(|change| *change != Change::Same).collect();
        changes.sort_by(|one, other| one.key().cmp(&other.key()));
        Ok(Compared { changes, counts, mark, twins, ..compared })
    }

    /// One pass over both lists, of which what is remembered is not read again.
    async fn diff(
        &self,
        release: &Release,
        good: Good,
        live: Option<&List>,
        noted: Option<&Manifest>,
    ) -> Result<Compared> {
        let (mut tally, mut sum, mut newest) = (Tally::default(), Sum::default(), None);
        let mut pages = Pages::default();
        let known = self.memory.release(release, good).and_then(|(_, list)| list);
        let mut collected = known.is_none().then(|| self.memory.collect());
        let archived = match &known {
            Some(list) => list.walk().left_stream(),
            None => self.archived(release).right_stream(),
        };
        let archived = archived.map(|listed| {
            let listed = listed?;
            newest = newest.max(Some(listed.modified));
            sum.add(&listed)?;
            pages.add(&self.order, &listed.key);
            collected.iter_mut().for_each(|collected| collected.add(&listed));
            Ok(listed)
        });
        let served = match live {
            Some(list) => list.walk().left_stream(),
            None => self.served().right_stream(),
        };
        let served = served.inspect_ok(|listed| self.count(&mut tally, listed));
        let (changes, counts, twins) = self.held_against(Diff::new(archived, served), noted).await?;
        if let Some(collected) = collected {
            let found = self.made(release, &sum, newest, pages.clone())?;
            self.memory.listed(release, found.as_ref(), collected);
        }
        Ok(Compared { changes, counts, release: sum, tally, mark: None, until: None, pages, twins })
    }

    /// What differs, and what may have other headers than those that were written down.
    async fn held_against<R, L>(
        &self,
        mut diff: Diff<R, L>,
        noted: Option<&Manifest>,
    ) -> Result<(Vec<Change>, Counts, Twins)>
    where
        R: Stream<Item = Result<Listed>> + Unpin + Send,
        L: Stream<Item = Result<Listed>> + Unpin + Send,
    {
        let (mut changes, mut counts, mut twins) = (Vec::new(), Counts::default(), Twins::default());
        while let Some(met) = diff.meet().await? {
            if noted.is_some_and(|noted| noted.doubts(&self.order, &met, &mut twins)) {
                continue;
            }
            let Some(change) = change(met) else { continue };
            counts.add(&change);
            if change != Change::Same {
                noted.iter().for_each(|noted| noted.along(&change, &mut twins));
                changes.push(change);
            }
        }
        Ok((changes, counts, twins))
    }

    /// Tags of copies differ where they are no hash: of objects that were uploaded in parts, or that a KMS key encrypts. A mark of
    /// ours knows what it was copied from, else both objects are asked for their checksums.
    async fn resolve(&self, from: &Prefix, mark: Option<&Mark>, change: Change) -> Result<Change> {
        let (Change::Unknown(entry, listed) | Change::Differs(entry, listed)) = &change else {
            return Ok(change);
        };
        if entry.content.size == listed.content.size && mark.is_some_and(|mark| mark.knows(entry, listed)) {
            return Ok(Change::Same);
        }
        if matches!(change, Change::Differs(..)) {
            return Ok(change);
        }
        let (source, live) = (from.join(&entry.key), self.full(&entry.key));
        let source = self.client.head(&source, entry.version.as_ref());
        let heads = futures_util::try_join!(source, self.client.head(&live, None))?;
        let (Some(source), Some(live)) = heads else { return Ok(change) };
        Ok(if source.content.same(&live.content) == Some(true) { Change::Same } else { change })
    }

    pub(crate) fn count(&self, tally: &mut Tally, listed: &Listed) {
        if let Some(etag) = &listed.content.etag {
            tally.add_below(self.live.as_str(), listed.key.as_str(), listed.content.size, etag);
        }
    }

    /// What this site is called in `state`, where other sites of the bucket may write as well.
    pub(crate) fn name(&self) -> String {
        Digest::of_bytes(self.live.as_str().as_bytes()).short()
    }

    /// Where something is noted of this site, by how that ends.
    pub(crate) fn note_at(&self, end: &str) -> String {
        format!("{}live/{}{end}", self.state, self.name())
    }

    /// The full key of what is served as `key`.
    pub(crate) fn full(&self, key: &Key) -> String {
        self.live.join(key)
    }
}
