//! The end of a component: hold or back, an honest state, and what is remembered of it.

use std::sync::PoisonError;

use super::component::{ComponentRun, Forward, Halt, LegEnd};
use crate::error::ErrorRecord;
use crate::journal::{JournalEvent, Progressed, Purpose, counted};
use crate::lease::{Unauthorised, held_by};
use crate::progress::{Event, Stage};
use crate::report::{ComponentReport, State};
use crate::snapshot::SnapshotRecord;
use crate::target::{Evidence, Finding, Goal, Proof};
use crate::time::Lasting;

/// A component's end in the making.
struct Ending {
    state: State,
    summary: String,
    evidence: Option<Evidence>,
    error: Option<ErrorRecord>,
    next: Vec<String>,
    /// Whether the journal is still ours to write.
    ours: bool,
}

impl Ending {
    fn new(state: State, summary: impl Into<String>) -> Self {
        Self { state, summary: summary.into(), evidence: None, error: None, next: Vec::new(), ours: true }
    }

    fn evidence(mut self, evidence: Option<Evidence>) -> Self {
        self.evidence = evidence;
        self
    }

    fn next(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }
}

impl ComponentRun {
    /// Brings the component to its end: goes back if that is wanted and possible, finds out what is true, journals and
    /// remembers it, and gives the lease back. Whether the end is ours to write.
    /// `all_well`: the whole run arrived, and what is left for afterwards may be done.
    pub(super) async fn finish(
        mut self,
        forward: Forward,
        back: bool,
        all_well: bool,
    ) -> (ComponentReport, bool) {
        let forward = match self.usurped().await {
            Some(halt) => Forward::Halted(halt),
            None => forward,
        };
        let ending = self.ending(forward, back).await;
        let mut ours = ending.ours;
        let tidies = all_well && ending.state == State::Restored;
        let untidied = if tidies { self.tidy_up().await } else { None };
        let mut report = self.report(ending).await;
        report.findings.extend(untidied);
        if ours && let Err(halt) = self.note(JournalEvent::Ended { report: Box::new(report.clone()) }).await {
            match &halt {
                // Somebody else goes on with this very run: whatever was found out here, the last word is theirs.
                Halt::Lost(by) => {
                    ours = false;
                    report.state = State::Superseded;
                    report.summary = format!("{by}; this process stopped");
                }
                // The run is still open: only what is proven holds whatever becomes of it.
                Halt::Store(_) if !matches!(report.state, State::Restored | State::RestoredUnhealthy) => {
                    ours = false;
                    report.state = State::Stuck;
                    report.summary = format!("{}; the store cannot be written", report.summary);
                    report.next = vec![format!("once the store is back: rollback resume {}", self.run)];
                }
                _ => {}
            }
            report.findings.push(unwritten(&halt));
        }
        if ours {
            self.remember(&mut report).await;
        }
        self.context.emit(Event::ComponentEnded {
            component: self.name.clone(),
            state: report.state,
            summary: report.summary.clone(),
        });
        let open = self.open_intents().await;
        if let Some(lease) = self.lease.take() {
            lease.release(open).await;
        }
        (report, ours)
    }

    async fn ending(&self, forward: Forward, back: bool) -> Ending {
        let goal = self.plan.to.info.label();
        match forward {
            Forward::AlreadyThere { evidence } => Ending::new(
                State::AlreadyThere,
                format!("{goal} was running already, proven; nothing was done"),
            )
            .evidence(Some(evidence)),
            Forward::Refused { why, .. }
                if self.state(Progressed::has_effects).await || self.has_open().await =>
            {
                self.ascertain(why).await
            }
            Forward::Refused { why, error } => {
                let next = error.as_ref().and_then(|error| error.next.clone());
                let mut ending = Ending::new(State::Refused, why)
                    .next(next.unwrap_or("make a new plan: rollback plan".to_owned()));
                ending.error = error;
                ending
            }
            Forward::Reached { evidence, healthy, soaked } if !back => {
                reached(&goal, evidence, healthy, soaked)
            }
            Forward::Reached { .. } => self.go_back("the other components did not arrive".to_owned()).await,
            Forward::Failed { why } if back => self.go_back(why).await,
            Forward::Failed { why } => self.ascertain(why).await,
            Forward::Halted(halt) => self.halted(halt).await,
        }
    }

    /// Goes to the origin. Stops at whatever cannot be taken back, and never fights somebody else's change.
    async fn go_back(&self, why: String) -> Ending {
        let Some(origin) = self.plan.from.known() else { return self.ascertain(why).await };
        self.emit_stage(Stage::GoingBack, origin.info.label());
        match self.back_to(origin).await {
            Ok(LegEnd::Proven(evidence)) => {
                let summary = format!("{why}; went back to {}, proven", origin.info.label());
                Ending::new(State::FailedRestored, summary).evidence(Some(evidence))
            }
            Ok(LegEnd::Failed { why: also, .. }) => {
                self.ascertain(format!("{why}; the way back failed: {also}")).await
            }
            Err(halt) => self.halted(halt).await,
        }
    }

