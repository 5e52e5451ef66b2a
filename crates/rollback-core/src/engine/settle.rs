//! Settling, proving and gates: "stable" alone is never success.

use std::time::Duration;

use futures_util::future::{FutureExt as _, join_all};

use super::component::{ComponentRun, Forward, Halt, LegEnd};
use super::steps::longer;
use crate::condition::{Condition, Rule, Verdict};
use crate::document::Envelope;
use crate::error::ErrorRecord;
use crate::journal::{JournalEvent, counted};
use crate::name::Token;
use crate::probe::{Gate, PARTS};
use crate::progress::{Event, Stage};
use crate::snapshot::SnapshotRecord;
use crate::strategy::Proposal;
use crate::target::{Changes, Evidence, Goal, Health, Observation, PartState, Phase, Proof};
use crate::time::{Lasting, within};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The least time that a target is given to settle.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a target at rest is asked for a proof before it counts as certain that it is not there.
const PROOFS: u32 = 4;
/// The shortest pause between two looks or samples, however often something stirs and whatever a gate's rule says: without one it
/// would do nothing else.
pub(super) const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// How long parts may take to say that they are well.
pub(super) const HEALTHY_WITHIN: Lasting = Lasting::from_secs(60);

/// What one look after the last action says.
pub(super) enum Look {
    Wait(String),
    Prove,
    Fail(String),
}

/// One look after the last action.
pub(super) struct Seen {
    pub(super) look: Look,
    pub(super) parts: Vec<PartState>,
}

impl ComponentRun {
    /// Waits until the target rests, then proves every part.
    pub(super) async fn settle(
        &self,
        proposal: &Proposal<Envelope>,
        goal: &SnapshotRecord,
    ) -> Result<LegEnd, Halt> {
        let clock = &self.context.clock;
        let limit = (proposal.expected.as_duration() * 3).max(PATIENCE);
        let started = clock.monotonic();
        let (mut pause, mut proofs) = (FIRST_PAUSE, 0);
        self.emit_stage(Stage::Settling, goal.info.label());
        // A platform that goes on showing the past after that is not late any more: what it shows is what is.
        let lag = self.plan.target.capabilities.visibility_lag.map_or(PATIENCE, Lasting::as_duration) * 2;
        loop {
            self.check_halt()?;
            let late = clock.monotonic().saturating_sub(started) >= lag;
            let mut changes = Changes::default();
            let (waiting, error) = match self.look(goal, late, &mut changes).await? {
                Ok(Seen { look: Look::Fail(why), .. }) => return Ok(LegEnd::Failed { why, error: None }),
                Ok(Seen { look: Look::Wait(why), .. }) => (why, None),
                Ok(Seen { look: Look::Prove, .. }) => {
                    self.emit_stage(Stage::Proving, goal.info.label());
                    match self.prove(proposal, goal).await {
                        Ok((evidence, Proof::Proven)) => {
                            let parts = evidence.parts.len() as u64;
                            self.note(JournalEvent::Proved { parts }).await?;
                            return Ok(LegEnd::Proven(evidence));
                        }
                        Ok((_, Proof::NotProven { against, may_heal })) => {
                            proofs += u32::from(!may_heal);
                            (format!("not proven: {}", against.join("; ")), None)
                        }
                        Err(error) => (error.to_string(), Some(error)),
                    }
                }
                Err(error) => (error.to_string(), Some(error)),
            };
            if proofs >= PROOFS || clock.monotonic().saturating_sub(started) >= limit {
                return Ok(LegEnd::Failed { why: waiting, error });
            }
            self.wait_for(&changes, waiting, pause).await;
            pause = longer(pause);
        }
    }

    /// Waits until something stirs, for as long as the pause at the most.
    pub(super) async fn wait_for(&self, changes: &Changes, what: String, pause: Duration) {
        self.context.emit(Event::Waiting { component: self.name.clone(), what, pause: Lasting::new(pause) });
        let clock = &*self.context.clock;
        clock.sleep(pause.min(SHORTEST_PAUSE)).await;
        let _ = within(clock, pause.saturating_sub(SHORTEST_PAUSE), changes.wait()).await;
    }

    /// Looks at what became of the last action, and notices whoever else moved the target.
    pub(super) async fn look(
        &self,
        goal: &SnapshotRecord,
        late: bool,
        changes: &mut Changes,
    ) -> Result<Result<Seen, ErrorRecord>, Halt> {
        let token = self.state(|state| state.token.clone()).await;
        let observed = match self.target.observe(token.as_ref()).await {
            Ok(observed) => observed,
            Err(error) => return Ok(Err(error.to_record())),
        };
        changes.clone_from(&observed.changes);
        let look = judge(&observed, goal, late, token.as_ref())?;
        Ok(Ok(Seen { look, parts: observed.parts }))
    }

    /// Reads full evidence and judges it.
    pub(super) async fn prove(
        &self,
        proposal: &Proposal<Envelope>,
        goal: &SnapshotRecord,
    ) -> Result<(Evidence, Proof), ErrorRecord> {
        let mut wanted = Goal::runs(goal.clone()).coupled(goal.info.coupled.filter(|_| proposal.coupled));
        if proposal.restarts {
            let before =
                self.state(|state| state.guarded.clone().map(|(_, incarnations)| incarnations)).await;
            wanted = wanted.restarted_since(before.unwrap_or_default());
        }
        self.prove_goal(&wanted).await
    }

