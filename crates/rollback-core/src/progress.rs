//! Progress as a stream of typed events, for a CLI, a TUI or a test.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::name::{ComponentName, RunId, StepId};
use crate::report::State;
use crate::time::Lasting;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Event {
    /// A run began, or was taken up again.
    RunStarted {
        /// Which run.
        run: RunId,
        /// Its components.
        components: Vec<ComponentName>,
        /// Whether it was begun before.
        resumed: bool,
    },
    /// A component came into another stage.
    Stage {
        /// Which component.
        component: ComponentName,
        /// The stage.
        stage: Stage,
        /// For people.
        detail: String,
    },
    /// An action is being sent.
    StepStarted {
        /// Which component.
        component: ComponentName,
        /// Which step.
        step: StepId,
        /// For people.
        title: String,
        /// Which sending, from 1.
        attempt: u32,
    },
    /// A convergence tells how far it is.
    StepProgress {
        /// Which component.
        component: ComponentName,
        /// Which step.
        step: StepId,
        /// Parts done.
        done: u64,
        /// Parts in all.
        total: u64,
        /// For people.
        note: String,
    },
    /// What became of an action is known.
    StepEnded {
        /// Which component.
        component: ComponentName,
        /// Which step.
        step: StepId,
        /// For people: `applied`, `not applied: …`.
        outcome: String,
    },
    /// The engine waits.
    Waiting {
        /// Which component.
        component: ComponentName,
        /// What for.
        what: String,
        /// How long it waits before it looks again.
        pause: Lasting,
    },
    /// A gate was asked.
    GateSampled {
        /// Which component.
        component: ComponentName,
        /// Which gate.
        gate: String,
        /// What was seen.
        detail: String,
    },
    /// Something a person should see now.
    Warning {
        /// Which component.
        component: ComponentName,
        /// For people.
        message: String,
    },
    /// A component ended.
    ComponentEnded {
        /// Which component.
        component: ComponentName,
        /// How.
        state: State,
        /// In one sentence.
        summary: String,
    },
    /// The run ended.
    RunEnded {
        /// Which run.
        run: RunId,
        /// How.
        state: State,
    },
}

/// Where a component is in its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Taking the lease.
    Lease,
    /// Checking the guards.
    Guards,
    /// Waiting for peers.
    Peers,
    /// Sending actions.
    Acting,
    /// Waiting until it rests.
    Settling,
    /// Comparing every part.
    Proving,
    /// Asking the gates.
    Gates,
    /// Watching whether it stays well.
    Soaking,
    /// Going back to the origin.
    GoingBack,
    /// Doing what is left once everything is proven.
    Tidying,
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Lease => "lease",
            Self::Guards => "guards",
            Self::Peers => "waiting for peers",
            Self::Acting => "acting",
            Self::Settling => "settling",
            Self::Proving => "proving",
            Self::Gates => "gates",
            Self::Soaking => "soaking",
            Self::GoingBack => "going back",
            Self::Tidying => "tidying up",
        })
    }
}

/// Where events go. Cheap to clone; without a receiver they go nowhere.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    sender: Option<mpsc::UnboundedSender<Event>>,
}

/// Events in the order in which they happened. Ends when the engine is done with them.
#[derive(Debug)]
pub struct Events {
    receiver: mpsc::UnboundedReceiver<Event>,
}

impl Progress {
    /// A sender and its receiver.
    #[must_use]
    pub fn channel() -> (Self, Events) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender: Some(sender) }, Events { receiver })
    }

    /// Tells of an event.
    pub fn emit(&self, event: Event) {
        if let Some(sender) = &self.sender {
            // Nobody listens any more: the run goes on all the same.
            let _ = sender.send(event);
        }
    }
}

impl Events {
    /// The next event; `None` when the run is over.
    pub async fn next(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// An event that is already there.
    pub fn try_next(&mut self) -> Option<Event> {
        self.receiver.try_recv().ok()
    }
}