    async fn back_to(&self, origin: &SnapshotRecord) -> Result<LegEnd, Halt> {
        let failed = |why: &str| Ok(LegEnd::Failed { why: why.to_owned(), error: None });
        if self.has_open().await {
            return Err(Halt::Stuck("something may still land".to_owned()));
        }
        let begun = self.state(|state| state.leg().map(|leg| (leg.leg.clone(), leg.failed.is_some()))).await;
        let leg = match begun {
            Some((leg, false)) if leg.purpose == Purpose::Back => leg,
            Some(_) if self.applied_irreversible().await => {
                return failed("a step that cannot be taken back was applied");
            }
            _ => {
                let Some(leg) = self.plan_leg(Purpose::Back, origin).await? else {
                    return failed("no strategy can put the origin back");
                };
                self.note(JournalEvent::LegStarted { leg: leg.clone() }).await?;
                leg
            }
        };
        self.run_leg(&leg, origin).await
    }

    async fn applied_irreversible(&self) -> bool {
        let applied = self
            .state(|state| {
                // By contract, no way back needs what was tidied up.
                let legs = state.legs.iter().filter(|leg| leg.leg.purpose != Purpose::Tidy).map(|leg| {
                    let steps = leg.steps.iter().filter(|(_, step)| step.is_applied());
                    (leg.leg.clone(), steps.map(|(id, _)| id.clone()).collect::<Vec<_>>())
                });
                legs.collect::<Vec<_>>()
            })
            .await;
        applied.iter().any(|(leg, steps)| {
            let planned = self.proposal(leg).map_or(&[][..], |proposal| &proposal.steps);
            planned.iter().filter(|step| steps.contains(&step.id)).any(|step| !step.reversible)
        })
    }

    /// It is proven, and the run had given up: it came too late to be waited for, or what it comes after did not arrive.
    async fn arrived_after_all(&self, why: &str) -> Ending {
        let goal = self.plan.to.info.label();
        let wanted = self.gates.len() + usize::from(self.soak.is_some());
        let (asked, failed) =
            self.state(|state| (state.gates.len(), state.gates.values().any(|gate| !gate.passed))).await;
        let late = format!("{goal} is proven, but only after the run had given up ({why})");
        match (wanted > 0 && asked >= wanted, failed) {
            (true, false) => {
                Ending::new(State::Restored, format!("{goal} is proven, as its gates passed before ({why})"))
            }
            (_, true) => Ending::new(State::RestoredUnhealthy, format!("{late}, and a gate failed")),
            (false, false) => Ending::new(State::RestoredUnhealthy, late)
                .next("its gates were not asked: check the service"),
        }
    }

    /// The destination was not reached by any way: finds out what is true of the world.
    async fn ascertain(&self, why: String) -> Ending {
        let open = self.has_open().await;
        let goal = &self.plan.to;
        let at_goal = self.prove_goal(&Goal::runs(goal.clone())).await;
        if let Ok((evidence, Proof::Proven)) = &at_goal
            && !open
        {
            return self.arrived_after_all(&why).await.evidence(Some(evidence.clone()));
        }
        let at_origin = match self.plan.from.known() {
            Some(origin) => Some(self.prove_goal(&Goal::runs(origin.clone())).await),
            None => None,
        };
        if let Some(Ok((evidence, Proof::Proven))) = at_origin
            && !open
        {
            let origin = self.plan.from.known().map_or(String::new(), |origin| origin.info.label());
            return Ending::new(State::FailedRestored, format!("{why}; {origin} still runs, proven"))
                .evidence(Some(evidence))
                .next("look at the errors, then plan again: rollback plan --explain");
        }
        let evidence = at_goal.ok().map(|(evidence, _)| evidence);
        let parts = evidence.as_ref().map(|evidence| evidence.parts.as_slice()).unwrap_or_default();
        let arrived = parts.iter().filter(|part| part.identity == Some(goal.info.identity)).count();
        if arrived > 0 && arrived < parts.len() && !open {
            return Ending::new(
                State::Partial,
                format!("{why}; {arrived} of {} parts are at {}", parts.len(), goal.info.label()),
            )
            .evidence(evidence)
            .next("plan again: only the parts that did not arrive will be touched");
        }
        Ending::new(State::Stuck, why)
            .evidence(evidence)
            .next("look at the target by hand; the steps and evidence above say what is known")
            .next("then plan again: rollback plan --explain")
    }

