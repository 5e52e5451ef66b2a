//! One component of a run: legs, and what to do when one fails.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Context;
use super::steps::{LOOKS, longer};
use crate::contents::Kept;
use crate::document::Envelope;
use crate::erased::DynTarget;
use crate::error::{Error, ErrorKind, ErrorRecord, Result};
use crate::journal::{Journal, JournalEvent, Leg, Progressed, Purpose, Unwritten};
use crate::lease::{Lease, OpenIntent};
use crate::ledger::Ledger;
use crate::name::{ComponentName, RunId, StepId, Token};
use crate::plan::{ComponentPlan, artifact_findings, propose, view};
use crate::probe::Gate;
use crate::progress::{Event, Stage};
use crate::request::Request;
use crate::snapshot::{SnapshotInfo, SnapshotRecord};
use crate::strategy::{Decision, Peers, Proposal};
use crate::target::{Evidence, Finding, Inspection, Observation, Severity};
use crate::time::Lasting;

/// How many repairs are tried.
const REPAIRS: usize = 2;

/// One component while its run goes on.
#[derive(Debug)]
pub(super) struct ComponentRun {
    pub(super) context: Arc<Context>,
    pub(super) run: RunId,
    pub(super) name: ComponentName,
    pub(super) request: Arc<Request>,
    pub(super) plan: ComponentPlan,
    /// What must hold after the proof.
    pub(super) gates: Vec<Gate>,
    /// For how long it is watched once it is proven.
    pub(super) soak: Option<Lasting>,
    pub(super) target: Arc<dyn DynTarget>,
    pub(super) journal: Mutex<Journal>,
    /// `None` before it was taken, and under break-glass.
    pub(super) lease: Option<Lease>,
    /// A place for each component of the run that may send now.
    pub(super) slots: Arc<Semaphore>,
    pub(super) cancel: CancellationToken,
    /// The token that was last looked at before an action, and when.
    pub(super) seen: std::sync::Mutex<Option<(Token, Duration)>>,
    /// What checks beside the run found.
    pub(super) beside: std::sync::Mutex<Vec<Finding>>,
}

/// Why the work on a component stops before it reached an end of its own.
#[derive(Debug)]
pub(super) enum Halt {
    /// Somebody else holds the target.
    Lost(String),
    /// Somebody else changed the target.
    Superseded(String),
    /// Asked to stop.
    Cancelled,
    /// The journal cannot be written.
    Store(Error),
    /// An action's effect cannot be found out.
    Stuck(String),
}

/// How far a component came towards its destination.
#[derive(Debug)]
pub(super) enum Forward {
    /// Proven, whether every gate passed, and for how long it was watched since.
    Reached { evidence: Evidence, healthy: bool, soaked: Option<Lasting> },
    /// It was there before anything was done.
    AlreadyThere { evidence: Evidence },
    /// Nothing was done.
    Refused { why: String, error: Option<ErrorRecord> },
    /// Every approved way failed.
    Failed { why: String },
    /// Stopped on the way.
    Halted(Halt),
}

/// How one proposal ended.
#[derive(Debug)]
pub(super) enum LegEnd {
    /// What it aimed at is proven.
    Proven(Evidence),
    /// It certainly cannot get there.
    Failed { why: String, error: Option<ErrorRecord> },
}

impl ComponentRun {
    pub(super) fn emit_stage(&self, stage: Stage, detail: impl Into<String>) {
        self.context.emit(Event::Stage { component: self.name.clone(), stage, detail: detail.into() });
    }

    pub(super) fn warn(&self, message: impl Into<String>) {
        self.context.emit(Event::Warning { component: self.name.clone(), message: message.into() });
    }

