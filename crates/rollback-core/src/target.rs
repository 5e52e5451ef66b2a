//! Targets: the I/O for one deployed thing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::{Action, ActionContext, Landing};
use crate::digest::Digest;
use crate::error::Result;
use crate::name::{Incarnation, PartId, Revision, TargetId, Token, Version};
use crate::snapshot::{Artifact, Identity, Snapshot};
use crate::time::Lasting;

/// The I/O for one deployed thing.
///
/// A driver only knows how to look, propose and act on one target. **It never locks, journals, retries, prompts,
/// prints, sleeps or reads the clock: core does.** That makes a driver small, and makes every guarantee hold for
/// drivers that other teams write.
///
/// # Contract
///
/// - Nothing but `apply` changes anything.
/// - Every mutating call has the SDK's own retries switched off: only the engine decides to send again.
/// - An error says what became of the effect ([`Effect`](crate::Effect)); when that is not known for sure, it is
///   [`Effect::Unknown`](crate::Effect::Unknown).
/// - `probe` answers "did **my** request land?", not "does the postcondition happen to hold?": by key or mark where
///   the backend keeps one; else by comparing with the token that the intent expected: unmoved = not applied, moved to
///   the goal = applied (and [presumed](crate::Receipt::presumed)), moved elsewhere = superseded.
/// - `prove` reads everything it can and reports what it found; core judges it against the goal.
///
/// # Wrappers
///
/// No method has a default, so that a wrapper cannot lose one. The trait grows by fields of its argument types,
/// which are non-exhaustive, never by a new required method.
#[async_trait]
pub trait Target: Send + Sync + 'static {
    /// What it can be put back to.
    type Snapshot: Snapshot;
    /// What can be done to it.
    type Action: Action;

    /// Canonical id, account and capabilities. May ask the backend who the caller is.
    async fn info(&self) -> Result<TargetInfo>;

    /// A cheap look at what is. `after` proves that something was accepted: a platform that does not show it yet
    /// is [lagging](Observation::lagging).
    async fn observe(&self, after: Option<&Token>) -> Result<Observation<Self::Snapshot>>;

    /// Snapshots that could be restored, newest first, at most `query.limit`. Core adds its own records, so a
    /// driver without history returns none.
    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<Self::Snapshot>>>;

    /// Reads what restoring `to` would mean: a diff without secrets, and findings.
    async fn inspect(&self, from: Option<&Self::Snapshot>, to: &Self::Snapshot) -> Result<Inspection>;

    /// Sends one action.
    async fn apply(&self, cx: &ActionContext, action: &Self::Action) -> Result<Landing>;

    /// Finds out what became of an action that was sent under the same context.
    async fn probe(&self, cx: &ActionContext, action: &Self::Action) -> Result<Landing>;

    /// Full evidence of what runs on every part.
    async fn prove(&self, goal: &Goal<Self::Snapshot>) -> Result<Evidence>;
}

/// Who and what a target is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TargetInfo {
    /// The canonical id: two operators who mean the same thing get the same.
    pub id: TargetId,
    /// The account or cluster that would be acted on, compared with what the environment expects:
    /// `123456789012`, a cluster's UID, a host name.
    pub account: String,
    /// Who the backend says the caller is, where it can tell: an ARN, a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// What it can do.
    pub capabilities: Capabilities,
}

impl TargetInfo {
    /// A target with the least capabilities.
    pub fn new(id: TargetId, account: impl Into<String>) -> Self {
        Self { id, account: account.into(), caller: None, capabilities: Capabilities::default() }
    }

    /// Adds who the caller is.
    #[must_use]
    pub fn with_caller(mut self, caller: impl Into<String>) -> Self {
        self.caller = Some(caller.into());
        self
    }

    /// Adds what it can do.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }
}

/// What a target can do, as plain data. Core checks it in one place; callers never do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Capabilities {
    /// The backend keeps a history of its own.
    pub history: bool,
    /// The backend itself refuses a write that expects an outdated token.
    pub refuses_stale_writers: bool,
    /// The backend keeps the idempotency key, or a mark made from it, so that a probe is certain.
    pub keeps_keys: bool,
    /// It has parts (hosts, replica sets) that can differ.
    pub parts: bool,
    /// It can be scaled to nothing.
    pub scales_to_zero: bool,
    /// It can be restarted, and tells incarnations.
    pub restarts: bool,
    /// A deployment of its own can be in flight.
    pub in_flight: bool,
    /// The longest time after which a request that was sent and not seen can still appear. Probes that say "not
    /// applied" are believed after this long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility_lag: Option<Lasting>,
}

