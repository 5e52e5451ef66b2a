//! `rollback status`.

use rollback_core::engine::Status;
use rollback_core::{ComponentName, Error, Result};
use serde_json::{Map, Value};

use crate::Exit;
use crate::args::StatusArgs;
use crate::outcome::Outcome;
use crate::render::{error, status};
use crate::session::{Acting, Session};

pub(crate) async fn run(session: &Session<'_>, args: &StatusArgs) -> Result<Outcome> {
    let environment = session.environment()?;
    let names = session.components(&environment.name, &args.components)?;
    let spread = session.spread(&environment.name, &names).await;
    let components = spread.names(&names);
    let mut found: Vec<_> = spread.failed.into_iter().map(|(block, error)| (block, Err(error))).collect();
    for component in components {
        // An engine for each: one component that cannot be reached must not hide the others.
        let status =
            match session.engine(environment, std::slice::from_ref(&component), Acting::default()).await {
                Ok(engine) => engine.status(&component).await,
                Err(error) => Err(error),
            };
        found.push((component, status));
    }
    let text = status::render(session.style(), &found, &session.config.hidden);
    let document = json(session, &found)?;
    let mut outcome =
        Outcome::done(text).with("environment", &environment.name)?.with("components", &document)?;
    if let Some(error) = found.into_iter().find_map(|(_, status)| status.err()) {
        outcome.exit = Exit::of_error(error.kind());
        outcome.error = Some(error);
    }
    Ok(outcome)
}

fn json(session: &Session<'_>, found: &[(ComponentName, Result<Status, Error>)]) -> Result<Value> {
    let mut document = Map::new();
    for (name, status) in found {
        let entry = match status {
            Ok(status) => serde_json::to_value(status).unwrap_or_default(),
            Err(error) => serde_json::json!({ "error": error::json(error, &session.config.hidden) }),
        };
        document.insert(name.to_string(), entry);
    }
    Ok(Value::Object(document))
}
