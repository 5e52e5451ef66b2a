//! A driver that answers at once: what remains is what core costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rollback_core::document::decode_exact;
use rollback_core::target::{HistoryEntry, HistoryQuery, Inspection, Shown, Standing};
use rollback_core::{
    Action, ActionContext, Artifact, Bound, Capabilities, Decision, Digest, Document, DynTarget, Evidence,
    Goal, Identity, Landing, Observation, PartId, PartState, Proposal, Reading, Receipt, Result, Revision,
    Snapshot, SnapshotInfo, Step, StepId, Strategy, Target, TargetId, TargetInfo, Token, Version, View,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many releases each target has had, the one that runs included.
pub(crate) const RELEASES: u32 = 20;

/// A release by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Release {
    number: u32,
}

impl Document for Release {
    const SCHEMA: &'static str = "instant-release/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Release {
    fn revision(&self) -> Revision {
        Revision::new(format!("r{}", self.number)).unwrap_or_else(|_| unreachable!("a valid revision"))
    }
}

impl Snapshot for Release {
    fn info(&self) -> SnapshotInfo {
        // Not the canonical form, which would be measured as well.
        let identity = Identity(Digest::of_bytes(&self.number.to_le_bytes()));
        let version = Version::new(format!("3f9c{:04}", self.number));
        SnapshotInfo::new(self.revision(), identity)
            .with_version(version.unwrap_or_else(|_| unreachable!("a valid version")))
            .with_artifact(Artifact::new("directory", format!("/srv/web/releases/r{}", self.number)))
    }
}

/// One of several requests that lead to a release together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    number: u32,
    of: u32,
    release: u32,
}

impl Document for Request {
    const SCHEMA: &'static str = "instant-request/1";

    fn decode(schema: &str, body: Value) -> Result<Self> {
        decode_exact(schema, body)
    }
}

impl Action for Request {}

/// The target: two numbers in memory.
#[derive(Debug)]
pub(crate) struct Instant {
    id: TargetId,
    runs: AtomicU32,
    taken: AtomicU32,
}

impl Instant {
    /// A target on its newest release, where a rollback takes `steps` requests.
    pub(crate) fn target(name: &str, steps: u32) -> Result<Arc<dyn DynTarget>> {
        let id = TargetId::new(format!("instant/{name}"))?;
        let target = Self { id, runs: AtomicU32::new(RELEASES), taken: AtomicU32::new(0) };
        Ok(Bound::new("instant", target).strategy(Requests { count: steps }).erase())
    }

    fn now(&self) -> Release {
        Release { number: self.runs.load(Ordering::SeqCst) }
    }

    fn token(&self) -> Token {
        Token::new(format!("generation/{}", self.taken.load(Ordering::SeqCst)))
    }

    fn part(&self) -> PartState {
        let part = PartId::new("host").unwrap_or_else(|_| unreachable!("a valid part"));
        PartState::verified(part, Some(self.now().info().identity))
    }
}

#[async_trait]
impl Target for Instant {
    type Snapshot = Release;
    type Action = Request;

    async fn info(&self) -> Result<TargetInfo> {
        let capabilities = Capabilities::default().history().refuses_stale_writers().keeps_keys();
        Ok(TargetInfo::new(self.id.clone(), "instant").with_capabilities(capabilities))
    }

    async fn observe(&self, _: Option<&Token>) -> Result<Observation<Release>> {
        Ok(Observation::settled(Reading::Known(self.now()), self.token()).part(self.part()))
    }

    async fn history(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry<Release>>> {
        let now = self.now().number;
        let began = |number: u32| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(i64::from(number));
        let entry = |number: u32| {
            let standing = if number == now { Standing::Current } else { Standing::Ran };
            HistoryEntry::new(Release { number }, standing).with_ran_at(began(number))
        };
        Ok((1..=RELEASES).rev().take(query.limit).map(entry).collect())
    }

    async fn inspect(&self, from: Option<&Release>, to: &Release) -> Result<Inspection> {
        let shown = |release: &Release| Shown::Plain(release.revision().to_string());
        let artifact = to.info().artifacts.remove(0);
        Ok(Inspection::default().artifact(artifact, Reading::Known(None)).differs(
            "release",
            from.map(shown),
            Some(shown(to)),
        ))
    }

    async fn apply(&self, _: &ActionContext, action: &Request) -> Result<Landing> {
        self.taken.fetch_add(1, Ordering::SeqCst);
        if action.number == action.of {
            self.runs.store(action.release, Ordering::SeqCst);
        }
        Ok(Landing::Applied(Receipt::default().with_token(self.token())))
    }

    async fn probe(&self, _: &ActionContext, _: &Request) -> Result<Landing> {
        Ok(Landing::Applied(Receipt::default().with_token(self.token())))
    }

    async fn prove(&self, _: &Goal<Release>) -> Result<Evidence> {
        Ok(Evidence::default().part(self.part()).compared("two numbers"))
    }
}

/// That many requests, one after the other.
struct Requests {
    count: u32,
}

fn step_id(number: u32) -> StepId {
    StepId::new(format!("request-{number}")).unwrap_or_else(|_| unreachable!("a valid step"))
}

impl Strategy<Release, Request> for Requests {
    fn name(&self) -> &'static str {
        "send-requests"
    }

    fn summary(&self) -> &'static str {
        "sends one request after the other"
    }

    fn propose(&self, view: &View<Release>) -> Decision<Request> {
        let release = view.goal.number;
        let steps = (1..=self.count).map(|number| {
            let request = Request { number, of: self.count, release };
            let step = Step::single(step_id(number), format!("request {number} for r{release}"), request);
            step.after((number > 1).then(|| step_id(number - 1)))
        });
        Decision::Propose(Proposal::new(steps.collect()))
    }
}
