//! Incidents of runs.

use jiff::Timestamp;
use rollback_core::engine::RunDetails;
use rollback_core::plan::ComponentPlan;
use rollback_core::report::ComponentReport;
use rollback_core::target::PartState;
use rollback_core::{ComponentName, State};

use super::{Component, Incident, actions};
use crate::notice::{told, undoes};

/// How much of each list an incident holds: it does not grow with the parts of what was rolled back.
const MOST: usize = 200;

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
            let ended = report.and_then(|report| report.components.get(name));
            proven.push(proven_at(ended.map(|ended| ended.state), journal));
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

/// When the destination was proven: where the run went back, or nobody knows what runs, another thing was, or nothing.
fn proven_at(state: Option<State>, journal: &[(Timestamp, String)]) -> Option<Timestamp> {
    let there =
        matches!(state, None | Some(State::Restored | State::RestoredUnhealthy | State::AlreadyThere));
    let line = journal.iter().rev().find(|(_, line)| line.starts_with("proven on "));
    line.filter(|_| there).map(|(at, _)| *at)
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
    let steps = report.map(|report| report.steps.as_slice()).unwrap_or_default();
    let sent = actions::of(planned, journal, steps);
    let mut component = Component {
        component: name.clone(),
        from: from.map(Into::into),
        to: Some((&planned.to.info).into()),
        state: None,
        summary: String::new(),
        parts: Vec::new(),
        actions: sent.into_iter().take(MOST).collect(),
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
