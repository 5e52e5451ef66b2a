//! Texts from outside, made harmless for where they are shown.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// In one line of at most `longest` characters, without what steers a terminal or turns text around.
pub(crate) fn line(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    let mut space = true;
    let mut count = 0;
    for character in text.chars() {
        let blank = character.is_whitespace() || character.is_control();
        if hides(character) || (blank && space) {
            continue;
        }
        if count == longest {
            shown.push('…');
            return shown;
        }
        shown.push(if blank { ' ' } else { character });
        space = blank;
        count += 1;
    }
    shown.truncate(shown.trim_end().len());
    shown
}

/// Marks that nobody sees, and that make others seem to stand elsewhere.
fn hides(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || (character.is_control() && !character.is_whitespace())
}

/// For HTML, in text and in quoted attributes alike. What HTML cannot hold at all is left out.
pub(crate) fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ if hides(character) => {}
            _ => safe.push(character),
        }
    }
    safe
}

/// For Markdown, without any meaning as markup: whatever could have one becomes a character reference, which Markdown
/// shows and never reads.
pub(crate) fn markdown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut before = ' ';
    for character in line(text, usize::MAX).chars() {
        // `www.` alone begins a link.
        let harmless = !character.is_ascii_punctuation()
            || matches!(character, '-' | ',' | '=' | '%' | '/')
            || (character == '.' && !before.eq_ignore_ascii_case(&'w'));
        if harmless && !(character == '-' && safe.is_empty()) {
            safe.push(character);
        } else {
            let _ = write!(safe, "&#{};", u32::from(character));
        }
        before = character;
    }
    safe
}

/// As people read it: `2026-11-21 03:00:12 UTC`.
pub(crate) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line(" a\r\n b\u{1b}[31m\u{202e}c ", 80), "a b[31mc");
        assert_eq!(line("abcdef", 3), "abc…");
        assert_eq!(line("abc", 3), "abc");
    }

    #[test]
    fn markup_is_no_markup() {
        assert_eq!(html("<a href=\"x\" y='z'>&"), "&lt;a href=&quot;x&quot; y=&#39;z&#39;&gt;&amp;");
        assert_eq!(markdown("<b>*x*</b>"), "&#60;b&#62;&#42;x&#42;&#60;/b&#62;");
        assert_eq!(markdown("- x | y"), "&#45; x &#124; y");
        assert_eq!(markdown("www.example.com"), "www&#46;example.com");
    }

    #[test]
    fn times_are_read_by_people() {
        assert_eq!(time("2026-11-21T03:00:12.9Z".parse().unwrap()), "2026-11-21 03:00:12 UTC");
    }
}