    pub(super) async fn prove_goal(
        &self,
        goal: &Goal<SnapshotRecord>,
    ) -> Result<(Evidence, Proof), ErrorRecord> {
        let evidence = self.target.prove(goal).await.map_err(|error| error.to_record())?;
        let proof = evidence.judge(goal.snapshot.info.identity, goal);
        Ok((evidence, proof))
    }

    /// Asks every gate of the component, all at once.
    pub(super) async fn ask_gates(&self, evidence: Evidence) -> Result<Forward, Halt> {
        if !self.gates.is_empty() {
            self.emit_stage(Stage::Gates, counted(self.gates.len() as u64, "gate"));
        }
        let mut healthy = self.parts_are_well(&evidence).await?;
        for passed in join_all(self.gates.iter().map(|gate| self.gate(gate).boxed())).await {
            healthy &= passed?;
        }
        Ok(Forward::Reached { evidence, healthy, soaked: None })
    }

    async fn gate(&self, gate: &Gate) -> Result<bool, Halt> {
        let probe = match self.context.probes.build(&gate.probe) {
            Ok(probe) => probe,
            Err(error) => return self.gate_ended(&gate.name, false, error.to_string()).await,
        };
        let mut condition = Condition::new(gate.rule.clone());
        let pause = gate.rule.every.as_duration().max(SHORTEST_PAUSE);
        loop {
            self.check_halt()?;
            let sample = probe.sample().await;
            let verdict = condition.feed(self.context.clock.monotonic(), &sample);
            let detail = match &verdict {
                Verdict::Pending(what) => format!("{} ({what})", sample.detail),
                Verdict::Held | Verdict::Failed(_) => sample.detail.clone(),
            };
            self.context.emit(Event::GateSampled {
                component: self.name.clone(),
                gate: gate.name.clone(),
                detail,
            });
            match verdict {
                Verdict::Held => {
                    return self
                        .gate_ended(&gate.name, true, format!("{}: {}", gate.rule, sample.detail))
                        .await;
                }
                Verdict::Failed(why) => return self.gate_ended(&gate.name, false, why).await,
                Verdict::Pending(_) => self.context.clock.sleep(pause).await,
            }
        }
    }

    pub(super) async fn gate_ended(&self, name: &str, passed: bool, detail: String) -> Result<bool, Halt> {
        self.note(JournalEvent::GateEnded { name: name.to_owned(), passed, detail }).await?;
        Ok(passed)
    }

    /// What the parts say of themselves is a gate of its own, asked only when one of them is not well.
    async fn parts_are_well(&self, evidence: &Evidence) -> Result<bool, Halt> {
        let Some(mut why) = complaint(&evidence.parts) else { return Ok(true) };
        let clock = &self.context.clock;
        let started = clock.monotonic();
        let every = Rule::once_ok(HEALTHY_WITHIN).every.as_duration();
        while clock.monotonic().saturating_sub(started) < HEALTHY_WITHIN.as_duration() {
            self.check_halt()?;
            self.wait(format!("not well yet: {why}"), every).await;
            match self.target.observe(None).await {
                Ok(observed) => match complaint(&observed.parts) {
                    None => {
                        return self
                            .gate_ended(PARTS, true, "every part says that it is well".to_owned())
                            .await;
                    }
                    Some(still) => why = still,
                },
                Err(error) => why = error.to_string(),
            }
        }
        self.gate_ended(PARTS, false, why).await
    }
}

fn judge(
    observed: &Observation<SnapshotRecord>,
    goal: &SnapshotRecord,
    late: bool,
    token: Option<&Token>,
) -> Result<Look, Halt> {
    if observed.lagging && !late {
        return Ok(Look::Wait("the platform does not show the change yet".to_owned()));
    }
    // Before asking who moved it: the platform did, and says why.
    if let Some(why) = &observed.reverted {
        let told = format!("the platform goes back by itself: {why}");
        // An honest end says what runs: that is known when it has arrived.
        let moves = matches!(observed.phase, Phase::Progressing(_));
        return Ok(if moves { Look::Wait(told) } else { Look::Fail(told) });
    }
    let wanted = goal.info.identity;
    let settled = observed.settled.known().map(|record| record.info.identity);
    let heading = observed.heading.as_ref().map(|record| record.info.identity);
    let moved = token.is_some_and(|token| *token != observed.token);
    if moved && heading.or(settled) != Some(wanted) {
        return Err(Halt::Superseded(format!(
            "somebody else changed the target: it is at {}",
            place(observed)
        )));
    }
    Ok(match &observed.phase {
        Phase::Failed(why) => Look::Fail(format!("the target failed: {why}")),
        Phase::Paused(why) => Look::Wait(format!("the target is held: {why}")),
        Phase::Progressing(what) => Look::Wait(what.clone()),
        Phase::Settled => Look::Prove,
    })
}

/// What the first part that is not well says.
pub(super) fn complaint(parts: &[PartState]) -> Option<String> {
    parts.iter().find_map(|part| match &part.health {
        Health::Unhealthy(why) => Some(format!("{}: {why}", part.part)),
        Health::Healthy | Health::Unknown => None,
    })
}

/// Where a target is or goes, for people.
fn place(observed: &Observation<SnapshotRecord>) -> String {
    observed
        .heading
        .as_ref()
        .or(observed.settled.known())
        .map_or("an unknown version".to_owned(), |record| record.info.label())
}
