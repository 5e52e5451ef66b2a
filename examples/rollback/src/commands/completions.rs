//! `rollback completions`.

use clap::CommandFactory as _;

use crate::args::{Arguments, CompletionsArgs};
use crate::outcome::Outcome;

pub(crate) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "rollback", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    let mut outcome = Outcome::done(text.clone());
    outcome.document.insert("script".to_owned(), text.into());
    outcome
}
