//! Tidying up what rollbacks left behind for a while.

use jiff::Timestamp;
use rollback_core::{Error, ErrorKind, Leftovers, Result, Tidying};
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, Print};
use super::case::{Case, Needs, Verdict, case, keep};
use super::say::against;

/// By this time everything is old enough, and by the other one nothing is, whatever the grace and whichever clock the world has.
const LATE: i64 = 7_258_118_400;
const EARLY: i64 = 0;

const TIDIES: Needs = Needs::Capability("tidies");

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "leftovers-wait",
            "what a rollback left is not taken away before its time",
            "compare since when it is not needed with the time that is handed in, never with a clock of your own",
            TIDIES,
            leftovers_wait
        ),
        case!(
            "what-is-listed-goes",
            "tidying up takes away exactly what was listed, and neither what runs nor any way back to what was left goes with it",
            "list and remove by the same judgement; remove nothing that a snapshot names as an artifact",
            TIDIES,
            what_is_listed_goes
        ),
        case!(
            "tidying-repeats",
            "what is gone already is no error",
            "take not found for an answer, and say that nothing went",
            TIDIES,
            tidying_repeats
        ),
        case!(
            "tidying-spares-neighbours",
            "nothing of another target is touched",
            "remove by the full names that a rollback of this target noted, never by a pattern or a shared prefix",
            TIDIES,
            tidying_spares_neighbours
        ),
        case!(
            "tidying-that-was-stopped-goes-on",
            "what did not go because it was asked to stop is still listed, and goes the next time",
            "strike from your list only what is gone",
            TIDIES,
            tidying_that_was_stopped_goes_on
        ),
    ]
}

fn at(second: i64) -> Result<Timestamp> {
    Timestamp::from_second(second)
        .map_err(|error| Error::new(ErrorKind::Other, "make a time", error.to_string()))
}

/// Of a target that says that it tidies up.
fn told(leftovers: Option<Leftovers>) -> Result<Leftovers> {
    leftovers.ok_or_else(|| {
        Error::new(ErrorKind::Other, "tidy up", "the target claims to, and is not bound with `.tidying()`")
    })
}

async fn listed(bench: &Bench, second: i64) -> Result<Leftovers> {
    told(bench.target.leftovers(at(second)?).await?)
}

async fn tidied(bench: &Bench, stop: &CancellationToken) -> Result<Leftovers> {
    told(bench.target.tidy(&Tidying::new(at(LATE)?).stopping(stop.clone())).await?)
}

async fn tidied_up(bench: &Bench) -> Result<Leftovers> {
    tidied(bench, &CancellationToken::new()).await
}

/// Rolls back to release 1, and ends a case as ignored where that leaves nothing behind.
macro_rules! roll_back {
    ($bench:expr) => {{
        let token = $bench.apply(&$bench.best(&$bench.one).await?).await?;
        $bench.rest_after(token.as_ref()).await?;
        let left = listed($bench, LATE).await?;
        if left.due == 0 {
            return Ok(Verdict::Ignored("the fixture's rollback leaves nothing behind".to_owned()));
        }
        left
    }};
}

/// How many, how large and, as far as they are named, which.
fn same(one: &Leftovers, other: &Leftovers) -> bool {
    let names = |all: &Leftovers| {
        let mut names = all.shown.clone();
        names.sort_unstable();
        names
    };
    let whole = one.due <= Leftovers::SHOWN as u64;
    (one.due, one.bytes) == (other.due, other.bytes) && (!whole || names(one) == names(other))
}

/// Whether release 1 runs as it did, whatever its token is.
async fn still_runs(bench: &Bench, before: &Print) -> Result<Verdict> {
    let after = bench.print().await?;
    keep!(before.same_release(&after), "tidying up changed what runs: {}", before.changed(&after));
    let proof = bench.proof(&bench.one).await?;
    keep!(
        matches!(proof, rollback_core::target::Proof::Proven),
        "after tidying up, release 1 is not proven: {}",
        against(&proof)
    );
    Ok(Verdict::Kept)
}

