//! Which releases the archive has.

use rollback_core::target::{HistoryEntry, HistoryQuery, Standing};
use rollback_core::{Result, Snapshot as _};

use crate::names::Release;
use crate::site::Site;
use crate::snapshot::SiteSnapshot;

/// The releases in the archive, those that were written last first.
pub(crate) async fn of(site: &Site, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SiteSnapshot>>> {
    let live = site.see().await?.snapshot;
    let wanted = query.version.as_ref().and_then(|version| Release::new(version.as_str()).ok());
    let mut found: Vec<SiteSnapshot> = match wanted {
        Some(release) => site.release(&release).await?.into_iter().collect(),
        None => site.releases().await?,
    };
    // Listings tell whole seconds.
    let name = |snapshot: &SiteSnapshot| snapshot.release().map(ToString::to_string);
    found.sort_by_key(|snapshot| std::cmp::Reverse((snapshot.made_at, name(snapshot))));
    let mut seen = Vec::new();
    found.retain(|snapshot| {
        let new = !seen.contains(&snapshot.identity);
        seen.push(snapshot.identity);
        new && query.wants(&snapshot.info())
    });
    let standing = |snapshot: &SiteSnapshot| match &live {
        Some(live) if live.identity == snapshot.identity => Standing::Current,
        // A copy in the archive was made to be served; whether it was, our records know.
        _ => Standing::Unknown,
    };
    let entries = found.into_iter().take(query.limit).map(|snapshot| {
        let standing = standing(&snapshot);
        HistoryEntry::new(snapshot, standing)
    });
    Ok(entries.collect())
}
