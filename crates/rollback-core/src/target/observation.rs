use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::name::{Incarnation, PartId, Token};
use crate::snapshot::Identity;
use crate::target::Changes;

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
    /// The platform took what the caller knows was accepted, gave it up, and went or goes back by itself; the text is its
    /// reason. The token has moved then, and nobody else moved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverted: Option<String>,
    /// Tells when to look again, where the backend does.
    #[serde(skip)]
    pub changes: Changes,
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
            reverted: None,
            changes: Changes::default(),
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

    /// Says that the platform gave up what was accepted and went back by itself, and why.
    #[must_use]
    pub fn reverted(mut self, why: Option<String>) -> Self {
        self.reverted = why;
        self
    }

    /// Says how core is told of changes since this look.
    #[must_use]
    pub fn telling(mut self, changes: Changes) -> Self {
        self.changes = changes;
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
            reverted: self.reverted,
            changes: self.changes,
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
    /// How often something that runs there ended and was started again by itself, in all its replicas: the restarts of
    /// containers, and not replicas that an autoscaler adds or somebody replaces. `None` where that is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
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
            restarts: None,
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

    /// Adds how often something there was started again by itself.
    #[must_use]
    pub fn with_restarts(mut self, restarts: u64) -> Self {
        self.restarts = Some(restarts);
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
