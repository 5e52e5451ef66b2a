//! `rollback clean`.

use rollback_core::Result;
use rollback_core::engine::Cleaned;
use rollback_watch::Incidents;

use super::leftovers::{self, Found};
use crate::Exit;
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
    let (incidents, oldest) = (Incidents::new(session.records().await?), older_than.before(session.now()));
    let old = incidents.clean(oldest, true).await?;
    let left = leftovers::look(session).await;
    let nothing = would.runs + would.deployments + would.contents + old == 0 && left.is_nothing();
    if args.dry_run || nothing {
        let text = format!(
            "{} would be removed: older than {older_than}\n{}{}",
            counts(&would, old),
            kept(&would),
            left.text(" would be removed")
        );
        return outcome(session, text, &would, old, left, true);
    }
    if session.is_text() {
        let (counts, kept, left) = (counts(&would, old), kept(&would), left.text(""));
        session.console.print(&format!("older than {older_than}: {counts}\n{kept}{left}"));
    }
    if let Err(error) = agree_to(session, "Remove them?") {
        let refused = Outcome::failed(error).with("cleaned", &would)?;
        return refused.with("leftovers", &left.json(session))?.with("dry_run", &true);
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
    let old = incidents.clean(oldest, false).await?;
    let left = left.tidy(session).await;
    let text = format!("{} removed\n{}", counts(&cleaned, old), left.text(" removed"));
    outcome(session, text, &cleaned, old, left, false)
}

fn outcome(
    session: &Session<'_>,
    text: String,
    cleaned: &Cleaned,
    incidents: usize,
    left: Found,
    dry_run: bool,
) -> Result<Outcome> {
    let outcome = Outcome::done(text).with("cleaned", cleaned)?.with("incidents", &incidents)?;
    let mut outcome = outcome.with("leftovers", &left.json(session))?.with("dry_run", &dry_run)?;
    if let Some(error) = left.error() {
        outcome.exit = Exit::of_error(error.kind());
        outcome.error = Some(error);
    }
    Ok(outcome)
}

fn counts(cleaned: &Cleaned, incidents: usize) -> String {
    let events = count(cleaned.events, "journal event");
    let deployments = count(cleaned.deployments, "deployment record");
    let contents = match cleaned.contents {
        0 => String::new(),
        number => format!(", and the contents of {}", count(number, "deployment")),
    };
    let incidents = match incidents {
        0 => String::new(),
        number => format!(", and {}", count(number, "incident")),
    };
    format!("{} with {events}, and {deployments}{contents}{incidents}", count(cleaned.runs, "run"))
}

fn kept(cleaned: &Cleaned) -> String {
    let line =
        |(why, number): (&String, &usize)| format!("{} stays: {}\n", count(*number, "old run"), tidy(why));
    cleaned.kept.iter().map(line).collect()
}
