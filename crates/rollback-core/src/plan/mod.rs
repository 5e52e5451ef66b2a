//! Plans: pure data that can be saved, reviewed, approved by digest and applied elsewhere.

mod candidate;
mod check;
mod commits;
mod compare;
mod findings;
mod planner;

use std::collections::BTreeMap;
use std::ops::Deref;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::candidate::Candidate;
pub(crate) use self::candidate::Past;
pub(crate) use self::compare::propose;
pub(crate) use self::findings::artifact_findings;
pub(crate) use self::planner::{Planner, view};

use crate::digest::{Digest, canonical};
use crate::document::Envelope;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{ComponentName, Incarnation, PartId, Token};
use crate::probe::Gate;
use crate::request::Request;
use crate::snapshot::{Artifact, SnapshotInfo, SnapshotRecord};
use crate::strategy::Proposal;
use crate::target::{DiffEntry, Finding, Phase, Reading, Severity, TargetInfo};
use crate::time::Lasting;

/// The schema that this version writes and reads.
pub const PLAN_SCHEMA: &str = "rollback-plan/1";

/// What planning came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Planned {
    /// A plan. It may still hold blockers: look at [`PlanBody::blockers`].
    Ready(Box<Plan>),
    /// At least one component has no destination; a person must choose.
    Undecided(BTreeMap<ComponentName, Undecided>),
}

/// Why a component has no destination, and what could be chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Undecided {
    /// Why none was chosen.
    pub why: String,
    /// What could be, newest first.
    pub candidates: Vec<Candidate>,
}

/// A sealed plan: its content with the digest of it. Read-only.
///
/// The dry run is the plan, and the plan is what runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    digest: Digest,
    body: PlanBody,
}

/// The content of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PlanBody {
    /// The schema it was written under.
    pub schema: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Timestamp,
    /// What was asked for.
    pub request: Request,
    /// Who asked, resolved.
    pub actor: String,
    /// The rules it was made under.
    pub environment: Environment,
    /// Each component.
    pub components: BTreeMap<ComponentName, ComponentPlan>,
    /// What must hold once components are proven.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
}

/// What would be done with one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ComponentPlan {
    /// The driver.
    pub driver: String,
    /// Who and what the target is.
    pub target: TargetInfo,
    /// Where it is.
    pub from: Reading<SnapshotRecord>,
    /// What is to be left: what is on its way, else what it rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<SnapshotInfo>,
    /// Where it should go.
    pub to: SnapshotRecord,
    /// Why there: `last good: recorded by ana on 2026-11-20`.
    pub because: String,
    /// Whether the destination was proven to run already.
    pub already_there: bool,
    /// The token that the target must still have when the first effect is sent.
    pub token: Token,
    /// What it was doing.
    pub phase: Phase,
    /// When each part last restarted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub incarnations: BTreeMap<PartId, Incarnation>,
    /// Every strategy with its verdict: the chosen one first, then the alternatives in order, then the rejected.
    pub methods: Vec<Method>,
    /// What would change. Bounded, without secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<DiffEntry>,
    /// How many differences were left out.
    #[serde(default)]
    pub diff_omitted: u64,
    /// When the first artifact of the destination will be removed, as far as it is known: from then on there is no way
    /// there any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable_until: Option<Timestamp>,
    /// What the operator should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How it could be taken back.
    pub way_back: String,
    /// Components that must be proven before this one acts: configured, and the union over all proposals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<ComponentName>,
}

/// One strategy in the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Method {
    /// The strategy's name.
    pub strategy: String,
    /// What it does in a few words.
    pub summary: String,
    /// What became of it.
    pub verdict: MethodVerdict,
}

/// What became of a strategy in the comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodVerdict {
    /// This one runs.
    Chosen(Proposal<Envelope>),
    /// Approved to run if those before it fail without effect.
    Alternative(Proposal<Envelope>),
    /// Cannot be used; the text says why.
    Rejected(String),
}

impl Method {
    /// The proposal, unless it was rejected.
    #[must_use]
    pub fn proposal(&self) -> Option<&Proposal<Envelope>> {
        match &self.verdict {
            MethodVerdict::Chosen(proposal) | MethodVerdict::Alternative(proposal) => Some(proposal),
            MethodVerdict::Rejected(_) => None,
        }
    }

    /// Why it was rejected, if it was.
    #[must_use]
    pub fn rejected(&self) -> Option<&str> {
        match &self.verdict {
            MethodVerdict::Rejected(why) => Some(why),
            MethodVerdict::Chosen(_) | MethodVerdict::Alternative(_) => None,
        }
    }
}

