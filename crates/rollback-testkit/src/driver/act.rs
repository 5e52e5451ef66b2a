//! Acting and probing: did *my* request land?

use rollback_core::{ActionKind, Effect, ErrorKind, Landing, Result};

use super::bench::{Attempt, Bench};
use super::case::{Case, Needs, Verdict, case, keep};
use super::fixture::Release;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "applied-means-landed",
            "`apply` says applied only of what landed, and its receipt carries the token that then holds",
            Needs::Nothing,
            applied_means_landed
        ),
        case!(
            "same-key-lands-once",
            "a single effect sent twice under one key lands once",
            Needs::Nothing,
            same_key_lands_once
        ),
        case!(
            "probe-before-sending",
            "`probe` of what was never sent says not applied",
            Needs::Nothing,
            probe_before_sending
        ),
        case!(
            "probe-after-landing",
            "`probe` of what landed says applied",
            Needs::Nothing,
            probe_after_landing
        ),
        case!("probe-is-pure", "probing changes nothing", Needs::Nothing, probe_is_pure),
        case!(
            "foreign-deploy-supersedes",
            "`probe` of an unsent request after somebody else's deploy says superseded or unknown, never applied",
            Needs::Nothing,
            foreign_deploy_supersedes
        ),
        case!(
            "foreign-success-is-not-mine",
            "`probe` of an unsent request is never surely applied because somebody else reached the same goal",
            Needs::Nothing,
            foreign_success_is_not_mine
        ),
        case!(
            "landed-and-overwritten-is-not-unsent",
            "`probe` of what landed and was then overwritten never says not applied",
            Needs::Nothing,
            landed_and_overwritten
        ),
        case!(
            "stale-writers-are-refused",
            "`apply` with an outdated token has no effect: it never overwrites somebody else's deploy",
            Needs::Nothing,
            stale_writers_are_refused
        ),
        case!(
            "cancelled-before-start",
            "a convergence that was cancelled before it began has no effect",
            Needs::Nothing,
            cancelled_before_start
        ),
    ]
}

/// An attempt at a single effect towards release 1, if the driver's preferred way begins with one.
async fn single(bench: &Bench) -> Result<Option<Attempt>> {
    let attempt = bench.first(&bench.one).await?;
    Ok((attempt.step.kind == ActionKind::SingleEffect).then_some(attempt))
}

/// Ends a case as ignored when the driver's preferred way begins with a convergence.
macro_rules! single {
    ($bench:expr) => {
        match single($bench).await? {
            Some(attempt) => attempt,
            None => return Ok(Verdict::Ignored("the preferred way begins with a convergence".to_owned())),
        }
    };
}

async fn applied_means_landed(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    let before = bench.print().await?;
    let effects = bench.fixture.effects().await?;
    let landing = bench.send(&attempt).await?;
    let landing = bench.finish(&attempt.cx, &attempt.step.action, landing).await?;
    let Landing::Applied(receipt) = landing else {
        return Ok(Verdict::Broken(format!("on a good day `apply` says {landing:?}")));
    };
    keep!(bench.print().await? != before, "it says applied, and nothing changed");
    keep!(
        effects.is_none() || bench.fixture.effects().await? > effects,
        "it says applied, and nothing landed"
    );
    if let Some(token) = receipt.token {
        let now = bench.token().await?;
        keep!(token == now, "the receipt says {token}, the target has {now}");
    }
    Ok(Verdict::Kept)
}

async fn same_key_lands_once(bench: &Bench) -> Result<Verdict> {
    let attempt = single!(bench);
    let Some(effects) = bench.fixture.effects().await? else {
        return Ok(Verdict::Ignored("the fixture does not count effects".to_owned()));
    };
    bench.send(&attempt).await?;
    // The second answer may be "applied", "superseded" or a refusal: what counts is what lands.
    let again = bench.send(&attempt).await;
    bench.rest().await?;
    let landed = bench.fixture.effects().await?.unwrap_or(effects) - effects;
    keep!(landed == 1, "{landed} effects landed under one key; the second sending was answered {again:?}");
    Ok(Verdict::Kept)
}

async fn probe_before_sending(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    let landing = bench.probe(&attempt).await?;
    keep!(matches!(landing, Landing::NotApplied { .. }), "it says {landing:?}");
    Ok(Verdict::Kept)
}

