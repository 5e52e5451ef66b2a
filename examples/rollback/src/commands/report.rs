//! `rollback report` and `rollback stats`: what happened, for people who were not there.

use std::collections::BTreeMap;
use std::path::Path;

use rollback_core::engine::RunDetails;
use rollback_core::{Engine, Error, ErrorKind, Result, RunId};
use rollback_notify::{Incident, stats};
use rollback_watch::Incidents;

use super::find_run;
use crate::args::{ReportArgs, StatsArgs};
use crate::outcome::Outcome;
use crate::render;
use crate::session::Session;

/// How many runs figures are taken over at most.
const RUNS: usize = 1_000;

pub(crate) async fn run(session: &Session<'_>, args: &ReportArgs) -> Result<Outcome> {
    let engine = session.reader().await?;
    let run = match &args.run {
        Some(text) => find_run(&engine, text).await?,
        None => newest(&engine).await?,
    };
    let details = engine.run(run).await?;
    let incident = incident(&details, &watched(session).await?);
    let markdown = incident.markdown();
    let Some(file) = &args.html else {
        return Outcome::done(markdown.clone()).summary(markdown).with("incident", &incident);
    };
    let file = session.console.folder().join(file);
    write(&file, &incident.html(), args.force)?;
    Outcome::done(format!("{} written\n", file.display()))
        .summary(markdown)
        .with("file", &file)?
        .with("incident", &incident)
}

pub(crate) async fn figures(session: &Session<'_>, args: &StatsArgs) -> Result<Outcome> {
    let engine = session.reader().await?;
    let since = args.since.before(session.now());
    let watched = watched(session).await?;
    let mut incidents = Vec::new();
    for summary in engine.runs(RUNS).await?.into_iter().filter(|run| run.started_at >= since) {
        let details = engine.run(summary.run).await?;
        // An exercise is no incident.
        if !details.plan.request.drill {
            incidents.push(incident(&details, &watched));
        }
    }
    let unanswered = watched.values().flatten().filter(|one| one.run.is_none() && one.fired_at >= since);
    incidents.extend(unanswered.map(|one| Incident::of_watched(one, None)));
    let figures = stats::by_component(&incidents);
    Outcome::done(render::stats::render(session.style(), &figures)).with("components", &figures)
}

/// What watchers remember, by the run that it led to.
type Watched = BTreeMap<Option<RunId>, Vec<rollback_watch::Incident>>;

async fn watched(session: &Session<'_>) -> Result<Watched> {
    let mut watched = Watched::new();
    for incident in Incidents::new(session.records().await?).all().await? {
        watched.entry(incident.run).or_default().push(incident);
    }
    Ok(watched)
}

fn incident(details: &RunDetails, watched: &Watched) -> Incident {
    match watched.get(&Some(details.summary.run)).and_then(|found| found.first()) {
        Some(found) => Incident::of_watched(found, Some(details)),
        None => Incident::of_run(details),
    }
}

async fn newest(engine: &Engine) -> Result<RunId> {
    let newest = engine.runs(1).await?.into_iter().next().map(|run| run.run);
    newest.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "write a report", "there are no runs yet")
            .next("`rollback runs` lists the runs")
    })
}

fn write(file: &Path, html: &str, force: bool) -> Result<()> {
    if file.exists() && !force {
        let error = Error::new(ErrorKind::Refused, "write the report", format!("{} exists", file.display()));
        return Err(error.next("choose another name, or add --force to write over it"));
    }
    std::fs::write(file, html).map_err(|error| {
        let message = format!("{}: {error}", file.display());
        Error::new(ErrorKind::Other, "write the report", message).next("choose a folder that can be written")
    })
}
