//! Reports for people: the honest headline first.

use std::fmt::Write as _;

use rollback_core::report::{ComponentReport, Report};
use rollback_core::target::{Evidence, Health};
use rollback_core::{ComponentName, Environment, State};

use super::{Style, Tone, clean, count, findings, tone_of};

/// The report. `environment` gives the contacts that are printed when a person must look.
pub(crate) fn render(report: &Report, style: Style, environment: Option<&Environment>) -> String {
    let mut out = String::new();
    for (name, component) in &report.components {
        headline(&mut out, style, name, component);
    }
    if report.components.len() != 1 {
        let _ = writeln!(out, "run: {}", style.state(report.state));
    }
    if let Some(reason) = &report.break_glass {
        let text = format!("BREAK-GLASS: ran without a lease: {}", clean(reason));
        let _ = writeln!(out, "{}", style.paint(Tone::Bad, &text));
    }
    for (name, component) in &report.components {
        details(&mut out, style, name, component);
    }
    out.push('\n');
    attention(&mut out, style, report, environment);
    let took = report.ended_at.duration_since(report.started_at);
    let seconds = took.as_millis().max(0) / 100;
    let _ = writeln!(out, "run {} took {}.{}s", report.run, seconds / 10, seconds % 10);
    out
}

/// `web: restored  v2 → v1  proven on 1 part`.
fn headline(out: &mut String, style: Style, name: &ComponentName, component: &ComponentReport) {
    let from = component.from.as_ref().map_or_else(|| "?".to_owned(), |from| clean(&from.label()));
    let to = clean(&component.to.label());
    let (name, state) = (style.paint(Tone::Strong, name.as_str()), style.state(component.state));
    let parts = component.evidence.as_ref().map_or(0, |evidence| evidence.parts.len());
    let on = count(parts, "part");
    let way = match component.state {
        State::AlreadyThere => format!("{to}  proven on {on}"),
        State::Restored => format!("{from} → {to}  proven on {on}"),
        State::RestoredUnhealthy => format!("{from} → {to}  proven on {on}, a gate failed"),
        State::FailedRestored => format!("{to} not reached, back on {from}  proven on {on}"),
        State::Refused => format!("{from} → {to}  nothing was done"),
        _ => format!("{from} → {to}  not proven"),
    };
    let _ = writeln!(out, "{name}: {state}  {way}");
}

fn details(out: &mut String, style: Style, name: &ComponentName, component: &ComponentReport) {
    let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, name.as_str()));
    let _ = writeln!(out, "  {}", clean(&component.summary));
    if !component.steps.is_empty() {
        out.push_str("  steps\n");
        for (number, step) in component.steps.iter().enumerate() {
            let (title, outcome) = (clean(&step.title), clean(&step.outcome));
            let _ = writeln!(out, "    {}. {title}: {outcome}", number + 1);
        }
    }
    if let Some(evidence) = &component.evidence {
        proof(out, evidence);
    }
    if !component.gates.is_empty() {
        out.push_str("  gates\n");
        for gate in &component.gates {
            let (tone, word) = if gate.passed { (Tone::Good, "passed") } else { (Tone::Bad, "FAILED") };
            let word = style.paint(tone, word);
            let _ = writeln!(out, "    {}: {word}: {}", clean(&gate.name), clean(&gate.detail));
        }
    }
    if !component.errors.is_empty() {
        out.push_str("  errors\n");
        for error in &component.errors {
            let _ = writeln!(out, "    {}", clean(&error.to_string()));
            if let Some(next) = &error.next {
                let _ = writeln!(out, "      next: {}", clean(next));
            }
        }
    }
    if !component.findings.is_empty() {
        out.push_str("  findings\n");
        findings(out, style, "    ", &component.findings);
    }
}

fn proof(out: &mut String, evidence: &Evidence) {
    out.push_str("  evidence\n");
    for part in &evidence.parts {
        let what = part.identity.map_or_else(|| "unknown".to_owned(), |identity| identity.short());
        let health = match &part.health {
            Health::Healthy => ", healthy".to_owned(),
            Health::Unhealthy(why) => format!(", unhealthy: {}", clean(why)),
            Health::Unknown => String::new(),
        };
        let ready = part.replicas.map_or_else(String::new, |replicas| {
            format!(", {} of {} replicas ready", replicas.ready, replicas.wanted)
        });
        let _ = writeln!(out, "    {}: runs {what}{ready}{health}", clean(part.part.as_str()));
    }
    for what in &evidence.compared {
        let _ = writeln!(out, "    compared {}", clean(what));
    }
    for what in &evidence.unread {
        let _ = writeln!(out, "    could not read {}", clean(what));
    }
}

/// What is left to do by hand, and whom to call.
fn attention(out: &mut String, style: Style, report: &Report, environment: Option<&Environment>) {
    for (name, component) in report.components.iter().filter(|(_, component)| !component.next.is_empty()) {
        let _ = writeln!(out, "{}", style.paint(tone_of(component.state), &format!("next for {name}")));
        for (number, step) in component.next.iter().enumerate() {
            let _ = writeln!(out, "  {}. {}", number + 1, clean(step));
        }
    }
    let contacts = environment.map(|environment| environment.contacts.as_slice()).unwrap_or_default();
    if matches!(report.state, State::Stuck | State::Partial) && !contacts.is_empty() {
        let _ = writeln!(out, "{}", style.paint(Tone::Bad, "a person must look; call"));
        for contact in contacts {
            let _ = writeln!(out, "  {}", clean(contact));
        }
    }
}
