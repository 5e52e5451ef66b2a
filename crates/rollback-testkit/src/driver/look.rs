//! Looking: info, observe, history, inspect.

use rollback_core::target::{HistoryQuery, Standing};
use rollback_core::{Reading, Result};

use super::bench::Bench;
use super::case::{Case, Needs, Verdict, arrange, case, keep};
use super::fixture::{Fault, Release};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "info-is-stable",
            "two handles onto the same thing tell the same id, account and capabilities: operators meet in one lease",
            Needs::Nothing,
            info_is_stable
        ),
        case!(
            "observe-is-pure",
            "observing changes nothing and repeats itself",
            Needs::Nothing,
            observe_is_pure
        ),
        case!(
            "token-is-stable",
            "the token does not change while nothing is deployed, whatever is read and by whom",
            Needs::Nothing,
            token_is_stable
        ),
        case!(
            "token-moves-with-deploys",
            "the token changes when somebody deploys something else",
            Needs::Nothing,
            token_moves
        ),
        case!(
            "identity-follows-content",
            "two snapshots have the same identity if and only if restoring one gives the other",
            Needs::Nothing,
            identity_follows_content
        ),
        case!(
            "in-flight-is-not-settled",
            "what is on its way is told as heading, never as settled, and is not proven",
            Needs::Capability("in_flight"),
            in_flight_is_not_settled
        ),
        case!(
            "history-holds-what-ran",
            "history holds what ran, and calls current exactly what runs",
            Needs::Capability("history"),
            history_holds_what_ran
        ),
        case!(
            "history-is-newest-first",
            "history is newest first and at most as long as asked for",
            Needs::Capability("history"),
            history_is_newest_first
        ),
        case!(
            "history-answers-the-query",
            "history that is asked for one revision gives no other",
            Needs::Capability("history"),
            history_answers_the_query
        ),
        case!(
            "no-history-is-empty",
            "a driver that claims no history returns none",
            Needs::Without("history"),
            no_history_is_empty
        ),
        case!(
            "inspect-changes-nothing",
            "inspecting changes nothing",
            Needs::Nothing,
            inspect_changes_nothing
        ),
        case!(
            "missing-artifacts-are-seen",
            "inspect says that an artifact is gone",
            Needs::Nothing,
            missing_artifacts_are_seen
        ),
        case!(
            "secrets-stay-out",
            "no secret shows in anything that is read",
            Needs::Nothing,
            secrets_stay_out
        ),
    ]
}

async fn info_is_stable(bench: &Bench) -> Result<Verdict> {
    let other = bench.fixture.target().await?;
    for info in [bench.target.info().await?, other.info().await?] {
        keep!(info.id == bench.info.id, "one handle says {}, another {}", bench.info.id, info.id);
        keep!(
            info.account == bench.info.account,
            "the account changes: {} and {}",
            bench.info.account,
            info.account
        );
        keep!(info.capabilities == bench.info.capabilities, "the capabilities change between handles");
    }
    keep!(other.driver() == bench.target.driver(), "the driver's name changes between handles");
    Ok(Verdict::Kept)
}

async fn observe_is_pure(bench: &Bench) -> Result<Verdict> {
    let effects = bench.fixture.effects().await?;
    let first = bench.target.observe(None).await?;
    let again = bench.target.observe(None).await?;
    keep!(first.settled == again.settled, "settled was {:?}, then {:?}", first.settled, again.settled);
    let parts = |seen: &rollback_core::Observation<_>| {
        seen.parts
            .iter()
            .map(|part| (part.part.clone(), part.identity, part.incarnation.clone()))
            .collect::<Vec<_>>()
    };
    keep!(parts(&first) == parts(&again), "the parts differ between two looks");
    keep!(effects == bench.fixture.effects().await?, "a look changed the world");
    keep!(!first.parts.is_empty(), "no part is shown; a target without parts has one");
    Ok(Verdict::Kept)
}

async fn token_is_stable(bench: &Bench) -> Result<Verdict> {
    let token = bench.token().await?;
    bench.target.history(&HistoryQuery::newest(10)).await?;
    bench.target.inspect(Some(&bench.two), &bench.one).await?;
    bench.proof(&bench.one).await?;
    bench.fixture.pause().await;
    let again = bench.token().await?;
    keep!(token == again, "it was {token}, then {again}, and nothing was deployed");
    let other = bench.fixture.target().await?.observe(Some(&token)).await?.token;
    keep!(token == other, "another handle says {other} instead of {token}");
    Ok(Verdict::Kept)
}

async fn token_moves(bench: &Bench) -> Result<Verdict> {
    let before = bench.token().await?;
    bench.fixture.deploy(Release::One).await?;
    let after = bench.token().await?;
    keep!(before != after, "it is still {after} after another release was deployed");
    Ok(Verdict::Kept)
}

