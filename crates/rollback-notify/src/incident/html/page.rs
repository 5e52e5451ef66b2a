//! Writing HTML that nothing from outside can change the shape of.

use std::fmt::Write as _;

use crate::clean;

/// How long a text may be that is shown, in characters.
const LONGEST: usize = 2_000;

/// A page in the making. Markup can only be written out in the code: everything else is escaped.
#[derive(Debug, Default)]
pub(in crate::incident) struct Page(String);

impl Page {
    /// Markup that stands in the code.
    pub(in crate::incident) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// A text, in one line.
    pub(in crate::incident) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&clean::html(&clean::line(text, LONGEST)));
        self
    }

    /// A coordinate.
    pub(in crate::incident) fn number(&mut self, number: f64) -> &mut Self {
        let _ = write!(self.0, "{:.1}", if number.is_finite() { number } else { 0.0 });
        self
    }

    pub(in crate::incident) fn finish(self) -> String {
        self.0
    }
}
