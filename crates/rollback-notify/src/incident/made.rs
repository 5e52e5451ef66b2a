//! Incidents of runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rollback_core::engine::RunDetails;
use rollback_core::plan::ComponentPlan;
use rollback_core::report::ComponentReport;
use rollback_core::target::PartState;
use rollback_core::{ComponentName, StepId};

use super::{Component, Incident, Sent};
use crate::notice::{told, undoes};

/// How much of each list an incident holds: it does not grow with the parts of what was rolled back.
const MOST: usize = 200;

/// How the journal says that an action is about to be sent; an attempt's number may follow.
const SENT: &str = ": about to be sent";

impl Incident {
    /// What is known of a run, whether it has ended or not.
    #[must_use]
    pub fn of_run(details: &RunDetails) -> Self {
        let plan = &details.plan;
        let mut incident = Self::new(plan.environment.name.clone());
        incident.run = Some(details.summary.run);
        incident.plan = Some(plan.digest());
        incident.state = details.summary.state;
        incident.actor = Some(plan.actor.clone());
        incident.reason.clone_from(&plan.request.reason);
        incident.automatic = plan.request.automatic;
        incident.break_glass.clone_from(&details.summary.break_glass);
        incident.contacts.clone_from(&plan.environment.contacts);
        let report = details.report.as_ref();
        let mut proven = Vec::new();
        for (name, planned) in &plan.components {
            let journal = details.journal.get(name).map(Vec::as_slice).unwrap_or_default();
            proven.push(
                journal.iter().rev().find(|(_, line)| line.starts_with("proven on ")).map(|(at, _)| *at),
            );
            let ended = report.and_then(|report| report.components.get(name));
            incident.components.push(of_component(name, planned, ended, journal));
        }
        let sent = incident.components.iter().flat_map(|one| &one.actions).map(|sent| sent.at);
        incident.times.first_effect = sent.min();
        incident.times.started = Some(details.summary.started_at);
        // Only what all of them are is proven.
        incident.times.proven =
            proven.into_iter().collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max());
        incident.times.ended = report.map(|report| report.ended_at);
        incident
    }
}

fn of_component(
    name: &ComponentName,
    planned: &ComponentPlan,
    report: Option<&ComponentReport>,
    journal: &[(Timestamp, String)],
) -> Component {
    let from = planned.leaving.as_ref().or_else(|| planned.from.known().map(|from| &from.info));
    let findings = report.map_or(&planned.findings, |report| &report.findings);
    let lines = |undo: bool| {
        let chosen = findings.iter().filter(|finding| undoes(finding) == undo);
        chosen.take(MOST).map(told).collect()
    };
    let mut component = Component {
        component: name.clone(),
        from: from.map(Into::into),
        to: Some((&planned.to.info).into()),
        state: None,
        summary: String::new(),
        parts: Vec::new(),
        actions: actions(planned, journal),
        gates: Vec::new(),
        errors: Vec::new(),
        next: Vec::new(),
        undone_by: lines(true),
        findings: lines(false),
        way_back: Some(planned.way_back.clone()),
        journal: journal.iter().take(MOST).cloned().collect(),
    };
    if let Some(report) = report {
        component.state = Some(report.state);
        component.summary.clone_from(&report.summary);
        component.gates = report.gates.iter().take(MOST).cloned().collect();
        component.errors = report.errors.iter().take(MOST).map(ToString::to_string).collect();
        component.next = report.next.iter().take(MOST).cloned().collect();
        let parts = report.evidence.iter().flat_map(|evidence| &evidence.parts);
        component.parts = parts.take(MOST).map(of_part).collect();
    }
    component
}

fn of_part(part: &PartState) -> (String, String) {
    let runs = part.identity.map_or_else(|| "nothing known".to_owned(), |identity| identity.short());
    let replicas = part.replicas.map(|replicas| format!(", {} of {} ready", replicas.ready, replicas.wanted));
    (part.part.to_string(), format!("{runs}{}", replicas.unwrap_or_default()))
}

/// The actions that the journal tells of: each intent, with the next outcome of the same step.
fn actions(planned: &ComponentPlan, journal: &[(Timestamp, String)]) -> Vec<Sent> {
    let steps =
        planned.proposals().flat_map(|(_, proposal)| proposal.steps.iter().chain(&proposal.afterwards));
    let titles: BTreeMap<&StepId, &str> = steps.map(|step| (&step.id, step.title.as_str())).collect();
    let titled = |step: &str| {
        let id = StepId::new(step).ok();
        id.and_then(|id| titles.get(&id).copied()).map_or_else(|| step.to_owned(), str::to_owned)
    };
    let mut sent: Vec<(&str, Sent)> = Vec::new();
    for (at, line) in journal {
        if let Some((step, rest)) = line.rsplit_once(SENT)
            && (rest.is_empty() || rest.starts_with(", attempt "))
        {
            let action = Sent { title: titled(step), at: *at, ended: None, outcome: "not known".to_owned() };
            sent.push((step, action));
            continue;
        }
        let open = sent.iter_mut().rev().find(|(step, action)| {
            action.ended.is_none() && line.strip_prefix(*step).is_some_and(|rest| rest.starts_with(": "))
        });
        if let Some((step, action)) = open {
            action.ended = Some(*at);
            line[step.len() + 2..].clone_into(&mut action.outcome);
        }
    }
    sent.into_iter().take(MOST).map(|(_, action)| action).collect()
}
