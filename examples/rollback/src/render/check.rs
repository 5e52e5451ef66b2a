//! Whether components could be rolled back right now.

use std::fmt::Write as _;

use rollback_core::engine::Verdict;

use super::table::{Field, Table};
use super::{Style, Tone, clean, findings, maybe_time};
use crate::commands::check::Checked;
use crate::config::Hidden;

/// A row for each component, and below what is in the way. `environments` adds the environment to each row.
pub(crate) fn render(style: Style, checked: &[Checked<'_>], environments: bool, hidden: &Hidden) -> String {
    let mut header = vec!["COMPONENT"];
    header.extend(environments.then_some("ENVIRONMENT"));
    header.extend(["READY", "FROM", "TO", "UNTIL", "METHOD", "TAKES", "DOWN"]);
    let mut table = Table::new(style, &header, &[]);
    for one in checked {
        let mut row = vec![Field::toned(Tone::Strong, one.component.as_str())];
        row.extend(environments.then(|| Field::from(one.environment.name.to_string())));
        row.push(verdict(one));
        row.extend(way(one).map(Field::from));
        table.row(row);
    }
    let mut out = table.render("");
    for one in checked {
        details(&mut out, style, one, environments, hidden);
    }
    out
}

fn verdict(one: &Checked<'_>) -> Field {
    match one.verdict() {
        Verdict::Ready => Field::toned(Tone::Good, "yes"),
        Verdict::Warned => Field::toned(Tone::Careful, "yes, see below"),
        _ => Field::toned(Tone::Bad, "NO"),
    }
}

/// From where, to where, until when, how, how long that should take, and how long users would be without service.
pub(crate) fn way(one: &Checked<'_>) -> [String; 6] {
    let dash = || "-".to_owned();
    let Ok(check) = &one.check else { return std::array::from_fn(|_| dash()) };
    let label = |info: &Option<rollback_core::SnapshotInfo>| {
        info.as_ref().map_or_else(dash, |info| clean(&info.label()))
    };
    let method = match &check.strategy {
        Some(strategy) => clean(strategy),
        None if check.already_there => "already there".to_owned(),
        None => dash(),
    };
    let lasting =
        |time: Option<rollback_core::time::Lasting>| time.map_or_else(dash, |time| time.to_string());
    let (takes, down) = (lasting(check.expected), lasting(check.downtime));
    [label(&check.from), label(&check.to), maybe_time(check.until), method, takes, down]
}

fn details(out: &mut String, style: Style, one: &Checked<'_>, environments: bool, hidden: &Hidden) {
    let name = if environments {
        format!("{} in {}", one.component, one.environment.name)
    } else {
        one.component.to_string()
    };
    match &one.check {
        Ok(check) if check.findings.is_empty() => {}
        Ok(check) => {
            let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, &name));
            findings(out, style, "  ", &check.findings);
        }
        Err(error) => {
            let _ = writeln!(out, "\n{}", style.paint(Tone::Strong, &name));
            for line in super::error::render(error, style, hidden).lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
    }
}
