//! Proof: only what runs on every part.

use rollback_core::{Goal, Reading, Result};

use super::bench::Bench;
use super::case::{Case, Needs, Verdict, arrange, case, keep};
use super::fixture::{Fault, Release};
use super::say::against;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "steps-reach-the-goal",
            "applying the steps of any proposal in order leads to a proof of the goal, and restoring gives its identity",
            "let the steps put back everything that the identity covers, and say applied only when all of it was sent",
            Needs::Nothing,
            steps_reach_the_goal
        ),
        case!(
            "proof-needs-the-goal",
            "what runs is proven, and nothing else is",
            "report in `prove` the identity that was read from what runs, never the one of the goal",
            Needs::Nothing,
            proof_needs_the_goal
        ),
        case!(
            "proof-reads-afresh",
            "proving reads what runs now, not what an earlier look on the same handle showed",
            "read everything again in `prove`: it must not use what `observe` remembered",
            Needs::Nothing,
            proof_reads_afresh
        ),
        case!(
            "proof-shows-evidence",
            "proof says what was compared and on which parts",
            "add each part with `Evidence::part`, and say with `compared` what was looked at",
            Needs::Nothing,
            proof_shows_evidence
        ),
        case!(
            "proof-is-pure",
            "proving changes nothing",
            "only read in `prove`",
            Needs::Nothing,
            proof_is_pure
        ),
        case!(
            "mixed-parts-are-not-proven",
            "parts that differ prove neither of what they run",
            "add every part to the evidence, not the first one or a summary of the platform",
            Needs::Capability("parts"),
            mixed_parts_are_not_proven
        ),
        case!(
            "nothing-running-is-not-proven",
            "zero replicas prove nothing",
            "give each part its `with_replicas(wanted, ready)`, and say 0 where nothing runs",
            Needs::Capability("scales_to_zero"),
            nothing_running_is_not_proven
        ),
        case!(
            "restarts-are-told",
            "a target that tells restarts shows another incarnation for each part after one, and the same without one",
            "give each part an incarnation that changes with each restart and with nothing else",
            Needs::Capability("restarts"),
            restarts_are_told
        ),
    ]
}

async fn steps_reach_the_goal(bench: &Bench) -> Result<Verdict> {
    let strategies: Vec<_> = bench.proposals(&bench.one).await?.into_iter().map(|(name, _)| name).collect();
    for strategy in strategies {
        bench.fixture.deploy(Release::Two).await?;
        bench.rest().await?;
        // Planned anew: the world moved since.
        let proposals = bench.proposals(&bench.one).await?;
        let Some((_, proposal)) = proposals.into_iter().find(|(name, _)| *name == strategy) else { continue };
        let before = bench.target.observe(None).await?.incarnations();
        let token = bench.apply(&proposal).await?;
        let seen = bench.rest_after(token.as_ref()).await?;
        let Reading::Known(reached) = seen.settled else {
            return Ok(Verdict::Broken(format!(
                "{strategy:?} was applied, and what it led to cannot be told"
            )));
        };
        let reached = reached.info.identity;
        let wanted = bench.one.info.identity;
        keep!(reached == wanted, "{strategy:?} leads to {} instead of {}", reached.short(), wanted.short());
        let since = proposal.restarts.then_some(before);
        let proof = bench.proof_since(&bench.one, since).await?;
        keep!(proof.is_proven(), "{strategy:?} was applied and is not proven: {}", against(&proof));
    }
    Ok(Verdict::Kept)
}

async fn proof_needs_the_goal(bench: &Bench) -> Result<Verdict> {
    let proof = bench.proof(&bench.two).await?;
    keep!(proof.is_proven(), "release 2 runs and is not proven: {}", against(&proof));
    keep!(!bench.proof(&bench.one).await?.is_proven(), "release 1 is proven and does not run");
    Ok(Verdict::Kept)
}

async fn proof_reads_afresh(bench: &Bench) -> Result<Verdict> {
    bench.target.observe(None).await?;
    bench.proof(&bench.two).await?;
    bench.fixture.deploy(Release::Three).await?;
    keep!(!bench.proof(&bench.two).await?.is_proven(), "release 2 is proven, and release 3 runs by now");
    Ok(Verdict::Kept)
}

async fn proof_shows_evidence(bench: &Bench) -> Result<Verdict> {
    let evidence = bench.target.prove(&Goal::runs(bench.two.clone())).await?;
    keep!(!evidence.parts.is_empty(), "no part is shown; a target without parts has one");
    keep!(!evidence.compared.is_empty(), "what was compared is not said");
    Ok(Verdict::Kept)
}

async fn proof_is_pure(bench: &Bench) -> Result<Verdict> {
    let before = bench.print().await?;
    bench.proof(&bench.one).await?;
    bench.proof(&bench.two).await?;
    let after = bench.print().await?;
    keep!(before == after, "{}", before.changed(&after));
    Ok(Verdict::Kept)
}

async fn mixed_parts_are_not_proven(bench: &Bench) -> Result<Verdict> {
    arrange!(bench, Fault::MixParts(Release::One));
    for (name, goal) in [("the first part's", &bench.one), ("the other parts'", &bench.two)] {
        keep!(!bench.proof(goal).await?.is_proven(), "{name} release is proven although the parts differ");
    }
    Ok(Verdict::Kept)
}

async fn nothing_running_is_not_proven(bench: &Bench) -> Result<Verdict> {
    arrange!(bench, Fault::ScaleToZero);
    for goal in [&bench.one, &bench.two] {
        let name = &goal.info.revision;
        keep!(!bench.proof(goal).await?.is_proven(), "{name} is proven although nothing runs");
    }
    Ok(Verdict::Kept)
}

async fn restarts_are_told(bench: &Bench) -> Result<Verdict> {
    let before = bench.target.observe(None).await?;
    keep!(before.incarnations().len() == before.parts.len(), "a part does not tell its incarnation");
    let again = bench.target.observe(None).await?.incarnations();
    keep!(before.incarnations() == again, "the incarnations change without a restart");
    let since = Some(before.incarnations());
    let unrestarted = bench.proof_since(&bench.two, since.clone()).await?;
    keep!(!unrestarted.is_proven(), "a restart is proven that never was");
    let proposal = bench.best(&bench.one).await?;
    if proposal.restarts {
        let token = bench.apply(&proposal).await?;
        bench.rest_after(token.as_ref()).await?;
        let proof = bench.proof_since(&bench.one, since).await?;
        keep!(
            proof.is_proven(),
            "the proposal says that it restarts, and that is not proven: {}",
            against(&proof)
        );
    }
    Ok(Verdict::Kept)
}
