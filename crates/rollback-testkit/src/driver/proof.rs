//! Proof: only what runs on every part.

use rollback_core::target::Proof;
use rollback_core::{Goal, Result};

use super::bench::Bench;
use super::case::{Case, Needs, Verdict, arrange, case, keep};
use super::fixture::{Fault, Release};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "steps-reach-the-goal",
            "applying the steps of any proposal in order leads to a proof of the goal, and restoring gives its identity",
            Needs::Nothing,
            steps_reach_the_goal
        ),
        case!(
            "proof-needs-the-goal",
            "what runs is proven, and nothing else is",
            Needs::Nothing,
            proof_needs_the_goal
        ),
        case!(
            "proof-shows-evidence",
            "proof says what was compared and on which parts",
            Needs::Nothing,
            proof_shows_evidence
        ),
        case!("proof-is-pure", "proving changes nothing", Needs::Nothing, proof_is_pure),
        case!(
            "mixed-parts-are-not-proven",
            "parts that differ prove neither of what they run",
            Needs::Capability("parts"),
            mixed_parts_are_not_proven
        ),
        case!(
            "nothing-running-is-not-proven",
            "zero replicas prove nothing",
            Needs::Capability("scales_to_zero"),
            nothing_running_is_not_proven
        ),
        case!(
            "restarts-are-told",
            "a target that tells restarts shows another incarnation for each part after one, and the same without one",
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
        bench.apply(&proposal).await?;
        let reached = bench.settled().await?.info.identity;
        let wanted = bench.one.info.identity;
        keep!(reached == wanted, "{strategy:?} leads to {} instead of {}", reached.short(), wanted.short());
        let since = proposal.restarts.then_some(before);
        if let Proof::NotProven { against, .. } = bench.proof_since(&bench.one, since).await? {
            return Ok(Verdict::Broken(format!(
                "{strategy:?} was applied and is not proven: {}",
                against.join("; ")
            )));
        }
    }
    Ok(Verdict::Kept)
}

async fn proof_needs_the_goal(bench: &Bench) -> Result<Verdict> {
    let proof = bench.proof(&bench.two).await?;
    keep!(proof.is_proven(), "release 2 runs and is not proven: {proof:?}");
    keep!(!bench.proof(&bench.one).await?.is_proven(), "release 1 is proven and does not run");
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
    keep!(before == after, "before: {before:?}, after: {after:?}");
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
        bench.apply(&proposal).await?;
        bench.rest().await?;
        let proof = bench.proof_since(&bench.one, since).await?;
        keep!(proof.is_proven(), "the proposal says that it restarts, and that is not proven: {proof:?}");
    }
    Ok(Verdict::Kept)
}
