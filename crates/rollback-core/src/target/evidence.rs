use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PartState;
use crate::digest::Digest;
use crate::name::{Incarnation, PartId};
use crate::snapshot::Identity;

/// What must be proven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Goal<S> {
    /// The state that every part must run.
    pub snapshot: S,
    /// When a restart was wanted: the incarnations from before, which none of the parts may still have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_since: Option<BTreeMap<PartId, Incarnation>>,
    /// When coupled state was put back too: what it must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupled: Option<Digest>,
}

impl<S> Goal<S> {
    /// Runs this snapshot, however long already.
    pub fn runs(snapshot: S) -> Self {
        Self { snapshot, restarted_since: None, coupled: None }
    }

    /// Runs this snapshot, restarted since these incarnations.
    #[must_use]
    pub fn restarted_since(mut self, before: BTreeMap<PartId, Incarnation>) -> Self {
        self.restarted_since = Some(before);
        self
    }

    /// Has this coupled state as well.
    #[must_use]
    pub fn coupled(mut self, coupled: Option<Digest>) -> Self {
        self.coupled = coupled;
        self
    }

    pub(crate) fn try_map_ref<U, E>(&self, map: impl FnOnce(&S) -> Result<U, E>) -> Result<Goal<U>, E> {
        Ok(Goal {
            snapshot: map(&self.snapshot)?,
            restarted_since: self.restarted_since.clone(),
            coupled: self.coupled,
        })
    }
}

/// Everything that could be read about what runs, for core to judge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Evidence {
    /// What runs on each part.
    pub parts: Vec<PartState>,
    /// The digest of coupled state as it is now, where the goal names one and it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupled: Option<Digest>,
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

    /// Says what coupled state is now.
    #[must_use]
    pub fn coupled(mut self, coupled: Digest) -> Self {
        self.coupled = Some(coupled);
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
    /// although that was wanted = not proven; coupled state that was put back and is another one, or was not read = not proven.
    pub fn judge<S>(&self, identity: Identity, goal: &Goal<S>) -> Proof {
        let mut against = self.unread.iter().map(|what| format!("could not read {what}")).collect::<Vec<_>>();
        // What is not there yet may come; what is there and wrong stays wrong.
        let mut may_heal = true;
        if self.parts.is_empty() {
            against.push("nothing runs that could be compared".to_owned());
            may_heal = false;
        }
        for part in &self.parts {
            if let Some((fault, heals)) = part_fault(part, identity, goal.restarted_since.as_ref()) {
                against.push(fault);
                may_heal &= heals;
            }
        }
        if let Some(wanted) = goal.coupled {
            match self.coupled {
                Some(found) if found == wanted => {}
                Some(_) => {
                    against.push("what belongs to it is not what it was".to_owned());
                    may_heal = false;
                }
                None => against.push("what belongs to it was not read".to_owned()),
            }
        }
        if against.is_empty() { Proof::Proven } else { Proof::NotProven { against, may_heal } }
    }
}

/// What speaks against one part running `wanted`, and whether waiting can help.
fn part_fault(
    part: &PartState,
    wanted: Identity,
    before: Option<&BTreeMap<PartId, Incarnation>>,
) -> Option<(String, bool)> {
    let name = &part.part;
    if let Some(replicas) = part.replicas {
        if replicas.ready == 0 {
            return Some((format!("{name}: no replica runs"), replicas.wanted > 0));
        }
        if replicas.ready < replicas.wanted {
            return Some((
                format!("{name}: {} of {} replicas are ready", replicas.ready, replicas.wanted),
                true,
            ));
        }
    }
    match part.identity {
        None => return Some((format!("{name}: what runs there is not known"), true)),
        Some(found) if found != wanted => {
            return Some((format!("{name}: runs {}, wanted {}", found.short(), wanted.short()), false));
        }
        Some(_) => {}
    }
    let before = before?;
    match (before.get(name), &part.incarnation) {
        (Some(old), Some(new)) if old == new => {
            Some((format!("{name}: was not restarted (still {old})"), false))
        }
        (Some(_), None) => Some((format!("{name}: whether it was restarted is not known"), true)),
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
        /// Whether waiting can help: something is not ready or could not be read, but nothing is wrong.
        may_heal: bool,
    },
}

impl Proof {
    /// Whether it is proven.
    #[must_use]
    pub const fn is_proven(&self) -> bool {
        matches!(self, Self::Proven)
    }
}
