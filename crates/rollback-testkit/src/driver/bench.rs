//! What cases have in common: a world with two releases behind it, and the engine's part played in slow motion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rollback_core::name::SystemEntropy;
use rollback_core::target::{Phase, Proof};
use rollback_core::time::{Clock, SystemClock};
use rollback_core::{
    ActionContext, ComponentName, Decision, DynTarget, Envelope, Error, ErrorKind, Goal, IdempotencyKey,
    Identity, Incarnation, Landing, Observation, PartId, Proposal, Reading, Result, RunId, SnapshotRecord,
    Step, StepId, TargetInfo, Token, View,
};

use super::fixture::{Fixture, Release};
use super::say::said;

/// A fixture's world after release 1 and release 2 were deployed to it; release 2 runs.
pub(super) struct Bench {
    pub(super) fixture: Box<dyn Fixture>,
    pub(super) target: Arc<dyn DynTarget>,
    pub(super) info: TargetInfo,
    pub(super) one: SnapshotRecord,
    pub(super) two: SnapshotRecord,
    run: RunId,
    keys: AtomicU64,
}

/// One step, ready to be sent.
pub(super) struct Attempt {
    pub(super) step: Step<Envelope>,
    pub(super) cx: ActionContext,
}

/// What must not change when nothing was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) token: Token,
    settled: Option<Identity>,
    parts: Vec<(PartId, Option<Identity>)>,
    effects: Option<u64>,
}

impl Print {
    /// Whether the same runs on the same parts, whatever the token is.
    pub(super) fn same_release(&self, after: &Self) -> bool {
        (&self.settled, &self.parts) == (&after.settled, &after.parts)
    }

    /// What is another one in `after`, for messages.
    pub(super) fn changed(&self, after: &Self) -> String {
        let mut changes = Vec::new();
        if self.token != after.token {
            changes.push(format!("the token went from {} to {}", self.token, after.token));
        }
        if self.settled != after.settled {
            changes.push("settled is another one".to_owned());
        }
        if self.parts != after.parts {
            changes.push("the parts run something else".to_owned());
        }
        if let (Some(before), Some(after)) = (self.effects, after.effects)
            && before != after
        {
            changes.push(format!("{} effects landed", after.saturating_sub(before)));
        }
        changes.join(", ")
    }
}

fn out_of(what: &str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Other, what, message)
}

impl Bench {
    pub(super) async fn new(fixture: Box<dyn Fixture>) -> Result<Self> {
        let target = fixture.target().await?;
        let info = target.info().await?;
        fixture.deploy(Release::One).await?;
        let one = rest(&*fixture, &*target).await?;
        fixture.deploy(Release::Two).await?;
        let two = rest(&*fixture, &*target).await?;
        let run = RunId::new(SystemClock.now(), &SystemEntropy);
        let (one, two) = (known(one)?, known(two)?);
        Ok(Self { fixture, target, info, one, two, run, keys: AtomicU64::new(0) })
    }

    /// Waits until the world rests.
    pub(super) async fn rest(&self) -> Result<Observation<SnapshotRecord>> {
        rest(&*self.fixture, &*self.target).await
    }

    /// Waits until the world rests and shows what `after` proves was accepted.
    pub(super) async fn rest_after(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        rest_after(&*self.fixture, &*self.target, after).await
    }

    /// What it rests on.
    pub(super) async fn settled(&self) -> Result<SnapshotRecord> {
        known(self.rest().await?)
    }

    pub(super) async fn token(&self) -> Result<Token> {
        Ok(self.target.observe(None).await?.token)
    }

    pub(super) async fn print(&self) -> Result<Print> {
        let seen = self.target.observe(None).await?;
        Ok(Print {
            settled: seen.settled.known().map(|snapshot| snapshot.info.identity),
            parts: seen.parts.iter().map(|part| (part.part.clone(), part.identity)).collect(),
            token: seen.token,
            effects: self.fixture.effects().await?,
        })
    }

    /// What a strategy would be shown.
    pub(super) async fn view(&self, goal: &SnapshotRecord) -> Result<View<SnapshotRecord>> {
        let observed = self.target.observe(None).await?;
        let inspection = self.target.inspect(observed.settled.known(), goal).await?;
        let view = View::new(component()?, observed, goal.clone(), self.info.capabilities);
        Ok(view.with_inspection(inspection))
    }

    /// Every proposal, the preferred one first.
    pub(super) async fn proposals(&self, goal: &SnapshotRecord) -> Result<Vec<(String, Proposal<Envelope>)>> {
        let view = self.view(goal).await?;
        let considered = self.target.propose(&view)?.into_iter();
        let mut proposals: Vec<_> = considered
            .filter_map(|one| match one.decision {
                Decision::Propose(proposal) => Some((one.strategy, proposal)),
                Decision::NotApplicable(_) => None,
            })
            .collect();
        proposals.sort_by(|a, b| a.1.preference(&b.1));
        Ok(proposals)
    }

    /// The preferred proposal.
    pub(super) async fn best(&self, goal: &SnapshotRecord) -> Result<Proposal<Envelope>> {
        let first = self.proposals(goal).await?.into_iter().next();
        first.map(|(_, proposal)| proposal).ok_or_else(|| {
            out_of("plan the way back", format!("no strategy proposes a way to {}", goal.info.revision))
        })
    }

