//! What is watched, what was seen, and what was done about it.

use std::fmt::Write as _;

use jiff::Timestamp;
use rollback_core::environment::Automatic;
use rollback_core::time::Lasting;
use rollback_core::{ComponentName, Environment, EnvironmentName};
use rollback_watch::{Event, Guarded, Incident, Off, Severity, Verdict};

use super::table::{Field, Table};
use super::{Style, Tone, clean, time, tone_of};

/// A verdict in words.
fn verdict(verdict: Option<&Verdict>) -> String {
    match verdict {
        Some(Verdict::Act) => "rolled back".to_owned(),
        Some(Verdict::Wait(pause)) => format!("looked at again in {pause}"),
        Some(Verdict::Propose) => "proposed".to_owned(),
        Some(Verdict::CallSomebody) => "needs a person".to_owned(),
        Some(Verdict::Record) => "only recorded".to_owned(),
        None => "-".to_owned(),
    }
}

fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::P0 | Severity::P1 => Tone::Bad,
        Severity::P2 => Tone::Careful,
        Severity::P3 => Tone::Faint,
    }
}

/// Why that was decided, in a sentence: the question that spoke against acting.
fn because(incident: &Incident) -> String {
    let because = incident.decisions.last().and_then(|decided| decided.decision.because());
    because.map_or_else(String::new, |answer| {
        format!(" ({} {})", clean(&answer.question), clean(&answer.answer))
    })
}

/// One event in a line.
pub(crate) fn line(style: Style, event: &Event) -> String {
    let name = |component: &ComponentName| style.paint(Tone::Strong, component.as_str());
    match event {
        Event::Deployed { component, label } => format!("{}: {} is there\n", name(component), clean(label)),
        Event::Troubled { component, triggers } => {
            format!("{}: trouble: {}\n", name(component), clean(&triggers.join(", ")))
        }
        Event::Quiet { component } => format!("{}: no trouble any more\n", name(component)),
        Event::Decided { incident } => format!(
            "{}: {}: {}{}\n",
            name(&incident.component),
            style.paint(tone(incident.severity), &clean(&incident.describe())),
            verdict(incident.verdict()),
            because(incident),
        ),
        Event::RollingBack { incident, plan } => {
            let to = plan.components.get(&incident.component).map(|one| clean(&one.to.info.label()));
            let to = to.unwrap_or_default();
            format!(
                "{}: rolling back from {} to {to}\n",
                name(&incident.component),
                clean(&incident.bad.label())
            )
        }
        Event::RolledBack { incident, report, .. } => {
            let run = format!("rollback show {}", report.run);
            format!("{}: {}; {run}\n", name(&incident.component), style.state(report.state))
        }
        Event::Overdue { incident } => {
            let word = style.paint(Tone::Bad, "it should be over by now, and is not");
            format!("{}: {word}: {}\n", name(&incident.component), clean(&incident.describe()))
        }
        Event::Promoted { component, deployment } => {
            let good = deployment.good.as_ref().map(|good| clean(&good.describe())).unwrap_or_default();
            format!("{}: {} is good, {good}\n", name(component), clean(&deployment.snapshot.info.label()))
        }
        Event::Warning { component, message } => {
            format!("{}: {} {}\n", name(component), style.paint(Tone::Careful, "warning:"), clean(message))
        }
        _ => String::new(),
    }
}

