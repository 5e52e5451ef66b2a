//! Strategies: pure proposals of how to put a target back.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::action::{Action, Step};
use crate::contents::Kept;
use crate::name::ComponentName;
use crate::snapshot::{Artifact, Snapshot, SnapshotInfo};
use crate::target::{Capabilities, Inspection, Observation};
use crate::time::Lasting;

/// One way to put a target back.
///
/// # Contract
///
/// Pure: no I/O, no clock, the same answer for the same view. A driver ships several; core compares them, shows
/// the comparison as a table, and keeps the runners-up in the plan as approved alternatives. A strategy that
/// cannot be used says why: operators read that table.
///
/// The view may be of a half-changed target: repairs and the way back are planned by the same strategies.
pub trait Strategy<S: Snapshot, A: Action>: Send + Sync + 'static {
    /// A stable name: `update-service`, `switch-symlink`.
    fn name(&self) -> &'static str;

    /// What it does in a few words, for the comparison table.
    fn summary(&self) -> &'static str;

    /// Looks at the view and proposes actions, or says why it cannot be used.
    fn propose(&self, view: &View<S>) -> Decision<A>;
}

/// Everything that a strategy may look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct View<S> {
    /// The component that is planned.
    pub component: ComponentName,
    /// What was observed.
    pub observed: Observation<S>,
    /// Where it should go.
    pub goal: S,
    /// What was read about going there.
    pub inspection: Inspection,
    /// What the target can do.
    pub capabilities: Capabilities,
    /// The other components of the same plan.
    pub peers: Peers,
    /// The contents that are kept of the destination, where they are: steps may be [sent with
    /// them](crate::Step::with_contents).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
}

impl<S> View<S> {
    /// A view without peers.
    pub fn new(
        component: ComponentName,
        observed: Observation<S>,
        goal: S,
        capabilities: Capabilities,
    ) -> Self {
        Self {
            component,
            observed,
            goal,
            inspection: Inspection::default(),
            capabilities,
            peers: Peers::default(),
            kept: None,
        }
    }

    /// Adds contents that are kept of the destination.
    #[must_use]
    pub fn with_kept(mut self, kept: Option<Kept>) -> Self {
        self.kept = kept;
        self
    }

    /// Adds what was inspected.
    #[must_use]
    pub fn with_inspection(mut self, inspection: Inspection) -> Self {
        self.inspection = inspection;
        self
    }

    /// Adds the peers.
    #[must_use]
    pub fn with_peers(mut self, peers: impl Into<Peers>) -> Self {
        self.peers = peers.into();
        self
    }

    pub(crate) fn try_map_ref<U, E>(&self, mut map: impl FnMut(&S) -> Result<U, E>) -> Result<View<U>, E>
    where
        S: Clone,
    {
        Ok(View {
            component: self.component.clone(),
            observed: self.observed.clone().try_map(|snapshot| map(&snapshot))?,
            goal: map(&self.goal)?,
            inspection: self.inspection.clone(),
            capabilities: self.capabilities,
            peers: self.peers.clone(),
            kept: self.kept.clone(),
        })
    }
}

/// Another component of the same plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Peer {
    /// Its name.
    pub component: ComponentName,
    /// Its driver.
    pub driver: String,
    /// Where it is.
    pub from: Option<SnapshotInfo>,
    /// Where it goes.
    pub to: SnapshotInfo,
}

impl Peer {
    /// A peer on its way.
    pub fn new(
        component: ComponentName,
        driver: impl Into<String>,
        from: Option<SnapshotInfo>,
        to: SnapshotInfo,
    ) -> Self {
        Self { component, driver: driver.into(), from, to }
    }
}

/// The other components of a plan.
///
/// All views of one plan share one list, however many components it has.
#[derive(Clone, Default)]
pub struct Peers {
    all: Arc<BTreeMap<ComponentName, Peer>>,
    /// Whose peers they are: it is in the list and is not shown.
    of: Option<ComponentName>,
}

impl Peers {
    pub(crate) fn of(all: &Arc<BTreeMap<ComponentName, Peer>>, name: &ComponentName) -> Self {
        Self { all: Arc::clone(all), of: Some(name.clone()) }
    }

    /// The peer with this name.
    #[must_use]
    pub fn get(&self, name: &ComponentName) -> Option<&Peer> {
        self.all.get(name).filter(|peer| self.of.as_ref() != Some(&peer.component))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.all.values().filter(|peer| self.of.as_ref() != Some(&peer.component))
    }
}

impl FromIterator<Peer> for Peers {
    fn from_iter<I: IntoIterator<Item = Peer>>(peers: I) -> Self {
        let all = peers.into_iter().map(|peer| (peer.component.clone(), peer)).collect();
        Self { all: Arc::new(all), of: None }
    }
}

impl From<Vec<Peer>> for Peers {
    fn from(peers: Vec<Peer>) -> Self {
        peers.into_iter().collect()
    }
}

impl PartialEq for Peers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Serialize for Peers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Peers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Peer>::deserialize(deserializer).map(Self::from)
    }
}

