//! `rollback quarantine`.

use rollback_core::ledger::{Lifted, Quarantine};
use rollback_core::{ComponentName, Engine, Result};
use serde_json::json;

use crate::args::{QuarantineArgs, QuarantineCommand, QuarantineEditArgs, QuarantineListArgs};
use crate::outcome::Outcome;
use crate::render::{clean, quarantine};
use crate::session::{Acting, Session};

/// A component with what is under quarantine, and what was.
pub(crate) type Listed = (ComponentName, Vec<Quarantine>, Vec<Lifted>);

pub(crate) async fn run(session: &Session<'_>, args: &QuarantineArgs) -> Result<Outcome> {
    match &args.what {
        None => list(session, &QuarantineListArgs::default()).await,
        Some(QuarantineCommand::List(list_args)) => list(session, list_args).await,
        Some(QuarantineCommand::Add(edit)) => add(session, edit).await,
        Some(QuarantineCommand::Lift(edit)) => lift(session, edit).await,
    }
}

async fn list(session: &Session<'_>, args: &QuarantineListArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let components = session.all(&environment.name, &args.components).await?;
    let engine = session.engine(environment, &components, Acting::default()).await?;
    let mut listed: Vec<Listed> = Vec::new();
    for component in components {
        let ledger = engine.ledger(&component).await?;
        let lifted = if args.lifted { ledger.lifted().await? } else { Vec::new() };
        listed.push((component, ledger.quarantined().await?, lifted));
    }
    let document: Vec<_> = listed
        .iter()
        .map(|(component, standing, lifted)| {
            json!({ "component": component, "quarantined": standing, "lifted": lifted })
        })
        .collect();
    Outcome::done(quarantine::list(session.style(), &listed)).with("components", &document)
}

async fn add(session: &Session<'_>, args: &QuarantineEditArgs) -> Result<Outcome> {
    let engine = connect(session, &args.component).await?;
    let component = &args.component;
    let entries = engine.quarantine(component, &args.version, &args.reason, args.by.as_deref()).await?;
    edited(component, "under quarantine", &entries)
}

async fn lift(session: &Session<'_>, args: &QuarantineEditArgs) -> Result<Outcome> {
    let engine = connect(session, &args.component).await?;
    let component = &args.component;
    let entries = engine.lift_quarantine(component, &args.version, &args.reason, args.by.as_deref()).await?;
    edited(component, "no longer under quarantine; it was", &entries)
}

async fn connect(session: &Session<'_>, component: &ComponentName) -> Result<Engine> {
    let environment = session.environment()?;
    session.engine(environment, std::slice::from_ref(component), Acting::default()).await
}

fn edited(component: &ComponentName, what: &str, entries: &[Quarantine]) -> Result<Outcome> {
    let line = |entry: &Quarantine| {
        format!("{component}: {} is {what}: {}\n", clean(&entry.label), clean(&entry.describe()))
    };
    let text: String = entries.iter().map(line).collect();
    Outcome::done(text).with("component", component)?.with("quarantine", &entries)
}
