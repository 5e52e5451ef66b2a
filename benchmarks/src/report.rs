//! Tables, on the screen and between the markers of a document.

use std::fmt::Write as _;
use std::path::Path;

use crate::Result;

/// What one part of the benchmarks came to.
#[derive(Debug)]
pub(crate) struct Section {
    /// The name in the document's markers and after `--only`.
    pub(crate) name: &'static str,
    pub(crate) tables: Vec<Table>,
}

/// A table, with lines below it that belong to its numbers.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        Self { head: head.into_iter().map(Into::into).collect(), rows: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// As Markdown that is also readable as it is.
    fn render(&self) -> String {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| {
            all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let line = |row: &[String]| {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let gap = width(column).saturating_sub(cell.chars().count());
                // Names to the left, numbers to the right.
                let (before, after) = if column == 0 { (0, gap) } else { (gap, 0) };
                format!(" {:before$}{cell}{:after$} ", "", "")
            });
            format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
        };
        let rule = (0..self.head.len()).map(|column| {
            let dashes = "-".repeat(width(column) + 1);
            if column == 0 { format!("{dashes}-") } else { format!("{dashes}:") }
        });
        let mut text = line(&self.head);
        let _ = writeln!(text, "|{}|", rule.collect::<Vec<_>>().join("|"));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }
}

impl Section {
    pub(crate) fn render(&self) -> String {
        self.tables.iter().map(Table::render).collect::<Vec<_>>().join("\n")
    }

    /// Puts the tables between this section's markers.
    pub(crate) fn write(&self, document: &Path) -> Result<()> {
        let text = std::fs::read_to_string(document)?;
        let replaced = replace(&text, self.name, &self.render())
            .ok_or_else(|| format!("{} has no markers for {}", document.display(), self.name))?;
        Ok(std::fs::write(document, replaced)?)
    }
}

fn replace(text: &str, name: &str, with: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- measured: {name} -->\n"), format!("<!-- end: {name} -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{with}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let text = "a\n<!-- measured: x -->\nold\n<!-- end: x -->\nb\n";
        let new = "a\n<!-- measured: x -->\n\nnew\n<!-- end: x -->\nb\n";
        assert_eq!(replace(text, "x", "new").as_deref(), Some(new));
        assert_eq!(replace(text, "y", "new"), None);
    }

    #[test]
    fn a_table_is_aligned() {
        let mut table = Table::new(["what", "µs"]);
        table.row(["one", "1.00"]);
        assert_eq!(table.render(), "| what |   µs |\n|------|-----:|\n| one  | 1.00 |\n");
    }
}
