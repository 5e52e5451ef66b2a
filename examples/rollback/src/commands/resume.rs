//! `rollback resume`.

use rollback_core::engine::RunSummary;
use rollback_core::{Engine, Error, ErrorKind, Result, RunId};

use super::{SEARCHED_RUNS, ended, environment_of, find_run};
use crate::Exit;
use crate::args::ResumeArgs;
use crate::drive::Live;
use crate::outcome::Outcome;
use crate::render::runs;
use crate::session::{Acting, Session};
use crate::telling::telling;

pub(crate) async fn run(session: &Session<'_>, args: &ResumeArgs) -> Result<Outcome> {
    // What the run is about is only known from the journal: read it before connecting to anything.
    let reading = Acting { break_glass: args.glass.break_glass.clone(), ..Acting::default() };
    let reader = session.journal(reading).await?;
    let run = match &args.run {
        Some(text) => find_run(&reader, text).await?,
        None => match only_unfinished(&reader).await? {
            Ok(run) => run,
            Err(unfinished) => return choose(session, &unfinished),
        },
    };
    let details = reader.run(run).await?;
    let environment = environment_of(session, &details)?;
    let components: Vec<_> = details.plan.components.keys().cloned().collect();
    let (live, acting) = Live::new(args.glass.break_glass.clone());
    let engine = session.engine(environment, &components, acting).await?;
    let resumed = live.follow(session, engine.resume(run));
    // Of one that has ended everything has been told.
    let driven = match details.report {
        None => telling(session, &details.plan, resumed).await?,
        Some(_) => resumed.await?,
    };
    ended(session, driven, environment)?.with("run", &run)
}

/// The only run without an end, or all of them if there are several.
async fn only_unfinished(engine: &Engine) -> Result<Result<RunId, Vec<RunSummary>>> {
    let mut runs = engine.runs(SEARCHED_RUNS).await?;
    runs.retain(|run| run.state.is_none());
    match runs.as_slice() {
        [] => Err(Error::new(ErrorKind::NotFound, "resume", "no run is unfinished")
            .next("`rollback runs` lists the runs with their states")),
        [run] => Ok(Ok(run.run)),
        _ => Ok(Err(runs)),
    }
}

fn choose(session: &Session<'_>, unfinished: &[RunSummary]) -> Result<Outcome> {
    let error = Error::new(ErrorKind::Invalid, "resume", "several runs are unfinished")
        .next("name one: rollback resume RUN");
    let mut outcome = Outcome::failed(error).exit(Exit::Usage).with("runs", &unfinished)?;
    outcome.text = runs::list(session.style(), unfinished);
    Ok(outcome)
}