/// A strategy's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision<A> {
    /// This is how.
    Propose(Proposal<A>),
    /// Not this way; the text says why, in words for the comparison table.
    NotApplicable(String),
}

/// How a strategy would do it, and what that would cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Proposal<A> {
    /// What to do: a graph inside the component.
    pub steps: Vec<Step<A>>,
    /// What is tidied up once the destination is proven and every gate has passed: a graph of its own. Never something that a
    /// way back needs. It is no part of the rollback: what fails here is a finding, and the target is restored all the same.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub afterwards: Vec<Step<A>>,
    /// How long it should take until it is proven.
    pub expected: Lasting,
    /// How long users are without service.
    pub downtime: Lasting,
    /// How much can go wrong.
    pub risk: Risk,
    /// What must be true for it to work, for the operator to check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preconditions: Vec<String>,
    /// Components of the same plan that must be proven first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ComponentName>,
    /// How many steps may run at once; batches of this size, one after the other.
    pub parallel: u32,
    /// Whether every part must have been restarted for it to count.
    pub restarts: bool,
    /// Whether it puts back coupled state as well, and that must be proven too: see
    /// [`SnapshotInfo::coupled`](crate::SnapshotInfo::coupled).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub coupled: bool,
    /// Artifacts of the destination that need not exist: it makes them again.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub brings: Vec<Artifact>,
}

impl<A> Proposal<A> {
    /// These steps, one at a time, with low risk, no downtime and an expected minute.
    #[must_use]
    pub fn new(steps: Vec<Step<A>>) -> Self {
        Self {
            steps,
            afterwards: Vec::new(),
            expected: Lasting::from_secs(60),
            downtime: Lasting::from_secs(0),
            risk: Risk::Low,
            preconditions: Vec::new(),
            after: Vec::new(),
            parallel: 1,
            restarts: false,
            coupled: false,
            brings: Vec::new(),
        }
    }

    /// Adds something to tidy up once the destination is proven.
    #[must_use]
    pub fn afterwards(mut self, step: Step<A>) -> Self {
        self.afterwards.push(step);
        self
    }

    /// Sets how long it should take.
    #[must_use]
    pub fn expected(mut self, expected: Lasting) -> Self {
        self.expected = expected;
        self
    }

    /// Sets how long users are without service.
    #[must_use]
    pub fn downtime(mut self, downtime: Lasting) -> Self {
        self.downtime = downtime;
        self
    }

    /// Sets the risk.
    #[must_use]
    pub fn risk(mut self, risk: Risk) -> Self {
        self.risk = risk;
        self
    }

    /// Adds a precondition.
    #[must_use]
    pub fn precondition(mut self, text: impl Into<String>) -> Self {
        self.preconditions.push(text.into());
        self
    }

    /// Runs after a peer was proven.
    #[must_use]
    pub fn after(mut self, peer: ComponentName) -> Self {
        self.after.push(peer);
        self
    }

    /// Sets how many steps may run at once.
    #[must_use]
    pub fn parallel(mut self, parallel: u32) -> Self {
        self.parallel = parallel.max(1);
        self
    }

    /// Every part must have been restarted.
    #[must_use]
    pub fn restarts(mut self) -> Self {
        self.restarts = true;
        self
    }

    /// Puts back coupled state as well.
    #[must_use]
    pub fn coupled(mut self) -> Self {
        self.coupled = true;
        self
    }

    /// Makes an artifact of the destination again: it need not exist.
    #[must_use]
    pub fn brings(mut self, artifact: Artifact) -> Self {
        self.brings.push(artifact);
        self
    }

    /// Whether every step towards the destination can be taken back.
    #[must_use]
    pub fn is_reversible(&self) -> bool {
        self.steps.iter().all(|step| step.reversible)
    }

    /// Which of two proposals core prefers: less risk, then reversible, then less downtime, then sooner done.
    #[must_use]
    pub fn preference(&self, other: &Self) -> Ordering {
        let rank = |p: &Self| (p.risk, !p.is_reversible(), p.downtime, p.expected);
        rank(self).cmp(&rank(other))
    }

    pub(crate) fn try_map<B, E>(self, mut map: impl FnMut(A) -> Result<B, E>) -> Result<Proposal<B>, E> {
        let mut all = |steps: Vec<Step<A>>| -> Result<Vec<Step<B>>, E> {
            steps.into_iter().map(|step| step.try_map(&mut map)).collect()
        };
        Ok(Proposal {
            steps: all(self.steps)?,
            afterwards: all(self.afterwards)?,
            expected: self.expected,
            downtime: self.downtime,
            risk: self.risk,
            preconditions: self.preconditions,
            after: self.after,
            parallel: self.parallel,
            restarts: self.restarts,
            coupled: self.coupled,
            brings: self.brings,
        })
    }
}

/// How much can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// The platform's own way back, or one atomic step.
    Low,
    /// Several steps, or something that must be there and was only looked at.
    Medium,
    /// Downtime, data, or something that cannot be taken back.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}
