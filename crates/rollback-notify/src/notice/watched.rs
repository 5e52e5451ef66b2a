//! Notices of what a watcher tells.

use rollback_core::Environment;
use rollback_watch::{Event, Incident, Verdict};

use super::{Kind, Notice, Seen};

impl Notice {
    /// What an event of a [watcher](rollback_watch::Watcher) is to people; `None` of what calls for no notice.
    ///
    /// Two watchers that see the same tell it with the same id.
    #[must_use]
    pub fn of_event(event: &Event, environment: &Environment) -> Option<Self> {
        match event {
            Event::Decided { incident } => of_decision(incident, environment),
            Event::RollingBack { incident, plan } => Some(
                Self::begun(plan, incident.acted_at.unwrap_or(incident.fired_at)).severity(incident.severity),
            ),
            Event::RolledBack { incident, plan, report } => {
                Some(Self::ended(plan, report).severity(incident.severity))
            }
            Event::Overdue { incident } => {
                let what = format!("it should be over by now, and is not: {}", incident.describe());
                with_seen(incident, environment, &what, Self::needs_somebody)
            }
            _ => None,
        }
    }
}

fn of_decision(incident: &Incident, environment: &Environment) -> Option<Notice> {
    let what = incident.describe();
    match incident.verdict()? {
        Verdict::CallSomebody => with_seen(incident, environment, &what, Notice::needs_somebody),
        Verdict::Propose => with_seen(incident, environment, &what, Notice::asked),
        Verdict::Record => with_seen(incident, environment, &what, Notice::recorded),
        // It is told when it begins.
        Verdict::Act | Verdict::Wait(_) => None,
    }
}

fn with_seen(
    incident: &Incident,
    environment: &Environment,
    what: &str,
    notice: impl FnOnce(&Seen<'_>) -> Notice,
) -> Option<Notice> {
    let decided = incident.decisions.last()?;
    let seen = Seen {
        environment,
        component: &incident.component,
        runs: Some(&incident.bad),
        what,
        severity: incident.severity,
        decision: &decided.decision,
        at: incident.fired_at,
    };
    let mut notice = notice(&seen);
    if let (Some(moved), Some(good)) = (notice.components.first_mut(), &incident.good) {
        moved.to = (notice.kind == Kind::Proposed).then(|| good.into());
    }
    Some(notice)
}
