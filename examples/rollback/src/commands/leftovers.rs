//! What rollbacks left for a while on the components of an environment: looked at, and taken away.

use rollback_core::{ComponentName, Error, Leftovers, Result};
use serde_json::{Map, Value, json};

use crate::render::{clean, count, error};
use crate::session::{Acting, Session};

/// What was found, or went, by component; why not, where it could not be asked.
#[derive(Default)]
pub(super) struct Found(Vec<(ComponentName, Result<Leftovers>)>);

/// Looks at every component whose driver leaves something behind.
pub(super) async fn look(session: &Session<'_>) -> Found {
    let tidies = |name: &str| {
        session.app.drivers.drivers().any(|driver| driver.name() == name && driver.capabilities().tidies)
    };
    if !session.config.components.values().any(|component| tidies(&component.driver)) {
        return Found::default();
    }
    let environment = match session.environment() {
        Ok(environment) => environment,
        Err(error) => {
            session.warn(&format!("what rollbacks left for a while is not looked at: {}", error.message()));
            return Found::default();
        }
    };
    let names: Vec<_> = session.config.components_in(&environment.name).cloned().collect();
    let spread = session.spread(&environment.name, &names).await;
    let components = spread.names(&names);
    let mut found = Vec::new();
    for name in components {
        if session.driver_of(&environment.name, &name).is_some_and(tidies) {
            let asked = ask(session, &name, false).await;
            found.extend(asked.transpose().map(|asked| (name, asked)));
        }
    }
    found.extend(spread.failed.into_iter().map(|(block, error)| (block, Err(error))));
    Found(found)
}

/// An engine for each: one component that cannot be reached must not hide the others.
async fn ask(session: &Session<'_>, name: &ComponentName, tidy: bool) -> Result<Option<Leftovers>> {
    let one = std::slice::from_ref(name);
    let engine = session.engine(session.environment()?, one, Acting::default()).await?;
    if tidy { engine.tidy(name).await } else { engine.leftovers(name).await }
}

impl Found {
    /// Whether nothing may go.
    pub(super) fn is_nothing(&self) -> bool {
        !self.0.iter().any(|(_, found)| found.as_ref().is_ok_and(|found| found.due > 0))
    }

    /// Takes away what may go. Whatever could not be asked is not asked again.
    pub(super) async fn tidy(self, session: &Session<'_>) -> Self {
        let mut tidied = Vec::new();
        for (name, found) in self.0 {
            let found = match found {
                Ok(found) if found.due > 0 => ask(session, &name, true).await.map(Option::unwrap_or_default),
                found => found,
            };
            tidied.push((name, found));
        }
        Self(tidied)
    }

    /// What may go or went, a few lines for each component.
    pub(super) fn text(&self, verb: &str) -> String {
        let mut text = String::new();
        for (name, found) in &self.0 {
            match found {
                Ok(found) => text.push_str(&lines(name, found, verb)),
                Err(error) => text.push_str(&format!(
                    "{name}: not asked what rollbacks left: {}\n",
                    clean(error.message())
                )),
            }
        }
        text
    }

    pub(super) fn json(&self, session: &Session<'_>) -> Value {
        let entry = |(name, found): &(ComponentName, Result<Leftovers>)| {
            let entry = match found {
                Ok(found) => serde_json::to_value(found).unwrap_or_default(),
                Err(error) => json!({ "error": error::json(error, &session.config.hidden) }),
            };
            (name.to_string(), entry)
        };
        Value::Object(self.0.iter().map(entry).collect::<Map<_, _>>())
    }

    /// The first that could not be asked.
    pub(super) fn error(self) -> Option<Error> {
        self.0.into_iter().find_map(|(_, found)| found.err())
    }
}

fn lines(name: &ComponentName, found: &Leftovers, verb: &str) -> String {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let mut text = String::new();
    if found.due > 0 {
        let what = count(number(found.due), "leftover");
        text.push_str(&format!("{name}: {what} of rollbacks, {} bytes{verb}\n", found.bytes));
        found.shown.iter().for_each(|shown| text.push_str(&format!("  {}\n", clean(shown))));
        let more = found.due - found.shown.len() as u64;
        if more > 0 {
            text.push_str(&format!("  and {more} more\n"));
        }
    }
    if found.waiting > 0 {
        let what = count(number(found.waiting), "leftover");
        text.push_str(&format!("{name}: {what} of rollbacks: not old enough\n"));
    }
    for (why, kept) in &found.kept {
        text.push_str(&format!(
            "{name}: {} of rollbacks: {}\n",
            count(number(*kept), "leftover"),
            clean(why)
        ));
    }
    text
}
