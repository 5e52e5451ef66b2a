//! What an operator asks for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, EnvironmentName, Revision, Version};
use crate::time::Lasting;

/// Where to go back to.
///
/// ```
/// use rollback_core::Destination;
/// assert_eq!("previous".parse::<Destination>()?, Destination::Previous);
/// assert_eq!("version=abc123d".parse::<Destination>()?.to_string(), "version=abc123d");
/// assert!("yesterday".parse::<Destination>().is_err());
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Destination {
    /// The newest earlier state that really ran.
    Previous,
    /// The newest state that earned it.
    LastGood,
    /// The state with this revision.
    Revision(Revision),
    /// The state with this version.
    Version(Version),
    /// What ran at that time.
    AsOf(Moment),
}

/// A point in time, or a duration ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Exactly then.
    At(Timestamp),
    /// So long before the plan is made.
    Ago(Lasting),
}

impl Moment {
    /// The instant it means when it is `now`.
    #[must_use]
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => ago.before(now),
        }
    }
}

impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once('=') {
            None if text == "previous" => Ok(Self::Previous),
            None if text == "last-good" => Ok(Self::LastGood),
            Some(("revision", revision)) => Revision::new(revision).map(Self::Revision),
            Some(("version", version)) => Version::new(version).map(Self::Version),
            Some(("as-of", moment)) => moment.parse().map(Self::AsOf),
            _ => Err(Error::new(ErrorKind::Invalid, "read the destination", format!("{text:?} names none"))
                .next("write previous, last-good, revision=…, version=… or as-of=… (a time, or 2h for two hours ago)")),
        }
    }
}

impl FromStr for Moment {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at));
        }
        text.parse().map(Self::Ago).map_err(|_| {
            Error::new(
                ErrorKind::Invalid,
                "read a time",
                format!("{text:?} is neither a time nor a duration"),
            )
            .next("write it like 2026-11-21T03:00:00Z, or 2h for two hours ago")
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Previous => f.write_str("previous"),
            Self::LastGood => f.write_str("last-good"),
            Self::Revision(revision) => write!(f, "revision={revision}"),
            Self::Version(version) => write!(f, "version={version}"),
            Self::AsOf(Moment::At(at)) => write!(f, "as-of={at}"),
            Self::AsOf(Moment::Ago(ago)) => write!(f, "as-of={ago}"),
        }
    }
}

impl TryFrom<String> for Destination {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

/// What to do when the destination cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Stop and leave it: the origin is usually the bad release.
    #[default]
    Hold,
    /// Go back to the origin.
    Back,
}

/// What an operator asks for: which components, where to, who, why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Request {
    /// The environment.
    pub environment: EnvironmentName,
    /// Each component with its own destination; `None` = the last good state, if there is one.
    pub components: BTreeMap<ComponentName, Option<Destination>>,
    /// The strategy that a component must go back by, where core is not to choose: no other is an alternative then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub methods: BTreeMap<ComponentName, String>,
    /// Why. Required outside of environments that say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who. Left out: the backend's signed-in identity, else user and host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// What to do when the destination cannot be reached.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Whether a destination that is newer than the origin is meant.
    #[serde(default)]
    pub allow_newer: bool,
    /// Whether a quarantined destination is meant.
    #[serde(default)]
    pub allow_quarantined: bool,
    /// Whether the state that is left is put under quarantine once the rollback is proven.
    #[serde(default = "yes")]
    pub quarantine: bool,
    /// Whether no person asked: freeze windows stop it, and it never rolls back a rollback.
    #[serde(default)]
    pub automatic: bool,
    /// Whether every moment counts: what is only to be known (whether the destination's artifacts are there, what else speaks
    /// against it) is looked up beside the first action and not before it, and said in the report. Where an action cannot be
    /// taken back this is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urgent: bool,
    /// Whether it is an exercise: what is left keeps its standing, is not put under quarantine, and what is reached is as good as it was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// For how long what was proven must stay well, where that is not to be what the [environment](crate::Environment::soak)
    /// says; zero: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Lasting>,
}

