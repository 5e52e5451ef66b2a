//! What every plan keeps to, whoever made it: one that does not would never end, or could not be read back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ComponentPlan, PlanBody};
use crate::document::Envelope;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::order;
use crate::name::{ComponentName, StepId};
use crate::probe::OWN_GATES;
use crate::strategy::Proposal;
use crate::target::Capabilities;

/// How deep documents in a plan may be nested. A plan's file holds them a little deeper, and JSON is read to a depth of 128.
const DEEPEST: usize = 100;

pub(super) fn check(body: &PlanBody, value: &Value) -> Result<()> {
    let wrong = |message: String| Error::new(ErrorKind::Invalid, "use the plan", message);
    if is_deeper(value, DEEPEST) {
        return Err(wrong("its documents are nested too deeply to be stored".to_owned())
            .next(format!("a driver's documents may be nested {DEEPEST} deep at most")));
    }
    if let Some(gate) = body.gates.iter().find(|gate| gate.rule.within.is_none()) {
        return Err(wrong(format!("the gate {:?} has no end: a run could wait for it forever", gate.name))
            .next("give its rule a `within`"));
    }
    if let Some(gate) = body.gates.iter().find(|gate| OWN_GATES.contains(&gate.name.as_str())) {
        return Err(wrong(format!("a gate is called {:?}, as one of the run's own", gate.name))
            .next("give it another name"));
    }
    check_targets(&body.components)
        .map_err(|why| wrong(why).next("leave one of them out, here or in the configuration"))?;
    for (name, component) in &body.components {
        for (strategy, proposal) in component.proposals() {
            check_graph(proposal).map_err(|why| wrong(format!("{name}: strategy {strategy:?}: {why}")))?;
        }
    }
    check_order(&body.components)
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let inner = |item: &Value| levels == 0 || is_deeper(item, levels - 1);
    match value {
        Value::Array(items) => items.iter().any(inner),
        Value::Object(map) => map.values().any(inner),
        _ => false,
    }
}

/// Two components that are one target would wait for each other's lease, and each undo what the other did.
fn check_targets(components: &BTreeMap<ComponentName, ComponentPlan>) -> Result<(), String> {
    let mut known = BTreeMap::new();
    for (name, component) in components {
        if let Some(other) = known.insert(&component.target.id, name) {
            return Err(format!("{other} and {name} are the same target, {}", component.target.id));
        }
    }
    Ok(())
}

/// A proposal's steps must be a graph that can be carried out, and ask for nothing that the target cannot do.
pub(super) fn check_steps(proposal: &Proposal<Envelope>, capabilities: Capabilities) -> Result<(), String> {
    if proposal.restarts && !capabilities.restarts {
        return Err("it wants a restart proven, and the target does not tell incarnations".to_owned());
    }
    let mut steps = proposal.steps.iter().chain(&proposal.afterwards);
    if !capabilities.parts && steps.any(|step| step.part.is_some()) {
        return Err("a step is for one part, and the target has no parts".to_owned());
    }
    check_graph(proposal)
}

/// The steps are there, each once, and none waits for itself. What is tidied up waits for all of them anyway.
fn check_graph(proposal: &Proposal<Envelope>) -> Result<(), String> {
    if proposal.steps.is_empty() {
        return Err("it has no steps".to_owned());
    }
    let ids: BTreeSet<_> = proposal.steps.iter().chain(&proposal.afterwards).map(|step| &step.id).collect();
    if ids.len() != proposal.steps.len() + proposal.afterwards.len() {
        return Err("two steps have the same id".to_owned());
    }
    for steps in [&proposal.steps, &proposal.afterwards] {
        let edges = steps
            .iter()
            .map(|step| (step.id.as_str(), step.after.iter().map(StepId::as_str).collect::<Vec<_>>()));
        order(&edges.collect())
            .map_err(|node| format!("step {node} waits for a step that does not exist or for itself"))?;
    }
    Ok(())
}

fn check_order(components: &BTreeMap<ComponentName, ComponentPlan>) -> Result<()> {
    let edges = components.iter().map(|(name, component)| {
        // Nobody waits for a component that is not in the plan.
        let first = component.after.iter().filter(|first| components.contains_key(*first));
        (name.as_str(), first.map(ComponentName::as_str).collect::<Vec<_>>())
    });
    order(&edges.collect()).map(drop).map_err(|node| {
        Error::new(ErrorKind::Invalid, "order the components", format!("{node} has to wait for itself"))
            .next("look at `after` in the configuration; strategies may add to it")
    })
}