async fn identity_follows_content(bench: &Bench) -> Result<Verdict> {
    let (one, two) = (bench.one.info.identity, bench.two.info.identity);
    keep!(one != two, "two different releases both have the identity {}", one.short());
    bench.fixture.deploy(Release::One).await?;
    let again = bench.settled().await?.info.identity;
    keep!(one == again, "the same release was {}, and deployed again is {}", one.short(), again.short());
    Ok(Verdict::Kept)
}

async fn in_flight_is_not_settled(bench: &Bench) -> Result<Verdict> {
    arrange!(bench, Fault::Begin(Release::One));
    let seen = bench.target.observe(None).await?;
    let one = bench.one.info.identity;
    let settled = seen.settled.known().map(|snapshot| snapshot.info.identity);
    keep!(settled != Some(one), "settled is already what is still on its way");
    keep!(
        seen.heading.as_ref().is_some_and(|heading| heading.info.identity == one),
        "heading does not tell what is on its way: {:?}",
        seen.heading
    );
    keep!(!bench.proof(&bench.one).await?.is_proven(), "it counts as proven while it is on its way");
    let settled = bench.settled().await?.info.identity;
    keep!(settled == one, "it came to rest on {} instead of {}", settled.short(), one.short());
    Ok(Verdict::Kept)
}

async fn history_holds_what_ran(bench: &Bench) -> Result<Verdict> {
    let entries = bench.target.history(&HistoryQuery::newest(20)).await?;
    let position = |snapshot: &rollback_core::SnapshotRecord| {
        entries.iter().position(|entry| entry.snapshot.info.identity == snapshot.info.identity)
    };
    keep!(position(&bench.one).is_some(), "release 1 ran and is not there");
    keep!(position(&bench.two).is_some(), "release 2 runs and is not there");
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

async fn history_is_newest_first(bench: &Bench) -> Result<Verdict> {
    let entries = bench.target.history(&HistoryQuery::newest(20)).await?;
    let position = |snapshot: &rollback_core::SnapshotRecord| {
        entries.iter().position(|entry| entry.snapshot.info.identity == snapshot.info.identity)
    };
    let (one, two) = (position(&bench.one), position(&bench.two));
    keep!(two < one, "release 2 was deployed after release 1 and does not come before it ({two:?}, {one:?})");
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
    Ok(Verdict::Kept)
}

async fn no_history_is_empty(bench: &Bench) -> Result<Verdict> {
    let entries = bench.target.history(&HistoryQuery::newest(20)).await?;
    keep!(entries.is_empty(), "it returns {} entries and does not claim the capability", entries.len());
    Ok(Verdict::Kept)
}

async fn inspect_changes_nothing(bench: &Bench) -> Result<Verdict> {
    let before = bench.print().await?;
    let first = bench.target.inspect(Some(&bench.two), &bench.one).await?;
    let again = bench.target.inspect(Some(&bench.two), &bench.one).await?;
    bench.target.inspect(None, &bench.one).await?;
    let after = bench.print().await?;
    keep!(before == after, "before: {before:?}, after: {after:?}");
    keep!(first.diff == again.diff, "the diff changes between two looks");
    keep!(!first.diff.is_empty(), "two different releases show no difference");
    Ok(Verdict::Kept)
}

async fn missing_artifacts_are_seen(bench: &Bench) -> Result<Verdict> {
    arrange!(bench, Fault::RemoveArtifact(Release::One));
    let found = bench.target.inspect(Some(&bench.two), &bench.one).await?;
    let absent = found.artifacts.iter().any(|artifact| artifact.presence == Reading::Absent);
    let blocked =
        found.findings.iter().any(|finding| finding.severity == rollback_core::target::Severity::Blocker);
    keep!(absent || blocked, "inspect shows neither an absent artifact nor a blocker: {found:?}");
    Ok(Verdict::Kept)
}

async fn secrets_stay_out(bench: &Bench) -> Result<Verdict> {
    let secrets = bench.fixture.secrets();
    if secrets.is_empty() {
        return Ok(Verdict::Ignored("the fixture names no secrets".to_owned()));
    }
    let goal = rollback_core::Goal::runs(bench.one.clone());
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        bench.target.info().await?,
        bench.target.observe(None).await?,
        bench.target.history(&HistoryQuery::newest(20)).await?,
        bench.target.inspect(Some(&bench.two), &bench.one).await?,
        bench.proposals(&bench.one).await?,
        bench.target.prove(&goal).await?,
    );
    for (number, secret) in secrets.iter().enumerate() {
        keep!(
            !shown.contains(secret),
            "secret number {number} of the fixture shows in what the driver tells"
        );
    }
    Ok(Verdict::Kept)
}
