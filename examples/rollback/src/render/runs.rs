//! Lists of runs, and everything about one.

use std::fmt::Write as _;

use rollback_core::engine::{RunDetails, RunSummary};
use rollback_core::{ComponentName, RunId};

use super::table::{Field, Table};
use super::{Style, Tone, clean, report, time, tone_of};

/// A row for each run.
pub(crate) fn list(style: Style, runs: &[RunSummary]) -> String {
    let header = ["RUN", "STARTED", "STATE", "COMPONENTS", "BY", "REASON"];
    let mut table = Table::new(style, &header, &["COMPONENTS", "REASON"]);
    for (run, id) in runs.iter().zip(short_ids(runs)) {
        let state = match run.state {
            Some(state) => Field::toned(tone_of(state), state.to_string()),
            None => Field::toned(Tone::Careful, "unfinished"),
        };
        let mut reason = clean(run.reason.as_deref().unwrap_or("-"));
        if run.break_glass.is_some() {
            reason += " [break-glass]";
        }
        let row = [
            Field::from(time(run.started_at)),
            state,
            Field::from(names(run)),
            Field::from(clean(&run.actor)),
        ];
        table.row(std::iter::once(Field::from(id)).chain(row).chain([Field::from(reason)]));
    }
    table.render("")
}

/// The beginning of each id, long enough to tell it from the others of the list.
fn short_ids(runs: &[RunSummary]) -> Vec<String> {
    // The first thirteen characters are the time to the millisecond.
    let ids: Vec<String> = runs.iter().map(|run| run.run.to_string()).collect();
    let unique = |length: usize| {
        let heads: std::collections::BTreeSet<&str> = ids.iter().map(|id| head(id, length)).collect();
        heads.len() == ids.len()
    };
    let length = (13..36).find(|length| unique(*length)).unwrap_or(36);
    ids.iter().map(|id| head(id, length).to_owned()).collect()
}

fn head(id: &str, length: usize) -> &str {
    id.get(..length).unwrap_or(id)
}

/// How many components a line of the list names.
const NAMED: usize = 5;

fn names(run: &RunSummary) -> String {
    let shown = if run.component_count > NAMED { NAMED - 1 } else { NAMED };
    let names: Vec<_> = run.components.iter().take(shown).map(ComponentName::as_str).collect();
    match run.component_count.saturating_sub(names.len()) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// One run: who and why, its journal, its report.
pub(crate) fn details(style: Style, details: &RunDetails) -> String {
    let run = &details.summary;
    let mut out = String::new();
    let _ = writeln!(out, "{}", style.paint(Tone::Strong, &format!("Run {}", run.run)));
    let _ = writeln!(out, "  started  {}", time(run.started_at));
    let _ = writeln!(out, "  by       {}", clean(&run.actor));
    let _ = writeln!(out, "  reason   {}", clean(run.reason.as_deref().unwrap_or("-")));
    let _ = writeln!(out, "  plan     {}", details.plan.digest());
    for (component, events) in &details.journal {
        let _ = writeln!(out, "\njournal of {component}");
        for (at, what) in events {
            let _ = writeln!(out, "  {}  {}", time(*at), clean(what));
        }
    }
    out.push('\n');
    match &details.report {
        Some(found) => out.push_str(&report::render(found, style, Some(&details.plan.environment))),
        None => out.push_str(&unfinished(style, run.run)),
    }
    out
}

/// What to say of a run without an end.
pub(crate) fn unfinished(style: Style, run: RunId) -> String {
    let text = style.paint(Tone::Careful, "unfinished: it still runs, or was cut off");
    format!("{text}\n  next: rollback resume {run}\n")
}
