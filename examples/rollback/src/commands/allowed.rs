//! `rollback allowed`.

use std::fmt::Write as _;

use futures_util::stream::{self, StreamExt as _};
use rollback_core::engine::Admission;
use rollback_core::{ComponentName, Environment, Result};
use serde_json::{Value, json};

use crate::Exit;
use crate::args::AllowedArgs;
use crate::config::Hidden;
use crate::outcome::Outcome;
use crate::render::{Tone, clean, error};
use crate::session::{Acting, Session};

/// How many components are asked at once.
const AT_ONCE: usize = 8;

type Asked = (ComponentName, Result<Admission>);

pub(crate) async fn run(session: &Session<'_>, args: &AllowedArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let names = session.components(&environment.name, &args.components)?;
    let spread = session.spread(&environment.name, &names).await;
    let components = spread.names(&names);
    let unknown = spread.failed.into_iter().map(|(block, error)| (block, Err(error)));
    let asked = components.into_iter().map(|component| async move {
        let admission = one(session, environment, &component, &args.version).await;
        (component, admission)
    });
    let mut asked: Vec<Asked> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    asked.extend(unknown);
    let refused = asked.iter().any(|(_, one)| one.as_ref().is_ok_and(|one| !one.allowed));
    let unknown = asked.iter().any(|(_, one)| one.is_err());
    let text = asked.iter().map(|one| line(session, &args.version, one)).collect::<String>();
    let document: Vec<_> = asked.iter().map(|one| json(one, &session.config.hidden)).collect();
    let mut outcome = Outcome::done(text)
        .with("version", &args.version)?
        .with("allowed", &(!refused && !unknown))?
        .with("components", &document)?;
    let failed = asked.iter().position(|(_, one)| one.is_err());
    if let Some(error) = failed.and_then(|index| asked.swap_remove(index).1.err()) {
        outcome.exit = Exit::of_error(error.kind());
        outcome.error = Some(error);
    }
    // What is certain for one component is not undone by what is unknown for another.
    Ok(if refused { outcome.exit(Exit::Refused) } else { outcome })
}

async fn one(
    session: &Session<'_>,
    environment: &Environment,
    component: &ComponentName,
    version: &str,
) -> Result<Admission> {
    let engine = session.engine(environment, std::slice::from_ref(component), Acting::default()).await?;
    engine.admits(component, version).await
}

fn line(session: &Session<'_>, version: &str, (component, asked): &Asked) -> String {
    let (style, version) = (session.style(), clean(version));
    match asked {
        Err(error) => {
            let word = style.paint(Tone::Careful, "unknown");
            let why = clean(&session.config.hidden.hide(error.message()));
            format!("{component}: {word} whether {version} may ship: {why}\n")
        }
        Ok(admission) if admission.allowed => {
            let word = style.paint(Tone::Good, "may ship");
            let known = if admission.states.is_empty() { "; nothing is known of it" } else { "" };
            format!("{component}: {version} {word}{known}\n")
        }
        Ok(admission) => {
            let word = style.paint(Tone::Bad, "must not ship");
            let mut text = format!("{component}: {version} {word}\n");
            for entry in &admission.quarantine {
                let (label, why) = (clean(&entry.label), clean(&entry.describe()));
                let _ = writeln!(text, "  {label} is under quarantine: {why}");
                if let Some(run) = entry.run {
                    let _ = writeln!(text, "  it was rolled back by run {run}: rollback show {run}");
                }
            }
            let _ = writeln!(
                text,
                "  next: ship another, or once it is fixed: rollback quarantine lift {component} {} --reason \"…\"",
                admission.quarantine.first().map_or_else(String::new, |entry| entry.identity.short())
            );
            text
        }
    }
}

fn json((component, asked): &Asked, hidden: &Hidden) -> Value {
    match asked {
        Err(error) => json!({ "component": component, "error": error::json(error, hidden) }),
        Ok(admission) => json!({
            "component": component,
            "allowed": admission.allowed,
            "known": !admission.states.is_empty(),
            "states": admission.states,
            "quarantine": admission.quarantine,
        }),
    }
}
