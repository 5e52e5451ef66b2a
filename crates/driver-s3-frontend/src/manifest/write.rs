//! Writing down which objects make what is served.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use rollback_core::{Error, ErrorKind, Identity, Occasion, Result};

use super::{Entry, MOST, Manifest, identity_of};
use crate::client::{Expected, Layers, Versioning, readable};
use crate::mark::Mark;
use crate::names::Key;
use crate::object::{ETag, Listed};
use crate::site::Site;
use crate::snapshot::SiteSnapshot;
use crate::tally::Tally;

impl Site {
    /// Writes down which objects, and which versions of them, make what is served now.
    pub(crate) async fn remember_state(&self, snapshot: &SiteSnapshot, occasion: Occasion) -> Result<()> {
        if snapshot.objects > MOST as u64 {
            let found = format!("it has {} objects, and a manifest holds {MOST}", snapshot.objects);
            return Err(Error::new(ErrorKind::Unsupported, "write a manifest", found)
                .next("keep a copy of each release in the archive"));
        }
        let mark = async {
            match self.memory.live() {
                Some(live) => Ok(live.mark),
                None => self.mark().await,
            }
        };
        let (live, mark) = futures_util::try_join!(self.live_objects(), mark)?;
        let objects = self.of_state(snapshot, live, mark.as_ref()).await?;
        let before = self.before(snapshot.identity).await?;
        // Nobody waits for the headers of what is left where they are known already.
        if occasion == Occasion::Leaving
            && before.as_ref().is_some_and(|before| before.is_of(snapshot, &objects))
        {
            return Ok(());
        }
        let headers = self.headers_to_record(&objects, before.as_ref(), occasion).await?;
        let (body, digest) =
            Manifest::new((self.client.bucket(), &self.live), snapshot.identity, objects, headers)
                .sealed()?;
        let full = format!("{}{}.json", self.manifests_of(snapshot.identity)?, digest.hex());
        match self.write_ours(&full, body, Some(&Expected::Absent)).await {
            // Its name is the digest of what it holds: whoever was there first wrote the same.
            Err(error) if matches!(error.kind(), ErrorKind::Stale | ErrorKind::Conflict) => Ok(()),
            written => written.map(drop),
        }
    }

    /// What was written down last: of this state, or else of any other one of this site.
    async fn before(&self, identity: Identity) -> Result<Option<Manifest>> {
        if let Some((_, of_this)) = readable(self.manifest_of(identity, None).await)?.ok().flatten() {
            return Ok(Some(of_this));
        }
        Ok(readable(self.last_manifest().await)?.ok().flatten())
    }

    /// What is live, with versions where the bucket keeps them and they may be listed.
    async fn live_objects(&self) -> Result<Vec<Listed>> {
        let keeps = readable(self.remembering().versioning().await)?;
        if matches!(keeps, Ok(Versioning::On { .. })) {
            let newest = |layers: Layers| async move { Ok(layers.layers.into_iter().next()) };
            let all = self.layers().try_filter_map(newest);
            let objects = all.try_filter_map(|layer| async move { Ok(layer.object().cloned()) });
            match readable(objects.try_collect().await)? {
                Ok(objects) => return Ok(objects),
                Err(denied) => tracing::warn!(%denied, "a manifest without the versions of its objects"),
            }
        }
        match self.memory.live().and_then(|live| live.list) {
            Some(list) => list.walk().try_collect().await,
            None => self.served().boxed().try_collect().await,
        }
    }

    /// Those of the live objects that make this state: what is kept for open tabs is no part of it.
    async fn of_state(
        &self,
        snapshot: &SiteSnapshot,
        live: Vec<Listed>,
        mark: Option<&Mark>,
    ) -> Result<Vec<Entry>> {
        let none = BTreeMap::new();
        let plain = entries(&live, &none);
        if identity_of(&plain)? == snapshot.identity {
            return Ok(plain);
        }
        let mut tally = Tally::default();
        live.iter().for_each(|listed| self.count(&mut tally, listed));
        let Some(mark) = mark.filter(|mark| mark.is_of(&tally, snapshot.identity)) else {
            let found = format!("something else than {} is served by now", snapshot.revision);
            return Err(Error::new(ErrorKind::Stale, "write a manifest", found)
                .next("wait until no deploy is under way, then record what is served: rollback record"));
        };
        let retained = self.retained().await?.map(|(retained, _)| retained).unwrap_or_default();
        let part = |listed: &&Listed| !retained.holds(listed);
        let own: Vec<Listed> = live.iter().filter(part).cloned().collect();
        let own = entries(&own, mark.known());
        if identity_of(&own)? == snapshot.identity {
            return Ok(own);
        }
        let found = "which of the live objects are only kept for open tabs is not known";
        Err(Error::new(ErrorKind::Unsupported, "write a manifest", found)
            .next("nothing need be done: the next deploy can be recorded again"))
    }
}

/// What is listed, with what it is known to be a copy of.
fn entries(live: &[Listed], copied: &BTreeMap<Key, (ETag, ETag)>) -> Vec<Entry> {
    let from = |listed: &Listed| {
        let (from, to) = copied.get(&listed.key)?;
        (Some(to) == listed.content.etag.as_ref()).then_some(from)
    };
    live.iter().filter_map(|listed| Entry::of(listed, from(listed))).collect()
}