fn yes() -> bool {
    true
}

impl Request {
    /// A request without components.
    #[must_use]
    pub fn new(environment: EnvironmentName) -> Self {
        Self {
            environment,
            components: BTreeMap::new(),
            methods: BTreeMap::new(),
            reason: None,
            actor: None,
            on_failure: OnFailure::Hold,
            allow_newer: false,
            allow_quarantined: false,
            quarantine: true,
            automatic: false,
            urgent: false,
            drill: false,
            soak: None,
        }
    }

    /// Adds a component.
    #[must_use]
    pub fn component(mut self, component: ComponentName, destination: Option<Destination>) -> Self {
        self.components.insert(component, destination);
        self
    }

    /// Has a component go back by this strategy and no other.
    #[must_use]
    pub fn method(mut self, component: ComponentName, strategy: impl Into<String>) -> Self {
        self.methods.insert(component, strategy.into());
        self
    }

    /// Checks the texts that people gave: they are stored and shown.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] for a reason of more than 2,000 characters or with control characters, and for an actor or
    /// a method of more than 200 or with any.
    pub fn check_texts(&self) -> Result<()> {
        self.methods.values().try_for_each(|method| check_text("method", Some(method)))?;
        check_text("reason", self.reason.as_deref())?;
        check_text("actor", self.actor.as_deref())
    }

    /// Says why.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Says who.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Says what to do when the destination cannot be reached.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Acts first and looks up beside it what is only to be known.
    #[must_use]
    pub fn urgent(mut self, urgent: bool) -> Self {
        self.urgent = urgent;
        self
    }

    /// Watches what was proven for this long, whatever the environment says.
    #[must_use]
    pub fn soak(mut self, soak: Option<Lasting>) -> Self {
        self.soak = soak;
        self
    }

    /// Allows a destination that is newer than the origin.
    #[must_use]
    pub fn allow_newer(mut self, allow: bool) -> Self {
        self.allow_newer = allow;
        self
    }

    /// Allows a quarantined destination.
    #[must_use]
    pub fn allow_quarantined(mut self, allow: bool) -> Self {
        self.allow_quarantined = allow;
        self
    }

    /// Sets whether the state that is left is put under quarantine.
    #[must_use]
    pub fn quarantine(mut self, quarantine: bool) -> Self {
        self.quarantine = quarantine;
        self
    }

    /// Makes it an exercise.
    #[must_use]
    pub fn drill(mut self, drill: bool) -> Self {
        self.drill = drill;
        self
    }

    /// Marks it as asked for by a machine.
    #[must_use]
    pub fn automatic(mut self, automatic: bool) -> Self {
        self.automatic = automatic;
        self
    }
}

/// Checks a text that a person gave: it is stored and shown.
pub(crate) fn check_text(what: &str, text: Option<&str>) -> Result<()> {
    let longest = if what == "reason" { 2_000 } else { 200 };
    let Some(text) = text else { return Ok(()) };
    if text.chars().count() <= longest && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("use the {what}"), "it cannot be stored as it is")
        .next(format!("write it in one line of at most {longest} characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_survive_being_written_and_read() {
        for text in [
            "previous",
            "last-good",
            "revision=42",
            "version=abc123d",
            "as-of=2h",
            "as-of=2026-11-21T03:00:00Z",
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(destination.to_string(), text);
        }
    }

    #[test]
    fn a_duration_ago_is_counted_from_the_plan() {
        let now: Timestamp = "2026-11-21T03:00:00Z".parse().unwrap();
        let Destination::AsOf(moment) = "as-of=90m".parse().unwrap() else { panic!() };
        assert_eq!(moment.resolve(now).to_string(), "2026-11-21T01:30:00Z");
    }
}
