//! What `watch` and `guard` share: the watcher of an environment, and how people are told what it sees.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rollback_core::lease::Holder;
use rollback_core::{ComponentName, Engine, Environment, Error, ErrorKind, Result};
use rollback_notify::Notice;
use rollback_watch::{Component, Engines, Event, Events, Telling, Watcher};
use tokio_util::sync::CancellationToken;

use crate::args::Output;
use crate::config::TriggerConfig;
use crate::render;
use crate::session::{Acting, Kept, Session};
use crate::signals::Stops;
use crate::telling::Told;

/// Connects to a component when it is needed, and once.
struct Connections {
    kept: Kept,
    environment: Environment,
    made: Mutex<BTreeMap<ComponentName, Engine>>,
}

#[async_trait]
impl Engines for Connections {
    async fn engine(&self, component: &ComponentName) -> Result<Engine> {
        if let Some(engine) = self.made().get(component) {
            return Ok(engine.clone());
        }
        let session = self.kept.session();
        let engine =
            session.engine(&self.environment, std::slice::from_ref(component), Acting::default()).await?;
        // Two that were made at the same time do the same.
        self.made().insert(component.clone(), engine.clone());
        Ok(engine)
    }
}

impl Connections {
    fn made(&self) -> std::sync::MutexGuard<'_, BTreeMap<ComponentName, Engine>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who decides, in the words of records.
pub(crate) fn by(command: &str) -> String {
    format!("rollback {command}, {}", Holder::this_process().person())
}

/// A watcher over the named components, or all that have triggers.
pub(crate) async fn watcher(
    session: &Session<'_>,
    environment: &Environment,
    named: &[ComponentName],
    command: &str,
    telling: Telling,
) -> Result<Watcher> {
    let mut components = Vec::new();
    for name in session.all(&environment.name, named).await? {
        let triggers = triggers(session, environment, &name);
        if triggers.is_empty() && !named.is_empty() {
            return Err(nothing_asked(format!("{name} has no triggers")));
        }
        if !triggers.is_empty() {
            components.push(component(session, name, &triggers)?);
        }
    }
    if components.is_empty() {
        return Err(nothing_asked(format!("no component of {} has triggers", environment.name)));
    }
    let connections =
        Connections { kept: session.keep(), environment: environment.clone(), made: Mutex::default() };
    let store = session.store(false).await?;
    let watcher = Watcher::new(store, Arc::new(connections), environment.clone())?
        .settings(session.config.watch.settings.clone())
        .by(by(command))
        .telling(telling);
    Ok(components.into_iter().fold(watcher, Watcher::component))
}

/// What is asked about a component, as itself or as a part of a block.
fn triggers<'a>(
    session: &'a Session<'_>,
    environment: &Environment,
    name: &ComponentName,
) -> Vec<&'a TriggerConfig> {
    let block = session.configured(&environment.name, name).map(|(block, _)| block.clone());
    let about = |trigger: &&TriggerConfig| {
        trigger.component == *name || block.as_ref().is_some_and(|block| trigger.component == *block)
    };
    session.config.triggers.iter().filter(about).collect()
}

fn component(session: &Session<'_>, name: ComponentName, triggers: &[&TriggerConfig]) -> Result<Component> {
    let mut component = Component::new(name);
    for trigger in triggers {
        component = if trigger.asks_driver() {
            component.on_driver(trigger.trigger())
        } else {
            component.trigger(trigger.trigger(), session.probe("trigger", &trigger.name, &trigger.probe)?)
        };
    }
    Ok(component)
}

fn nothing_asked(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "watch", message).next(
        "say what is bad: [[triggers]] with name = \"outage\", component = \"web\" and probe = { kind = \"http\", url = \"…\" }",
    )
}

/// Tells of events until `work` has ended. The first signal stops the watch and lets what it has begun come to an end; the second leaves at
/// once: `None`.
pub(crate) async fn follow<T>(
    session: &Session<'_>,
    environment: &Environment,
    mut events: Events,
    stop: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<Option<T>> {
    let mut stops = Stops::install()?;
    let told = Told::all(session)?;
    let tell = |event: &Event| {
        show(session, event);
        told.tell(Notice::of_event(event, environment));
    };
    let mut work = std::pin::pin!(work);
    let mut telling = true;
    loop {
        tokio::select! {
            ended = &mut work => {
                while let Some(event) = events.try_next() {
                    tell(&event);
                }
                told.close(session).await;
                return Ok(Some(ended));
            }
            event = events.next(), if telling => match event {
                Some(event) => tell(&event),
                None => telling = false,
            },
            () = stops.next() => {
                if stop.is_cancelled() {
                    return Ok(None);
                }
                stop.cancel();
                session.warn("stopping; a rollback that has begun is brought to its end; once more to leave at once");
            }
        }
    }
}

/// A line for each event on standard error, for people or as JSON: standard output is for what the command comes to.
fn show(session: &Session<'_>, event: &Event) {
    if session.global.output == Output::Json {
        let line = serde_json::to_string(event).unwrap_or_default();
        session.console.print_error(&format!("{}\n", session.config.hidden.hide(&line)));
        return;
    }
    if session.global.quiet {
        return;
    }
    let line = render::watch::line(session.error_style(), event);
    session.console.print_error(&session.config.hidden.hide(&line));
}