    /// Remembers that the target was seen with this token.
    pub(super) fn saw(&self, token: &Token, at: Duration) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((token.clone(), at));
    }

    /// How long ago the target was seen with this token.
    pub(super) fn seen_ago(&self, token: Option<&Token>) -> Option<Duration> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, at) = seen.as_ref().filter(|(seen, _)| Some(seen) == token)?;
        Some(self.context.clock.monotonic().saturating_sub(*at))
    }

    /// Journals an event. Its number.
    pub(super) async fn note(&self, event: JournalEvent) -> Result<u64, Halt> {
        let now = self.context.clock.now();
        self.journal.lock().await.append(now, event).await.map_err(|unwritten| match unwritten {
            Unwritten::Lost => Halt::Lost("somebody else took up this run".to_owned()),
            Unwritten::Failed(error) => Halt::Store(error),
        })
    }

    pub(super) async fn state<T>(&self, read: impl FnOnce(&Progressed) -> T) -> T {
        read(&self.journal.lock().await.state)
    }

    /// Stops where it is safe to: nothing of ours is on its way.
    pub(super) fn check_halt(&self) -> Result<(), Halt> {
        self.check_lost()?;
        if self.cancel.is_cancelled() { Err(Halt::Cancelled) } else { Ok(()) }
    }

    pub(super) fn check_lost(&self) -> Result<(), Halt> {
        match &self.lease {
            Some(lease) if lease.lost().is_cancelled() => {
                Err(Halt::Lost("somebody else took over the lease".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// What is authorised and may still be on its way.
    pub(super) async fn open_intents(&self) -> Vec<OpenIntent> {
        let open = self.state(Progressed::open).await;
        open.into_iter()
            .map(|(event, _)| OpenIntent { run: self.run, component: self.name.clone(), event })
            .collect()
    }

    /// The first word in the journal, once the lease is ours.
    pub(super) async fn begin(&self) -> Result<()> {
        if self.lease.is_some() {
            // Between reading the journal and taking the lease somebody else may have gone on with it.
            let known = self.journal.lock().await.entries().len();
            if Journal::length(&self.context.records, self.run, &self.name).await? != known {
                return Err(Error::new(ErrorKind::Conflict, "take up the run", "somebody else took it up")
                    .transient(true)
                    .next("look at it again: rollback show"));
            }
        }
        let begun = JournalEvent::Begun { holder: self.context.leasing.holder.clone() };
        self.note(begun).await.map(drop).map_err(|halt| match halt {
            Halt::Store(error) => error,
            Halt::Lost(by) | Halt::Superseded(by) => Error::new(ErrorKind::Conflict, "begin the run", by),
            Halt::Stuck(why) => Error::new(ErrorKind::Other, "begin the run", why),
            Halt::Cancelled => Error::new(ErrorKind::Cancelled, "begin the run", "stopped on request"),
        })
    }

    /// Goes towards the destination until it is proven, or every approved way has failed.
    pub(super) async fn forward(&self) -> Forward {
        let span = tracing::info_span!("component", name = %self.name, driver = self.target.driver());
        let (end, ()) = join(self.drive(), self.check_beside()).instrument(span).await;
        end.unwrap_or_else(Forward::Halted)
    }

    /// Checks of an urgent run. Nothing that they find stops it: it is under way.
    async fn check_beside(&self) {
        if !self.request.urgent {
            return;
        }
        let found = match self.target.inspect(self.plan.from.known(), &self.plan.to).await {
            Ok(inspection) => {
                let artifacts = artifact_findings(&self.plan.to.info, &inspection, self.plan.brought());
                inspection.findings.into_iter().chain(artifacts).collect()
            }
            Err(error) => {
                vec![Finding::warning("not-checked", format!("the checks beside the run failed: {error}"))]
            }
        };
        for finding in found.iter().filter(|finding| finding.severity == Severity::Blocker) {
            self.warn(finding.message.clone());
        }
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    }

    async fn drive(&self) -> Result<Forward, Halt> {
        loop {
            let current =
                self.state(|state| state.leg().map(|leg| (leg.leg.clone(), leg.failed.clone()))).await;
            match current {
                // Cut off while going back: the way forward is over.
                Some((Leg { purpose: Purpose::Back, .. }, _)) => {
                    return Ok(Forward::Failed { why: "the destination was given up before".to_owned() });
                }
                // Cut off while tidying up: it was proven before, and is once more.
                Some((leg @ Leg { purpose: Purpose::Tidy, .. }, _)) => {
                    return Ok(match self.settle(self.proposal(&leg)?, &self.plan.to).await? {
                        LegEnd::Proven(evidence) => self.ask_gates(evidence).await?,
                        LegEnd::Failed { why, .. } => Forward::Failed { why },
                    });
                }
                Some((leg, None)) => match self.run_leg(&leg, &self.plan.to).await? {
                    LegEnd::Proven(evidence) => return self.ask_gates(evidence).await,
                    LegEnd::Failed { why, error } => {
                        self.warn(why.clone());
                        self.note(JournalEvent::LegFailed { why, error }).await?;
                    }
                },
                failed => {
                    let Some(leg) = self.next_leg().await? else {
                        let why = failed.and_then(|(_, why)| why);
                        return Ok(Forward::Failed {
                            why: why.unwrap_or_else(|| "there is no way".to_owned()),
                        });
                    };
                    if leg.purpose == Purpose::Forward {
                        self.keep_origin().await;
                        self.remember_origin().await;
                    }
                    self.note(JournalEvent::LegStarted { leg }).await?;
                }
            }
        }
    }

    /// The proposal of a leg.
    pub(super) fn proposal<'a>(&'a self, leg: &'a Leg) -> Result<&'a Proposal<Envelope>, Halt> {
        if let Some(proposal) = &leg.proposal {
            return Ok(proposal);
        }
        let planned = self.plan.proposals().find(|(strategy, _)| *strategy == leg.strategy);
        planned.map(|(_, proposal)| proposal).ok_or_else(|| {
            Halt::Stuck(format!("the journal names strategy {}, which the plan does not have", leg.strategy))
        })
    }

    /// Sends what is to be sent, waits until the target rests, and proves it.
    pub(super) async fn run_leg(&self, leg: &Leg, goal: &SnapshotRecord) -> Result<LegEnd, Halt> {
        let proposal = self.proposal(leg)?;
        tracing::info!(strategy = leg.strategy, purpose = ?leg.purpose, "acting");
        self.emit_stage(Stage::Acting, leg.strategy.clone());
        let acted = {
            // It is never closed.
            let _slot = self.slots.acquire().await;
            self.act(proposal).await?
        };
        if let Some((why, error)) = acted {
            return Ok(LegEnd::Failed { why, error });
        }
        self.settle(proposal, goal).await
    }

    /// The chosen way first, then approved alternatives as long as nothing was changed, then repairs.
    async fn next_leg(&self) -> Result<Option<Leg>, Halt> {
        let (tried, effects, open, repairs, token, denied) = self
            .state(|state| {
                let tried: Vec<String> = state.legs.iter().map(|leg| leg.leg.strategy.clone()).collect();
                let denied = state.leg().is_some_and(|leg| leg.denied);
                let repairs = state.count(Purpose::Repair);
                (tried, state.has_effects(), state.open(), repairs, state.token.clone(), denied)
            })
            .await;
        if let Some((_, step)) = open.first() {
            return Err(Halt::Stuck(format!("what became of {step} is not known")));
        }
        if !effects {
            let untried = self.plan.proposals().find(|(strategy, _)| !tried.iter().any(|t| t == strategy));
            if let Some((strategy, _)) = untried {
                let purpose = if tried.is_empty() { Purpose::Forward } else { Purpose::Alternative };
                return Ok(Some(Leg { purpose, strategy: strategy.to_owned(), proposal: None, token }));
            }
        }
        // What may not be done is not done by doing it once more.
        if effects && !denied && repairs < REPAIRS {
            return self.plan_leg(Purpose::Repair, &self.plan.to).await;
        }
        Ok(None)
    }

    /// Plans a way from what is now. Never with a step that cannot be taken back.
    pub(super) async fn plan_leg(
        &self,
        purpose: Purpose,
        goal: &SnapshotRecord,
    ) -> Result<Option<Leg>, Halt> {
        let token = self.state(|state| state.token.clone().filter(|_| !state.is_unclear())).await;
        let observed = match self.look_now(token.as_ref()).await {
            Ok(observed) => observed,
            Err(error) => {
                self.warn(format!("could not look for another way: {error}"));
                return Ok(None);
            }
        };
        // It would do so again.
        if observed.reverted.is_some() {
            return Ok(None);
        }
        // What a convergence did before it failed moved the token too: then there is none to compare with.
        let identity = observed.settled.known().map(|record| record.info.identity);
        if token.is_some_and(|token| token != observed.token) && identity != Some(goal.info.identity) {
            return Err(Halt::Superseded(format!(
                "somebody else changed the target: it is at {}",
                observed
                    .settled
                    .known()
                    .map_or("an unknown version".to_owned(), |record| record.info.label())
            )));
        }
        let token = observed.token.clone();
        let view = view(
            &self.name,
            observed,
            goal.clone(),
            &self.plan.target,
            Inspection::default(),
            Peers::default(),
        )
        .with_kept(self.kept(&goal.info).await);
        let considered = match propose(&*self.target, &view) {
            Ok(considered) => considered,
            Err(error) => {
                self.warn(format!("no other way: {error}"));
                return Ok(None);
            }
        };
        // What was approved was to put back what belongs to it as well.
        let coupled = purpose == Purpose::Repair && self.plan.coupled().is_some();
        let usable = considered.into_iter().filter_map(|one| match one.decision {
            Decision::Propose(proposal) if proposal.is_reversible() && (proposal.coupled || !coupled) => {
                Some((one.strategy, proposal))
            }
            _ => None,
        });
        let best = usable.min_by(|a, b| a.1.preference(&b.1));
        Ok(best.map(|(strategy, proposal)| Leg {
            purpose,
            strategy,
            proposal: Some(proposal),
            token: Some(token),
        }))
    }

    /// The contents that are kept of a state.
    async fn kept(&self, info: &SnapshotInfo) -> Option<Kept> {
        let ledger = Ledger::new(self.context.records.clone(), &self.plan.target.id).ok()?;
        let kept = ledger.kept(info).await;
        kept.inspect_err(|error| self.warn(format!("whether contents are kept: {error}"))).ok().flatten()
    }

    /// A look at what is, and not at what was before our last action: a platform may lag behind, and shows that only to
    /// those who say what they know. Without a token, the lag is waited out.
    async fn look_now(&self, after: Option<&Token>) -> Result<Observation<SnapshotRecord>> {
        let mut pause = Duration::from_millis(250);
        if let (None, Some(lag)) = (after, self.plan.target.capabilities.visibility_lag) {
            self.wait("for what was sent before to show".to_owned(), lag.as_duration()).await;
        }
        for _ in 0..LOOKS {
            let observed = self.target.observe(after).await?;
            if !observed.lagging {
                return Ok(observed);
            }
            self.wait("the platform does not show the last change yet".to_owned(), pause).await;
            pause = longer(pause);
        }
        Err(Error::new(ErrorKind::Timeout, "look at the target", "it goes on showing the past"))
    }

    /// The titles of a leg's steps, for reports.
    pub(super) fn titles<'a>(&'a self, leg: &'a Leg) -> BTreeMap<&'a StepId, &'a str> {
        let steps = self.proposal(leg).map_or(&[][..], |proposal| &proposal.steps);
        steps.iter().map(|step| (&step.id, step.title.as_str())).collect()
    }
}
