//! `rollback drill`.

use rollback_core::time::Lasting;
use rollback_core::{
    ComponentName, Destination, Environment, Error, ErrorKind, Plan, Planned, Report, Request, Result, State,
};
use serde::Serialize;

use super::left;
use crate::Exit;
use crate::agree::agree;
use crate::args::DrillArgs;
use crate::destinations::{choose, meant};
use crate::drive::{Driven, Live};
use crate::outcome::Outcome;
use crate::render::{self, drill, report};
use crate::session::Session;

/// One way of a drill, as it went.
#[derive(Debug, Serialize)]
pub(crate) struct Way {
    /// `back` or `forward`.
    pub(crate) way: &'static str,
    pub(crate) expected: Option<Lasting>,
    pub(crate) took: Lasting,
    pub(crate) report: Report,
}

pub(crate) async fn run(session: &Session<'_>, args: &DrillArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let request = request(session, environment, args).await?;
    let Some((back, driven)) = go(session, environment, "back", &request, true).await? else {
        return left(None);
    };
    let back_again = forward(environment, &back, args)?;
    let mut ways = vec![driven];
    if ways[0].report.state == State::Restored {
        match go(session, environment, "forward", &back_again, false).await? {
            Some((_, driven)) => ways.push(driven),
            None => return left(Some(ways[0].report.run)),
        }
    }
    told(session, environment, &ways)
}

fn told(session: &Session<'_>, environment: &Environment, ways: &[Way]) -> Result<Outcome> {
    let states = ways.iter().map(|way| way.report.state);
    let failed = ways.iter().find(|way| way.report.state != State::Restored);
    let mut text = drill::render(session.style(), ways);
    if let Some(failed) = failed {
        text += &report::render(&failed.report, session.style(), Some(environment));
    }
    let state = failed.map_or(State::of_run(states), |failed| failed.report.state);
    Outcome::done(text)
        .exit(Exit::of_state(state))
        .summary(drill::markdown(ways))
        .with("state", &state)?
        .with("ways", &ways)
}

/// There: where a rollback would go now.
async fn request(session: &Session<'_>, environment: &Environment, args: &DrillArgs) -> Result<Request> {
    if environment.confirm.is_some() {
        let message = format!("{} asks for confirmation: it is no place for an exercise", environment.name);
        return Err(Error::new(ErrorKind::Refused, "drill", message)
            .next("drill where nobody is hurt: --environment NAME"));
    }
    let names = session.components(&environment.name, &meant(&args.components, &args.to))?;
    let spread = session.spread(&environment.name, &names).await.whole()?;
    let chosen = choose(&spread.names(&args.components), &spread.to(&args.to), spread.names(&names))?;
    let mut request = asked(environment, args);
    request.components = chosen;
    Ok(request)
}

fn asked(environment: &Environment, args: &DrillArgs) -> Request {
    let mut request = Request::new(environment.name.clone()).drill(true).quarantine(false).soak(args.soak);
    request.reason = Some(args.reason.clone());
    request.actor.clone_from(&args.actor);
    request
}

/// And back again: to what was left.
fn forward(environment: &Environment, back: &Plan, args: &DrillArgs) -> Result<Request> {
    let mut request = asked(environment, args).allow_newer(true);
    for (name, component) in &back.components {
        request.components.insert(name.clone(), Some(Destination::Revision(origin(name, component)?)));
    }
    Ok(request)
}

fn origin(
    name: &ComponentName,
    component: &rollback_core::plan::ComponentPlan,
) -> Result<rollback_core::Revision> {
    let known = component.leaving.as_ref().map(|leaving| leaving.revision.clone());
    known.ok_or_else(|| {
        let message = format!("nobody knows what {name} runs, so there would be no way forward again");
        Error::new(ErrorKind::Refused, "drill", message).next(format!("rollback status {name}"))
    })
}

/// Plans and goes one way. `None` when somebody wanted to leave at once.
async fn go(
    session: &Session<'_>,
    environment: &Environment,
    way: &'static str,
    request: &Request,
    asks: bool,
) -> Result<Option<(Box<Plan>, Way)>> {
    let refused = |message: String| Error::new(ErrorKind::Refused, "drill", message);
    let components: Vec<_> = request.components.keys().cloned().collect();
    let (live, acting) = Live::new(None);
    let engine = session.engine(environment, &components, acting).await?;
    let plan = match engine.plan(request).await? {
        Planned::Ready(plan) => plan,
        Planned::Undecided(why) => {
            let first = why.into_iter().next();
            let told = first.map_or_else(String::new, |(name, why)| format!("{name}: {}", why.why));
            return Err(refused(told).next("say where to: --to previous, or record a good version first"));
        }
    };
    if let Some((name, finding)) = plan.blockers().next() {
        let error = refused(format!("{name}: {}", finding.message));
        return Err(error.next(finding.next.clone().unwrap_or("rollback check says more".to_owned())));
    }
    if plan.components.values().all(|component| component.already_there) {
        return Err(
            refused("what runs is where it would go".to_owned()).next("name another version: --to previous")
        );
    }
    for (name, component) in &plan.components {
        origin(name, component)?;
    }
    if asks && session.is_text() {
        session.console.print(&render::plan::render(&plan, session.style(), false));
    }
    let approval = if asks { agree(session, &plan)? } else { rollback_core::Approval::yes() };
    let expected = plan.components.values().filter_map(|component| component.proposals().next());
    let expected = expected.map(|(_, proposal)| proposal.expected).max();
    match live.follow(session, engine.apply(&plan, &approval)).await? {
        Driven::Ended(report) => {
            let report = *report?;
            let took = report.ended_at.duration_since(report.started_at);
            let took = Lasting::new(took.try_into().unwrap_or_default());
            Ok(Some((plan, Way { way, expected, took, report })))
        }
        Driven::Left(_) => Ok(None),
    }
}
