//! `rollback run`.

use rollback_core::plan::ComponentPlan;
use rollback_core::{ComponentName, Engine, Environment, Error, ErrorKind, Plan, Planned, Result, State};

use super::{ended, plan};
use crate::Exit;
use crate::agree::{agree, ask_reason};
use crate::args::RunArgs;
use crate::drive::Live;
use crate::outcome::Outcome;
use crate::render;
use crate::session::Session;
use crate::telling::telling;

pub(crate) async fn run(session: &Session<'_>, args: &RunArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let mut request = plan::request(session, environment, &args.request).await?;
    if environment.require_reason && request.reason.is_none() {
        request.reason = ask_reason(session);
    }
    let components: Vec<_> = request.components.keys().cloned().collect();
    let (live, acting) = Live::new(args.glass.break_glass.clone());
    let engine = session.engine(environment, &components, acting).await?;
    match engine.plan(&request).await? {
        Planned::Undecided(components) => plan::undecided(session, &components),
        Planned::Ready(plan) if plan.components.values().all(|component| component.already_there) => {
            already_there(session, &plan)
        }
        Planned::Ready(plan) => act(session, environment, &engine, live, &plan, SAY_WHY).await,
    }
}

/// What to do about a reason that is missing.
const SAY_WHY: &str = "say why: --reason \"…\"";

/// A plan that was made this moment proved that there is nothing to do: nobody is asked.
fn already_there(session: &Session<'_>, plan: &Plan) -> Result<Outcome> {
    let style = session.style();
    let line = |(name, component): (&ComponentName, &ComponentPlan)| {
        let to = render::clean(&component.to.info.label());
        format!("{name}: {}  {to}  proven, nothing was done\n", style.state(State::AlreadyThere))
    };
    let text: String = plan.components.iter().map(line).collect();
    Outcome::done(text).with("state", &State::AlreadyThere)?.with("plan", plan)
}

/// Shows the plan, asks, and runs it. `say_why` is what to do about a reason that is missing.
pub(super) async fn act(
    session: &Session<'_>,
    environment: &Environment,
    engine: &Engine,
    live: Live,
    plan: &Plan,
    say_why: &str,
) -> Result<Outcome> {
    if session.is_text() {
        session.console.print(&render::plan::render(plan, session.style(), false));
    }
    let blockers = plan::blockers(plan);
    if !blockers.is_empty() {
        let first = blockers.first().map_or("", |(_, finding)| finding.message.as_str());
        let error = Error::new(ErrorKind::Refused, "act", format!("the plan has a blocker: {first}"));
        let error = match blockers.first().and_then(|(_, finding)| finding.next.clone()) {
            Some(next) => error.next(next),
            None => error,
        };
        return Outcome::failed(error).with("blockers", &blockers)?.with("plan", plan);
    }
    let summary = render::markdown::plan(plan);
    // Before anybody is asked: an answer would be in vain.
    let approval = match reasoned(plan, say_why).and_then(|()| agree(session, plan)) {
        Ok(approval) => approval,
        Err(error) => {
            return Outcome::failed(error).exit(Exit::Refused).summary(summary).with("plan", plan);
        }
    };
    let run = live.follow(session, engine.apply(plan, &approval));
    let driven = telling(session, plan, run).await?;
    let mut outcome = ended(session, driven, environment)?;
    outcome.summary = summary + &outcome.summary;
    outcome.with("plan", plan)
}

fn reasoned(plan: &Plan, say_why: &str) -> Result<()> {
    let reason = plan.request.reason.as_deref().map_or("", str::trim);
    if !plan.environment.require_reason || !reason.is_empty() {
        return Ok(());
    }
    let message = format!("{} demands a reason; nothing was done", plan.environment.name);
    Err(Error::new(ErrorKind::Refused, "act", message).next(say_why))
}