/// How a guard ended.
pub(crate) fn guarded(
    style: Style,
    component: &ComponentName,
    guarded: &Guarded,
    lasting: Lasting,
    contacts: &[String],
) -> String {
    let (tone, text, next) = match guarded {
        Guarded::Healthy(Some(_)) => (Tone::Good, format!("healthy for {lasting}, and called good"), None),
        Guarded::Healthy(None) => {
            let text = "healthy now, but it was not all the time: not called good".to_owned();
            (Tone::Careful, text, Some(format!("rollback guard {component}")))
        }
        Guarded::RolledBack(incident, report) => {
            let text = format!("{}; {}", report.state, clean(&incident.describe()));
            (tone_of(report.state), text, Some(format!("rollback show {}", report.run)))
        }
        Guarded::NotActedOn(incident) => {
            let text = format!("unhealthy: {}: {}", clean(&incident.describe()), verdict(incident.verdict()));
            let next = format!("look at it; to go back: rollback run {component}");
            (Tone::Bad, text + &because(incident), Some(next))
        }
        Guarded::Unknown(why) => {
            let text = format!("nobody knows how it is: {}", clean(why));
            (Tone::Bad, text, Some(format!("rollback status {component}")))
        }
        _ => (Tone::Careful, "the guard was stopped".to_owned(), Some(format!("rollback guard {component}"))),
    };
    let mut out = format!("{component}: {}\n", style.paint(tone, &text));
    if let Some(next) = next {
        let _ = writeln!(out, "  next: {next}");
    }
    if matches!(guarded, Guarded::NotActedOn(_) | Guarded::Unknown(_)) && !contacts.is_empty() {
        let _ = writeln!(out, "  call: {}", clean(&contacts.join(", ")));
    }
    out
}

/// The same for the summary of a pipeline's step.
pub(crate) fn summary(ended: &[(ComponentName, Guarded)]) -> String {
    let mut out = "### rollback guard\n\n| component | ended |\n|---|---|\n".to_owned();
    for (component, one) in ended {
        let text = guarded(Style::default(), component, one, Lasting::from_secs(0), &[]);
        let first = text.lines().next().unwrap_or_default().replace('|', "\\|");
        let told = first.split_once(": ").map_or(first.as_str(), |(_, told)| told);
        let _ = writeln!(out, "| {component} | {told} |");
    }
    out + "\n"
}

/// A row for each incident.
pub(crate) fn incidents(style: Style, incidents: &[Incident]) -> String {
    if incidents.is_empty() {
        return "no incidents\n".to_owned();
    }
    let header = ["FIRED", "COMPONENT", "SEVERITY", "WHAT", "VERSION", "DECIDED", "STATE", "RUN"];
    let mut table = Table::new(style, &header, &["WHAT"]);
    for incident in incidents {
        let state = incident.state.map_or_else(
            || Field::from("-".to_owned()),
            |state| Field::toned(tone_of(state), state.to_string()),
        );
        table.row([
            Field::from(time(incident.fired_at)),
            Field::toned(Tone::Strong, incident.component.as_str()),
            Field::toned(tone(incident.severity), incident.severity.to_string()),
            Field::from(clean(&format!("{}: {}", incident.triggers.join(", "), incident.detail))),
            Field::from(clean(&incident.bad.label())),
            Field::from(verdict(incident.verdict())),
            state,
            Field::from(incident.run.map_or_else(|| "-".to_owned(), |run| run.to_string())),
        ]);
    }
    table.render("")
}

/// What each environment allows, and what is switched off.
pub(crate) fn switches(style: Style, all: &[(&Environment, Vec<Off>)], now: Timestamp) -> String {
    let mut out = String::new();
    for (environment, off) in all {
        let word = match environment.automatic {
            Automatic::Act => "bad deploys are rolled back",
            Automatic::Propose => "rollbacks are proposed",
            Automatic::Off => "nothing happens without a person",
        };
        let _ = writeln!(out, "{}: {word}", style.paint(Tone::Strong, environment.name.as_str()));
        if let Some(window) = environment.frozen(now) {
            let _ = writeln!(out, "  frozen until {}: {}", time(window.to), clean(&window.reason));
        }
        for off in off {
            let _ = write!(out, "  {}", switched_off(&environment.name, off));
        }
    }
    out
}

/// A switch in a line.
pub(crate) fn switched_off(environment: &EnvironmentName, off: &Off) -> String {
    let what = off.component.as_ref().map_or(environment.as_str(), ComponentName::as_str);
    let until = off.until.map_or_else(
        || "until somebody switches it on: rollback auto on".to_owned(),
        |until| format!("until {}", time(until)),
    );
    format!("{what}: off {until}: {} (by {} at {})\n", clean(&off.reason), clean(&off.by), time(off.at))
}
