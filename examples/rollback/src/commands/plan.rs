//! `rollback plan`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use rollback_core::plan::Undecided;
use rollback_core::{
    ComponentName, Environment, Error, ErrorKind, Finding, OnFailure, Plan, Planned, Request, Result,
};

use crate::Exit;
use crate::agree::ask_reason;
use crate::args::{Failure, PlanArgs, RequestArgs};
use crate::destinations::{choose, meant, methods};
use crate::outcome::Outcome;
use crate::render::{history, markdown, plan};
use crate::session::{Acting, Session};

pub(crate) async fn run(session: &Session<'_>, args: &PlanArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let mut request = request(session, environment, &args.request).await?;
    if environment.require_reason && request.reason.is_none() && args.out.is_some() {
        request.reason = ask_reason(session);
        if request.reason.is_none() {
            session.warn(&format!(
                "{} demands a reason and this plan has none: it cannot be applied; plan again with --reason",
                environment.name
            ));
        }
    }
    let out = args.out.as_deref().map(|file| session.console.folder().join(file));
    if let Some(file) = out.as_deref().filter(|file| !args.force && file.exists()) {
        return Err(Error::new(ErrorKind::Refused, "save the plan", format!("{} exists", file.display()))
            .next("choose another name, or add --force to write over it"));
    }
    let components: Vec<_> = request.components.keys().cloned().collect();
    let engine = session.engine(environment, &components, Acting::default()).await?;
    match engine.plan(&request).await? {
        Planned::Undecided(components) => undecided(session, &components),
        Planned::Ready(plan) => ready(session, &plan, args, out.as_deref()),
    }
}

fn ready(session: &Session<'_>, plan: &Plan, args: &PlanArgs, out: Option<&Path>) -> Result<Outcome> {
    let mut text = plan::render(plan, session.style(), args.explain);
    if let Some(file) = out {
        save(file, plan, args.force)?;
        text += &format!("saved    {}\n", file.display());
        text += &format!("apply    rollback apply {} --digest {}\n", file.display(), plan.digest());
    }
    let blocked = plan.blockers().next().is_some();
    let exit = if blocked { Exit::Refused } else { Exit::Done };
    Outcome::done(text)
        .exit(exit)
        .summary(markdown::plan(plan))
        .with("file", &out)?
        .with("blockers", &blockers(plan))?
        .with("plan", plan)
}

/// The request that the arguments make, with what blocks stand for now.
pub(super) async fn request(
    session: &Session<'_>,
    environment: &Environment,
    args: &RequestArgs,
) -> Result<Request> {
    let names = session.components(&environment.name, &meant(&args.components, &args.to))?;
    let spread = session.spread(&environment.name, &names).await.whole()?;
    let named = spread.names(&args.components);
    let chosen = choose(&named, &spread.to(&args.to), spread.names(&names))?;
    let mut request = Request::new(environment.name.clone())
        .on_failure(match args.on_failure {
            Failure::Hold => OnFailure::Hold,
            Failure::Back => OnFailure::Back,
        })
        .urgent(args.urgent)
        .soak(args.soak)
        .allow_newer(args.allow_newer)
        .allow_quarantined(args.allow_quarantined)
        .quarantine(!args.no_quarantine);
    request.methods = methods(chosen.keys(), &spread.by(&args.method))?;
    request.components = chosen;
    request.reason = args.reason.clone();
    request.actor = args.actor.clone();
    Ok(request)
}

/// Somebody must choose: the candidates, each with the command that chooses it.
pub(super) fn undecided(
    session: &Session<'_>,
    components: &BTreeMap<ComponentName, Undecided>,
) -> Result<Outcome> {
    let text = history::undecided(session.style(), components, "rollback run");
    Outcome::done(text).exit(Exit::Refused).with("undecided", components)
}

/// The findings that forbid a plan, with their components.
pub(super) fn blockers(plan: &Plan) -> Vec<(&ComponentName, &Finding)> {
    plan.blockers().collect()
}

/// Writes the plan so that a reader never sees half of it, and never over something else.
fn save(file: &Path, plan: &Plan, force: bool) -> Result<()> {
    let failed = |error: &std::io::Error| {
        Error::new(ErrorKind::Other, format!("save the plan to {}", file.display()), error.to_string())
    };
    let text = format!("{:#}\n", plan.to_json()?);
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = file.with_file_name(name);
    let written = write_new(&temporary, &text).and_then(|()| publish(&temporary, file, force));
    if written.is_err() {
        // What could not be published is of no use to anybody.
        let _ = std::fs::remove_file(&temporary);
    }
    written.map_err(|error| failed(&error).next("choose a folder that exists and can be written"))
}

fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    let mut out = std::fs::OpenOptions::new().write(true).create_new(true).open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

fn publish(temporary: &Path, file: &Path, force: bool) -> std::io::Result<()> {
    if force {
        return std::fs::rename(temporary, file);
    }
    // A link fails if the name was taken since we looked; a rename would replace it.
    std::fs::hard_link(temporary, file)?;
    std::fs::remove_file(temporary)
}
