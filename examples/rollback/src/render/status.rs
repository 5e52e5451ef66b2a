//! How components are now.

use rollback_core::engine::Status;
use rollback_core::ledger::Trial;
use rollback_core::target::{Health, Reading};
use rollback_core::{ComponentName, Error};

use super::table::{Field, Table};
use super::{Style, Tone, clean, phase};
use crate::config::Hidden;

/// A row for each component; one that cannot be read says so in its row.
pub(crate) fn render(
    style: Style,
    components: &[(ComponentName, Result<Status, Error>)],
    hidden: &Hidden,
) -> String {
    let header = ["COMPONENT", "DRIVER", "RUNS", "PHASE", "PARTS", "LAST GOOD", "NOTES"];
    let mut table = Table::new(style, &header, &["PHASE", "NOTES"]);
    let dash = || Field::from("-".to_owned());
    for (name, status) in components {
        let name = Field::toned(Tone::Strong, name.as_str());
        match status {
            Ok(status) => table.row(row(name, status)),
            Err(error) => {
                let why = format!("cannot be read: {}", clean(&hidden.hide(error.message())));
                table.row([name, dash(), dash(), dash(), dash(), dash(), Field::toned(Tone::Bad, why)]);
            }
        }
    }
    table.render("")
}

fn row(name: Field, status: &Status) -> [Field; 7] {
    let last_good = status.last_good.as_ref().map_or_else(
        || Field::from("none yet".to_owned()),
        |good| Field::toned(Tone::Good, clean(&good.snapshot.info.label())),
    );
    [
        name,
        Field::from(clean(&status.driver)),
        Field::from(runs(status)),
        Field::from(phase(&status.observed.phase)),
        Field::from(parts(status)),
        last_good,
        notes(status),
    ]
}

fn runs(status: &Status) -> String {
    let settled = match &status.observed.settled {
        Reading::Known(snapshot) => clean(&snapshot.info.label()),
        Reading::Absent => "nothing".to_owned(),
        Reading::Unknown(why) => format!("unknown: {}", clean(why)),
    };
    match &status.observed.heading {
        Some(heading) => format!("{settled} → {}", clean(&heading.info.label())),
        None => settled,
    }
}

/// How many parts there are, how many of them run what it rests on, and how they feel.
fn parts(status: &Status) -> String {
    let parts = &status.observed.parts;
    let settled = status.observed.settled.known().map(|snapshot| snapshot.info.identity);
    let same = parts.iter().filter(|part| part.identity.is_some() && part.identity == settled).count();
    let sick = parts.iter().filter(|part| matches!(part.health, Health::Unhealthy(_))).count();
    let unwell = if sick > 0 { format!(", {sick} unhealthy") } else { String::new() };
    format!("{same}/{}{unwell}", parts.len())
}

fn notes(status: &Status) -> Field {
    let quarantined = status.quarantined.as_ref().map(|why| format!("quarantined: {}", clean(why)));
    let held = status.held_by.as_ref().map(|who| format!("held by {}", clean(who)));
    let lagging = status.observed.lagging.then(|| "the platform lags behind".to_owned());
    let trial = status.trial.as_ref().map(|trial| match trial {
        Trial::Failed { reason, .. } => format!("failed: {}", clean(reason)),
        _ => "on trial".to_owned(),
    });
    // What is under quarantine says why.
    let trial = trial.filter(|_| quarantined.is_none());
    let notes: Vec<_> = [quarantined, trial, held, lagging].into_iter().flatten().collect();
    if notes.is_empty() {
        return Field::from("-".to_owned());
    }
    Field::toned(Tone::Careful, notes.join("; "))
}
