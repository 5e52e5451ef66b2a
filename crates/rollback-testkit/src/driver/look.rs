//! Looking: info, observe, inspect.

use rollback_core::target::{HistoryQuery, Severity};
use rollback_core::{Error, ErrorKind, Occasion, Reading, Result};

use super::bench::Bench;
use super::case::{Case, Needs, Verdict, arrange, case, keep};
use super::fixture::{Fault, Release};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "info-is-stable",
            "two handles onto the same thing tell the same id, account and capabilities: operators meet in one lease",
            "make the id of what the backend itself says (an ARN, a UID, a resolved path), and of nothing that is random, timed or counted",
            Needs::Nothing,
            info_is_stable
        ),
        case!(
            "aliases-meet",
            "a handle that was found by another name or address tells the same id and account",
            "ask the backend for the canonical name in `info`, and do not use the configured text as the id",
            Needs::Nothing,
            aliases_meet
        ),
        case!(
            "observe-is-pure",
            "observing changes nothing and repeats itself",
            "only `apply` may change anything; read parts in a fixed order, and leave out what differs between two reads",
            Needs::Nothing,
            observe_is_pure
        ),
        case!(
            "token-is-stable",
            "the token does not change while nothing is deployed, whatever is read and by whom",
            "make the token of intent and rollout (generation, revision, template), and leave out times, counters of reads and status",
            Needs::Nothing,
            token_is_stable
        ),
        case!(
            "token-ignores-restarts",
            "a part that restarts by itself gets another incarnation, and the token stays",
            "leave pods, tasks, process ids and restart counts out of the token; they belong to the part's incarnation",
            Needs::Capability("restarts"),
            token_ignores_restarts
        ),
        case!(
            "token-moves-with-deploys",
            "the token changes when somebody deploys something else",
            "take something into the token that the backend changes with each deploy; a remembered look needs a fingerprint that changes as well",
            Needs::Nothing,
            token_moves
        ),
        case!(
            "identity-follows-content",
            "two snapshots have the same identity if and only if restoring one gives the other",
            "digest exactly what a strategy puts back; leave out names and numbers that each deploy makes anew",
            Needs::Nothing,
            identity_follows_content
        ),
        case!(
            "in-flight-is-not-settled",
            "what is on its way is told as heading, never as settled, and is not proven",
            "report what is on its way with `heading_to` and `Phase::Progressing`, and keep in `settled` what rested before",
            Needs::Capability("in_flight"),
            in_flight_is_not_settled
        ),
        case!(
            "inspect-changes-nothing",
            "inspecting changes nothing",
            "only read in `inspect`; show every difference between the two snapshots, in a fixed order",
            Needs::Nothing,
            inspect_changes_nothing
        ),
        case!(
            "artifacts-are-looked-at",
            "inspect says of each artifact that the destination names whether it is there",
            "look at each of `SnapshotInfo::artifacts`, and add it with `Inspection::artifact`, also when it is there",
            Needs::Nothing,
            artifacts_are_looked_at
        ),
        case!(
            "missing-artifacts-are-seen",
            "inspect says that an artifact is gone",
            "ask whether each artifact is still there, and say `Reading::Absent` or give a blocker",
            Needs::Nothing,
            missing_artifacts_are_seen
        ),
        case!(
            "denied-is-not-absent",
            "inspect never calls gone what it was not allowed to read, and says that it could not",
            "map \"denied\" to `Reading::Unknown` with the reason and a finding that names the permission; only \"not found\" is absent",
            Needs::Nothing,
            denied_is_not_absent
        ),
        case!(
            "contents-are-of-the-state",
            "contents that are kept are those of the state that is asked for, or an error",
            "compare the identity of what is there with the snapshot's before anything of it is given out; another one is `ErrorKind::Stale`",
            Needs::Nothing,
            contents_are_of_the_state
        ),
        case!(
            "only-what-rests-is-remembered",
            "what is written down is the state that rests, once or twice, and nothing that is deployed moves with it",
            "compare the identity of what is there with the snapshot's before anything is written; another one is `ErrorKind::Stale`",
            Needs::Nothing,
            only_what_rests_is_remembered
        ),
        case!(
            "secrets-stay-out",
            "no secret shows in anything that is read",
            "use `Shown::Redacted` and keyed digests; derive no `Debug` on what holds a secret",
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

async fn aliases_meet(bench: &Bench) -> Result<Verdict> {
    let Some(alias) = bench.fixture.alias().await? else {
        return Ok(Verdict::Ignored("the fixture knows one way to its target".to_owned()));
    };
    let info = alias.info().await?;
    keep!(info.id == bench.info.id, "found one way it is {}, found another way {}", bench.info.id, info.id);
    let (one, other) = (&bench.info.account, &info.account);
    keep!(one == other, "found one way it is in {one}, found another way in {other}");
    Ok(Verdict::Kept)
}

async fn token_ignores_restarts(bench: &Bench) -> Result<Verdict> {
    let before = bench.rest().await?;
    arrange!(bench, Fault::RestartPart);
    let after = bench.rest().await?;
    keep!(before.incarnations() != after.incarnations(), "a part restarted, and no incarnation changed");
    let (was, is) = (&before.token, &after.token);
    keep!(was == is, "a part restarted and nothing was deployed, and the token went from {was} to {is}");
    Ok(Verdict::Kept)
}

async fn denied_is_not_absent(bench: &Bench) -> Result<Verdict> {
    arrange!(bench, Fault::DenyReads);
    let found = match bench.target.inspect(Some(&bench.two), &bench.one).await {
        Ok(found) => found,
        Err(error) => {
            let kind = error.kind();
            keep!(kind == ErrorKind::Denied, "inspect fails as {kind:?}, not as denied");
            return Ok(Verdict::Kept);
        }
    };
    let gone = found.artifacts.iter().find(|artifact| artifact.presence == Reading::Absent);
    keep!(
        gone.is_none(),
        "it may not be read, and inspect calls it gone: {}",
        gone.map(|gone| gone.artifact.name.clone()).unwrap_or_default()
    );
    let unknown = found.artifacts.iter().any(|artifact| matches!(artifact.presence, Reading::Unknown(_)));
    let told = found.findings.iter().any(|finding| finding.severity >= Severity::Warning);
    keep!(unknown || told, "inspect does not say that there is something it could not read");
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

async fn inspect_changes_nothing(bench: &Bench) -> Result<Verdict> {
    let before = bench.print().await?;
    let first = bench.target.inspect(Some(&bench.two), &bench.one).await?;
    let again = bench.target.inspect(Some(&bench.two), &bench.one).await?;
    bench.target.inspect(None, &bench.one).await?;
    let after = bench.print().await?;
    keep!(before == after, "{}", before.changed(&after));
    keep!(first.diff == again.diff, "the diff changes between two looks");
    keep!(!first.diff.is_empty(), "two different releases show no difference");
    Ok(Verdict::Kept)
}

async fn artifacts_are_looked_at(bench: &Bench) -> Result<Verdict> {
    if bench.one.info.artifacts.is_empty() {
        return Ok(Verdict::Ignored("its snapshots name no artifacts".to_owned()));
    }
    let found = bench.target.inspect(Some(&bench.two), &bench.one).await?;
    for artifact in &bench.one.info.artifacts {
        let told = found.artifacts.iter().any(|state| state.artifact == *artifact);
        keep!(told, "nothing is said of {} {:?}", artifact.kind, artifact.name);
    }
    Ok(Verdict::Kept)
}

async fn missing_artifacts_are_seen(bench: &Bench) -> Result<Verdict> {
    arrange!(bench, Fault::RemoveArtifact(Release::One));
    let found = bench.target.inspect(Some(&bench.two), &bench.one).await?;
    let absent = found.artifacts.iter().any(|artifact| artifact.presence == Reading::Absent);
    let blocked = found.findings.iter().any(|finding| finding.severity == Severity::Blocker);
    keep!(
        absent || blocked,
        "what it is made of is gone, and inspect shows neither an absent artifact nor a blocker"
    );
    Ok(Verdict::Kept)
}

async fn only_what_rests_is_remembered(bench: &Bench) -> Result<Verdict> {
    let token = bench.token().await?;
    if !bench.target.remember(&bench.two, Occasion::Recorded).await? {
        return Ok(Verdict::Ignored("the driver writes nothing down".to_owned()));
    }
    bench.target.remember(&bench.two, Occasion::Recorded).await?;
    let again = bench.token().await?;
    keep!(token == again, "the token was {token}, then {again}: writing it down moved what is deployed");
    match bench.target.remember(&bench.one, Occasion::Leaving).await {
        Ok(_) => broken("asked for release 1 while release 2 runs, it writes something down"),
        Err(error) => is_stale(&error),
    }
}

fn broken(how: &str) -> Result<Verdict> {
    Ok(Verdict::Broken(how.to_owned()))
}

/// What a target says that is asked for release 1 while release 2 runs.
fn is_stale(error: &Error) -> Result<Verdict> {
    keep!(
        error.kind() == ErrorKind::Stale,
        "asked for release 1 while release 2 runs, its error is {:?} and not Stale: {}",
        error.kind(),
        error.message()
    );
    Ok(Verdict::Kept)
}

async fn contents_are_of_the_state(bench: &Bench) -> Result<Verdict> {
    let Some(contents) = bench.target.contents(&bench.two).await? else {
        return Ok(Verdict::Ignored("the driver keeps no contents".to_owned()));
    };
    let shown = format!("{contents:?}");
    let told = (1..).zip(bench.fixture.secrets()).find(|(_, secret)| shown.contains(secret.as_str()));
    keep!(
        told.is_none(),
        "what is kept shows secret {} of the fixture",
        told.map_or(0, |(number, _)| number)
    );
    match bench.target.contents(&bench.one).await {
        Ok(None) => Ok(Verdict::Kept),
        Ok(Some(_)) => broken("asked for release 1 while release 2 runs, it gives something out"),
        Err(error) => is_stale(&error),
    }
}

async fn secrets_stay_out(bench: &Bench) -> Result<Verdict> {
    let secrets = bench.fixture.secrets();
    if secrets.is_empty() {
        return Ok(Verdict::Ignored("the fixture names no secrets".to_owned()));
    }
    let goal = rollback_core::Goal::runs(bench.one.clone());
    let shown = [
        ("info", format!("{:?}", bench.target.info().await?)),
        ("observe", format!("{:?}", bench.target.observe(None).await?)),
        ("history", format!("{:?}", bench.target.history(&HistoryQuery::newest(20)).await?)),
        ("inspect", format!("{:?}", bench.target.inspect(Some(&bench.two), &bench.one).await?)),
        ("a proposal", format!("{:?}", bench.proposals(&bench.one).await?)),
        ("prove", format!("{:?}", bench.target.prove(&goal).await?)),
        ("the target's `Debug`", format!("{:?}", bench.target)),
    ];
    for (number, secret) in (1..).zip(&secrets) {
        let found = shown.iter().find(|(_, text)| text.contains(secret));
        keep!(found.is_none(), "{} shows secret {number} of the fixture", found.map_or("", |(what, _)| what));
    }
    Ok(Verdict::Kept)
}