macro_rules! capability_setters {
    ($($name:ident),*) => {
        impl Capabilities {
            $(
                #[doc = concat!("Sets [`", stringify!($name), "`](Self::", stringify!($name), ").")]
                #[must_use]
                pub const fn $name(mut self) -> Self {
                    self.$name = true;
                    self
                }
            )*

            /// Sets [`visibility_lag`](Self::visibility_lag).
            #[must_use]
            pub const fn with_visibility_lag(mut self, lag: Lasting) -> Self {
                self.visibility_lag = Some(lag);
                self
            }

            /// The capabilities by name, for tables and for choosing conformance cases.
            #[must_use]
            pub fn by_name(&self) -> Vec<(&'static str, bool)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}
capability_setters!(history, refuses_stale_writers, keeps_keys, parts, scales_to_zero, restarts, in_flight);

/// Something that was read, or was not there, or could not be read. Never mix up the last two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading<T> {
    /// It was read.
    Known(T),
    /// It is certainly not there.
    Absent,
    /// It could not be read; the text says why.
    Unknown(String),
}

impl<T> Reading<T> {
    /// The value, if it was read.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    pub(crate) fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Reading<U>, E> {
        Ok(match self {
            Self::Known(value) => Reading::Known(map(value)?),
            Self::Absent => Reading::Absent,
            Self::Unknown(why) => Reading::Unknown(why),
        })
    }
}

/// What a cheap look at a target shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Observation<S> {
    /// What it has come to rest on. Never what is still on its way.
    pub settled: Reading<S>,
    /// What it is on its way to, if a change is in flight.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub heading: Option<S>,
    /// What runs, part by part.
    pub parts: Vec<PartState>,
    /// Whether it moves.
    pub phase: Phase,
    /// Changes with intent and rollout, not with status noise.
    pub token: Token,
    /// The platform does not show yet what the caller knows was accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lagging: bool,
}

fn none<S>() -> Option<S> {
    None
}

impl<S> Observation<S> {
    /// A settled target without parts yet; add them with [`part`](Self::part).
    pub fn settled(snapshot: Reading<S>, token: Token) -> Self {
        Self {
            settled: snapshot,
            heading: None,
            parts: Vec::new(),
            phase: Phase::Settled,
            token,
            lagging: false,
        }
    }

    /// Adds one part.
    #[must_use]
    pub fn part(mut self, part: PartState) -> Self {
        self.parts.push(part);
        self
    }

    /// Sets the phase.
    #[must_use]
    pub fn in_phase(mut self, phase: Phase) -> Self {
        self.phase = phase;
        self
    }

    /// Sets what it is on its way to.
    #[must_use]
    pub fn heading_to(mut self, snapshot: S) -> Self {
        self.heading = Some(snapshot);
        self
    }

    /// Says that the platform lags behind.
    #[must_use]
    pub fn lagging(mut self, lagging: bool) -> Self {
        self.lagging = lagging;
        self
    }

    /// The incarnation of each part that tells one.
    #[must_use]
    pub fn incarnations(&self) -> BTreeMap<PartId, Incarnation> {
        self.parts.iter().filter_map(|part| Some((part.part.clone(), part.incarnation.clone()?))).collect()
    }

    pub(crate) fn try_map<U, E>(self, mut map: impl FnMut(S) -> Result<U, E>) -> Result<Observation<U>, E> {
        Ok(Observation {
            settled: self.settled.try_map(&mut map)?,
            heading: self.heading.map(map).transpose()?,
            parts: self.parts,
            phase: self.phase,
            token: self.token,
            lagging: self.lagging,
        })
    }
}

/// Whether a target moves, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Phase {
    /// At rest.
    Settled,
    /// On its way; the text says what is being waited for.
    Progressing(String),
    /// Held by somebody; the text says by what.
    Paused(String),
    /// It will not get there; the text says why.
    Failed(String),
}

/// How sure an identity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// What the platform says it runs.
    Claimed,
    /// Read from the running thing itself.
    Verified,
}

/// What runs on one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartState {
    /// Which part.
    pub part: PartId,
    /// What runs there; `None` when nothing does or it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// How sure that is.
    pub certainty: Certainty,
    /// Wanted and ready replicas; `None` where the idea does not apply (a database, a static site).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Replicas>,
    /// When it last restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// Whether it says that it is well.
    pub health: Health,
}

impl PartState {
    /// A part on which `identity` was verified.
    #[must_use]
    pub fn verified(part: PartId, identity: Option<Identity>) -> Self {
        Self {
            part,
            identity,
            certainty: Certainty::Verified,
            replicas: None,
            incarnation: None,
            health: Health::Unknown,
        }
    }

    /// A part that claims to run `identity`.
    #[must_use]
    pub fn claimed(part: PartId, identity: Option<Identity>) -> Self {
        Self { certainty: Certainty::Claimed, ..Self::verified(part, identity) }
    }

