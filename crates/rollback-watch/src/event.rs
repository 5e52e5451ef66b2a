//! What a watcher tells: for consoles, notifications and tests.

use rollback_core::ledger::Deployment;
use rollback_core::{ComponentName, Plan, Report};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::incident::Incident;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A version was seen for the first time.
    Deployed {
        /// Which component.
        component: ComponentName,
        /// How people call the version.
        label: String,
    },
    /// There is trouble that may become something.
    Troubled {
        /// Which component.
        component: ComponentName,
        /// The triggers that see it.
        triggers: Vec<String>,
    },
    /// There is no trouble any more.
    Quiet {
        /// Which component.
        component: ComponentName,
    },
    /// A trigger fired, and it was decided what is done. Told again only when something else is decided.
    Decided {
        /// What, with every question.
        incident: Box<Incident>,
    },
    /// A rollback begins.
    RollingBack {
        /// For what.
        incident: Box<Incident>,
        /// Its plan.
        plan: Box<Plan>,
    },
    /// A rollback ended.
    RolledBack {
        /// For what.
        incident: Box<Incident>,
        /// The plan that ran.
        plan: Box<Plan>,
        /// How.
        report: Box<Report>,
    },
    /// It should be over by now, and is not.
    Overdue {
        /// What.
        incident: Box<Incident>,
    },
    /// A version has earned being called good.
    Promoted {
        /// Which component.
        component: ComponentName,
        /// Its record.
        deployment: Box<Deployment>,
    },
    /// Something that a person should see.
    Warning {
        /// Which component.
        component: ComponentName,
        /// What.
        message: String,
    },
}

/// Where events go. Cheap to clone; without a receiver they go nowhere.
#[derive(Debug, Clone, Default)]
pub struct Telling(Option<mpsc::UnboundedSender<Event>>);

/// Events in the order in which they happened. Ends when the watcher is done with them.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<Event>);

impl Telling {
    /// A sender and its receiver.
    #[must_use]
    pub fn channel() -> (Self, Events) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), Events(receiver))
    }

    /// Tells of an event. Never waits: a listener that hangs delays nothing.
    pub fn tell(&self, event: Event) {
        if let Some(sender) = &self.0 {
            // Nobody listens any more: the watch goes on all the same.
            let _ = sender.send(event);
        }
    }
}

impl Events {
    /// The next event; `None` when the watch is over.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// An event that is already there.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}
