//! Texts of others, made fit to be told: what a platform or an application says goes to terminals, reports and chats.

/// The longest line that is told whole, in characters.
const LONGEST: usize = 300;
/// How much of a log is told.
const LINES: usize = 6;
const CHARACTERS: usize = 1_000;

/// A text of somebody else's on one line: without control characters and without what turns the direction of writing, and not longer than
/// a person reads (300 characters).
///
/// ```
/// use rollback_core::foreign::line;
/// assert_eq!(line("\u{1b}[31mno such\n table"), "[31mno such table");
/// ```
#[must_use]
pub fn line(text: &str) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let flat: String = text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect();
    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &flat[..end]),
        None => flat,
    }
}

/// What of a log was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Nowhere,
    /// What is before it: its first line may begin anywhere.
    Before,
    /// What is after it: its last line may end anywhere.
    After,
}

/// The last lines that a container or a program wrote, in the order in which it wrote them: six at most, and about a thousand characters.
/// Lines that repeat each other are told once. It is the application's own text and may hold anything; the users and passwords of addresses are
/// masked, as whoever cannot connect often writes where to. Empty where nothing was written.
///
/// ```
/// use rollback_core::foreign::{Cut, last_words};
/// let log = "starting\nno answer from postgres://shop:hunter2@db:5432/shop\n";
/// assert_eq!(last_words(log, Cut::Nowhere), "starting | no answer from postgres://***@db:5432/shop");
/// ```
#[must_use]
pub fn last_words(log: &str, cut: Cut) -> String {
    let (mut told, mut length) = (Vec::new(), 0);
    let cut_at_end = cut == Cut::After && !log.ends_with('\n');
    let first = log.lines().count().saturating_sub(1);
    for (back, text) in log.lines().rev().enumerate() {
        // Of what an address would be told by, the beginning may be missing.
        if cut == Cut::Before && back == first {
            if told.is_empty() {
                told.push("…".to_owned());
            }
            break;
        }
        // Masked before it is shortened, or the end of what has to be masked might not be seen.
        let one = line(&masked(text, cut_at_end && back == 0));
        // Who ends again and again says the same again and again.
        if one.is_empty() || told.last() == Some(&one) {
            continue;
        }
        length += one.chars().count() + 3;
        if told.len() == LINES || (length > CHARACTERS && !told.is_empty()) {
            break;
        }
        told.push(one);
    }
    told.reverse();
    told.join(" | ")
}

/// Without the user and password of an address. Of a line whose end is missing, what may be the beginning of a password is left out.
fn masked(line: &str, is_cut: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''));
        let authority = &after[..end.unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(at) => {
                out.push_str("***");
                &after[at..]
            }
            None if is_cut && end.is_none() => "***",
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(log: &str) -> String {
        last_words(log, Cut::Nowhere)
    }

    #[test]
    fn the_end_of_a_log_is_told_in_bounds() {
        assert_eq!(
            whole("starting\n\n\u{1b}[31mfatal: no\u{202e} table\n"),
            "starting | [31mfatal: no table"
        );
        let long: String = (0..200).map(|n| format!("line {n} {}\n", "x".repeat(5_000))).collect();
        let told = whole(&long);
        assert!(told.contains("line 199 ") && !told.contains("line 196 "), "{told}");
        assert!(told.chars().count() <= CHARACTERS, "{}", told.chars().count());
        let many: String = (0..200).map(|n| format!("{n}\n")).collect();
        assert_eq!(whole(&many), "194 | 195 | 196 | 197 | 198 | 199");
        assert_eq!(whole("\n \n"), "");
        assert_eq!(whole("no\nno\nyes\nno\nno\n"), "no | yes | no");
    }

    #[test]
    fn passwords_in_addresses_are_not_told() {
        let told = masked(
            "cannot reach postgres://shop:hunter2@db:5432/shop or \"amqp://a:p@ss@mq\", see https://help/@me",
            false,
        );
        assert_eq!(
            told,
            "cannot reach postgres://***@db:5432/shop or \"amqp://***@mq\", see https://help/@me"
        );
        assert_eq!(masked("://", false), "://");
        assert_eq!(masked("redis://:p\u{e4}@x ://@", false), "redis://***@x ://***@");
        let long = format!("{} postgres://shop:{}@db\n", "x".repeat(280), "hunter2".repeat(40));
        assert!(!whole(&long).contains("hunter2"), "{}", whole(&long));
    }

    #[test]
    fn what_may_be_half_a_password_is_not_told() {
        let end = format!("{}\npostgres://shop:hunter2", "x".repeat(99));
        assert!(last_words(&end, Cut::After).ends_with("postgres://***"));
        assert!(last_words("see https://help.example/page", Cut::After).ends_with("help.example/page"));
        assert_eq!(last_words("hunter2@db/shop\nlast\n", Cut::Before), "last");
        assert_eq!(last_words("hunter2@db/shop", Cut::Before), "…");
    }
}
