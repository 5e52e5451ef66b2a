//! History: what ran, and nothing else.

use futures_util::future::join;
use rollback_core::Result;
use rollback_core::target::{HistoryQuery, Standing};

use super::bench::Bench;
use super::case::{Case, Needs, Verdict, arrange, case, keep};
use super::fixture::{Fault, Release};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "history-holds-what-ran",
            "history holds what ran, and calls current exactly what runs",
            "list what runs as `Standing::Current` and what ran as `Standing::Ran`, else `previous` leads to the bad version itself",
            Needs::Capability("history"),
            history_holds_what_ran
        ),
        case!(
            "failed-deploys-never-ran",
            "a release that was deployed and never started is not settled, and history does not say that it ran",
            "use `Standing::Failed`, or leave it out: registered or attempted is not deployed",
            Needs::Nothing,
            failed_deploys_never_ran
        ),
        case!(
            "history-is-newest-first",
            "history is newest first and at most as long as asked for",
            "sort by when it began to run, the newest first, and cut at `query.limit`",
            Needs::Capability("history"),
            history_is_newest_first
        ),
        case!(
            "history-answers-the-query",
            "history that is asked for one revision gives no other",
            "filter with `query.wants(&snapshot.info())` before you cut at `query.limit`",
            Needs::Capability("history"),
            history_answers_the_query
        ),
        case!(
            "no-history-is-empty",
            "a driver that claims no history returns none",
            "return an empty list, or claim `history` in the capabilities",
            Needs::Without("history"),
            no_history_is_empty
        ),
    ]
}

async fn history_holds_what_ran(bench: &Bench) -> Result<Verdict> {
    let entries = bench.target.history(&HistoryQuery::newest(20)).await?;
    let position = |snapshot: &rollback_core::SnapshotRecord| {
        entries.iter().position(|entry| entry.snapshot.info.identity == snapshot.info.identity)
    };
    keep!(position(&bench.one).is_some(), "release 1 ran and is not there");
    let Some(two) = position(&bench.two) else {
        return Ok(Verdict::Broken("release 2 runs and is not there".to_owned()));
    };
    let standing = entries[two].standing;
    keep!(standing == Standing::Current, "release 2 runs, and history calls it {standing:?}");
    for entry in entries.iter().filter(|entry| entry.standing == Standing::Current) {
        let identity = entry.snapshot.info.identity;
        keep!(
            identity == bench.two.info.identity,
            "{} is called current and does not run",
            entry.snapshot.info.revision
        );
    }
    Ok(Verdict::Kept)
}

async fn failed_deploys_never_ran(bench: &Bench) -> Result<Verdict> {
    arrange!(bench, Fault::Fail(Release::Three));
    let seen = bench.rest().await?;
    let ran = [bench.one.info.identity, bench.two.info.identity];
    let settled = seen.settled.known();
    keep!(
        settled.is_none_or(|settled| ran.contains(&settled.info.identity)),
        "settled is what never started: {}",
        settled.map(|settled| settled.info.label()).unwrap_or_default()
    );
    for entry in bench.target.history(&HistoryQuery::newest(20)).await? {
        let (standing, info) = (entry.standing, &entry.snapshot.info);
        let claimed = matches!(standing, Standing::Ran | Standing::Current);
        keep!(
            !claimed || ran.contains(&info.identity),
            "{} never started, and history calls it {standing:?}",
            info.revision
        );
    }
    Ok(Verdict::Kept)
}

async fn history_is_newest_first(bench: &Bench) -> Result<Verdict> {
    let entries = bench.target.history(&HistoryQuery::newest(20)).await?;
    let position = |snapshot: &rollback_core::SnapshotRecord| {
        entries.iter().position(|entry| entry.snapshot.info.identity == snapshot.info.identity)
    };
    let (one, two) = (position(&bench.one), position(&bench.two));
    keep!(two < one, "release 2 was deployed after release 1 and does not come before it");
    let times: Vec<_> = entries.iter().filter_map(|entry| entry.ran_at).collect();
    keep!(times.is_sorted_by(|newer, older| newer >= older), "the times are not newest first: {times:?}");
    let one = bench.target.history(&HistoryQuery::newest(1)).await?;
    keep!(one.len() == 1, "one was asked for and {} came", one.len());
    keep!(
        one[0].snapshot.info.identity == bench.two.info.identity,
        "the newest is {}",
        one[0].snapshot.info.revision
    );
    Ok(Verdict::Kept)
}

async fn history_answers_the_query(bench: &Bench) -> Result<Verdict> {
    let wanted = &bench.one.info.revision;
    let entries = bench.target.history(&HistoryQuery::revision(wanted.clone())).await?;
    keep!(!entries.is_empty(), "{wanted} ran and is not found by its revision");
    let other = entries.iter().find(|entry| entry.snapshot.info.revision != *wanted);
    keep!(other.is_none(), "{wanted} was asked for, and another came");
    let nobody = rollback_core::Revision::new("no-such-revision-of-anything")?;
    let entries = bench.target.history(&HistoryQuery::revision(nobody)).await?;
    keep!(entries.is_empty(), "a revision that does not exist gives {} entries", entries.len());
    // Who narrows its answer to what is sought must not lose that.
    for entry in bench.target.history(&HistoryQuery::newest(20)).await? {
        let info = entry.snapshot.info;
        let Some(version) = info.version.clone() else { continue };
        let sought = bench.target.history(&HistoryQuery::newest(20).seeking(version.clone())).await?;
        let found = sought.iter().any(|entry| entry.snapshot.info.identity == info.identity);
        keep!(found, "{} is not found when its version {version} is sought", info.revision);
        // Nor must who reads it beside the look.
        let query = HistoryQuery::newest(20).seeking(version.clone()).after_observing();
        let (observed, ()) = join(bench.target.observe(None), bench.target.anticipate(&query)).await;
        observed?;
        let sought = bench.target.history(&query).await?;
        let found = sought.iter().any(|entry| entry.snapshot.info.identity == info.identity);
        keep!(found, "{} is not found when its version {version} was anticipated", info.revision);
    }
    Ok(Verdict::Kept)
}

async fn no_history_is_empty(bench: &Bench) -> Result<Verdict> {
    let entries = bench.target.history(&HistoryQuery::newest(20)).await?;
    keep!(entries.is_empty(), "it returns {} entries and does not claim the capability", entries.len());
    Ok(Verdict::Kept)
}
