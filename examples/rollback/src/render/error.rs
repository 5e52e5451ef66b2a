//! Errors for people.

use rollback_core::Error;

use super::{Style, Tone, clean};
use crate::config::Hidden;

/// The error with its causes and what to do next. Values that came from variables are named, not shown.
pub(crate) fn render(error: &Error, style: Style, hidden: &Hidden) -> String {
    let record = error.to_record();
    let line = |text: &str| clean(&hidden.hide(text));
    let word = style.paint(Tone::Bad, "error:");
    let mut text = format!("{word} cannot {}: {}\n", line(&record.operation), line(&record.message));
    if let Some(next) = &record.next {
        for (number, step) in next.lines().enumerate() {
            let label = if number == 0 { "  next:" } else { "       " };
            text += &format!("{label} {}\n", line(step));
        }
    }
    text
}

/// The error as JSON, with the same care.
pub(crate) fn json(error: &Error, hidden: &Hidden) -> serde_json::Value {
    let record = error.to_record();
    serde_json::json!({
        "kind": record.kind,
        "operation": hidden.hide(&record.operation),
        "message": hidden.hide(&record.message),
        "next": record.next.map(|next| hidden.hide(&next)),
        "effect": record.effect,
    })
}

#[cfg(test)]
mod tests {
    use rollback_core::ErrorKind;

    use super::*;

    #[test]
    fn an_error_says_what_to_do_and_cannot_repaint_the_terminal() {
        let error = Error::new(ErrorKind::NotFound, "find v9", "no \u{1b}[2Jrelease\nv9")
            .with_source(std::io::Error::other("gone"))
            .next("the releases are: v2, v1");
        let text = render(&error, Style::default(), &Hidden::default());
        assert_eq!(
            text,
            "error: cannot find v9: no \\u{1b}[2Jrelease\\nv9: gone\n  next: the releases are: v2, v1\n"
        );
    }
}
