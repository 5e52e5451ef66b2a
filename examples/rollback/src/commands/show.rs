//! `rollback show`.

use rollback_core::Result;

use super::find_run;
use crate::args::ShowArgs;
use crate::outcome::Outcome;
use crate::render::runs;
use crate::session::Session;

pub(crate) async fn run(session: &Session<'_>, args: &ShowArgs) -> Result<Outcome> {
    let engine = session.reader().await?;
    let run = find_run(&engine, &args.run).await?;
    let details = engine.run(run).await?;
    Outcome::done(runs::details(session.style(), &details)).with("run", &details)
}
