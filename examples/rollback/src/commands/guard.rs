//! `rollback guard`.

use rollback_core::{ComponentName, Result, State};
use rollback_watch::{Guarded, Telling};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::left;
use crate::Exit;
use crate::args::GuardArgs;
use crate::outcome::Outcome;
use crate::render::{report, watch};
use crate::session::Session;
use crate::watching::{follow, watcher};

pub(crate) async fn run(session: &Session<'_>, args: &GuardArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let (telling, events) = Telling::channel();
    let watcher = watcher(session, environment, &args.components, "guard", telling).await?;
    let stop = CancellationToken::new();
    let work = watcher.guard(args.lasting, stop.clone());
    let Some(ended) = follow(session, environment, events, &stop, work).await? else { return left(None) };
    let style = session.style();
    let mut text = String::new();
    for (component, guarded) in &ended {
        if let Guarded::RolledBack(_, rolled_back) = guarded {
            text += &report::render(rolled_back, style, Some(environment));
        }
        text += &watch::guarded(style, component, guarded, args.lasting, &environment.contacts);
    }
    let exit = ended.iter().map(|(_, guarded)| exit_of(guarded)).max_by_key(|exit| rank(*exit));
    let document: Vec<_> = ended.iter().map(json).collect();
    Outcome::done(session.config.hidden.hide(&text))
        .exit(exit.unwrap_or(Exit::Done))
        .summary(watch::summary(&ended))
        .with("components", &document)
}

/// How a guard's end is told with a number.
fn exit_of(guarded: &Guarded) -> Exit {
    match guarded {
        Guarded::Healthy(_) => Exit::Done,
        Guarded::RolledBack(_, report) if report.state == State::Restored => Exit::RolledBack,
        Guarded::RolledBack(_, report) => match Exit::of_state(report.state) {
            // Something else was done than what was wanted, and it was no success of ours.
            Exit::Done | Exit::Refused => Exit::NotActedOn,
            other => other,
        },
        Guarded::Stopped => Exit::Stopped,
        _ => Exit::NotActedOn,
    }
}

/// Of several components the worst decides.
fn rank(exit: Exit) -> u8 {
    match exit {
        Exit::Done => 0,
        Exit::RolledBack => 1,
        Exit::Stopped => 2,
        Exit::NotActedOn => 3,
        other => 3 + other.code(),
    }
}

fn json((component, guarded): &(ComponentName, Guarded)) -> Value {
    let (ended, detail) = match guarded {
        Guarded::Healthy(deployment) => ("healthy", json!({ "promoted": deployment })),
        Guarded::RolledBack(incident, report) => {
            ("rolled-back", json!({ "incident": incident, "report": report }))
        }
        Guarded::NotActedOn(incident) => ("not-acted-on", json!({ "incident": incident })),
        Guarded::Unknown(why) => ("unknown", json!({ "why": why })),
        _ => ("stopped", json!({})),
    };
    let mut entry = json!({ "component": component, "ended": ended });
    if let (Value::Object(entry), Value::Object(detail)) = (&mut entry, detail) {
        entry.extend(detail);
    }
    entry
}
