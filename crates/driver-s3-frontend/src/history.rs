//! Which releases the archive has, and what was served before, as versions tell it.

use std::cmp::Reverse;

use jiff::Timestamp;
use rollback_core::target::{HistoryEntry, HistoryQuery, Standing};
use rollback_core::{Result, Snapshot as _};

use crate::client::{Rule, readable};
use crate::memory::Good;
use crate::names::Release;
use crate::past::Past;
use crate::site::{Seen, Site};
use crate::snapshot::{SiteSnapshot, Source};

/// Reads beside the look what does not depend on it: the release that is sought, and our own folder.
pub(crate) async fn anticipate(site: &Site, query: &HistoryQuery) {
    let release = async {
        if let Some(release) = wanted(query) {
            // What is wrong with it says the history, which lists it once more.
            site.listed(&release).await.ok();
        }
    };
    futures_util::join!(release, ours(site));
}

/// Which release may be the one that is asked for.
fn wanted(query: &HistoryQuery) -> Option<Release> {
    let version = query.version.as_ref().or(query.sought.as_ref())?;
    Release::new(version.as_str()).ok()
}

async fn ours(site: &Site) {
    // Where a release is served from the archive itself, nothing is written down.
    if !site.front.pointer {
        site.look_at_ours().await;
    }
}

