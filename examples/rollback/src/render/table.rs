//! Tables without borders: easy to read, easy to cut with a script.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Width};

use super::{Style, Tone};

/// Columns that may wrap keep at least this width.
const NARROWEST: u16 = 16;

/// A table with a header.
pub(crate) struct Table {
    inner: comfy_table::Table,
    width: Option<u16>,
    wrapping: Vec<usize>,
}

impl Table {
    /// Only the columns in `wrapping` may be broken into lines: names and ids must stay whole to be copied.
    pub(crate) fn new(style: Style, header: &[&str], wrapping: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        inner.force_no_tty();
        if style.color {
            inner.enforce_styling();
        }
        let bold = |text: &&str| Cell::new(text).add_attribute(Attribute::Bold);
        inner.set_header(header.iter().map(bold).collect::<Vec<_>>());
        let wrapping = (0..header.len()).filter(|column| wrapping.contains(&header[*column])).collect();
        Self { inner, width: style.width, wrapping }
    }

    pub(crate) fn row<T: Into<Field>>(&mut self, fields: impl IntoIterator<Item = T>) {
        let cells: Vec<Cell> = fields.into_iter().map(|field| field.into().cell()).collect();
        self.inner.add_row(cells);
    }

    /// The lines, each behind `indent`.
    pub(crate) fn render(&mut self, indent: &str) -> String {
        if let Some(width) = self.width {
            let indent = u16::try_from(indent.len()).unwrap_or(0);
            self.inner.set_width(width.saturating_sub(indent));
        }
        let widest = self.inner.column_max_content_widths();
        for (number, column) in self.inner.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            column.set_constraint(if self.wrapping.contains(&number) {
                // The padding counts.
                ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST.min(widest[number].saturating_add(2))))
            } else {
                ColumnConstraint::ContentWidth
            });
        }
        let lines = self.inner.lines().map(|line| format!("{indent}{}", line.trim_end()));
        lines.fold(String::new(), |all, line| all + line.trim_end() + "\n")
    }
}

/// One field, perhaps coloured.
pub(crate) struct Field {
    text: String,
    tone: Option<Tone>,
}

impl Field {
    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Some(tone) }
    }

    fn cell(self) -> Cell {
        let cell = Cell::new(self.text);
        match self.tone {
            None => cell,
            Some(Tone::Good) => cell.fg(Color::Green),
            Some(Tone::Bad) => cell.fg(Color::Red).add_attribute(Attribute::Bold),
            Some(Tone::Careful) => cell.fg(Color::Yellow),
            Some(Tone::Strong) => cell.add_attribute(Attribute::Bold),
            Some(Tone::Faint) => cell.add_attribute(Attribute::Dim),
        }
    }
}

impl From<String> for Field {
    fn from(text: String) -> Self {
        Self { text, tone: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_whole_on_a_narrow_terminal() {
        let style = Style { color: false, width: Some(46) };
        let mut table = Table::new(style, &["METHOD", "WHY NOT"], &["WHY NOT"]);
        table.row(["switch-and-restart".to_owned(), "no restart command is configured".to_owned()]);
        table.row(["undo".to_owned(), "no".to_owned()]);
        let wanted = "
    METHOD              WHY NOT
    switch-and-restart  no restart command
                        is configured
    undo                no
";
        assert_eq!(format!("\n{}", table.render("    ")), wanted);
    }

    #[test]
    fn a_terminal_that_is_far_too_narrow_still_gets_words() {
        let style = Style { color: false, width: Some(10) };
        let mut table = Table::new(style, &["ID", "WHY"], &["WHY"]);
        table.row(["019aa3f0-0000".to_owned(), "first second".to_owned()]);
        assert_eq!(table.render(""), "ID             WHY\n019aa3f0-0000  first second\n");
    }
}
