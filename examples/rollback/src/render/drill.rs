//! How an exercise went.

use std::fmt::Write as _;

use super::table::{Field, Table};
use super::{Style, Tone, tone_of};
use crate::commands::drill::Way;

/// A row for each way.
pub(crate) fn render(style: Style, ways: &[Way]) -> String {
    let mut table = Table::new(style, &["WAY", "STATE", "EXPECTED", "TOOK", "RUN"], &[]);
    for way in ways {
        table.row([
            Field::toned(Tone::Strong, way.way),
            Field::toned(tone_of(way.report.state), way.report.state.to_string()),
            Field::from(way.expected.map_or_else(|| "-".to_owned(), |expected| expected.to_string())),
            Field::from(way.took.to_string()),
            Field::from(way.report.run.to_string()),
        ]);
    }
    table.render("")
}

/// The same for the summary of a pipeline's step.
pub(crate) fn markdown(ways: &[Way]) -> String {
    let mut out = "### rollback drill\n\n| way | state | took |\n|---|---|---|\n".to_owned();
    for way in ways {
        let _ = writeln!(out, "| {} | {} | {} |", way.way, way.report.state, way.took);
    }
    out + "\n"
}
