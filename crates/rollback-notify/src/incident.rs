//! The report of one incident: what happened when, what was done about it, and what is proven.
//!
//! An [`Incident`] is data. It begins with a [run](Incident::of_run), gets what a watcher knows (when it was deployed, the rules with their
//! [samples](Measured), the [decision](Incident::decided)), and is written as one [HTML](Incident::html) file that needs nothing else, or as
//! [Markdown](Incident::markdown).

mod actions;
mod html;
mod made;
mod markdown;
mod measured;
mod picture;
mod plot;
mod scale;
#[cfg(test)]
mod tests;
mod watched;

use jiff::Timestamp;
use rollback_core::report::GateReport;
use rollback_core::{ComponentName, Digest, EnvironmentName, RunId, State};
use rollback_watch::{Decision, Severity};
use serde::{Deserialize, Serialize};

pub use self::measured::{Measured, Point};
use crate::notice::{Notice, Version};

/// The schema of what this version writes.
pub const INCIDENT_SCHEMA: &str = "rollback-incident/1";

/// All that is known of one incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Incident {
    /// [`INCIDENT_SCHEMA`].
    pub schema: String,
    /// Where.
    pub environment: EnvironmentName,
    /// The run that ended it, or tried to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The plan that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// How the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// How bad it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Who asked for the rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether no person asked for it.
    #[serde(default)]
    pub automatic: bool,
    /// Why it ran without a lease, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// When what happened.
    pub times: Times,
    /// Each component.
    pub components: Vec<Component>,
    /// The rules, with what was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Measured>,
    /// What was decided without a person, and all that was asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// What was told to people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// Whom to call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
}

/// When what happened, as far as it is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Times {
    /// The bad version was deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Timestamp>,
    /// The first sample that was bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<Timestamp>,
    /// A rule said that it is bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detected: Option<Timestamp>,
    /// It was decided what is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided: Option<Timestamp>,
    /// The run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// The first action was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_effect: Option<Timestamp>,
    /// The first good sample after the last bad one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<Timestamp>,
    /// The last component was proven to be where it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<Timestamp>,
    /// The run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

impl Times {
    /// With the names that people read, in the order in which they should be.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, Timestamp)> {
        let all = [
            ("deployed", self.deployed),
            ("first bad sample", self.first_bad),
            ("detected", self.detected),
            ("decided", self.decided),
            ("run began", self.started),
            ("first action", self.first_effect),
            ("well again", self.restored),
            ("proven", self.proven),
            ("run ended", self.ended),
        ];
        all.into_iter().filter_map(|(name, at)| Some((name, at?)))
    }
}

/// One component of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Component {
    /// Which.
    pub component: ComponentName,
    /// What it ran when it was bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// Where it should go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Version>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// In one sentence.
    #[serde(default)]
    pub summary: String,
    /// What runs on each part at the end, by the last evidence: the part, and what was found there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<(String, String)>,
    /// What was sent, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Sent>,
    /// What each gate said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateReport>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// What to do now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// What would undo this rollback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone_by: Vec<String>,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// How the rollback could be taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<String>,
    /// What was journalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub journal: Vec<(Timestamp, String)>,
}

/// One action that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sent {
    /// What it does, for people.
    pub title: String,
    /// Whether it was not on the way that was chosen: `goes back with switch`, `repairs with switch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leg: Option<String>,
    /// When it was sent.
    pub at: Timestamp,
    /// When it was known what became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// What became of it.
    pub outcome: String,
}

/// Something that was told to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Told {
    /// When it happened.
    pub at: Timestamp,
    /// What was said.
    pub title: String,
    /// To whom, and what became of it: `slack (hooks.slack.com): delivered`.
    pub to: Vec<String>,
}

impl Incident {
    /// An incident of which nothing is known yet.
    #[must_use]
    pub fn new(environment: EnvironmentName) -> Self {
        Self {
            schema: INCIDENT_SCHEMA.to_owned(),
            environment,
            run: None,
            plan: None,
            state: None,
            severity: None,
            actor: None,
            reason: None,
            automatic: false,
            break_glass: None,
            times: Times::default(),
            components: Vec::new(),
            rules: Vec::new(),
            decision: None,
            told: Vec::new(),
            contacts: Vec::new(),
        }
    }

    /// Adds what was decided without a person, and when.
    #[must_use]
    pub fn decided(mut self, decision: Decision, severity: Severity, at: Timestamp) -> Self {
        self.decision = Some(decision);
        self.severity = Some(severity);
        self.times.decided = Some(at);
        self
    }

    /// Says when the bad version was deployed.
    #[must_use]
    pub fn deployed(mut self, at: Timestamp) -> Self {
        self.times.deployed = Some(at);
        self
    }

    /// Adds a rule with its samples. From all rules but those that [verify](Measured::verifies) it follows when the first bad sample was taken,
    /// when it was detected, and when all of them were well again; what is known better is to be set after that.
    #[must_use]
    pub fn rule(mut self, rule: Measured) -> Self {
        self.rules.push(rule);
        let triggers = || self.rules.iter().filter(|rule| !rule.verifies);
        // What passed by itself is not what the incident began with; unless nobody waited for a rule to fire.
        let fired = triggers().any(|rule| rule.fired.is_some());
        let began =
            triggers().filter(|rule| !fired || rule.fired.is_some()).filter_map(Measured::first_bad).min();
        let bad = triggers().filter(|rule| rule.first_bad().is_some());
        let well = bad.map(Measured::well_again).collect::<Option<Vec<_>>>();
        let detected = triggers().filter_map(|rule| rule.fired).min();
        let times = &mut self.times;
        (times.first_bad, times.detected) = (began, detected);
        times.restored = well.and_then(|well| well.into_iter().max());
        self
    }

    /// Adds what was told to people; `to` says who took it.
    #[must_use]
    pub fn told(mut self, notice: &Notice, to: Vec<String>) -> Self {
        self.told.push(Told { at: notice.at, title: notice.title(), to });
        self
    }

    /// In one line.
    #[must_use]
    pub fn title(&self) -> String {
        if self.components.is_empty() {
            return format!("Incident in {}", self.environment);
        }
        let names: Vec<&str> = self.components.iter().take(3).map(|one| one.component.as_str()).collect();
        let more = match self.components.len() {
            0..=3 => String::new(),
            count => format!(" and {} more", count - 3),
        };
        format!("Rollback of {}{more} in {}", names.join(", "), self.environment)
    }
}
