//! `rollback runs`.

use rollback_core::Result;

use crate::args::RunsArgs;
use crate::outcome::Outcome;
use crate::render::runs;
use crate::session::Session;

pub(crate) async fn run(session: &Session<'_>, args: &RunsArgs) -> Result<Outcome> {
    let found = session.reader().await?.runs(args.limit).await?;
    let text =
        if found.is_empty() { "no runs yet\n".to_owned() } else { runs::list(session.style(), &found) };
    Outcome::done(text).with("runs", &found)
}
