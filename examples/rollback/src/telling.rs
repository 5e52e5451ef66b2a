//! People are told of what happens: `[[notify]]`.

use std::sync::Arc;
use std::time::Duration;

use rollback_core::time::SystemClock;
use rollback_core::{Plan, Result};
use rollback_notify::{Delivery, Notice, Notifier, Policy, Setup, Subscription};

use crate::drive::Driven;
use crate::session::Session;

/// How long a command that has done its work waits for its notices.
const PATIENCE: Duration = Duration::from_secs(10);

/// Those who are told, for one command.
#[derive(Debug)]
pub(crate) struct Told(Notifier);

impl Told {
    /// Whoever is configured. One that cannot be set up is an error.
    pub(crate) fn all(session: &Session<'_>) -> Result<Self> {
        let console = session.console.clone();
        let setup = Setup::default().variables(move |name| console.variable(name));
        let build = |spec| session.app.sinks.build(spec, &setup);
        let sinks: Result<Vec<Subscription>> = session.config.notify.iter().map(build).collect();
        Ok(Self(Notifier::start(Arc::new(SystemClock), Policy::default(), sinks?)))
    }

    /// Whoever can be told: that nobody can is no reason not to roll back.
    fn as_far_as_possible(session: &Session<'_>) -> Self {
        Self::all(session).unwrap_or_else(|error| {
            session.warn(&format!("nobody is told: {error}"));
            Self(Notifier::start(Arc::new(SystemClock), Policy::default(), Vec::new()))
        })
    }

    /// Tells, and returns at once.
    pub(crate) fn tell(&self, notice: Option<Notice>) {
        if let Some(notice) = notice {
            self.0.notify(notice);
        }
    }

    /// Waits for what is on its way, and says what did not arrive.
    pub(crate) async fn close(self, session: &Session<'_>) {
        if self.0.is_empty() {
            return;
        }
        for delivery in self.0.close(PATIENCE).await.iter().filter(|delivery| !delivery.is_complete()) {
            session.warn(&not_told(delivery));
        }
    }
}

fn not_told(delivery: &Delivery) -> String {
    let last = delivery.undelivered.last().map(|one| format!(": {:?}: {}", one.title, one.why));
    let count = delivery.failed + delivery.dropped;
    format!("{} was not told of {count}{}", delivery.sink, last.unwrap_or_default())
}

/// Tells that a run begins, and how it ended.
pub(crate) async fn telling(
    session: &Session<'_>,
    plan: &Plan,
    run: impl Future<Output = Result<Driven>>,
) -> Result<Driven> {
    let told = Told::as_far_as_possible(session);
    told.tell(Some(Notice::begun(plan, session.now())));
    let driven = run.await;
    if let Ok(Driven::Ended(Ok(report))) = &driven {
        told.tell(Some(Notice::ended(plan, report)));
    }
    // Whoever wanted to leave at once does not wait for notices either.
    if !matches!(driven, Ok(Driven::Left(_))) {
        told.close(session).await;
    }
    driven
}
