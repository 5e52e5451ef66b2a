//! Proposals: pure, and graphs that can be run.

use std::collections::BTreeSet;

use rollback_core::erased::Considered;
use rollback_core::{Decision, Result};

use super::bench::{Bench, in_order};
use super::case::{Case, Needs, Verdict, case, keep};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(
            "proposals-are-pure",
            "the same view gives the same proposals, on each handle, and proposing changes nothing",
            "let `propose` depend on the view alone: no counter, clock, random number or I/O",
            Needs::Nothing,
            proposals_are_pure
        ),
        case!(
            "strategies-have-names",
            "strategies have names of their own, and those that cannot be used say why",
            "give each strategy a name and a summary of its own, say why when it does not apply, and cover a plain rollback by one",
            Needs::Nothing,
            strategies_have_names
        ),
        case!(
            "steps-form-a-graph",
            "step ids are unique, edges lead to steps of the same proposal, and nothing waits for itself",
            "make step ids unique, let `after` name steps of the same proposal only, and let no step wait for itself",
            Needs::Nothing,
            steps_form_a_graph
        ),
    ]
}

async fn proposals_are_pure(bench: &Bench) -> Result<Verdict> {
    let view = bench.view(&bench.one).await?;
    let before = bench.print().await?;
    let first = bench.target.propose(&view)?;
    let again = bench.target.propose(&view)?;
    let other = bench.fixture.target().await?.propose(&view)?;
    keep!(first == again, "asked twice, it proposes {} and then {}", shown(&first), shown(&again));
    keep!(first == other, "another handle proposes {} instead of {}", shown(&other), shown(&first));
    let after = bench.print().await?;
    keep!(before == after, "proposing changed the world: {}", before.changed(&after));
    Ok(Verdict::Kept)
}

/// Proposals in few words: strategies and the titles of their steps.
fn shown(considered: &[Considered]) -> String {
    let one = |one: &Considered| match &one.decision {
        Decision::Propose(proposal) => {
            let titles: Vec<_> = proposal.steps.iter().map(|step| step.title.as_str()).collect();
            format!("{} [{}]", one.strategy, titles.join(", "))
        }
        Decision::NotApplicable(why) => format!("{} (not applicable: {why})", one.strategy),
    };
    considered.iter().map(one).collect::<Vec<_>>().join(", ")
}

async fn strategies_have_names(bench: &Bench) -> Result<Verdict> {
    let considered = bench.target.propose(&bench.view(&bench.one).await?)?;
    keep!(!considered.is_empty(), "the driver has no strategies");
    let mut names = BTreeSet::new();
    let mut applicable = 0;
    for one in &considered {
        keep!(names.insert(&one.strategy), "two strategies are called {:?}", one.strategy);
        keep!(!one.strategy.is_empty() && !one.summary.is_empty(), "a strategy has no name or no summary");
        match &one.decision {
            Decision::Propose(_) => applicable += 1,
            Decision::NotApplicable(why) => keep!(!why.is_empty(), "{:?} does not say why not", one.strategy),
        }
    }
    keep!(applicable > 0, "no strategy proposes a way from release 2 to release 1: {}", shown(&considered));
    Ok(Verdict::Kept)
}

async fn steps_form_a_graph(bench: &Bench) -> Result<Verdict> {
    for (strategy, proposal) in bench.proposals(&bench.one).await? {
        keep!(!proposal.steps.is_empty(), "{strategy:?} proposes nothing to do");
        keep!(proposal.parallel > 0, "{strategy:?} allows no step at all at once");
        let all = || proposal.steps.iter().chain(&proposal.afterwards);
        let ids: BTreeSet<_> = all().map(|step| &step.id).collect();
        keep!(ids.len() == all().count(), "{strategy:?} has two steps of one id");
        for step in all() {
            keep!(!step.title.is_empty(), "{strategy:?} has a step without a title: {}", step.id);
            keep!(!step.timeout.as_duration().is_zero(), "{strategy:?} gives {} no time", step.id);
            let unknown = step.after.iter().find(|before| !ids.contains(before));
            keep!(unknown.is_none(), "{strategy:?}: {} waits for unknown {unknown:?}", step.id);
        }
        for steps in [&proposal.steps, &proposal.afterwards] {
            keep!(in_order(steps).is_ok(), "{strategy:?} has steps that wait for each other");
        }
    }
    Ok(Verdict::Kept)
}
