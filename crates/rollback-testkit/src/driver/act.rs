//! Acting and probing: did *my* request land?

use rollback_core::{ActionKind, Effect, ErrorKind, Landing, Result};

use super::bench::{Attempt, Bench};
use super::case::{Case, Needs, Verdict, case, keep};
use super::fixture::Release;
use super::say::{against, answered, said};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "applied-means-landed",
            "`apply` says applied only of what landed, and its receipt carries the token that then holds",
            "say applied only after the backend took the request, and put the token that it has from then on into the receipt",
            Needs::Nothing,
            applied_means_landed
        ),
        case!(
            "same-key-lands-once",
            "a single effect sent twice under one key lands once",
            "hand `cx.key` to the backend or look for its mark, and compare `cx.expected`, before anything is sent",
            Needs::Nothing,
            same_key_lands_once
        ),
        case!(
            "probe-before-sending",
            "`probe` of what was never sent says not applied",
            "say `NotApplied` while the token is `cx.expected` and the key is not known",
            Needs::Nothing,
            probe_before_sending
        ),
        case!(
            "probe-after-landing",
            "`probe` of what landed says applied",
            "look for the key or the mark; where there is none, a token that moved to the goal is applied, and presumed",
            Needs::Nothing,
            probe_after_landing
        ),
        case!(
            "probe-is-pure",
            "probing changes nothing",
            "only read in `probe`",
            Needs::Nothing,
            probe_is_pure
        ),
        case!(
            "foreign-deploy-supersedes",
            "`probe` of an unsent request after somebody else's deploy says superseded or unknown, never applied",
            "compare the token with `cx.expected`: moved, and not to the goal, is `Superseded`",
            Needs::Nothing,
            foreign_deploy_supersedes
        ),
        case!(
            "foreign-success-is-not-mine",
            "`probe` of an unsent request is never surely applied because somebody else reached the same goal",
            "do not look at whether the goal is reached, but for your key or mark; where none is kept, say `presumed()`",
            Needs::Nothing,
            foreign_success_is_not_mine
        ),
        case!(
            "landed-and-overwritten-is-not-unsent",
            "`probe` of what landed and was then overwritten never says not applied",
            "say `NotApplied` only while the token is still `cx.expected`, or where the backend never forgets a key",
            Needs::Nothing,
            landed_and_overwritten
        ),
        case!(
            "stale-writers-are-refused",
            "`apply` with an outdated token has no effect: it never overwrites somebody else's deploy",
            "hand `cx.expected` to the backend with the request, or compare it right before sending, and fail as `Stale` without effect",
            Needs::Nothing,
            stale_writers_are_refused
        ),
        case!(
            "lag-is-told",
            "a look after `apply` that still shows the past says that it lags",
            "compare with `after` in `observe`, and say `lagging(true)` while what is shown is older",
            Needs::Nothing,
            lag_is_told
        ),
        case!(
            "convergences-repeat",
            "a convergence that is done can be applied again, and the goal stays proven",
            "name the wanted state in the action, never a step away from what is (\"undo\", \"the one before\"); skip parts that are there",
            Needs::Nothing,
            convergences_repeat
        ),
        case!(
            "cancelled-before-start",
            "a convergence that was cancelled before it began has no effect",
            "look at `cx.cancel` before each part, the first one too, and end as `Cancelled` with the effect that there is so far",
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
        return Ok(Verdict::Broken(format!("on a good day `apply` says {}", said(&landing))));
    };
    keep!(
        effects.is_none() || bench.fixture.effects().await? > effects,
        "it says applied, and nothing landed"
    );
    let seen = bench.rest_after(receipt.token.as_ref()).await?;
    keep!(
        seen.token != before.token || bench.print().await? != before,
        "it says applied, and nothing changed"
    );
    if let Some(token) = receipt.token {
        let now = seen.token;
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
    keep!(
        landed == 1,
        "{landed} effects landed under one key; the second sending was answered {}",
        answered(&again)
    );
    Ok(Verdict::Kept)
}

async fn probe_before_sending(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    let landing = bench.probe(&attempt).await?;
    keep!(matches!(landing, Landing::NotApplied { .. }), "it says {}", said(&landing));
    Ok(Verdict::Kept)
}

async fn probe_after_landing(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    bench.send(&attempt).await?;
    let landing = bench.probe(&attempt).await?;
    let Landing::Applied(receipt) = landing else {
        return Ok(Verdict::Broken(format!("it says {}", said(&landing))));
    };
    keep!(
        !receipt.presumed || !bench.info.capabilities.keeps_keys,
        "the backend keeps keys, and it only presumes"
    );
    // Another process that takes the run over asks the same.
    let other = bench.fixture.target().await?.probe(&attempt.cx, &attempt.step.action).await?;
    keep!(
        matches!(other, Landing::Applied(_) | Landing::Running { .. }),
        "another handle says {}",
        said(&other)
    );
    Ok(Verdict::Kept)
}

