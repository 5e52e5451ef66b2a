//! What happened, as data.

mod made;
mod text;
mod watched;

use std::fmt;

use jiff::Timestamp;
use rollback_core::{ComponentName, Digest, EnvironmentName, Identity, RunId, SnapshotInfo, State};
use rollback_watch::{Answer, Severity};
use serde::{Deserialize, Serialize};

pub use self::made::Seen;
pub(crate) use self::made::{told, undoes};
pub(crate) use self::text::{Fact, lasted};

/// The schema of what this version writes.
pub const NOTICE_SCHEMA: &str = "rollback-notice/1";

/// How many components a notice names at most.
const MOST_COMPONENTS: usize = 50;

/// What a notice is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A rollback began.
    Started,
    /// A rollback ended, and what was asked for is true of the world.
    Done,
    /// A rollback ended in any other way.
    Failed,
    /// Something is wrong, and a rollback would not help or may not be done: a person is called.
    NeedsSomebody,
    /// A rollback was planned, and a person is asked whether it shall run.
    Proposed,
    /// Something was seen that calls for nobody.
    Recorded,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Started, Self::Done, Self::Failed, Self::NeedsSomebody, Self::Proposed, Self::Recorded];

    /// As configuration and headers write it.
    ///
    /// ```
    /// assert_eq!(rollback_notify::Kind::NeedsSomebody.as_str(), "needs-somebody");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::NeedsSomebody => "needs-somebody",
            Self::Proposed => "proposed",
            Self::Recorded => "recorded",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that people should know of.
///
/// It is made from a plan, a report or what a watcher saw, and goes to receivers as JSON of the schema
/// [`NOTICE_SCHEMA`]. It holds names, labels and digests, and no configuration.
///
/// ```
/// use rollback_core::EnvironmentName;
/// use rollback_notify::{Kind, Notice};
///
/// let mut notice =
///     Notice::new(Kind::Recorded, "alarm-7", EnvironmentName::new("prod")?, "2026-11-21T03:00:00Z".parse().unwrap());
/// notice.reason = Some("p95 is 3 s".to_owned());
/// assert_eq!(notice.title(), "[prod] Recorded: p95 is 3 s");
/// # Ok::<(), rollback_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Notice {
    /// [`NOTICE_SCHEMA`].
    pub schema: String,
    /// The same each time the same thing is told: receivers can drop repeats by it.
    pub id: String,
    /// What it is about.
    pub kind: Kind,
    /// When it happened.
    pub at: Timestamp,
    /// Where.
    pub environment: EnvironmentName,
    /// Whether a person has to do something now.
    pub needs_person: bool,
    /// Each component: those that are not where they should be come first; at most fifty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<Moved>,
    /// How many components were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub components_omitted: usize,
    /// How the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why, in the words of who asked for it or saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Whether no person asked for it.
    #[serde(default)]
    pub automatic: bool,
    /// Why it ran without a lease, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// How bad it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// When the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What to do now, by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// What would undo this rollback: pipelines and tools that bring back what they were told last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone_by: Vec<String>,
    /// What was asked before anything was decided without a person.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// Whom to call; only where a person is needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    /// Where to read more: a pipeline's page, an incident report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde wants")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// One component of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Moved {
    /// Which.
    pub component: ComponentName,
    /// What it runs, or ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    /// What it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Version>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// In one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// What runs, for people and for comparing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// Revision and version: `42 (abc123d)`.
    pub label: String,
    /// The image tag or commit, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of all that a rollback puts back.
    pub identity: Identity,
}

impl From<&SnapshotInfo> for Version {
    fn from(info: &SnapshotInfo) -> Self {
        let version = info.version.as_ref().map(ToString::to_string);
        Self { label: info.label(), version, identity: info.identity }
    }
}

impl Moved {
    /// A component of which nothing else is known.
    #[must_use]
    pub fn new(component: ComponentName) -> Self {
        Self { component, from: None, to: None, state: None, summary: None }
    }
}

impl Notice {
    /// A notice without facts. `id` must be the same each time the same thing is told.
    #[must_use]
    pub fn new(kind: Kind, id: impl Into<String>, environment: EnvironmentName, at: Timestamp) -> Self {
        Self {
            schema: NOTICE_SCHEMA.to_owned(),
            id: id.into(),
            kind,
            at,
            environment,
            needs_person: false,
            components: Vec::new(),
            components_omitted: 0,
            state: None,
            reason: None,
            actor: None,
            automatic: false,
            break_glass: None,
            run: None,
            plan: None,
            severity: None,
            started_at: None,
            ended_at: None,
            next: Vec::new(),
            undone_by: Vec::new(),
            answers: Vec::new(),
            contacts: Vec::new(),
            link: None,
        }
    }

    /// Says where to read more.
    #[must_use]
    pub fn link(mut self, link: impl Into<String>) -> Self {
        self.link = Some(link.into());
        self
    }

    /// Says how bad it is.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// Whether somebody who wants to hear of `kind` wants to hear of this: a rollback that failed and leaves something to do is also
    /// something that needs somebody.
    #[must_use]
    pub fn is(&self, kind: Kind) -> bool {
        self.kind == kind || (kind == Kind::NeedsSomebody && self.needs_person)
    }
}