    /// Adds replica counts.
    #[must_use]
    pub fn with_replicas(mut self, wanted: u32, ready: u32) -> Self {
        self.replicas = Some(Replicas { wanted, ready });
        self
    }

    /// Adds when it last restarted.
    #[must_use]
    pub fn with_incarnation(mut self, incarnation: Option<Incarnation>) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// Adds how it is.
    #[must_use]
    pub fn with_health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Whether anything runs there that could be compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.replicas.is_some_and(|replicas| replicas.ready == 0) || self.identity.is_none()
    }
}

/// Replica counts of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// How many there should be.
    pub wanted: u32,
    /// How many are ready.
    pub ready: u32,
}

/// What a part says of its own health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Well.
    Healthy,
    /// Not well; the text says why.
    Unhealthy(String),
    /// It does not say.
    Unknown,
}

/// Which snapshots are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryQuery {
    /// At most so many.
    pub limit: usize,
    /// Only the one with this revision.
    pub revision: Option<Revision>,
    /// Only those with this version.
    pub version: Option<Version>,
}

impl HistoryQuery {
    /// The newest `limit` snapshots.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self { limit, revision: None, version: None }
    }

    /// The snapshot with this revision.
    #[must_use]
    pub const fn revision(revision: Revision) -> Self {
        Self { limit: 20, revision: Some(revision), version: None }
    }

    /// The snapshots with this version.
    #[must_use]
    pub const fn version(version: Version) -> Self {
        Self { limit: 20, revision: None, version: Some(version) }
    }

    /// Whether a snapshot is one of those asked for.
    #[must_use]
    pub fn wants(&self, info: &crate::snapshot::SnapshotInfo) -> bool {
        self.revision.as_ref().is_none_or(|revision| *revision == info.revision)
            && self.version.as_ref().is_none_or(|version| Some(version) == info.version.as_ref())
    }
}

/// One snapshot of a backend's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry<S> {
    /// The state.
    pub snapshot: S,
    /// What became of it.
    pub standing: Standing,
    /// When it last began to run, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_at: Option<Timestamp>,
    /// Why it cannot be restored, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrestorable: Option<String>,
}

impl<S> HistoryEntry<S> {
    /// An entry that can be restored.
    pub fn new(snapshot: S, standing: Standing) -> Self {
        Self { snapshot, standing, ran_at: None, unrestorable: None }
    }

    /// Adds when it last began to run.
    #[must_use]
    pub fn with_ran_at(mut self, ran_at: Timestamp) -> Self {
        self.ran_at = Some(ran_at);
        self
    }

    /// Says why it cannot be restored.
    #[must_use]
    pub fn unrestorable(mut self, why: impl Into<String>) -> Self {
        self.unrestorable = Some(why.into());
        self
    }

    pub(crate) fn try_map<U, E>(self, map: impl FnOnce(S) -> Result<U, E>) -> Result<HistoryEntry<U>, E> {
        Ok(HistoryEntry {
            snapshot: map(self.snapshot)?,
            standing: self.standing,
            ran_at: self.ran_at,
            unrestorable: self.unrestorable,
        })
    }
}

/// What the backend knows of a snapshot's past. Registered is not deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Standing {
    /// It runs now.
    Current,
    /// It ran.
    Ran,
    /// It was tried and failed.
    Failed,
    /// It was registered and never deployed.
    NeverRan,
    /// Only that it exists is known.
    Unknown,
}

/// What restoring would mean, read without changing anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Inspection {
    /// What differs, without secrets. Core bounds it.
    pub diff: Vec<DiffEntry>,
    /// What the planner and the operator should know.
    pub findings: Vec<Finding>,
    /// Whether each artifact of the destination is still there.
    pub artifacts: Vec<ArtifactState>,
}

impl Inspection {
    /// Adds a difference.
    #[must_use]
    pub fn differs(mut self, path: impl Into<String>, from: Option<Shown>, to: Option<Shown>) -> Self {
        self.diff.push(DiffEntry { path: path.into(), from, to });
        self
    }

    /// Adds a finding.
    #[must_use]
    pub fn finding(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        self
    }

    /// Adds what is known of an artifact.
    #[must_use]
    pub fn artifact(mut self, artifact: Artifact, presence: Reading<Option<Timestamp>>) -> Self {
        self.artifacts.push(ArtifactState { artifact, presence });
        self
    }
}

/// Whether an artifact is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactState {
    /// Which.
    pub artifact: Artifact,
    /// There (and until when, if it will be removed), gone, or unknown.
    pub presence: Reading<Option<Timestamp>>,
}

/// One difference between origin and destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffEntry {
    /// Where: `image`, `env.LOG_LEVEL`, `files/index.html`.
    pub path: String,
    /// What is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Shown>,
    /// What would be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Shown>,
}

