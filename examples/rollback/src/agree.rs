//! Asking before acting.

use rollback_core::{Approval, Error, ErrorKind, Plan, Result};

use crate::render::{Tone, clean};
use crate::session::Session;

/// Makes sure that somebody agreed to the plan: by flags, or by answering a question. Without a terminal nobody is
/// waited for.
pub(crate) fn agree(session: &Session<'_>, plan: &Plan) -> Result<Approval> {
    let approval = Approval::yes().digest(plan.digest());
    match plan.environment.confirm.as_deref() {
        Some(phrase) => confirm(session, phrase).map(|()| approval.phrase(phrase)),
        None if session.global.yes => Ok(approval),
        None if session.can_ask() => {
            let answer = ask(session, "Do it? [y/N] ");
            let agreed = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
            if agreed { Ok(approval) } else { Err(refused("nobody agreed")) }
        }
        None => Err(refused("there is no terminal to ask on").next("add --yes to act without being asked")),
    }
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
            return Err(refused(why).next(format!("add --confirm {shown}")));
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