async fn probe_is_pure(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    let before = bench.print().await?;
    bench.probe(&attempt).await?;
    bench.probe(&attempt).await?;
    let after = bench.print().await?;
    keep!(before == after, "{}", before.changed(&after));
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
    keep!(honest, "somebody else deployed another release in between, and it says {}", said(&landing));
    Ok(Verdict::Kept)
}

async fn foreign_success_is_not_mine(bench: &Bench) -> Result<Verdict> {
    let attempt = single!(bench);
    bench.fixture.deploy(Release::One).await?;
    let landing = bench.probe(&attempt).await?;
    let sure = matches!(&landing, Landing::Applied(receipt) if !receipt.presumed);
    keep!(!sure, "it was never sent, and it says {}", said(&landing));
    let keeps_keys = bench.info.capabilities.keeps_keys;
    let presumed = matches!(landing, Landing::Applied(_));
    keep!(
        !(presumed && keeps_keys),
        "the backend keeps keys and does not know this one, and it says {}",
        said(&landing)
    );
    Ok(Verdict::Kept)
}

async fn landed_and_overwritten(bench: &Bench) -> Result<Verdict> {
    let attempt = single!(bench);
    bench.send(&attempt).await?;
    bench.fixture.deploy(Release::Three).await?;
    let landing = bench.probe(&attempt).await?;
    keep!(!matches!(landing, Landing::NotApplied { .. }), "it landed, and it says {}", said(&landing));
    let applied = matches!(landing, Landing::Applied(_));
    keep!(
        !applied || bench.info.capabilities.keeps_keys,
        "nothing could tell it that, and it says {}",
        said(&landing)
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
        Ok(other) => return Ok(Verdict::Broken(format!("with an outdated token it says {}", said(&other)))),
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
    keep!(before == after, "{}", before.changed(&after));
    Ok(Verdict::Kept)
}

async fn lag_is_told(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    let before = bench.token().await?;
    let landing = bench.send(&attempt).await?;
    let landing = bench.finish(&attempt.cx, &attempt.step.action, landing).await?;
    let Landing::Applied(receipt) = landing else {
        return Ok(Verdict::Broken(format!("on a good day `apply` says {}", said(&landing))));
    };
    let Some(token) = receipt.token.filter(|token| *token != before) else {
        return Ok(Verdict::Ignored("the receipt carries no new token to look for".to_owned()));
    };
    let seen = bench.target.observe(Some(&token)).await?;
    keep!(
        seen.token != before || seen.lagging,
        "{token} was accepted, and a look after it shows {before} and does not say that it lags"
    );
    Ok(Verdict::Kept)
}

async fn convergences_repeat(bench: &Bench) -> Result<Verdict> {
    let proposal = bench.best(&bench.one).await?;
    let repeatable = |step: &&rollback_core::Step<_>| step.kind == ActionKind::Convergence;
    if !proposal.steps.iter().any(|step| repeatable(&step)) {
        return Ok(Verdict::Ignored("the preferred way has no convergence".to_owned()));
    }
    let mut token = bench.apply(&proposal).await?;
    bench.rest_after(token.as_ref()).await?;
    for step in proposal.steps.iter().filter(repeatable) {
        let cx = bench.context(&step.id, token.clone())?.with_attempt(2);
        let landing = bench.target.apply(&cx, &step.action).await?;
        let landing = bench.finish(&cx, &step.action, landing).await?;
        let Landing::Applied(receipt) = landing else {
            return Ok(Verdict::Broken(format!("{} applied a second time says {}", step.id, said(&landing))));
        };
        token = receipt.token.or(token);
        bench.rest_after(token.as_ref()).await?;
    }
    let proof = bench.proof(&bench.one).await?;
    keep!(proof.is_proven(), "applied a second time, the goal is no longer proven: {}", against(&proof));
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
            return Ok(Verdict::Broken(format!(
                "it was cancelled before it began and says {}",
                said(&other)
            )));
        }
        Err(error) => {
            keep!(error.kind() == ErrorKind::Cancelled, "it ends as {:?}, not as cancelled", error.kind());
            keep!(error.effect() == Effect::None, "it ends with the effect {:?}", error.effect());
        }
    }
    let after = bench.print().await?;
    keep!(before == after, "{}", before.changed(&after));
    Ok(Verdict::Kept)
}
