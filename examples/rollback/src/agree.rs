//! Asking before acting.

use rollback_core::{Approval, Error, ErrorKind, Plan, Result};

use crate::render::history::shell_word;
use crate::render::{Tone, clean};
use crate::session::Session;

/// Makes sure that somebody agreed to the plan: by flags, or by answering a question. Without a terminal nobody is
/// waited for.
pub(crate) fn agree(session: &Session<'_>, plan: &Plan) -> Result<Approval> {
    let approval = Approval::yes().digest(plan.digest());
    match plan.environment.confirm.as_deref() {
        Some(phrase) => confirm(session, phrase).map(|()| approval.phrase(phrase)),
        None => agree_to(session, "Do it?").map(|()| approval),
    }
}

/// Makes sure that somebody agreed to something that needs no phrase.
pub(crate) fn agree_to(session: &Session<'_>, question: &str) -> Result<()> {
    if session.global.yes {
        return Ok(());
    }
    if !session.can_ask() {
        let why = if session.is_text() { "there is no terminal to ask on" } else { "a document asks nobody" };
        return Err(refused(why).next("add --yes to act without being asked"));
    }
    let answer = ask(session, &format!("{question} [y/N] "));
    let agreed = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if agreed { Ok(()) } else { Err(refused("nobody agreed").next("answer y, or add --yes")) }
}

/// The reason, where somebody is there to give one.
pub(crate) fn ask_reason(session: &Session<'_>) -> Option<String> {
    if !session.can_ask() || session.global.yes {
        return None;
    }
    let reason = ask(session, "Why? (for the plan, the journal and the report) ");
    let reason = reason.trim();
    (!reason.is_empty()).then(|| reason.to_owned())
}

/// The environment's phrase, from `--confirm` or typed.
fn confirm(session: &Session<'_>, phrase: &str) -> Result<()> {
    let shown = clean(phrase);
    let given = match &session.global.confirm {
        Some(given) => given.clone(),
        None if session.can_ask() && !session.global.yes => ask(session, &format!("Type {shown} to do it: ")),
        None => {
            let why = if session.global.yes {
                "--yes is not enough in this environment"
            } else {
                "there is no terminal to ask on"
            };
            return Err(refused(why).next(format!("add --confirm {}", shell_word(&shown))));
        }
    };
    if given.trim() == phrase {
        return Ok(());
    }
    Err(refused("the phrase is not the one that the environment asks for")
        .next(format!("the phrase is {shown}, in exactly these letters")))
}

fn ask(session: &Session<'_>, question: &str) -> String {
    session.console.print_error(&session.error_style().paint(Tone::Strong, question));
    session.console.read_line().unwrap_or_default()
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::Refused, "act", format!("{why}; nothing was done"))
}

#[cfg(test)]
mod tests {
    use rollback_core::ErrorKind;

    use super::*;
    use crate::App;
    use crate::args::Arguments;
    use crate::config::Config;
    use crate::console::{Console, Terminals};
    use crate::render::samples;

    const TERMINALS: Terminals = Terminals { input: true, output: true, errors: true };

    /// What agreeing came to, with these flags; `typed` is what a person types, `None` = nobody is there.
    fn agreed(flags: &[&str], typed: Option<&str>, confirm: Option<&str>) -> Result<Approval> {
        use clap::Parser as _;
        let app = App::new();
        let line = ["rollback"].iter().chain(flags).chain(&["runs"]);
        let global = Arguments::parse_from(line).global;
        let console = Console::plain(".", std::io::sink(), std::io::sink());
        let console = match typed {
            Some(typed) => console.with_input(std::io::Cursor::new(typed.to_owned()), TERMINALS),
            None => console,
        };
        let file = std::path::Path::new("rollback.toml");
        let config = Config::parse(file, "", &app.drivers, &|_| None)?;
        let session = Session::over(&app, &console, &global, config);
        agree(&session, &samples::plan(confirm))
    }

    fn refusal(result: Result<Approval>) -> String {
        let error = result.expect_err("it must be refused");
        assert_eq!(error.kind(), ErrorKind::Refused);
        error.to_string()
    }

    #[test]
    fn without_a_terminal_nobody_is_waited_for() {
        assert!(refusal(agreed(&[], None, None)).contains("add --yes"));
        assert!(refusal(agreed(&[], None, Some("ROLLBACK-PROD"))).contains("add --confirm ROLLBACK-PROD"));
        assert!(refusal(agreed(&["--yes"], None, Some("ROLLBACK-PROD"))).contains("--yes is not enough"));
        // JSON is for pipelines: a terminal does not turn it into a conversation.
        assert!(refusal(agreed(&["--output", "json"], Some("y\n"), None)).contains("add --yes"));
    }

    #[test]
    fn flags_agree() {
        let digest = samples::plan(None).digest();
        assert_eq!(agreed(&["--yes"], None, None).unwrap(), Approval::yes().digest(digest));
        let digest = samples::plan(Some("DO IT")).digest();
        let approval = agreed(&["--confirm", "DO IT"], None, Some("DO IT")).unwrap();
        assert_eq!(approval, Approval::yes().digest(digest).phrase("DO IT"));
    }

    #[test]
    fn people_agree() {
        for typed in ["y\n", "YES\n", " yes \n"] {
            assert!(agreed(&[], Some(typed), None).is_ok(), "{typed:?}");
        }
        for typed in ["", "\n", "n\n", "yeah\n"] {
            assert!(refusal(agreed(&[], Some(typed), None)).contains("nobody agreed"), "{typed:?}");
        }
        assert!(agreed(&[], Some("DO IT\n"), Some("DO IT")).is_ok());
        for typed in ["", "yes\n", "do it\n"] {
            assert!(
                refusal(agreed(&[], Some(typed), Some("DO IT"))).contains("the phrase is DO IT"),
                "{typed:?}"
            );
        }
        assert!(refusal(agreed(&["--confirm", "no"], Some("DO IT\n"), Some("DO IT"))).contains("phrase"));
    }
}