impl ComponentPlan {
    /// The proposals in the order in which they would be tried, with the names of their strategies.
    pub fn proposals(&self) -> impl Iterator<Item = (&str, &Proposal<Envelope>)> {
        self.methods.iter().filter_map(|method| Some((method.strategy.as_str(), method.proposal()?)))
    }

    /// The proposal that runs first.
    pub(crate) fn chosen(&self) -> Option<&Proposal<Envelope>> {
        self.proposals().next().map(|(_, proposal)| proposal)
    }

    /// What the way that runs first makes again, so that it need not exist.
    pub(crate) fn brought(&self) -> &[Artifact] {
        self.chosen().map_or(&[], |proposal| &proposal.brings)
    }

    /// The coupled state that must be proven, if the way that runs first puts it back.
    pub(crate) fn coupled(&self) -> Option<Digest> {
        self.to.info.coupled.filter(|_| self.chosen().is_some_and(|proposal| proposal.coupled))
    }
}

impl PlanBody {
    /// For how long what was proven is watched: what the request says, else what the environment says.
    pub fn soak(&self) -> Option<Lasting> {
        self.request.soak.or(self.environment.soak).filter(|soak| !soak.as_duration().is_zero())
    }

    /// Findings that forbid running it.
    pub fn blockers(&self) -> impl Iterator<Item = (&ComponentName, &Finding)> {
        self.findings().filter(|(_, finding)| finding.severity == Severity::Blocker)
    }

    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = (&ComponentName, &Finding)> {
        self.components
            .iter()
            .flat_map(|(name, component)| component.findings.iter().map(move |finding| (name, finding)))
    }
}

impl Plan {
    /// Seals a plan's content.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] when it would never end (components that wait for each other, a gate without `within`) or
    /// could not be stored.
    pub fn seal(body: PlanBody) -> Result<Self> {
        let value = serde_json::to_value(&body).map_err(|error| {
            Error::new(ErrorKind::Invalid, "seal the plan", "it is not JSON").with_source(error)
        })?;
        check::check(&body, &value)?;
        Ok(Self { digest: Digest::of_bytes(canonical(&value).as_bytes()), body })
    }

    /// The digest that approves exactly this plan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The plan as a JSON document with its digest, as a file holds it.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn to_json(&self) -> Result<Value> {
        let body = serde_json::to_value(&self.body).map_err(|error| {
            Error::new(ErrorKind::Invalid, "write the plan", "it is not JSON").with_source(error)
        })?;
        Ok(serde_json::json!({ "digest": self.digest, "plan": body }))
    }

    /// Reads a plan back, checked: an edited one is refused.
    ///
    /// The digest is computed over what the document says, not over what this version understood of it, so that an
    /// added key counts as an edit too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Corrupt`] for an edited or cut-off plan, [`ErrorKind::Unsupported`] for another schema and for one that
    /// this version would write differently, [`ErrorKind::Invalid`] as [`seal`](Self::seal).
    pub fn from_json(text: &str) -> Result<Self> {
        let broken = |what: String| {
            Error::new(ErrorKind::Corrupt, "read the plan", what)
                .next("make a new plan; a plan cannot be repaired by hand")
        };
        let mut document: Value =
            serde_json::from_str(text).map_err(|error| broken(format!("it is not JSON: {error}")))?;
        let digest = document.get("digest").and_then(Value::as_str).map(str::parse::<Digest>);
        let Some(Ok(digest)) = digest else { return Err(broken("it has no digest".to_owned())) };
        let Some(body) = document.get_mut("plan").map(Value::take) else {
            return Err(broken("it has no content".to_owned()));
        };
        let schema = body.get("schema").and_then(Value::as_str).unwrap_or("none");
        if schema != PLAN_SCHEMA {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "read the plan",
                format!("it has the schema {schema:?}, this version reads {PLAN_SCHEMA:?}"),
            )
            .next("apply it with the version that made it, or make a new plan"));
        }
        let found = Digest::of_bytes(canonical(&body).as_bytes());
        if found != digest {
            return Err(broken(format!(
                "it was changed after it was made: its content has the digest {}, it says {}",
                found.short(),
                digest.short()
            )));
        }
        let body =
            serde_json::from_value(body).map_err(|error| broken(format!("it does not fit: {error}")))?;
        let plan = Self::seal(body)?;
        // Runs store the plan again: it must be read back then, under the digest that was approved.
        if plan.digest != digest {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "read the plan",
                "it says something that this version leaves out or writes in another way",
            )
            .next("apply it with the version that made it, or make a new plan"));
        }
        Ok(plan)
    }
}

impl Deref for Plan {
    type Target = PlanBody;

    fn deref(&self) -> &PlanBody {
        &self.body
    }
}

impl Serialize for Plan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Value::deserialize(deserializer)?;
        Self::from_json(&document.to_string()).map_err(serde::de::Error::custom)
    }
}
