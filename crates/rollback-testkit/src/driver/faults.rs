//! Bad days: refusals, lost answers, late landings, half-done work, missing artifacts.

use rollback_core::{ActionKind, Effect, Error, Landing, Result};

use super::bench::Bench;
use super::case::{Case, Needs, Verdict, arrange, case, keep};
use super::fixture::{Fault, Release};
use super::say::{against, answered, said};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "refusals-are-clean",
            "a refused request has no effect, says so, and can be sent again",
            "map the refusal to an error with `Effect::None`, and switch the retries of your client off: the engine sends again",
            Needs::Nothing,
            refusals_are_clean
        ),
        case!(
            "lost-answers-are-unknown",
            "when no answer comes, the effect is unknown unless the driver made sure: never none of what landed",
            "give every error that comes after the request may have left `Effect::Unknown`",
            Needs::Nothing,
            lost_answers_are_unknown
        ),
        case!(
            "probe-after-a-lost-request",
            "`probe` of a request that never arrived says not applied",
            "say `NotApplied` while the token is `cx.expected` and the key is not known; and switch the retries of your client off",
            Needs::Nothing,
            probe_after_a_lost_request
        ),
        case!(
            "probe-after-a-lost-answer",
            "`probe` of a request that landed without an answer says applied, never not applied",
            "find the request by its key or mark from any handle; keep nothing that matters in memory",
            Needs::Nothing,
            probe_after_a_lost_answer
        ),
        case!(
            "late-landings-are-found",
            "a request that lands late is found; before that, `probe` says not applied only with a declared lag",
            "declare `visibility_lag`, look afresh in each probe, and say `Running` or `Unknown` of what may still come",
            Needs::Nothing,
            late_landings_are_found
        ),
        case!(
            "lost-and-resent-lands-once",
            "after a lost answer, sending again under the same key lands nothing more",
            "switch the retries of your client off, and look for the key, or compare `cx.expected`, before anything is sent",
            Needs::Nothing,
            lost_and_resent_lands_once
        ),
        case!(
            "half-done-is-repaired",
            "a convergence that failed half-way is not proven, and applied again reaches the goal",
            "let the convergence look at each part, change what is not there yet, and fail with `Effect::Unknown` once a part was changed",
            Needs::Nothing,
            half_done_is_repaired
        ),
        case!(
            "missing-artifacts-fail-cleanly",
            "applying what can no longer be restored fails without effect, and the origin still runs",
            "check what the action needs before the first change, and fail with `Effect::None`, not as transient",
            Needs::Nothing,
            missing_artifacts_fail_cleanly
        ),
        case!(
            "errors-keep-secrets",
            "no secret shows in an error, whatever failed",
            "quote neither request nor response in errors; strip URLs of users and queries, and keep secrets in types that do not print",
            Needs::Nothing,
            errors_keep_secrets
        ),
        case!(
            "errors-speak",
            "errors say what was being done and what was found",
            "build errors with `Error::new(kind, operation, message).next(\"what to do\")`",
            Needs::Nothing,
            errors_speak
        ),
    ]
}

fn effect_of(answer: &Result<Landing>) -> Option<Effect> {
    answer.as_ref().err().map(Error::effect)
}

async fn refusals_are_clean(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    let before = bench.print().await?;
    arrange!(bench, Fault::Refuse);
    let answer = bench.send(&attempt).await;
    keep!(effect_of(&answer) == Some(Effect::None), "it was refused, and `apply` says {}", answered(&answer));
    let after = bench.print().await?;
    keep!(before == after, "{}", before.changed(&after));
    let again = bench.send(&attempt).await?;
    let again = bench.finish(&attempt.cx, &attempt.step.action, again).await?;
    keep!(matches!(again, Landing::Applied(_)), "sent again, it says {}", said(&again));
    Ok(Verdict::Kept)
}

async fn lost_answers_are_unknown(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    arrange!(bench, Fault::LoseAnswer);
    let answer = bench.send(&attempt).await;
    let honest = match &answer {
        Ok(landing) => !matches!(landing, Landing::NotApplied { .. } | Landing::Superseded { .. }),
        Err(error) => error.effect() != Effect::None,
    };
    keep!(honest, "it landed without an answer, and `apply` says {}", answered(&answer));
    Ok(Verdict::Kept)
}

async fn probe_after_a_lost_request(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    arrange!(bench, Fault::LoseRequest);
    let answer = bench.send(&attempt).await;
    keep!(!matches!(answer, Ok(Landing::Applied(_))), "it never arrived, and `apply` says applied");
    let landing = bench.probe(&attempt).await?;
    keep!(
        matches!(landing, Landing::NotApplied { .. }),
        "it never arrived, and `probe` says {}",
        said(&landing)
    );
    Ok(Verdict::Kept)
}

async fn probe_after_a_lost_answer(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    if attempt.step.kind == ActionKind::Convergence {
        return Ok(Verdict::Ignored("a convergence is applied again, not probed".to_owned()));
    }
    arrange!(bench, Fault::LoseAnswer);
    // What the answer should have been is another case.
    let _ = bench.send(&attempt).await;
    let other = bench.fixture.target().await?;
    let landing = other.probe(&attempt.cx, &attempt.step.action).await?;
    let landing = bench.finish(&attempt.cx, &attempt.step.action, landing).await?;
    keep!(matches!(landing, Landing::Applied(_)), "it landed, and `probe` says {}", said(&landing));
    Ok(Verdict::Kept)
}

