//! Triggers and limits that runbooks commonly state, by name.
//!
//! | trigger | fires when | severity |
//! |---|---|---|
//! | [`error-rate`](error_rate) | `error_rate_percent` is above 5 for five minutes | P0 |
//! | [`latency`] | `latency_ms` is above three times what it was before the deploy for ten minutes | P1 |
//! | [`outage`] | nothing answers well for two minutes | P0 |
//! | [`health`] | health checks fail for three minutes | P0 |
//! | [`migration`] | a migration failed, seen once | P0 |
//! | [`data`] | a check of the data's integrity fails, seen once | P0 |
//! | [`security`] | a check of the security fails, seen once | P0 |
//! | [`deploy`] | the platform says for 15 seconds that a deploy failed | P0 |
//!
//! After a rollback, [`verification`] must hold for a quarter of an hour.

use rollback_core::condition::{Check, Rule};
use rollback_core::time::Lasting;

use crate::severity::Severity;
use crate::trigger::Trigger;

/// The pause between two samples.
const EVERY: Lasting = Lasting::from_secs(10);

/// All triggers, in the order of the table.
#[must_use]
pub fn triggers() -> [Trigger; 8] {
    [error_rate(), latency(), outage(), health(), migration(), data(), security(), deploy()]
}

/// The trigger of this name.
///
/// ```
/// use rollback_watch::named;
/// assert_eq!(named::trigger("outage").map(|trigger| trigger.rule().to_string()).as_deref(), Some("not ok for 2m"));
/// assert!(named::trigger("rain").is_none());
/// ```
#[must_use]
pub fn trigger(name: &str) -> Option<Trigger> {
    triggers().into_iter().find(|trigger| trigger.name() == name)
}

/// More than five of a hundred requests fail, for five minutes.
#[must_use]
pub fn error_rate() -> Trigger {
    let above = Check::Above { metric: "error_rate_percent".to_owned(), limit: 5.0 };
    lasting("error-rate", above, 300, Severity::P0)
}

/// Answers take three times as long as before the deploy, for ten minutes.
#[must_use]
pub fn latency() -> Trigger {
    let slow = Check::AboveBaseline { metric: "latency_ms".to_owned(), factor: 3.0 };
    lasting("latency", slow, 600, Severity::P1)
}

/// Nothing answers well for two minutes.
#[must_use]
pub fn outage() -> Trigger {
    lasting("outage", Check::NotOk, 120, Severity::P0)
}

/// Health checks fail for three minutes.
#[must_use]
pub fn health() -> Trigger {
    lasting("health", Check::NotOk, 180, Severity::P0)
}

/// A migration could not be completed.
#[must_use]
pub fn migration() -> Trigger {
    lasting("migration", Check::NotOk, 0, Severity::P0)
}

/// Data is not what it should be.
#[must_use]
pub fn data() -> Trigger {
    lasting("data", Check::NotOk, 0, Severity::P0)
}

/// Somebody got where nobody should.
#[must_use]
pub fn security() -> Trigger {
    lasting("security", Check::NotOk, 0, Severity::P0)
}

/// The platform gave a deploy up: what the driver sees, and no probe. For a quarter of a minute: in the middle of a deploy that replaces
/// things in their place, a look may find them stopped.
#[must_use]
pub fn deploy() -> Trigger {
    lasting("deploy", Check::NotOk, 15, Severity::P0)
}

/// What must hold after a rollback: errors below one of a hundred, 95 of a hundred answers within two seconds, processors below 70 % and memory
/// below 80 %, for a quarter of an hour. Numbers that nobody measures are to be left out of [`Rule::all`]: one that is missing holds nothing.
#[must_use]
pub fn verification() -> Rule {
    let limits = [
        ("error_rate_percent", 1.0),
        ("latency_p95_ms", 2_000.0),
        ("cpu_percent", 70.0),
        ("memory_percent", 80.0),
    ];
    Rule {
        all: limits.map(|(metric, limit)| Check::Below { metric: metric.to_owned(), limit }).into(),
        lasting: Lasting::from_secs(900),
        times: 1,
        within: Some(Lasting::from_secs(3_600)),
        every: EVERY,
    }
}

fn lasting(name: &str, check: Check, seconds: u64, severity: Severity) -> Trigger {
    let rule =
        Rule { all: vec![check], lasting: Lasting::from_secs(seconds), times: 1, within: None, every: EVERY };
    Trigger::new(name, rule, severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_say_what_the_table_says() {
        let told = triggers()
            .map(|trigger| format!("{} {}: {}", trigger.severity(), trigger.name(), trigger.rule()));
        assert_eq!(
            told,
            [
                "P0 error-rate: error_rate_percent > 5 for 5m",
                "P1 latency: latency_ms > 3 times what it was before the deploy for 10m",
                "P0 outage: not ok for 2m",
                "P0 health: not ok for 3m",
                "P0 migration: not ok",
                "P0 data: not ok",
                "P0 security: not ok",
                "P0 deploy: not ok for 15s",
            ]
        );
        assert_eq!(
            verification().to_string(),
            "error_rate_percent < 1 and latency_p95_ms < 2000 and cpu_percent < 70 and memory_percent < 80 for 15m within 1h"
        );
    }
}