/// The releases in the archive and the states that were served, those that were served or written last first.
pub(crate) async fn of(site: &Site, query: &HistoryQuery) -> Result<Vec<HistoryEntry<SiteSnapshot>>> {
    // What was read beside the look is as new as that.
    let good = if query.observed { Good::SinceTheLook } else { Good::Nothing };
    let releases = async {
        match wanted(query) {
            Some(release) => Ok(site.release(&release, good).await?.into_iter().collect()),
            None => site.releases(Good::Nothing).await,
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
    let ours = async {
        ours(site).await;
        Ok(())
    };
    let (seen, releases, past, ()) =
        futures_util::try_join!(site.current(query.observed), releases, past, ours)?;
    let (past, rules) = match past {
        // Who may not list versions still has the archive.
        Err(unread) if releases.is_empty() => return Err(unread),
        Err(unread) => {
            tracing::warn!(%unread, "the versions of the bucket are left out");
            (Past::default(), Vec::new())
        }
        Ok(found) => found,
    };
    let entries = merged(&seen, releases, &past, &rules);
    Ok(entries.into_iter().filter(|entry| query.wants(&entry.snapshot.info())).take(query.limit).collect())
}

type Found = (Past, Vec<Rule>);

async fn past(site: &Site, most: usize) -> Result<Result<Found>> {
    let past = match readable(site.past(most).await)? {
        Err(unread) => return Ok(Err(unread)),
        Ok(past) => past,
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
        let gone = taken_away(state.at, past.newest, rules);
        served(&mut entries, state.at, without_kept(seen, &state.snapshot), gone);
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

/// A state of the past as it is told: what is kept for open tabs is no part of what is live.
fn without_kept(seen: &Seen, snapshot: &SiteSnapshot) -> SiteSnapshot {
    match &seen.snapshot {
        Some(live) if snapshot.identity == seen.listed && live.identity != seen.listed => live.clone(),
        _ => snapshot.clone(),
    }
}

/// Adds that a state was served at a time, to what is known of it already.
fn served(
    entries: &mut Vec<HistoryEntry<SiteSnapshot>>,
    at: Timestamp,
    snapshot: SiteSnapshot,
    gone: Option<String>,
) {
    let place = entries.iter().position(|entry| entry.snapshot.identity == snapshot.identity);
    let mut entry = match place {
        Some(place) => entries.swap_remove(place),
        None => {
            let mut entry = HistoryEntry::new(snapshot.clone(), Standing::Ran);
            entry.unrestorable = gone;
            entry
        }
    };
    entry.standing = Standing::Ran;
    // What was served then was made by then, whenever its copy in the archive was.
    entry.snapshot.made_at = entry.snapshot.made_at.map(|made| made.min(at));
    let new = snapshot.sources.into_iter().filter(|source| !has(&entry.snapshot, source));
    let new: Vec<Source> = new.collect();
    entry.snapshot.sources.extend(new);
    entries.push(entry.with_another_run(at));
}

/// Whether it names this source, or a newer one of the same kind.
fn has(snapshot: &SiteSnapshot, source: &Source) -> bool {
    match source {
        Source::Archive(_) | Source::Manifest(_) => snapshot.sources.contains(source),
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

#[cfg(test)]
mod tests {
    use rollback_core::{Digest, Identity, Revision};

    use super::*;
    use crate::names::{Bucket, Prefix};
    use crate::past::State;
    use crate::tally::Tally;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn site(content: &str, source: Option<Source>) -> SiteSnapshot {
        let identity = Identity(Digest::of_bytes(content.as_bytes()));
        SiteSnapshot {
            bucket: Bucket::new("shop-site").unwrap(),
            live: Prefix::new("live/").unwrap(),
            revision: Revision::new(identity.short()).unwrap(),
            identity,
            objects: 1,
            bytes: 1,
            made_at: matches!(source, Some(Source::Archive(_))).then(|| time(900)),
            sources: source.into_iter().collect(),
        }
    }

    fn release(name: &str) -> SiteSnapshot {
        site(name, Some(Source::Archive(Release::new(name).unwrap())))
    }

    /// What was served when, newest first.
    fn past(all: &[(i64, &str)]) -> Past {
        let state = |(at, content): &(i64, &str)| {
            let at = time(*at);
            State { at, snapshot: site(content, Some(Source::Versions(at))) }
        };
        Past { states: all.iter().map(state).collect(), newest: all.first().map(|(at, _)| time(*at)) }
    }

    fn seen(listed: &str, live: &str) -> Seen {
        let live = site(live, None);
        let (tally, pages) = (Tally::default(), crate::order::Pages::default());
        Seen { tally, snapshot: Some(live), listed: site(listed, None).identity, pages }
    }

    #[test]
    fn a_release_that_was_served_says_when_and_each_state_is_there_once() {
        let past = past(&[(400, "v1 and more"), (300, "v2"), (200, "v1"), (100, "v0")]);
        let releases = vec![release("v1"), release("v9")];
        let entries = merged(&seen("v1 and more", "v1"), releases, &past, &[]);
        let told: Vec<_> = entries
            .iter()
            .map(|entry| (entry.snapshot.info().label(), entry.standing, entry.ran_at))
            .collect();
        let label = |snapshot: SiteSnapshot| snapshot.info().label();
        assert_eq!(
            told,
            [
                (label(release("v9")), Standing::Unknown, None),
                (label(release("v1")), Standing::Current, Some(time(400))),
                (label(site("v2", None)), Standing::Ran, Some(time(300))),
                (label(site("v0", None)), Standing::Ran, Some(time(100))),
            ]
        );
        // It was served before, and made by then.
        assert_eq!(entries[1].ran_before, [time(200)]);
        assert_eq!(
            (entries[1].snapshot.made_at, entries[1].snapshot.time()),
            (Some(time(200)), Some(time(200)))
        );
    }

    #[test]
    fn states_that_a_rule_may_have_thinned_out_are_no_destination() {
        let day = 86_400;
        let past = past(&[(9 * day, "v3"), (5 * day, "v2"), (day, "v1")]);
        let rules = [Rule { id: "tidy".to_owned(), prefix: String::new(), days: 7 }];
        let entries = merged(&seen("v3", "v3"), vec![release("v1")], &past, &rules);
        let gone: Vec<_> = entries.iter().map(|entry| entry.unrestorable.is_some()).collect();
        assert_eq!(gone, [false; 3], "v1 is in the archive as well");
        let entries = merged(&seen("v3", "v3"), Vec::new(), &past, &rules);
        let gone: Vec<_> = entries.iter().map(|entry| entry.unrestorable.is_some()).collect();
        assert_eq!(gone, [false, false, true]);
    }
}
