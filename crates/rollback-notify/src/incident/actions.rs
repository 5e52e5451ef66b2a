//! The actions of a component, from what was journalled.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::plan::ComponentPlan;
use rollback_core::report::StepReport;

use super::Sent;

/// How the journal says that an action is about to be sent; an attempt's number may follow.
const SENT: &str = ": about to be sent";

/// How it says that another way than the chosen one is begun, and whether the plan has its actions.
const LEGS: [(&str, bool); 4] = [
    ("fell back to ", true),
    ("tidies up after ", true),
    ("repairs with ", false),
    ("goes back with ", false),
];

/// One way that was begun.
#[derive(Clone, Copy)]
struct Leg<'a> {
    number: usize,
    /// As the journal says it, unless it is the chosen one.
    said: Option<&'a str>,
    /// The strategy, where the plan has the actions.
    strategy: Option<&'a str>,
}

/// Each intent of the journal, with the next outcome of the same step. `ended` are the steps of the report, once there is one.
pub(super) fn of(
    planned: &ComponentPlan,
    journal: &[(Timestamp, String)],
    ended: &[StepReport],
) -> Vec<Sent> {
    let mut leg = Leg { number: 0, said: None, strategy: None };
    let mut found: Vec<(Leg<'_>, &str, Sent)> = Vec::new();
    for (at, line) in journal {
        if let Some(begun) = begun(planned, line) {
            leg = Leg { number: leg.number + 1, ..begun };
        } else if let Some(step) = sent(line) {
            let title = title(planned, leg, step);
            let said = leg.said.map(str::to_owned);
            found.push((
                leg,
                step,
                Sent { title, leg: said, at: *at, ended: None, outcome: "not known".to_owned() },
            ));
        } else if let Some((_, step, action)) = found.iter_mut().rev().find(|(_, step, action)| {
            action.ended.is_none() && line.strip_prefix(*step).is_some_and(|rest| rest.starts_with(": "))
        }) {
            action.ended = Some(*at);
            line[step.len() + 2..].clone_into(&mut action.outcome);
        }
    }
    told_better(&mut found, ended);
    found.into_iter().map(|(_, _, action)| action).collect()
}

fn sent(line: &str) -> Option<&str> {
    let (step, rest) = line.rsplit_once(SENT)?;
    (rest.is_empty() || rest.starts_with(", attempt ")).then_some(step)
}

fn begun<'a>(planned: &'a ComponentPlan, line: &'a str) -> Option<Leg<'a>> {
    let chosen = line.strip_suffix(" began");
    // A process begins too.
    if let Some((strategy, _)) = planned.proposals().find(|(name, _)| chosen == Some(*name)) {
        return Some(Leg { number: 0, said: None, strategy: Some(strategy) });
    }
    LEGS.iter().find_map(|(words, in_plan)| {
        let strategy = line.strip_prefix(words)?;
        Some(Leg { number: 0, said: Some(line), strategy: in_plan.then_some(strategy) })
    })
}

/// What the plan says of a step. Steps of different ways may have the same name, and those of a repair and of the way back are not in it.
fn title(planned: &ComponentPlan, leg: Leg<'_>, step: &str) -> String {
    let proposal = planned.proposals().find(|(name, _)| leg.strategy == Some(*name));
    let steps =
        proposal.into_iter().flat_map(|(_, proposal)| proposal.steps.iter().chain(&proposal.afterwards));
    let mut titles = steps.filter(|known| known.id.as_str() == step).map(|known| known.title.clone());
    titles.next().unwrap_or_else(|| step.to_owned())
}

/// A report names each step of each way once, in the order in which they were first sent: its titles are right for all of them.
fn told_better(found: &mut [(Leg<'_>, &str, Sent)], ended: &[StepReport]) {
    let mut first: BTreeMap<(usize, &str), usize> = BTreeMap::new();
    for (leg, step, _) in found.iter() {
        let next = first.len();
        first.entry((leg.number, step)).or_insert(next);
    }
    if first.len() != ended.len() {
        return;
    }
    for (leg, step, action) in found {
        if let Some(known) = first.get(&(leg.number, *step)).and_then(|place| ended.get(*place)) {
            action.title.clone_from(&known.title);
        }
    }
}
