//! Texts for people: tables, plans, reports, errors, progress.

pub(crate) mod check;
pub(crate) mod drill;
pub(crate) mod error;
pub(crate) mod history;
pub(crate) mod markdown;
pub(crate) mod plan;
pub(crate) mod progress;
pub(crate) mod quarantine;
pub(crate) mod report;
pub(crate) mod runs;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod watch;

use std::fmt::Write as _;

use jiff::Timestamp;
use rollback_core::State;
use rollback_core::target::{Finding, Phase, Severity};

/// How a text is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether colours are wanted.
    pub(crate) color: bool,
    /// The width of the terminal; `None` = as wide as needed.
    pub(crate) width: Option<u16>,
}

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Careful,
    Strong,
    Faint,
}

impl Style {
    /// The text in its colour.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Careful => "33",
            Tone::Strong => "1",
            Tone::Faint => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    pub(crate) fn state(self, state: State) -> String {
        self.paint(tone_of(state), &state.to_string())
    }
}

pub(crate) fn tone_of(state: State) -> Tone {
    match state {
        State::Restored | State::AlreadyThere => Tone::Good,
        State::Cancelled | State::Superseded | State::Refused => Tone::Careful,
        _ => Tone::Bad,
    }
}

/// A text from outside as a terminal may show it: control characters and marks that hide or turn text around are
/// written as escapes, so that a release name cannot repaint the screen.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if hides(character) {
            let _ = write!(clean, "{}", character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

fn hides(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A time to the second.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// A time to the second, or a dash.
pub(crate) fn maybe_time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), time)
}

/// A phase in words.
pub(crate) fn phase(phase: &Phase) -> String {
    match phase {
        Phase::Settled => "settled".to_owned(),
        Phase::Progressing(what) => format!("moving: {}", clean(what)),
        Phase::Paused(what) => format!("paused: {}", clean(what)),
        Phase::Failed(why) => format!("failed: {}", clean(why)),
        _ => "unknown".to_owned(),
    }
}

/// Findings, the worst first, each with what to do about it.
pub(crate) fn findings<'a>(
    out: &mut String,
    style: Style,
    indent: &str,
    findings: impl IntoIterator<Item = &'a Finding>,
) {
    let mut findings: Vec<_> = findings.into_iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in findings {
        let (tone, word) = match finding.severity {
            Severity::Info => (Tone::Faint, "info"),
            Severity::Warning => (Tone::Careful, "warning"),
            Severity::Blocker => (Tone::Bad, "BLOCKER"),
        };
        let word = style.paint(tone, word);
        let _ = writeln!(out, "{indent}{word} {}: {}", clean(&finding.code), clean(&finding.message));
        if let Some(next) = &finding.next {
            let _ = writeln!(out, "{indent}  next: {}", clean(next));
        }
    }
}

/// `1 part`, `2 parts`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod snapshots;

#[cfg(test)]
pub(crate) use self::snapshots::samples;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_cannot_repaint_a_terminal() {
        assert_eq!(clean("v1\u{1b}[31m\n\r\u{7}"), "v1\\u{1b}[31m\\n\\r\\u{7}");
        assert_eq!(clean("safe\u{202e}lian\u{200b}"), "safe\\u{202e}lian\\u{200b}");
        assert_eq!(clean("naïve → 日本"), "naïve → 日本");
    }

    #[test]
    fn colour_is_only_there_when_wanted() {
        assert_eq!(Style::default().paint(Tone::Bad, "x"), "x");
        assert_eq!(Style { color: true, width: None }.paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
    }
}