async fn leftovers_wait(bench: &Bench) -> Result<Verdict> {
    let left = roll_back!(bench);
    let early = listed(bench, EARLY).await?;
    keep!(early.due == 0, "{} of {} may go at a time before they were left", early.due, left.due);
    let gone = told(bench.target.tidy(&Tidying::new(at(EARLY)?)).await?)?;
    keep!(gone.due == 0, "{} went at a time before they were left", gone.due);
    let after = listed(bench, LATE).await?;
    keep!(same(&left, &after), "{} were left, and after nothing was to go {} are", left.due, after.due);
    Ok(Verdict::Kept)
}

async fn what_is_listed_goes(bench: &Bench) -> Result<Verdict> {
    let left = roll_back!(bench);
    let before = bench.print().await?;
    let again = listed(bench, LATE).await?;
    let looked = bench.print().await?;
    keep!(left == again, "two looks at what may go differ: {left:?}, then {again:?}");
    keep!(before == looked, "looking at what may go changes something: {}", before.changed(&looked));
    let gone = tidied_up(bench).await?;
    keep!(same(&left, &gone), "listed: {} {:?}; gone: {} {:?}", left.due, left.shown, gone.due, gone.shown);
    let rest = listed(bench, LATE).await?;
    keep!(rest.due == 0, "everything went, and {} may still go: {:?}", rest.due, rest.shown);
    match still_runs(bench, &before).await? {
        Verdict::Kept => {}
        broken => return Ok(broken),
    }
    let token = bench.apply(&bench.best(&bench.two).await?).await?;
    bench.rest_after(token.as_ref()).await?;
    let proof = bench.proof(&bench.two).await?;
    keep!(
        matches!(proof, rollback_core::target::Proof::Proven),
        "there is no way back to release 2 any more: {}",
        against(&proof)
    );
    Ok(Verdict::Kept)
}

async fn tidying_repeats(bench: &Bench) -> Result<Verdict> {
    roll_back!(bench);
    tidied_up(bench).await?;
    match tidied_up(bench).await {
        Ok(gone) => keep!(gone.due == 0, "nothing was left, and {} went", gone.due),
        Err(error) => keep!(false, "the second time fails ({:?}): {}", error.kind(), error.message()),
    }
    Ok(Verdict::Kept)
}

async fn tidying_spares_neighbours(bench: &Bench) -> Result<Verdict> {
    let Some(neighbour) = bench.fixture.neighbour().await? else {
        return Ok(Verdict::Ignored("the fixture has no neighbour".to_owned()));
    };
    roll_back!(bench);
    let (before, left) = (neighbour.observe(None).await?.token, neighbour.leftovers(at(LATE)?).await?);
    tidied_up(bench).await?;
    let (after, rest) = (neighbour.observe(None).await?.token, neighbour.leftovers(at(LATE)?).await?);
    keep!(before == after, "the token of a neighbour went from {before} to {after}");
    keep!(left == rest, "what a neighbour's rollbacks left changed: {left:?}, then {rest:?}");
    Ok(Verdict::Kept)
}

async fn tidying_that_was_stopped_goes_on(bench: &Bench) -> Result<Verdict> {
    let left = roll_back!(bench);
    let before = bench.print().await?;
    let stop = CancellationToken::new();
    stop.cancel();
    match tidied(bench, &stop).await {
        Ok(gone) => keep!(gone.due == 0, "{} went although it was to stop before it began", gone.due),
        Err(error) => keep!(
            error.kind() == ErrorKind::Cancelled,
            "asked to stop, its error is {:?} and not Cancelled: {}",
            error.kind(),
            error.message()
        ),
    }
    let rest = listed(bench, LATE).await?;
    keep!(same(&left, &rest), "{} were listed, and {} are after it was stopped", left.due, rest.due);
    // And once more, stopped wherever it is by then.
    let stop = CancellationToken::new();
    let stopped = async {
        bench.fixture.pause().await;
        stop.cancel();
    };
    let (first, ()) = futures_util::join!(tidied(bench, &stop), stopped);
    let rest = listed(bench, LATE).await?;
    if let Ok(gone) = first {
        keep!(
            gone.due + rest.due == left.due,
            "of {} went {}, and {} are left",
            left.due,
            gone.due,
            rest.due
        );
    }
    let second = tidied_up(bench).await?;
    keep!(same(&rest, &second), "{} were left by who was stopped, and then {} went", rest.due, second.due);
    still_runs(bench, &before).await
}