async fn late_landings_are_found(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    if attempt.step.kind == ActionKind::Convergence {
        return Ok(Verdict::Ignored("a convergence is applied again, not probed".to_owned()));
    }
    arrange!(bench, Fault::Delay);
    let _ = bench.send(&attempt).await;
    let early = bench.target.probe(&attempt.cx, &attempt.step.action).await?;
    keep!(!matches!(early, Landing::Applied(_)), "it is still on its way, and `probe` says {}", said(&early));
    let declared = bench.info.capabilities.visibility_lag.is_some();
    let denied = matches!(early, Landing::NotApplied { .. });
    keep!(
        declared || !denied,
        "it is still on its way, no visibility lag is declared, and `probe` says {}",
        said(&early)
    );
    arrange!(bench, Fault::Deliver);
    let late = bench.probe(&attempt).await?;
    keep!(matches!(late, Landing::Applied(_)), "it landed late, and `probe` says {}", said(&late));
    Ok(Verdict::Kept)
}

async fn lost_and_resent_lands_once(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    if attempt.step.kind == ActionKind::Convergence {
        return Ok(Verdict::Ignored("a convergence may be repeated".to_owned()));
    }
    let Some(effects) = bench.fixture.effects().await? else {
        return Ok(Verdict::Ignored("the fixture does not count effects".to_owned()));
    };
    arrange!(bench, Fault::LoseAnswer);
    let _ = bench.send(&attempt).await;
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

async fn half_done_is_repaired(bench: &Bench) -> Result<Verdict> {
    let mut attempt = bench.first(&bench.one).await?;
    if attempt.step.kind != ActionKind::Convergence {
        return Ok(Verdict::Ignored("the preferred way begins with a single effect".to_owned()));
    }
    arrange!(bench, Fault::StopHalfway);
    let answer = bench.send(&attempt).await;
    keep!(!matches!(answer, Ok(Landing::Applied(_))), "it stopped half-way, and `apply` says applied");
    keep!(
        effect_of(&answer) != Some(Effect::None),
        "it stopped half-way, and `apply` says that nothing happened"
    );
    keep!(!bench.proof(&bench.one).await?.is_proven(), "it stopped half-way and is proven");
    attempt.cx = attempt.cx.clone().with_attempt(2).expecting(Some(bench.token().await?));
    let again = bench.send(&attempt).await?;
    let again = bench.finish(&attempt.cx, &attempt.step.action, again).await?;
    keep!(matches!(again, Landing::Applied(_)), "applied again, it says {}", said(&again));
    bench.rest().await?;
    let proof = bench.proof(&bench.one).await?;
    keep!(proof.is_proven(), "applied again, the goal is not proven: {}", against(&proof));
    Ok(Verdict::Kept)
}

async fn missing_artifacts_fail_cleanly(bench: &Bench) -> Result<Verdict> {
    // Planned while everything was there.
    let attempt = bench.first(&bench.one).await?;
    arrange!(bench, Fault::RemoveArtifact(Release::One));
    let answer = bench.send(&attempt).await;
    let clean = match &answer {
        Ok(landing) => matches!(landing, Landing::NotApplied { .. }),
        Err(error) => error.effect() == Effect::None && !error.is_transient(),
    };
    keep!(clean, "what it needs is gone, and `apply` says {}", answered(&answer));
    let proof = bench.proof(&bench.two).await?;
    keep!(proof.is_proven(), "it failed, and the origin is no longer proven: {}", against(&proof));
    Ok(Verdict::Kept)
}

async fn errors_speak(bench: &Bench) -> Result<Verdict> {
    let attempt = bench.first(&bench.one).await?;
    arrange!(bench, Fault::RemoveArtifact(Release::One));
    let Err(error) = bench.send(&attempt).await else {
        return Ok(Verdict::Ignored("nothing fails".to_owned()));
    };
    keep!(!error.operation().is_empty(), "what was being done is not said: {error}");
    keep!(!error.message().is_empty(), "what was found is not said: {error}");
    keep!(error.next_step().is_some(), "what to do next is not said: {error}");
    Ok(Verdict::Kept)
}

async fn errors_keep_secrets(bench: &Bench) -> Result<Verdict> {
    let secrets = bench.fixture.secrets();
    if secrets.is_empty() {
        return Ok(Verdict::Ignored("the fixture names no secrets".to_owned()));
    }
    let mut attempt = bench.first(&bench.one).await?;
    let mut failed = 0;
    for fault in [Fault::Refuse, Fault::LoseRequest, Fault::RemoveArtifact(Release::One), Fault::LoseAnswer] {
        if !bench.fixture.inject(fault).await? {
            continue;
        }
        attempt.cx = bench.context(&attempt.step.id, Some(bench.token().await?))?;
        let Err(error) = bench.send(&attempt).await else { continue };
        failed += 1;
        let shown = format!("{error} {error:?} {:?}", error.to_record());
        for (number, secret) in (1..).zip(&secrets) {
            keep!(!shown.contains(secret), "the error after {fault:?} shows secret {number} of the fixture");
        }
    }
    match failed {
        0 => Ok(Verdict::Ignored("nothing fails".to_owned())),
        _ => Ok(Verdict::Kept),
    }
}
