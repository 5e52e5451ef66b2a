//! Which releases the archive has, and what was served before, as versions tell it.

use std::cmp::Reverse;

use jiff::Timestamp;
use rollback_core::target::{HistoryEntry, HistoryQuery, Standing};
use rollback_core::{ErrorKind, Result, Snapshot as _};

use crate::client::Rule;
use crate::names::Release;
use crate::past::Past;
use crate::site::{Seen, Site};
use crate::snapshot::{SiteSnapshot, Source};

/// The releases in the archive and the states that were served, those that were served or written last first.
pub(crate) async fn of(site: &Site, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SiteSnapshot>>> {
    let wanted = query.version.as_ref().and_then(|version| Release::new(version.as_str()).ok());
    let releases = async {
        match &wanted {
            Some(release) => Ok(site.release(release).await?.into_iter().collect()),
            None => site.releases().await,
        }
    };
    let past = async {
        match &query.version {
            // Where a release is served from the archive itself, nothing is ever written over.
            _ if site.front.pointer => Ok(Ok((Past::default(), Vec::new()))),
            // Only releases in the archive have one.
            Some(_) => Ok(Ok((Past::default(), Vec::new()))),
            None => past(site, query.limit).await,
        }
    };
    let (seen, releases, past) = futures_util::try_join!(site.current(), releases, past)?;
    let (past, rules) = match past {
        // Who may not list versions still has the archive.
        Err(denied) if releases.is_empty() => return Err(denied),
        Err(denied) => {
            tracing::warn!(%denied, "the versions of the bucket are left out");
            (Past::default(), Vec::new())
        }
        Ok(found) => found,
    };
    let entries = merged(&seen, releases, &past, &rules);
    Ok(entries.into_iter().filter(|entry| query.wants(&entry.snapshot.info())).take(query.limit).collect())
}

type Found = (Past, Vec<Rule>);

async fn past(site: &Site, most: usize) -> Result<Result<Found>> {
    let past = match site.past(most).await {
        Err(error) if error.kind() == ErrorKind::Denied => return Ok(Err(error)),
        past => past?,
    };
    // Whether rules can be read is said where they matter: in a plan.
    let rules = if past.states.is_empty() {
        Vec::new()
    } else {
        site.client.rules(&site.live).await.unwrap_or_default()
    };
    Ok(Ok((past, rules)))
}

/// Each state once, with all that is known of it.
fn merged(
    seen: &Seen,
    releases: Vec<SiteSnapshot>,
    past: &Past,
    rules: &[Rule],
) -> Vec<HistoryEntry<SiteSnapshot>> {
    let mut entries: Vec<HistoryEntry<SiteSnapshot>> = Vec::new();
    let mut releases = releases;
    // Two copies of the same: always the same one of them.
    releases.sort_by_key(|release| Reverse((release.made_at, release.release().cloned())));
    for release in releases {
        if entries.iter().all(|entry| entry.snapshot.identity != release.identity) {
            // A copy in the archive was made to be served; whether it was, our records may know.
            entries.push(HistoryEntry::new(release, Standing::Unknown));
        }
    }
    for state in &past.states {
        let mut snapshot = state.snapshot.clone();
        // What is kept for open tabs is no part of what is live.
        match &seen.snapshot {
            Some(live) if snapshot.identity == seen.listed && live.identity != seen.listed => {
                snapshot = live.clone();
            }
            _ => {}
        }
        let place = entries.iter().position(|entry| entry.snapshot.identity == snapshot.identity);
        let mut entry = match place {
            Some(place) => entries.swap_remove(place),
            None => {
                let mut entry = HistoryEntry::new(snapshot.clone(), Standing::Ran);
                entry.unrestorable = taken_away(state.at, past.newest, rules);
                entry
            }
        };
        entry.standing = Standing::Ran;
        // What was served then was made by then, whenever its copy in the archive was.
        entry.snapshot.made_at = entry.snapshot.made_at.map(|made| made.min(state.at));
        let new = snapshot.sources.into_iter().filter(|source| !has(&entry.snapshot, source));
        let new: Vec<Source> = new.collect();
        entry.snapshot.sources.extend(new);
        entries.push(entry.with_another_run(state.at));
    }
    for entry in &mut entries {
        if seen.snapshot.as_ref().is_some_and(|live| live.identity == entry.snapshot.identity) {
            entry.standing = Standing::Current;
            entry.unrestorable = None;
        }
    }
    // Listings tell whole seconds.
    let name = |entry: &HistoryEntry<SiteSnapshot>| entry.snapshot.release().cloned();
    entries.sort_by_key(|entry| Reverse((entry.ran_at.or(entry.snapshot.made_at), name(entry))));
    entries
}

/// Whether it names this source, or a newer one of the same kind.
fn has(snapshot: &SiteSnapshot, source: &Source) -> bool {
    match source {
        Source::Archive(_) => snapshot.sources.contains(source),
        Source::Versions(_) => snapshot.time().is_some(),
    }
}

/// Why a state may lack objects: versions that were replaced after it may be gone already, and nobody could tell.
fn taken_away(at: Timestamp, newest: Option<Timestamp>, rules: &[Rule]) -> Option<String> {
    let newest = newest?;
    let rule = rules.iter().find(|rule| rule.removes(at) <= newest)?;
    Some(format!(
        "lifecycle rule {} removes versions {} days after they were replaced, and some of then may be gone",
        rule.id, rule.days
    ))
}