async fn probe_after_landing(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    bench.send(&attempt).await?;
    let landing = bench.probe(&attempt).await?;
    let Landing::Applied(receipt) = landing else {
        return Ok(Verdict::Broken(format!("it says {landing:?}")));
    };
    keep!(
        !receipt.presumed || !bench.info.capabilities.keeps_keys,
        "the backend keeps keys, and it only presumes"
    );
    // Another process that takes the run over asks the same.
    let other = bench.fixture.target().await?.probe(&attempt.cx, &attempt.step.action).await?;
    keep!(matches!(other, Landing::Applied(_) | Landing::Running { .. }), "another handle says {other:?}");
    Ok(Verdict::Kept)
}

async fn probe_is_pure(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    let before = bench.print().await?;
    bench.probe(&attempt).await?;
    bench.probe(&attempt).await?;
    let after = bench.print().await?;
    keep!(before == after, "before: {before:?}, after: {after:?}");
    Ok(Verdict::Kept)
}

async fn foreign_deploy_supersedes(bench: &Bench) -> Result<Verdict> {
    let attempt = single!(bench);
    bench.fixture.deploy(Release::Three).await?;
    let landing = bench.probe(&attempt).await?;
    let honest = match landing {
        Landing::Superseded { .. } | Landing::Unknown { .. } => true,
        // True, and certain only where the backend keeps keys.
        Landing::NotApplied { .. } => bench.info.capabilities.keeps_keys,
        _ => false,
    };
    keep!(honest, "somebody else deployed another release in between, and it says {landing:?}");
    Ok(Verdict::Kept)
}

async fn foreign_success_is_not_mine(bench: &Bench) -> Result<Verdict> {
    let attempt = single!(bench);
    bench.fixture.deploy(Release::One).await?;
    let landing = bench.probe(&attempt).await?;
    let sure = matches!(&landing, Landing::Applied(receipt) if !receipt.presumed);
    keep!(!sure, "it was never sent, and it says {landing:?}");
    let keeps_keys = bench.info.capabilities.keeps_keys;
    let presumed = matches!(landing, Landing::Applied(_));
    keep!(
        !(presumed && keeps_keys),
        "the backend keeps keys and does not know this one, and it says {landing:?}"
    );
    Ok(Verdict::Kept)
}

async fn landed_and_overwritten(bench: &Bench) -> Result<Verdict> {
    let attempt = single!(bench);
    bench.send(&attempt).await?;
    bench.fixture.deploy(Release::Three).await?;
    let landing = bench.probe(&attempt).await?;
    keep!(!matches!(landing, Landing::NotApplied { .. }), "it landed, and it says {landing:?}");
    let applied = matches!(landing, Landing::Applied(_));
    keep!(
        !applied || bench.info.capabilities.keeps_keys,
        "nothing could tell it that, and it says {landing:?}"
    );
    Ok(Verdict::Kept)
}

async fn stale_writers_are_refused(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    bench.fixture.deploy(Release::Three).await?;
    let three = bench.settled().await?.info.identity;
    let before = bench.print().await?;
    match bench.send(&attempt).await {
        Ok(Landing::Superseded { .. } | Landing::NotApplied { .. }) => {}
        Ok(other) => return Ok(Verdict::Broken(format!("with an outdated token it says {other:?}"))),
        Err(error) => {
            keep!(error.effect() == Effect::None, "it refuses with the effect {:?}", error.effect());
            let kind = error.kind();
            keep!(
                matches!(kind, ErrorKind::Stale | ErrorKind::Conflict),
                "it refuses as {kind:?}, not as stale"
            );
        }
    }
    keep!(bench.settled().await?.info.identity == three, "somebody else's deploy was overwritten");
    let after = bench.print().await?;
    keep!(before == after, "before: {before:?}, after: {after:?}");
    Ok(Verdict::Kept)
}

async fn cancelled_before_start(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    if attempt.step.kind != ActionKind::Convergence {
        return Ok(Verdict::Ignored("the preferred way begins with a single effect".to_owned()));
    }
    let before = bench.print().await?;
    attempt.cx.cancel.cancel();
    match bench.send(&attempt).await {
        Ok(Landing::NotApplied { .. }) => {}
        Ok(other) => {
            return Ok(Verdict::Broken(format!("it was cancelled before it began and says {other:?}")));
        }
        Err(error) => {
            keep!(error.kind() == ErrorKind::Cancelled, "it ends as {:?}, not as cancelled", error.kind());
            keep!(error.effect() == Effect::None, "it ends with the effect {:?}", error.effect());
        }
    }
    let after = bench.print().await?;
    keep!(before == after, "before: {before:?}, after: {after:?}");
    Ok(Verdict::Kept)
}