    /// The first step of the preferred proposal, with a context as the engine would make it now.
    pub(super) async fn first(&self, goal: &SnapshotRecord) -> Result<Attempt> {
        let proposal = self.best(goal).await?;
        let token = self.token().await?;
        let step = in_order(&proposal.steps)?.into_iter().next();
        let step = step.ok_or_else(|| out_of("plan the way back", "the proposal has no steps"))?;
        Ok(Attempt { cx: self.context(&step.id, Some(token))?, step: step.clone() })
    }

    /// A context with a key of its own.
    pub(super) fn context(&self, step: &StepId, expected: Option<Token>) -> Result<ActionContext> {
        let key =
            IdempotencyKey::new(format!("kit-{}-{}", self.run, self.keys.fetch_add(1, Ordering::Relaxed)))?;
        Ok(ActionContext::new(self.run, component()?, step.clone(), key).expecting(expected))
    }

    /// Sends every step in order, as an engine would on a good day, and says which token the last one left.
    pub(super) async fn apply(&self, proposal: &Proposal<Envelope>) -> Result<Option<Token>> {
        let mut expected = Some(self.token().await?);
        let mut outputs = BTreeMap::new();
        for step in in_order(&proposal.steps)? {
            let cx = self.context(&step.id, expected)?.with_outputs(outputs.clone());
            let landing = self.target.apply(&cx, &step.action).await?;
            match self.finish(&cx, &step.action, landing).await? {
                Landing::Applied(receipt) => {
                    outputs.insert(step.id.clone(), receipt.output);
                    expected = Some(match receipt.token {
                        Some(token) => token,
                        None => self.token().await?,
                    });
                }
                other => return Err(out_of("apply a step", format!("{} says {}", step.id, said(&other)))),
            }
        }
        Ok(expected)
    }

    /// Waits while an action is running.
    pub(super) async fn finish(
        &self,
        cx: &ActionContext,
        action: &Envelope,
        mut landing: Landing,
    ) -> Result<Landing> {
        for _ in 0..self.fixture.patience() {
            let Landing::Running { .. } = landing else { break };
            self.fixture.pause().await;
            landing = self.target.probe(cx, action).await?;
        }
        Ok(landing)
    }

    /// Sends an attempt.
    pub(super) async fn send(&self, attempt: &Attempt) -> Result<Landing> {
        self.target.apply(&attempt.cx, &attempt.step.action).await
    }

    /// Probes an attempt, waiting while it is running.
    pub(super) async fn probe(&self, attempt: &Attempt) -> Result<Landing> {
        let landing = self.target.probe(&attempt.cx, &attempt.step.action).await?;
        self.finish(&attempt.cx, &attempt.step.action, landing).await
    }

    pub(super) async fn proof(&self, goal: &SnapshotRecord) -> Result<Proof> {
        self.proof_since(goal, None).await
    }

    pub(super) async fn proof_since(
        &self,
        goal: &SnapshotRecord,
        before: Option<BTreeMap<PartId, Incarnation>>,
    ) -> Result<Proof> {
        let mut wanted = Goal::runs(goal.clone());
        wanted.restarted_since = before;
        Ok(self.target.prove(&wanted).await?.judge(goal.info.identity, &wanted))
    }
}

pub(super) fn component() -> Result<ComponentName> {
    ComponentName::new("conformance")
}

async fn rest(fixture: &dyn Fixture, target: &dyn DynTarget) -> Result<Observation<SnapshotRecord>> {
    rest_after(fixture, target, None).await
}

async fn rest_after(
    fixture: &dyn Fixture,
    target: &dyn DynTarget,
    after: Option<&Token>,
) -> Result<Observation<SnapshotRecord>> {
    for _ in 0..fixture.patience() {
        let seen = target.observe(after).await?;
        if !matches!(seen.phase, Phase::Progressing(_)) && !seen.lagging {
            return Ok(seen);
        }
        fixture.pause().await;
    }
    Err(out_of("wait for the world", "it does not come to rest"))
}

fn known(seen: Observation<SnapshotRecord>) -> Result<SnapshotRecord> {
    match seen.settled {
        Reading::Known(snapshot) => Ok(snapshot),
        other => Err(out_of(
            "see what runs",
            match other {
                Reading::Unknown(why) => format!("the world rests, and settled is unknown: {why}"),
                _ => "the world rests, and settled is absent".to_owned(),
            },
        )),
    }
}

/// The steps in an order that respects their edges.
pub(super) fn in_order(steps: &[Step<Envelope>]) -> Result<Vec<&Step<Envelope>>> {
    let mut done = BTreeSet::new();
    let mut ordered = Vec::new();
    while ordered.len() < steps.len() {
        let ready = steps
            .iter()
            .find(|step| !done.contains(&step.id) && step.after.iter().all(|before| done.contains(before)));
        let Some(step) = ready else {
            return Err(out_of(
                "order the steps",
                "they wait for each other, or for steps that do not exist",
            ));
        };
        done.insert(step.id.clone());
        ordered.push(step);
    }
    Ok(ordered)
}
