//! What is under quarantine.

use rollback_core::ledger::Quarantine;

use super::table::{Field, Table};
use super::{Style, Tone, clean, time};
use crate::commands::quarantine::Listed;

/// A row for each entry.
pub(crate) fn list(style: Style, listed: &[Listed]) -> String {
    let any = listed.iter().any(|(_, standing, lifted)| !standing.is_empty() || !lifted.is_empty());
    if !any {
        return "nothing is under quarantine\n".to_owned();
    }
    let header = ["COMPONENT", "VERSION", "IDENTITY", "SINCE", "BY", "RUN", "WHY"];
    let mut table = Table::new(style, &header, &["WHY"]);
    for (component, standing, lifted) in listed {
        for entry in standing {
            table.row(row(component.as_str(), entry, clean(&entry.reason)));
        }
        for old in lifted {
            let word = format!("lifted by {} at {}: {}", clean(&old.by), time(old.at), clean(&old.reason));
            table.row(row(component.as_str(), &old.quarantine, word));
        }
    }
    table.render("")
}

fn row(component: &str, entry: &Quarantine, why: String) -> [Field; 7] {
    let run = entry.run.map_or_else(|| "-".to_owned(), |run| run.to_string());
    [
        Field::toned(Tone::Strong, component),
        Field::from(clean(&entry.label)),
        Field::from(entry.identity.short()),
        Field::from(time(entry.at)),
        Field::from(clean(&entry.by)),
        Field::from(run),
        Field::from(why),
    ]
}
