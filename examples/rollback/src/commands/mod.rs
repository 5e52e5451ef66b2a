//! The commands, one file each.

mod allowed;
mod apply;
mod auto;
pub(crate) mod check;
mod clean;
mod completions;
pub(crate) mod drill;
mod guard;
mod history;
pub(crate) mod incidents;
mod init;
mod leftovers;
mod merge;
mod plan;
pub(crate) mod quarantine;
mod record;
mod report;
mod resume;
mod run;
mod runs;
mod schema;
mod show;
mod status;
mod unlock;
mod watch;

use std::pin::Pin;

use rollback_core::engine::RunDetails;
use rollback_core::{Engine, Environment, Error, ErrorKind, Report, Result, RunId};

use crate::App;
use crate::Exit;
use crate::args::{Command, Global};
use crate::console::Console;
use crate::drive::Driven;
use crate::outcome::Outcome;
use crate::render::markdown;
use crate::session::Session;

/// Runs a command that needs no configuration, and so neither a runtime nor a store.
pub(crate) fn without_configuration(
    app: &App,
    command: &Command,
    console: &Console,
    global: &Global,
) -> Option<Result<Outcome>> {
    match command {
        Command::Init => Some(init::run(console, global)),
        Command::Completions(args) => Some(Ok(completions::run(args))),
        Command::Schema => Some(schema::run(app)),
        _ => None,
    }
}

/// Runs a command.
pub(crate) async fn run(session: &Session<'_>, command: &Command) -> Result<Outcome> {
    // Each on the heap: together they would make every caller's stack as deep as the deepest of them.
    let work: Pin<Box<dyn Future<Output = Result<Outcome>> + '_>> = match command {
        Command::Init | Command::Completions(_) | Command::Schema => {
            return Err(Error::new(ErrorKind::Other, "run the command", "it needs no configuration"));
        }
        Command::Status(args) => Box::pin(status::run(session, args)),
        Command::History(args) => Box::pin(history::run(session, args)),
        Command::Check(args) => Box::pin(check::run(session, args)),
        Command::Plan(args) => Box::pin(plan::run(session, args)),
        Command::Apply(args) => Box::pin(apply::run(session, args)),
        Command::Run(args) => Box::pin(run::run(session, args)),
        Command::Resume(args) => Box::pin(resume::run(session, args)),
        Command::Runs(args) => Box::pin(runs::run(session, args)),
        Command::Show(args) => Box::pin(show::run(session, args)),
        Command::Watch(args) => Box::pin(watch::run(session, args)),
        Command::Guard(args) => Box::pin(guard::run(session, args)),
        Command::Report(args) => Box::pin(report::run(session, args)),
        Command::Stats(args) => Box::pin(report::figures(session, args)),
        Command::Drill(args) => Box::pin(drill::run(session, args)),
        Command::Auto(args) => Box::pin(auto::run(session, args)),
        Command::Incidents(args) => Box::pin(incidents::run(session, args)),
        Command::Record(args) => Box::pin(record::run(session, args)),
        Command::Quarantine(args) => Box::pin(quarantine::run(session, args)),
        Command::Allowed(args) => Box::pin(allowed::run(session, args)),
        Command::Unlock(args) => Box::pin(unlock::run(session, args)),
        Command::Merge => Box::pin(merge::run(session)),
        Command::Clean(args) => Box::pin(clean::run(session, args)),
    };
    work.await
}

/// Loads the configuration and runs a command.
pub(crate) async fn dispatch(app: &App, console: &Console, global: &Global, command: &Command) -> Dispatched {
    match Session::load(app, console, global) {
        Ok(session) => Dispatched::new(run(&session, command).await, Some(session)),
        Err(error) => Dispatched::new(Err(error), None),
    }
}

/// How a command ended, and what must be kept out of its messages.
#[derive(Debug)]
pub(crate) struct Dispatched {
    pub(crate) outcome: Outcome,
    pub(crate) hidden: crate::config::Hidden,
}

impl Dispatched {
    pub(crate) fn new(result: Result<Outcome>, session: Option<Session<'_>>) -> Self {
        let hidden = session.map(|session| session.config.hidden.clone()).unwrap_or_default();
        Self { outcome: result.unwrap_or_else(Outcome::failed), hidden }
    }
}

/// What a run came to.
fn ended(session: &Session<'_>, driven: Driven, environment: &Environment) -> Result<Outcome> {
    match driven {
        Driven::Ended(Ok(report)) => reported(session, &report, environment),
        Driven::Ended(Err(error)) => Ok(Outcome::failed(error)),
        Driven::Left(run) => left(run),
    }
}

fn reported(session: &Session<'_>, report: &Report, environment: &Environment) -> Result<Outcome> {
    let text = crate::render::report::render(report, session.style(), Some(environment));
    Outcome::done(text)
        .exit(Exit::of_state(report.state))
        .summary(markdown::report(report))
        .with("state", &report.state)?
        .with("report", report)?
        .with("contacts", &environment.contacts)
}

fn left(run: Option<RunId>) -> Result<Outcome> {
    let error = Error::new(ErrorKind::Cancelled, "finish the run", "it was left at once, on a second signal");
    let error = match run {
        Some(run) => error.next(format!("`rollback resume {run}` takes it up")),
        None => error.next("it had not begun; `rollback runs` lists what did"),
    };
    Outcome::failed(error).exit(Exit::Interrupted).with("run", &run)
}

/// How many runs are searched for the beginning of an id.
const SEARCHED_RUNS: usize = 1_000;

/// The run whose id begins with `text`.
async fn find_run(engine: &Engine, text: &str) -> Result<RunId> {
    if let Ok(run) = text.parse() {
        return Ok(run);
    }
    let wanted = text.to_ascii_lowercase();
    let runs = engine.runs(SEARCHED_RUNS).await?;
    let ids = runs.iter().map(|run| run.run).filter(|run| run.to_string().starts_with(&wanted));
    let ids: Vec<RunId> = ids.collect();
    let wrong = |kind, message: String| Err(Error::new(kind, "find the run", message));
    match ids.as_slice() {
        [run] => Ok(*run),
        [] => wrong(ErrorKind::NotFound, format!("no run begins with {text:?}"))
            .map_err(|error| error.next("`rollback runs` lists the runs with their ids")),
        several => {
            let several: Vec<_> = several.iter().take(5).map(ToString::to_string).collect();
            wrong(ErrorKind::Invalid, format!("several runs begin with {text:?}"))
                .map_err(|error| error.next(format!("give more of the id: {}", several.join(", "))))
        }
    }
}

/// The rules that a run was planned under, as far as the configuration still has them.
fn environment_of<'a>(session: &'a Session<'_>, details: &RunDetails) -> Result<&'a Environment> {
    session.config.environment(Some(&details.plan.environment.name))
}
