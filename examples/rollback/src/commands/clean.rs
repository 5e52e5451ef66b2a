//! `rollback clean`.

use rollback_core::Result;
use rollback_core::engine::Cleaned;

use crate::agree::agree_to;
use crate::args::CleanArgs;
use crate::outcome::Outcome;
use crate::render::{clean as tidy, count};
use crate::session::Session;

/// After how many removed runs progress is told.
const TOLD_EVERY: usize = 100;

pub(crate) async fn run(session: &Session<'_>, args: &CleanArgs) -> Result<Outcome> {
    let engine = session.reader().await?;
    let older_than = args.older_than.unwrap_or(session.config.retention);
    let would = engine.clean_up(older_than, true, &|_| {}).await?;
    let nothing = would.runs + would.deployments + would.contents == 0;
    if args.dry_run || nothing {
        let text = format!("{} would be removed: older than {older_than}\n{}", counts(&would), kept(&would));
        return outcome(text, &would, true);
    }
    if session.is_text() {
        session.console.print(&format!("older than {older_than}: {}\n{}", counts(&would), kept(&would)));
    }
    if let Err(error) = agree_to(session, "Remove them?") {
        return Outcome::failed(error).with("cleaned", &would)?.with("dry_run", &true);
    }
    let tell = |cleaned: &Cleaned| {
        if !session.global.quiet && cleaned.runs > 0 && cleaned.runs.is_multiple_of(TOLD_EVERY) {
            session.console.print_error(&format!(
                "{} of {} removed\n",
                cleaned.runs,
                count(would.runs, "run")
            ));
        }
    };
    let cleaned = engine.clean_up(older_than, false, &tell).await?;
    outcome(format!("{} removed\n", counts(&cleaned)), &cleaned, false)
}

fn outcome(text: String, cleaned: &Cleaned, dry_run: bool) -> Result<Outcome> {
    Outcome::done(text).with("cleaned", cleaned)?.with("dry_run", &dry_run)
}

fn counts(cleaned: &Cleaned) -> String {
    let events = count(cleaned.events, "journal event");
    let deployments = count(cleaned.deployments, "deployment record");
    let contents = match cleaned.contents {
        0 => String::new(),
        number => format!(", and the contents of {}", count(number, "deployment")),
    };
    format!("{} with {events}, and {deployments}{contents}", count(cleaned.runs, "run"))
}

fn kept(cleaned: &Cleaned) -> String {
    let line =
        |(why, number): (&String, &usize)| format!("{} stays: {}\n", count(*number, "old run"), tidy(why));
    cleaned.kept.iter().map(line).collect()
}