    async fn halted(&self, halt: Halt) -> Ending {
        let resume = format!("rollback resume {}", self.run);
        match halt {
            // As long as something may still land, this never claims more than being stuck.
            Halt::Stuck(why) => self.ascertain(why).await,
            Halt::Cancelled => {
                let done = self.state(Progressed::has_effects).await;
                let summary = if done {
                    "stopped on request, part of the way"
                } else {
                    "stopped on request; nothing was done"
                };
                Ending::new(State::Cancelled, summary)
                    .evidence(self.look_once().await)
                    .next("plan again to go on from what is there now: rollback plan")
            }
            Halt::Superseded(by) => Ending::new(State::Superseded, by)
                .evidence(self.look_once().await)
                .next("see who works on it: rollback status, rollback runs"),
            Halt::Lost(by) => {
                let ending = Ending::new(State::Superseded, format!("{by}; this run stopped"));
                let mut ending =
                    ending.evidence(self.look_once().await).next("see the run that took over: rollback runs");
                ending.ours = self.taken_by_another_run().await;
                ending
            }
            Halt::Store(error) => {
                let mut ending =
                    Ending::new(State::Stuck, format!("the store cannot be written: {}", error.message()))
                        .evidence(self.look_once().await)
                        .next(format!("once the store is back: {resume}"));
                ending.error = Some(error.to_record());
                ending.ours = false;
                ending
            }
        }
    }

    /// Why this process has nothing to say about the end, if somebody else has the target: what it found out last may be
    /// their doing. Without a lease, nothing may be journalled over the head of a process that took up this very run.
    async fn usurped(&self) -> Option<Halt> {
        if let Some(lease) = &self.lease {
            return match lease.confirm().await {
                Err(Unauthorised::Lost(by)) => Some(Halt::Lost(by)),
                // A store that does not answer now will not take the end either.
                Ok(()) | Err(Unauthorised::Failed(_)) => None,
            };
        }
        if self.context.break_glass.is_some() {
            return None;
        }
        match held_by(&self.context.records, &self.plan.target.id).await {
            Ok(Some(head)) if head.run == self.run => {
                Some(Halt::Lost("another process works on this run".to_owned()))
            }
            Ok(_) => None,
            Err(error) => Some(Halt::Store(error)),
        }
    }

    /// Whether it was another run that took over, and not another process that took up this one.
    async fn taken_by_another_run(&self) -> bool {
        let head = held_by(&self.context.records, &self.plan.target.id).await;
        head.is_ok_and(|head| head.is_some_and(|head| head.run != self.run))
    }

    /// What runs now, for the report of a run that ends without a proof.
    async fn look_once(&self) -> Option<Evidence> {
        let proof = self.prove_goal(&Goal::runs(self.plan.to.clone())).await;
        proof.ok().map(|(evidence, _)| evidence)
    }

    async fn report(&self, ending: Ending) -> ComponentReport {
        let origin = self.plan.from.known().map(|record| record.info.clone());
        let mut report =
            ComponentReport::new(ending.state, ending.summary, origin, self.plan.to.info.clone());
        let journal = self.journal.lock().await;
        let state = &journal.state;
        let titles: Vec<_> = state.legs.iter().map(|leg| self.titles(&leg.leg)).collect();
        report.steps = state.step_reports(|leg, step| {
            titles[leg].get(step).map_or_else(|| step.to_string(), |title| (*title).to_owned())
        });
        report.errors = state.errors.iter().cloned().chain(ending.error).collect();
        report.gates = state.gates.values().cloned().collect();
        report.evidence = ending.evidence;
        report.next = ending.next;
        report.findings.clone_from(&self.plan.findings);
        report.findings.extend(self.beside.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        report
    }
}

fn reached(goal: &str, evidence: Evidence, healthy: bool, soaked: Option<Lasting>) -> Ending {
    let parts = counted(evidence.parts.len() as u64, "part");
    let ending = if healthy {
        let still = soaked.map_or(String::new(), |lasting| format!(", and again after {lasting}"));
        Ending::new(State::Restored, format!("{goal} runs on {parts}, proven{still}"))
    } else {
        Ending::new(State::RestoredUnhealthy, format!("{goal} runs on {parts}, proven, but a gate failed"))
            .next("the destination may be bad too: choose another, or look at what it depends on")
    };
    ending.evidence(Some(evidence))
}

fn unwritten(halt: &Halt) -> Finding {
    let why = match halt {
        Halt::Store(error) => error.to_string(),
        Halt::Lost(by) | Halt::Superseded(by) | Halt::Stuck(by) => by.clone(),
        Halt::Cancelled => "stopped".to_owned(),
    };
    Finding::warning("end-not-journalled", format!("how it ended could not be journalled: {why}"))
}
