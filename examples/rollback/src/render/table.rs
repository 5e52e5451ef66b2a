//! Tables without borders: easy to read, easy to cut with a script.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color, ContentArrangement};

use super::{Style, Tone};

/// A table with a header.
pub(crate) struct Table {
    inner: comfy_table::Table,
}

impl Table {
    pub(crate) fn new(style: Style, header: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        inner.force_no_tty();
        if style.color {
            inner.enforce_styling();
        }
        if let Some(width) = style.width {
            inner.set_width(width);
        }
        let bold = |text: &&str| Cell::new(text).add_attribute(Attribute::Bold);
        inner.set_header(header.iter().map(bold).collect::<Vec<_>>());
        Self { inner }
    }

    pub(crate) fn row<T: Into<Field>>(&mut self, fields: impl IntoIterator<Item = T>) {
        let cells: Vec<Cell> = fields.into_iter().map(|field| field.into().cell()).collect();
        self.inner.add_row(cells);
    }

    /// The lines, each behind `indent`.
    pub(crate) fn render(&mut self, indent: &str) -> String {
        for column in self.inner.column_iter_mut() {
            column.set_padding((0, 2));
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
