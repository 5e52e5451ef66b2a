//! `rollback auto`.

use jiff::Timestamp;
use rollback_core::lease::Holder;
use rollback_core::request::Moment;
use rollback_core::{ComponentName, Environment, Error, ErrorKind, Result};
use rollback_watch::{Off, Switches};
use serde_json::json;

use crate::args::{AutoArgs, AutoCommand, AutoOffArgs};
use crate::outcome::Outcome;
use crate::render::{clean, watch};
use crate::session::Session;

pub(crate) async fn run(session: &Session<'_>, args: &AutoArgs) -> Result<Outcome> {
    match &args.what {
        None | Some(AutoCommand::Show) => show(session).await,
        Some(AutoCommand::Off(off)) => switch_off(session, off).await,
        Some(AutoCommand::On(on)) => switch_on(session, &on.components).await,
    }
}

async fn switches(session: &Session<'_>, environment: &Environment) -> Result<Switches> {
    Switches::new(session.records().await?, &environment.name)
}

async fn show(session: &Session<'_>) -> Result<Outcome> {
    let now = session.now();
    let mut all = Vec::new();
    for environment in session.config.environments.values() {
        let chosen = session.global.environment.as_ref();
        if chosen.is_none_or(|chosen| *chosen == environment.name) {
            all.push((environment, switches(session, environment).await?.all(now).await?));
        }
    }
    let document: Vec<_> = all
        .iter()
        .map(|(environment, off)| {
            json!({ "environment": environment.name, "automatic": environment.automatic, "off": off,
                    "frozen": environment.frozen(now) })
        })
        .collect();
    Outcome::done(watch::switches(session.style(), &all, now)).with("environments", &document)
}

async fn switch_off(session: &Session<'_>, args: &AutoOffArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let components = switched(session, environment, &args.components)?;
    let switches = switches(session, environment).await?;
    let now = session.now();
    let until = args.until.map(|until| from_now(until, now));
    let by = args.by.clone().unwrap_or_else(|| Holder::this_process().person());
    if let Some(wrong) = [&by, &args.reason].into_iter().find(|text| text.chars().any(char::is_control)) {
        let message = format!("{wrong:?} cannot be stored as it is");
        return Err(Error::new(ErrorKind::Invalid, "switch it off", message).next("write it in one line"));
    }
    let mut off: Vec<Off> = Vec::new();
    for component in components {
        off.push(switches.off(component, until, &args.reason, &by, now).await?);
    }
    let text: String = off.iter().map(|off| watch::switched_off(&environment.name, off)).collect();
    Outcome::done(text).with("off", &off)
}

async fn switch_on(session: &Session<'_>, named: &[ComponentName]) -> Result<Outcome> {
    let environment = session.environment()?;
    let switches = switches(session, environment).await?;
    let mut text = String::new();
    let mut switched_on = Vec::new();
    for component in switched(session, environment, named)? {
        let was_off = switches.on(component.as_ref()).await?;
        let what = component.as_ref().map_or(environment.name.as_str(), ComponentName::as_str);
        let word = if was_off { "switched on again" } else { "was not switched off" };
        text += &format!("{}: {word}\n", clean(what));
        switched_on.push(json!({ "component": component, "was_off": was_off }));
    }
    Outcome::done(text).with("on", &switched_on)
}

/// What is switched: the named components, or everything with one switch.
fn switched(
    session: &Session<'_>,
    environment: &Environment,
    named: &[ComponentName],
) -> Result<Vec<Option<ComponentName>>> {
    if named.is_empty() {
        return Ok(vec![None]);
    }
    Ok(session.components(&environment.name, named)?.into_iter().map(Some).collect())
}

/// A length of time is from now on.
fn from_now(until: Moment, now: Timestamp) -> Timestamp {
    match until {
        Moment::At(at) => at,
        Moment::Ago(lasting) => lasting.after(now),
    }
}
