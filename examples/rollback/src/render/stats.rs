//! How long it takes to see that something is bad, and until it is well again.

use std::collections::BTreeMap;

use rollback_core::ComponentName;
use rollback_core::time::Lasting;
use rollback_notify::stats::{Figures, Spread};

use super::table::{Field, Table};
use super::{Style, Tone};

/// A row for each component.
pub(crate) fn render(style: Style, figures: &BTreeMap<ComponentName, Figures>) -> String {
    if figures.is_empty() {
        return "no incidents\n".to_owned();
    }
    let header = ["COMPONENT", "INCIDENTS", "RESTORED", "MTTD", "LONGEST", "MTTR", "LONGEST"];
    let mut table = Table::new(style, &header, &[]);
    for (component, one) in figures {
        let [detect, slowest] = lengths(one.detect);
        let [restore, longest] = lengths(one.restore);
        table.row([
            Field::toned(Tone::Strong, component.as_str()),
            Field::from(one.incidents.to_string()),
            Field::from(one.restored.to_string()),
            Field::from(detect),
            Field::from(slowest),
            Field::from(restore),
            Field::from(longest),
        ]);
    }
    table.render("")
}

/// The mean and the longest.
fn lengths(spread: Option<Spread>) -> [String; 2] {
    let seconds = |lasting: Lasting| format!("{:.1}s", lasting.as_duration().as_secs_f64());
    spread.map_or_else(
        || ["-".to_owned(), "-".to_owned()],
        |spread| [seconds(spread.mean), seconds(spread.worst)],
    )
}