/// A value as a plan may show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// Harmless.
    Plain(String),
    /// May be secret: only a keyed digest, or nothing, is kept.
    Redacted,
    /// Too large: its digest.
    Digest(Digest),
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Think before going on.
    Warning,
    /// The plan must not run like this.
    Blocker,
}

/// Something that an operator should know before acting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// A stable name to match on: `artifact-missing`.
    pub code: String,
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Finding {
    /// A finding of any severity.
    pub fn new(severity: Severity, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), severity, message: message.into(), next: None }
    }

    /// Good to know.
    pub fn info(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Info, code, message)
    }

    /// Think before going on.
    pub fn warning(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message)
    }

    /// The plan must not run like this.
    pub fn blocker(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Blocker, code, message)
    }

    /// Says what to do about it.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// What must be proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Goal<S> {
    /// The state that every part must run.
    pub snapshot: S,
    /// When a restart was wanted: the incarnations from before, which none of the parts may still have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_since: Option<BTreeMap<PartId, Incarnation>>,
}

impl<S> Goal<S> {
    /// Runs this snapshot, however long already.
    pub fn runs(snapshot: S) -> Self {
        Self { snapshot, restarted_since: None }
    }

    /// Runs this snapshot, restarted since these incarnations.
    #[must_use]
    pub fn restarted_since(mut self, before: BTreeMap<PartId, Incarnation>) -> Self {
        self.restarted_since = Some(before);
        self
    }

    pub(crate) fn try_map_ref<U, E>(&self, map: impl FnOnce(&S) -> Result<U, E>) -> Result<Goal<U>, E> {
        Ok(Goal { snapshot: map(&self.snapshot)?, restarted_since: self.restarted_since.clone() })
    }
}

/// Everything that could be read about what runs, for core to judge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Evidence {
    /// What runs on each part.
    pub parts: Vec<PartState>,
    /// What was compared, for the report: `412 files under releases/v1`.
    pub compared: Vec<String>,
    /// What could not be read. Anything here means "not proven".
    pub unread: Vec<String>,
}

impl Evidence {
    /// Adds one part.
    #[must_use]
    pub fn part(mut self, part: PartState) -> Self {
        self.parts.push(part);
        self
    }

    /// Says what was compared.
    #[must_use]
    pub fn compared(mut self, what: impl Into<String>) -> Self {
        self.compared.push(what.into());
        self
    }

    /// Says what could not be read.
    #[must_use]
    pub fn unread(mut self, what: impl Into<String>) -> Self {
        self.unread.push(what.into());
        self
    }

    /// Judges the evidence: only [`Proof::Proven`] makes `Restored`, and only it makes `AlreadyThere`.
    ///
    /// Nothing runs = not proven; one part that could not be read = not proven; a part that was not restarted
    /// although that was wanted = not proven.
    pub fn judge<S>(&self, identity: Identity, goal: &Goal<S>) -> Proof {
        let mut against = self.unread.iter().map(|what| format!("could not read {what}")).collect::<Vec<_>>();
        if self.parts.is_empty() {
            against.push("nothing runs that could be compared".to_owned());
        }
        for part in &self.parts {
            against.extend(part_fault(part, identity, goal.restarted_since.as_ref()));
        }
        if against.is_empty() { Proof::Proven } else { Proof::NotProven { against } }
    }
}

/// What speaks against one part running `wanted`.
fn part_fault(
    part: &PartState,
    wanted: Identity,
    before: Option<&BTreeMap<PartId, Incarnation>>,
) -> Option<String> {
    let name = &part.part;
    if let Some(replicas) = part.replicas {
        if replicas.ready == 0 {
            return Some(format!("{name}: no replica runs"));
        }
        if replicas.ready < replicas.wanted {
            return Some(format!("{name}: {} of {} replicas are ready", replicas.ready, replicas.wanted));
        }
    }
    match part.identity {
        None => return Some(format!("{name}: what runs there is not known")),
        Some(found) if found != wanted => {
            return Some(format!("{name}: runs {}, wanted {}", found.short(), wanted.short()));
        }
        Some(_) => {}
    }
    let before = before?;
    match (before.get(name), &part.incarnation) {
        (Some(old), Some(new)) if old == new => Some(format!("{name}: was not restarted (still {old})")),
        (Some(_), None) => Some(format!("{name}: whether it was restarted is not known")),
        _ => None,
    }
}

/// The judgement over some evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Every part runs what was wanted.
    Proven,
    /// At least one thing speaks against it.
    NotProven {
        /// What, for people.
        against: Vec<String>,
    },
}

impl Proof {
    /// Whether it is proven.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        matches!(self, Self::Proven)
    }
}
